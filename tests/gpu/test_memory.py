"""A GPU whose memory gives out: it is stepped down, or said in words; nothing else is raised."""

import sys
from pathlib import Path

import pytest

from tests.gpu.test_ways import _prepare
from tests.lives import lives

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it forks")


@pytest.fixture(scope="module")
def gpu_lives():
    with lives(_prepare) as started:
        yield started


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sd1"])
def test_memory_of_every_size_is_walked_or_said(gpu_lives, tiny_checkpoint, tmp_path, family):
    assert gpu_lives.start(_every_size, str(tiny_checkpoint(family)), str(tmp_path)) == 0


def _every_size(_, folder, place):
    """Plan, learn and shoot on GPUs from ample to tiny; what happened grows from size to size."""
    from tests.gpu import simulated

    with simulated.gpu() as memory:
        said = [_walk(Path(folder), Path(place) / "ample")]
        need = memory.peak
    assert said == ["done"]
    outcomes = []
    for number, share in enumerate((0.65, 0.03)):
        with simulated.gpu(share * need):
            outcomes.append(_walk(Path(folder), Path(place) / str(number)))
    print(outcomes, file=sys.stderr)
    assert "done" in outcomes, "less than the most will do"
    first = next((n for n, told in enumerate(outcomes) if told != "done"), len(outcomes))
    assert all("not enough" in told or "memory" in told for told in outcomes[first:])


def _walk(folder, root):
    """What a user sees of the path on this GPU: "done", or an error's words."""
    import os

    from packshot.errors import PackshotError
    from packshot.generation.generate import GenerationSettings, generate_images
    from packshot.lora import load_lora
    from packshot.plan import calibration, load_base, make_plan
    from packshot.project import create_project
    from packshot.training import Done, train
    from tests.walking import RECIPE, make_case

    os.environ["PACKSHOT_CACHE"] = str(root / "cache")
    calibration.REPEATS = 1
    case = make_case(root, folder)
    (case / "base" / "recipe.toml").write_text(RECIPE + "sizes = [1.0, 0.5]\n")
    project = create_project(root / "p", name="D", class_noun="car", base=str(case / "base"))
    try:
        _prepare_photos(project, case)
        base = load_base.load_project_base(project)
        make_plan(project, base)
        done = [event for event in train(project, base) if isinstance(event, Done)]
        assert len(done) == 1
        lora = load_lora(project.lora_file, base)
        shots = generate_images(
            base, ["a car", "a red car"], loras=[(lora, 1.0)], folder=root / "shots",
            settings=GenerationSettings(seeds=(0, 1), steps=1),
        )  # fmt: skip
        assert all(shot.file.is_file() for shot in shots)
        return "done"
    except PackshotError as error:
        return str(error)


def _prepare_photos(project, case):
    from packshot.captions import caption_photos
    from packshot.captions.plain import Plain
    from packshot.class_images import collect_class_images
    from packshot.photos.photo_set import add_photos

    add_photos(project, case / "photos")
    caption_photos(project, captioner=Plain())
    collect_class_images(project, None, count=2, folder=case / "photos")


def test_each_product_of_a_worker_finds_the_gpu_as_the_first_did(
    gpu_lives, tiny_checkpoint, tmp_path
):
    folders = str(tiny_checkpoint("sd1")), str(tiny_checkpoint("sd2"))
    assert gpu_lives.start(_one_after_the_other, folders, str(tmp_path)) == 0


def _one_after_the_other(_, folders, place):
    """Three products, the last on another base, on a GPU with room for one base and what learns on it."""
    import os

    import torch

    from packshot.catalog import engine
    from packshot.catalog.outcome import Outcome
    from packshot.plan import load_base
    from packshot.plan.memory_estimate import MemoryEstimate, MemoryOption
    from packshot.project import create_project
    from packshot.workflow.receipt import versions
    from tests.gpu import simulated

    os.environ["PACKSHOT_CACHE"] = str(Path(place) / "cache")
    seen = []

    def make(number, *_):
        before = memory.used
        folder = folders[number == 2]
        project = create_project(Path(place) / str(number), name="D", class_noun="car", base=folder)
        base = load_base.load_project_base(project)
        with torch.no_grad():
            base.decode_latents(base.encode_images(torch.zeros(1, 3, 32, 32)))
        seen.append((before, base.weight_storage, memory.used, base.content_hash))
        return Outcome(str(number), "done")

    with simulated.gpu() as memory, pytest.MonkeyPatch.context() as patch:
        free = torch.cuda.mem_get_info()[0] - 500_000
        ways = tuple(
            MemoryOption(name, True, need, 0) for name, need in (("full", free), ("nf4", 1))
        )
        patch.setattr(load_base, "estimate_memory", lambda *_, **__: MemoryEstimate(ways, 0, 0, 64))
        patch.setattr(load_base, "SURELY_FITS", 0)
        patch.setattr(load_base, "step_fits", lambda base: True)
        patch.setattr(engine, "make", make)
        worker = engine.Worker("out", "start", versions(), ())
        with worker._warm:
            for number in range(3):
                worker.make(number)
    first, again, other = seen
    assert [storage for _, storage, _, _ in seen] == ["full"] * 3
    assert first[2:] == again[2:] and other[3] != first[3]
    assert max(before for before, *_ in seen) < 500_000 < first[2], "none of it lay there meanwhile"
