"""The whole path of a product on a GPU, from captions to insertion, in every way in which a base lies
there; and a run that is killed on it ends with the state, byte for byte, of one that never was."""

import sys

import pytest

from tests.captioners import MAKERS as CAPTIONERS
from tests.captioners import make_clip
from tests.gpu.test_ways import _prepare
from tests.gpu.whole_path import Way, walk_ways
from tests.lives import lives

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="it forks"),
]
WAYS = {
    "sd1": (Way(turns=True, half=False),),
    "sd2": (Way(),),
    "sdxl": (Way(text=True, checkpointing=True),),
    "sd3": (Way("offload"),),
    "flux1": (Way("nf4", turns=True, checkpointing=True),),
    "flux2": (Way("offload", turns=True),),
    "z_image": (Way("nf4"),),
    "qwen_image": (Way("int8", turns=True),),
}


@pytest.fixture(scope="module")
def gpu_lives():
    """Processes with a simulated GPU."""
    with lives(_prepare) as started:
        yield started


@pytest.mark.parametrize("family", WAYS)
def test_the_whole_path_is_walked_and_a_killed_run_ends_the_same(
    gpu_lives, tiny_checkpoint, tmp_path, family
):
    assert gpu_lives.start(walk_ways, tiny_checkpoint(family), tmp_path, WAYS[family]) == 0


def test_captioners_on_the_gpu_say_what_they_say_in_main_memory(gpu_lives, tmp_path):
    kinds = ("blip", "florence2", "qwen3_vl", "clip")
    for kind in kinds:
        CAPTIONERS.get(kind, make_clip)(tmp_path / kind)
    assert gpu_lives.start(_captioned, [tmp_path / kind for kind in kinds]) == 0


def _captioned(_, folders):
    import torch

    from packshot.captions import blip, florence, qwen_vl, transformers_model
    from packshot.captions.registry import load_captioner
    from packshot.settings import Subject
    from tests.gpu import simulated
    from tests.projects import painted

    subject, pictures = (
        Subject(name="Redbox", trigger="ohwx", class_noun="box"),
        [painted(0, (64, 48))],
    )
    with simulated.gpu() as memory, pytest.MonkeyPatch.context() as patch:
        for module in (blip, florence, qwen_vl):
            patch.setattr(module, "MAX_TOKENS", 12)
        # In 16 bits sums in another order find other words.
        patch.setattr(transformers_model, "_dtype", lambda device: torch.float32)
        for folder in folders:
            before = memory.used
            there = load_captioner("auto", str(folder))
            assert memory.used > before
            (said,) = there.caption(pictures, subject)
            assert said.startswith("a photo of ohwx box")
            assert load_captioner("auto", str(folder), device="cpu").caption(pictures, subject) == [
                said
            ]
