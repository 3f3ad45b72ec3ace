"""Latents and embeddings on disk: each depends on its own picture alone, and is made once."""

from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from safetensors.torch import save
from torch.nn import functional as F

from packshot.errors import StaleRunError
from packshot.training.latent_cache import (
    LatentCache,
    PromptCache,
)
from packshot.training.picture import to_pixels
from packshot.utils import caches, hashing
from tests.projects import painted
from tests.training.test_picture import taken


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def base(own_folder):
    """Encodes a picture as means of 8 x 8 pixels, a prompt as its letters; counts what it is asked."""
    asked = []

    def encode_images(pixels):
        asked.append(tuple(pixels.shape))
        return F.avg_pool2d(pixels, 8)

    def encode_prompts(prompts):
        asked.append(prompts)
        (prompt,) = prompts
        letters = torch.tensor([float(ord(letter)) for letter in prompt + "."])
        return {"context": letters[None, :, None], "pooled": letters[None, :1].clone()}

    return SimpleNamespace(
        vae=SimpleNamespace(use_tiling=False),
        content_hash="ab" * 32, dtype=torch.float32, device=torch.device("cpu"), asked=asked,
        encode_images=encode_images, encode_prompts=encode_prompts,
    )  # fmt: skip


def test_latents_are_made_once_and_one_by_one(base, tmp_path):
    items = [taken(tmp_path / f"{seed}.png", seed) for seed in range(3)]
    filling = LatentCache(base).fill(items)
    assert next(filling) == 1
    filling.close()  # as if killed
    assert list(LatentCache(base).fill(items)) == [1, 2, 3]
    assert base.asked == [(1, 3, 64, 64)] * 3
    latents, mask = LatentCache(base).read(items[2], keep=False)
    assert torch.equal(latents, F.avg_pool2d(to_pixels(items[2]), 8)[0])
    assert torch.equal(mask, torch.ones(1, 8, 8)) and latents.dtype == torch.float32
    assert list(LatentCache(base).fill([])) == []


def test_only_what_is_to_be_kept_stays_in_memory(base, tmp_path):
    photo, other = (taken(tmp_path / f"{seed}.png", seed) for seed in range(2))
    latents = LatentCache(base)
    list(latents.fill([photo, other]))
    kept, read = latents.read(photo, keep=True)[0], latents.read(other, keep=False)[0]
    for item in (photo, other):
        latents.file(item).unlink()
    assert latents.read(photo, keep=True)[0] is kept and not torch.equal(kept, read)
    with pytest.raises(StaleRunError, match="lost or damaged while it was used"):
        latents.read(other, keep=False)


DAMAGES = {
    "empty": lambda data: b"",
    "cut short": lambda data: data[:-10],
    "without its header": lambda data: bytes(200) + data[200:],
    "of zeros, as a power cut leaves it": lambda data: bytes(len(data)),
    "with one other bit": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "of other names": lambda data: data.replace(b'"latents"', b'"latentz"').replace(
        b'"pooled"', b'"poolex"'
    ),
    "of another program": lambda data: save({"latents": torch.zeros(3, 8, 8)}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_noticed_and_made_anew(base, tmp_path, damage):
    items = [taken(tmp_path / f"{seed}.png", seed) for seed in range(2)]
    latents, prompts = LatentCache(base), PromptCache(base)
    list(latents.fill(items))
    prompts.fill(["a car", "a cat"])
    entries = latents.file(items[0]), prompts.file("a car")
    others = latents.file(items[1]), prompts.file("a cat")
    whole, stood = [file.read_bytes() for file in entries], [hashing.stamp(file) for file in others]
    for file, data in zip(entries, whole, strict=True):
        file.write_bytes(DAMAGES[damage](data))
        assert file.read_bytes() != data
    base.asked.clear()
    with pytest.raises(StaleRunError, match="lost or damaged while it was used"):
        prompts.read("a car")
    assert list(latents.fill(items)) == [1, 2]
    prompts.fill(["a car"])
    assert base.asked == [(1, 3, 64, 64), ["a car"]]
    assert [file.read_bytes() for file in entries] == whole
    assert [hashing.stamp(file) for file in others] == stood


def test_other_bases_and_precisions_have_latents_of_their_own(base, tmp_path, own_folder):
    item = taken(tmp_path / "a.png")
    places = set()
    for changes in ({}, {"content_hash": "cd" * 32}, {"dtype": torch.bfloat16}):
        other = SimpleNamespace(**{**vars(base), **changes})
        places |= {LatentCache(other).file(item), PromptCache(other).file("a car")}
    assert len(places) == 6 and all(place.is_relative_to(own_folder) for place in places)


@pytest.mark.parametrize("prompt", ["", "a car", "../../../out", "車 🚗\0", "a" * 5000])
def test_any_prompt_has_a_file_in_the_cache_and_is_encoded_once(base, own_folder, prompt):
    first, again = PromptCache(base), PromptCache(base)
    first.fill([prompt])
    again.fill([prompt])
    first = first.read(prompt)
    assert torch.equal(again.read(prompt)["context"], first["context"])
    assert again.read(prompt) is again.read(prompt) and base.asked == [[prompt]]
    assert [file.suffix for file in own_folder.rglob("*") if file.is_file()] == [".safetensors"]


def test_prompts_of_other_lengths_are_followed_by_zeros(base):
    cache = PromptCache(base)
    cache.fill(["abc", ""])
    stacked = cache.stack(["abc", "", "abc"], [True] * 3)
    assert stacked["context"].squeeze(-1).tolist() == [
        [97, 98, 99, 46], [46, 0, 0, 0], [97, 98, 99, 46],
    ]  # fmt: skip
    assert stacked["pooled"].tolist() == [[97], [46], [97]]


def test_prompts_lie_on_the_device_only_in_a_batch_and_those_of_class_images_in_no_memory(base):
    """A thousand prompts of FLUX.1 are four gigabytes, of which no plan knows."""
    there = SimpleNamespace(**{**vars(base), "device": torch.device("meta")})
    cache = PromptCache(there)
    cache.fill(["a photo", "a class image"])
    stacked = cache.stack(["a photo", "a class image"], [True, False])
    assert {value.device.type for value in stacked.values()} == {"meta"}
    assert {value.device.type for value in cache.kept["a photo"].values()} == {"cpu"}
    assert cache.kept.keys() == {"a photo"}


@pytest.mark.parametrize("change", ["smaller", "no picture", "mask"])
def test_a_file_that_is_no_longer_the_one_of_its_hash_is_not_encoded(base, tmp_path, change):
    Image.new("L", (160, 160), 255).save(tmp_path / "m.png")
    item = taken(tmp_path / "a.png", mask=tmp_path / "m.png")
    cache = LatentCache(base)
    match change:
        case "smaller":
            painted(0, (64, 64)).save(tmp_path / "a.png")
        case "no picture":
            (tmp_path / "a.png").write_bytes(b"hello")
        case "mask":
            Image.new("L", (160, 160)).save(tmp_path / "m.png")
    with pytest.raises(StaleRunError, match=r"\.png was changed while it was used"):
        list(cache.fill([item]))
    assert not cache.file(item).exists()


def test_another_version_of_the_cache_encodes_again(base, tmp_path, monkeypatch):
    item, latents, prompts = taken(tmp_path / "a.png"), LatentCache(base), PromptCache(base)
    before = latents.file(item), prompts.file("a car")
    monkeypatch.setattr(caches, "CACHE_VERSION", caches.CACHE_VERSION + 1)
    assert not {latents.file(item), prompts.file("a car")} & set(before)
