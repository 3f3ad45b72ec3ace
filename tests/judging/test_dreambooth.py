"""DreamBooth's table against its definition, computed pair by pair in another way."""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from packshot.generation.generate import GeneratedImage
from packshot.judging.dreambooth import DreamBooth
from packshot.photos.photo_set import list_photos
from packshot.settings import Subject
from tests.generation.test_metrics import Colours


class Corners(Colours):
    """Another embedder than `Colours`: the mean colours of the halves."""

    name = "corners"

    def embed_images(self, pixels):
        halves = [half.mean(dim=(2, 3)) for half in pixels.chunk(2, dim=3)]
        return torch.nn.functional.normalize(torch.cat(halves, dim=1) + 1.1, dim=-1)


@pytest.fixture
def shots(tmp_path):
    draw = np.random.default_rng(0)

    def make(prompt, seed):
        file = tmp_path / f"{prompt}-{seed}.png"
        blocks = draw.integers(0, 255, (2, 2, 3), np.uint8)
        Image.fromarray(blocks.repeat(32, 0).repeat(32, 1)).save(file)
        return GeneratedImage(file, prompt, "", seed, 1, 1.0, "", 64, 64, (), "", "")

    return [
        make(prompt, seed) for prompt in ("ohwx car in red", "ohwx car, blue") for seed in (0, 1)
    ]


def vector(embedder, file):
    """The vector of the file's middle square, as a numpy array."""
    with Image.open(file) as opened:
        image = opened.convert("RGB")
    side = min(image.size)
    left, upper = (image.width - side) // 2, (image.height - side) // 2
    box = (left, upper, left + side, upper + side)
    pixels = np.asarray(image.resize((256, 256), box=box), np.float32)
    given = torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1)[None]
    return embedder.embed_images(given)[0].numpy()


def cosine(a, b):
    return float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))


def test_the_row_is_the_papers(ready_project, shots):
    subject = Subject(name="Duster", trigger="ohwx", class_noun="car")
    photos = list_photos(ready_project)
    table = DreamBooth(Corners(), Colours(), photos, subject)
    ours, others = shots[:2] + shots[2:3], shots[3:]
    row = table.row(ours, others)

    def over_pairs(embedder, pictures):
        pairs = itertools.product(pictures, photos)
        return np.mean(
            [cosine(vector(embedder, a.file), vector(embedder, b.file)) for a, b in pairs]
        )

    assert row.dino.mean == pytest.approx(over_pairs(Corners(), ours), abs=1e-5)
    assert row.clip_i.mean == pytest.approx(over_pairs(Colours(), ours), abs=1e-5)
    assert row.pres.mean == pytest.approx(over_pairs(Corners(), others), abs=1e-5)
    words = Colours().embed_texts(["a car in red", "a car in red", "a car, blue"]).numpy()
    own = [
        cosine(vector(Colours(), shot.file), text) for shot, text in zip(ours, words, strict=True)
    ]
    assert row.clip_t.mean == pytest.approx(np.mean(own), abs=1e-5)
    alike = cosine(*(vector(Corners(), shot.file) for shot in ours[:2]))
    assert row.diversity.mean == pytest.approx(1 - alike, abs=1e-5), (
        "of the one prompt with two images"
    )


def test_photos_are_compared_with_the_other_photos(ready_project):
    photos = list_photos(ready_project)
    table = DreamBooth(Corners(), Colours(), photos, ready_project.subject)
    row = table.real_images()
    pairs = list(itertools.permutations(photos, 2))
    expected = np.mean(
        [cosine(vector(Corners(), a.file), vector(Corners(), b.file)) for a, b in pairs]
    )
    assert row.dino.mean == pytest.approx(expected, abs=1e-5)
    assert (row.clip_t, row.pres, row.diversity) == (None, None, None)
    one = DreamBooth(Corners(), Colours(), photos[:1], ready_project.subject).real_images()
    assert (one.dino, one.clip_i) == (None, None), "one photo has no others"
