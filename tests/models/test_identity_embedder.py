"""The bundled embedder of identity."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from packshot.errors import ModelLoadError
from packshot.images.masks import read_mask
from packshot.judging.seen import see
from packshot.models.identity_embedder import WEIGHTS, IdentityEmbedder

REFERENCES = Path(__file__).parents[1] / "masks" / "references"


@pytest.fixture(scope="module")
def embedder() -> IdentityEmbedder:
    return IdentityEmbedder()


def test_vectors_are_of_length_one_at_any_size_and_in_any_batch(embedder):
    pictures = torch.rand(70, 3, 96, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = embedder.embed_images(pictures)
    assert found.shape == (70, 128) and found.dtype == torch.float32
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(70))
    torch.testing.assert_close(embedder.embed_images(pictures[66:67]), found[66:67])
    larger = F.interpolate(pictures[:2], scale_factor=2.0, mode="nearest")
    assert (embedder.embed_images(larger) * found[:2]).sum(dim=-1).min() > 0.9


def test_the_file_is_small_and_its_name_is_its_hash(embedder):
    assert WEIGHTS.stat().st_size <= 4_000_000
    assert embedder.name.startswith("bundled/") and len(embedder.name) == len("bundled/") + 12


def test_weights_of_another_network_are_refused(tmp_path):
    tensors = load_file(WEIGHTS)
    tensors.pop("projection.weight")
    save_file(tensors, tmp_path / "odd.safetensors")
    with pytest.raises(ModelLoadError, match=r"projection\.weight"):
        IdentityEmbedder(tmp_path / "odd.safetensors")


def drawn(wide: int, tall: int, colour: tuple[int, int, int], light: float) -> torch.Tensor:
    """A box of a label, lit more or less, alone on grey."""
    picture = np.full((128, 128, 3), 200, np.uint8)
    mask = np.zeros((128, 128), np.uint8)
    top, left = 64 - tall // 2, 64 - wide // 2
    picture[top : top + tall, left : left + wide] = (np.array(colour) * light).astype(np.uint8)
    picture[top + tall // 3 : top + tall // 2, left : left + wide] = int(230 * light)
    mask[top : top + tall, left : left + wide] = 255
    return see(Image.fromarray(picture), Image.fromarray(mask)).product


def test_another_light_changes_less_than_another_shape_or_colour(embedder):
    own, dim, slim, blue = embedder.embed_images(
        torch.cat([
            drawn(80, 100, (180, 40, 30), 1.0), drawn(80, 100, (180, 40, 30), 0.75),
            drawn(40, 100, (180, 40, 30), 1.0), drawn(80, 100, (30, 40, 180), 1.0),
        ])
    )  # fmt: skip
    assert own @ dim > own @ slim > own @ blue


def test_real_photos_are_most_like_their_own_subjects_others(embedder, shared_files):
    """Eight subjects, their photos one by one: a guess is right in an eighth."""
    products, subjects = [], []
    for mask in sorted(REFERENCES.glob("*_0[0-3].png")):
        subject, number = mask.stem.rsplit("_", 1)
        with Image.open(shared_files / "photos" / subject / f"{number}.jpg") as photo:
            picture = photo.convert("RGB")
        picture.thumbnail((400, 400))
        products.append(see(picture, read_mask(mask, picture.size)).product)
        subjects.append(subject)
    vectors, names = embedder.embed_images(torch.cat(products)), np.array(subjects)
    near = (vectors @ vectors.T).fill_diagonal_(-1).argmax(dim=1).numpy()
    assert (names[near] == names).mean() >= 0.9
