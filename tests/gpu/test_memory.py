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
