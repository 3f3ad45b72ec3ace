"""A base of published size on GPUs of several sizes: it is walked whole, or it is said in words."""

import sys

import pytest

from tests.families import PARAMETERS
from tests.gpu.test_ways import _prepare
from tests.lives import lives

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it forks")


@pytest.fixture(scope="module")
def gpu_lives():
    with lives(_prepare) as started:
        yield started


@pytest.mark.parametrize("family", ["sd2", "sdxl", "flux1", "qwen_image"])
def test_a_published_checkpoint_has_its_length_and_takes_no_room(tmp_path, family):
    from packshot.models import registry
    from packshot.weights.safetensors_file import shapes
    from tests.gpu.published import write_published

    folder = write_published(family, tmp_path / family)
    root = registry.families()[family].denoiser_root
    file = folder / root / "diffusion_pytorch_model.safetensors"
    status = file.stat()
    assert 0 <= status.st_size - 2 * PARAMETERS[family] < 2**20, "two bytes a weight, and a header"
    assert status.st_blocks * 512 < 2**21 and len(shapes(file).by_key) > 100


@pytest.mark.slow
def test_stable_diffusion_of_published_size_is_walked_or_said(gpu_lives, tmp_path):
    assert gpu_lives.start(_several_sizes, "sd1", tmp_path) == 0


def _several_sizes(_, family, folder):
    from packshot.models.device_memory import USABLE
    from tests.gpu.sizes import Bench

    bench = Bench(family, folder)
    wide, tight, small = (bench.run(USABLE * size * 1e9) for size in (8, 4, 0.5))
    print(wide, tight, small, sep="\n", file=sys.stderr)
    for outcome in (wide, tight):
        assert not outcome.said and outcome.way.startswith("full")
        assert outcome.counted <= outcome.planned < 1.25 * outcome.counted
    assert "2 at once" in wide.way and "1 at once" in tight.way
    assert "is not enough for training" in small.said and not small.is_loaded


@pytest.mark.slow
def test_a_transformer_of_published_size_is_walked_where_it_hardly_fits(gpu_lives, tmp_path):
    assert gpu_lives.start(_hardly_fits, "flux2", tmp_path) == 0


def _hardly_fits(_, family, folder):
    """On 8 GB its networks take turns, and a step takes all but a fiftieth of what there is."""
    from packshot.models.device_memory import USABLE
    from tests.gpu.sizes import Bench

    size = USABLE * 8e9
    outcome = Bench(family, folder).run(size)
    print(outcome, file=sys.stderr)
    assert not outcome.said and "turns, checkpointing" in outcome.way
    assert outcome.counted <= outcome.planned and 0.98 * size < outcome.planned <= size


@pytest.mark.slow
def test_sizes_in_between_are_walked_or_said(gpu_lives, tmp_path):
    assert gpu_lives.start(_drawn, ["sd1"], 2, tmp_path) == 0


def _drawn(_, families, count, folder):
    from tests.gpu.sizes import walk_drawn

    walk_drawn(families, count, folder)
