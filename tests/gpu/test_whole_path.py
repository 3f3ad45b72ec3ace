"""The whole path of a product on a GPU, from captions to insertion, in every way in which a base lies
there; and a run that is killed on it ends with the state, byte for byte, of one that never was."""

import os
import shutil
import sys
from dataclasses import dataclass

import pytest
from PIL import Image

from tests.captioners import MAKERS as CAPTIONERS
from tests.captioners import make_clip
from tests.gpu.test_ways import _prepare
from tests.lives import lives

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="it forks"),
]
RECIPE = """
exposures = {1 = 4}
effective_batch_size = 2
least_exposures_share = 0.3
crops_per_photo = 1
target_modules = "cross-attention"
rank = 2
sizes = [1.0]
"""


@dataclass(frozen=True)
class Way:
    """How a base lies on the GPU and learns there; `turns`: its networks are there one by one."""

    storage: str = "full"
    turns: bool = False
    checkpointing: bool = False
    half: bool = True
    text: bool = False


WAYS = {
    "sd1": (Way(), Way(turns=True, half=False)),
    "sd2": (Way("nf4", checkpointing=True),),
    "sdxl": (Way(text=True, checkpointing=True), Way("int8", turns=True)),
    "sd3": (Way("offload"),),
    "flux1": (Way(turns=True, checkpointing=True), Way("nf4", turns=True)),
    "flux2": (Way("offload", turns=True),),
    "z_image": (Way(checkpointing=True),),
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
    assert gpu_lives.start(_whole_path, tiny_checkpoint(family), tmp_path, WAYS[family]) == 0


def _whole_path(_, checkpoint, root, ways):
    make_clip(root / "clip")
    shutil.copytree(checkpoint, root / "base")
    (root / "base" / "recipe.toml").write_text(RECIPE)
    (root / "base" / "sampler.toml").write_text("steps = 2\n")
    os.environ["PACKSHOT_CACHE"] = str(root / "cache")
    _draw(root)
    for number, way in enumerate(ways):
        print(way, file=sys.stderr)
        _one_way(root, root / str(number), way)


def _draw(root):
    """Photos of a red box, and a place to put it."""
    from PIL import Image

    from tests.backgrounds import landscape, product_photo

    (root / "photos" / "masks").mkdir(parents=True)
    for number in range(2):
        for drawn, folder in zip(product_photo(number), ("", "masks"), strict=True):
            drawn.save(root / "photos" / folder / f"{number}.png")
    Image.fromarray(landscape()).save(root / "beach.png")


def _one_way(root, place, way):
    """All of it, after which the base is as it was loaded, each of its networks in one place."""
    import torch

    from packshot.insertion import inpaint_product
    from packshot.models import diffusion_model
    from packshot.models.families.qwen_image import QwenImage
    from packshot.plan import calibration, load_base
    from tests.gpu import simulated

    with simulated.gpu(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "REPEATS", 1)
        patch.setattr(inpaint_product, "BundledSegmenter", _Middle)
        if way.turns:
            patch.setattr(diffusion_model, "weight_memory_budget", lambda device: 1e5)
        # Its configuration says no size; at the 1328 px of its checkpoints what is real here takes gigabytes.
        patch.setattr(QwenImage, "trained_pixels", lambda base: 64)
        if not way.half:
            patch.setattr(load_base, "best_dtype", lambda *_: torch.float32)
        project = _project(root, place, way)
        base = load_base.load_project_base(project)
        assert base.device == simulated.GPU and base._has_model_offload == way.turns
        assert (base.weight_storage, base.dtype.itemsize) == (way.storage, 2 if way.half else 4)
        weights = _weights(base)
        _plan_a_short_run(project, base, way)
        _kill_and_compare(project, base)
        _make_pictures(project, base, root)
        after = _weights(base)
        assert after.keys() == weights.keys()
        assert all(torch.equal(after[name], weight) for name, weight in weights.items())
        for network in (base.denoiser, base.vae, *base.text_encoders.values()):
            places = {tensor.device for tensor in network.parameters()}
            in_parts = way.storage == "offload" and network is base.denoiser
            assert (len(places) == 1) != in_parts


class _Middle:
    """A segmenter that finds the middle of what it is shown: random weights paint no product."""

    def mask(self, picture):
        from PIL import Image

        found = Image.new("L", picture.size)
        width, height = picture.size
        found.paste(255, (width // 4, height // 4, width * 3 // 4, height * 3 // 4))
        return found


def _weights(base):
    networks = {"denoiser": base.denoiser, "vae": base.vae, **base.text_encoders}
    return {
        f"{name}.{key}": tensor.cpu().clone()
        for name, network in networks.items()
        for key, tensor in network.state_dict().items()
    }


def _project(root, place, way):
    """Photos of a red box, with captions."""
    from packshot.captions import caption_photos
    from packshot.captions.plain import Plain
    from packshot.photos.photo_set import add_photos
    from packshot.project import create_project

    project = create_project(
        place, name="Redbox", class_noun="box", base=str(root / "base"), weight_storage=way.storage
    )
    add_photos(project, root / "photos")
    caption_photos(project, captioner=Plain())
    return project


def _plan_a_short_run(project, base, way):
    """Class images by the base, and three steps with a state and samples at the second."""
    from packshot.class_images import collect_class_images
    from packshot.plan import make_plan, write_plan

    collect_class_images(project, base, count=2)
    plan = make_plan(project, base, train_text_encoder=way.text)
    short = {
        "steps": 3, "lr_warmup_steps": 0, "save_every_n_steps": 2, "sample_every_n_steps": 2,
        "gradient_checkpointing": way.checkpointing,
    }  # fmt: skip
    write_plan(plan.model_copy(update=short), project.plan_file)


def _kill_and_compare(project, base):
    """A run that lost its third step, in a copy of the project, and one that never was cut short."""
    from packshot.plan.load_base import load_project_base
    from packshot.project import open_project
    from packshot.training import CachingLatents, Resumed, Step, train

    other = open_project(shutil.copytree(project.root, project.root.with_name("killed")))
    events = train(other, base)
    next(event for event in events if isinstance(event, Step) and event.step == 3)
    events.close()
    resumed = [
        e for e in train(other, load_project_base(other)) if not isinstance(e, CachingLatents)
    ]
    assert isinstance(resumed[0], Resumed) and resumed[0].step == 2
    for _ in train(project, base):
        pass
    assert _left_by(other) == _left_by(project)
    shutil.rmtree(other.root)


def _left_by(project):
    """The hashes of a run's states, samples and LoRA."""
    from packshot.utils import files

    (run,) = project.runs()
    kinds = ("checkpoints/*/*", "samples/*/*.png", "*.safetensors")
    found = sorted(file for kind in kinds for file in run.glob(kind))
    assert len(found) == 2 * 3 + 2 * 4 + 2

    def content(file):  # no two signatures of a picture are the same
        if file.suffix != ".png":
            return files.sha256(file)
        with Image.open(file) as sample:
            return files.sha256_of(sample.tobytes())

    return {str(file.relative_to(run)): content(file) for file in found}


def _make_pictures(project, base, root):
    """Shots, their scores, and both ways of insertion."""
    from packshot.generation.embedders import embedder_of
    from packshot.generation.generate import GenerationSettings
    from packshot.generation.metrics import read_scores
    from packshot.insertion import InsertionSettings
    from packshot.insertion.request import PlacementRequest, insert_all
    from packshot.lora import load_lora
    from packshot.workflow.steps import shoot_all

    embedder = embedder_of(str(root / "clip"), lambda: base)
    shoot_all(project, base, ["a photo of {subject}"], GenerationSettings(), embedder)
    assert len(read_scores(project)) == 5
    lora = load_lora(project.lora_file, base)
    for settings in (
        InsertionSettings(method="composite", refine=0.6, tries=1),
        InsertionSettings(method="inpaint", tries=1),
    ):
        (made,) = insert_all(
            project, root / "beach.png", PlacementRequest(box="140,140,120,90"), settings,
            base=base, loras=[(lora, 1.0)], embedder=embedder, out=project.root / settings.method,
        )  # fmt: skip
        told = {check.name: check for check in made.checks}
        assert made.file.is_file() and told["background unchanged"].passed


def test_captioners_on_the_gpu_say_what_they_say_in_main_memory(gpu_lives, tmp_path):
    kinds = ("blip", "florence2", "qwen3_vl", "clip")
    for kind in kinds:
        CAPTIONERS.get(kind, make_clip)(tmp_path / kind)
    assert gpu_lives.start(_captioned, [tmp_path / kind for kind in kinds]) == 0


def _captioned(_, folders):
    import torch

    from packshot.captions import blip, florence, qwen_vl, transformers_model
    from packshot.captions.registry import load_captioner
    from packshot.project import Subject
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
