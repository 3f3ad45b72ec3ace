"""On a GPU images and prompts are encoded several at once; what comes of it is what one by one gives."""

import os
import sys
from pathlib import Path

import pytest

from tests.families import MAKERS
from tests.gpu.test_ways import _prepare
from tests.lives import lives

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it forks")
PROMPTS = ["", "a car", "a photo of ohwx car, dusk", "a red car in the snow", "ohwx"]


@pytest.fixture(scope="module")
def gpu_lives():
    """Processes with a simulated GPU."""
    with lives(_prepare) as started:
        yield started


@pytest.mark.parametrize("family", MAKERS)
def test_batches_give_what_each_gives_alone(gpu_lives, tiny_checkpoint, tmp_path, family):
    assert gpu_lives.start(_compare, str(tiny_checkpoint(family)), tmp_path) == 0


def test_a_run_killed_while_encoding_forms_the_same_batches(gpu_lives, tiny_sd1, tmp_path):
    assert gpu_lives.start(_resume, str(tiny_sd1), tmp_path) == 0


def test_where_memory_does_not_suffice_each_is_encoded_alone(gpu_lives, tiny_sd1, tmp_path):
    assert gpu_lives.start(_step_down, str(tiny_sd1), tmp_path) == 0


def _pictures(folder):
    """Five of one size, one of another between them."""
    from packshot.training.picture import picture
    from packshot.utils import hashing
    from tests.projects import painted

    made = []
    for number in range(6):
        file, size = folder / f"{number}.png", (128, 64) if number == 2 else (80, 80)
        painted(number, size).save(file)
        made.append(picture(file, hashing.sha256(file), "", *size, pixels=64, multiple=16))
    return made


def _loaded(folder, device=None):
    """The base, and the sizes of the batches that it will encode, images' and prompts'."""
    import torch

    from packshot.models.load import load_base

    base = load_base(Path(folder), device=device, dtype=torch.float32)
    images, prompts = [], []
    encode_images, encode_prompts = base.encode_images, base.encode_prompts
    base.encode_images = lambda pixels: images.append(len(pixels)) or encode_images(pixels)
    base.encode_prompts = lambda texts: prompts.append(len(texts)) or encode_prompts(texts)
    return base, images, prompts


def _entries(base, pictures):
    """All latents and embeddings, in memory."""
    import torch

    from packshot.training.latent_cache import LatentCache, PromptCache

    latents, prompts = LatentCache(base), PromptCache(base)
    assert list(latents.fill(pictures))[-1] == len(pictures)
    prompts.fill(PROMPTS)
    found = [torch.cat([part.flatten() for part in latents.read(p, keep=False)]) for p in pictures]
    told = [{name: value.cpu() for name, value in prompts.read(p).items()} for p in PROMPTS]
    return found, told


def _compare(_, folder, place):
    import torch

    from tests.gpu import simulated

    pictures, entries = _pictures(place), []
    for device, batches in ((None, ([4, 1, 1], [4, 1])), ("cpu", ([1] * 6, [1] * 5))):
        os.environ["PACKSHOT_CACHE"] = str(place / f"cache {device}")
        with simulated.gpu():
            base, *sizes = _loaded(folder, device)
            entries.append(_entries(base, pictures))
            assert tuple(sizes) == batches
    (batched, told), (single, told_alone) = entries
    for ours, theirs in zip(batched, single, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)
    for ours, theirs in zip(told, told_alone, strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            assert value.shape == theirs[name].shape
            assert torch.allclose(value, theirs[name], atol=1e-5)


def _resume(_, folder, place):
    from packshot.training.latent_cache import LatentCache, PromptCache
    from packshot.utils import caches, hashing
    from tests.gpu import simulated

    pictures = _pictures(place)
    os.environ["PACKSHOT_CACHE"] = str(place / "cache")
    with simulated.gpu():
        base, images, prompts = _loaded(folder)
        _entries(base, pictures)
        both = LatentCache(base), PromptCache(base)
        entries = [both[0].file(item) for item in pictures] + [both[1].file(p) for p in PROMPTS]
        whole = [file.read_bytes() for file in entries]
        for lost in (pictures[3], PROMPTS[1]):
            both[isinstance(lost, str)].file(lost).unlink()
        images.clear(), prompts.clear()
        # The entry that is there stays as it is, though its batch is encoded again.
        stood = hashing.stamp(entries[0])
        list(both[0].fill(pictures))
        both[1].fill(PROMPTS)
        assert (images, prompts) == ([4], [4])
        assert hashing.stamp(entries[0]) == stood
        assert [file.read_bytes() for file in entries] == whole
        assert caches.cache_folder() == place / "cache"


def _step_down(_, folder, place):
    import torch

    from tests.gpu import simulated

    pictures, entries = _pictures(place), []
    for few in (False, True):
        os.environ["PACKSHOT_CACHE"] = str(place / f"cache {few}")
        with simulated.gpu():
            base, images, prompts = _loaded(folder)
            if few:
                base.encode_images = _only_one(base.encode_images)
                base.encode_prompts = _only_one(base.encode_prompts)
            entries.append(_entries(base, pictures))
            assert images == ([1] * 6 if few else [4, 1, 1])
            assert prompts == ([1] * 5 if few else [4, 1])
            assert not base.vae.use_tiling
    for ours, theirs in zip(*(latents for latents, _ in entries), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


def _only_one(encode):
    import torch

    def encoded(several):
        if len(several) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(several)

    return encoded
