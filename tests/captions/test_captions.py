from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from packshot.captions import caption_photos, captioner_for
from packshot.captions.plain import Plain
from packshot.errors import PhotosRefused
from packshot.photos import add_photos
from packshot.project import new


class DayOrNight:
    """Knows of light only: dark pictures are of the night."""

    name, scale = "light", 10.0

    def embed_images(self, pixels):
        assert pixels.shape[1:] == (3, 256, 256) and pixels.abs().max() <= 1
        dark = pixels.mean(dim=(1, 2, 3)) < 0
        return F.one_hot(dark.long(), 3).float()

    def embed_texts(self, texts):
        return torch.stack([F.one_hot(torch.tensor(_axis(text)), 3).float() for text in texts])


def _axis(text):
    return 0 if "day" in text else 1 if "night" in text or "dark" in text else 2


@pytest.fixture
def project(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for number, light in enumerate((60, 200, 60)):
        blocks = np.random.default_rng(number).integers(
            light - 50, light + 50, (10, 12, 3), dtype=np.uint8
        )
        Image.fromarray(blocks.repeat(16, axis=0).repeat(16, axis=1)).save(source / f"{number}.png")
    project = new(tmp_path / "project", name="Duster", class_noun="car")
    add_photos(project, source)
    return project


def base(similarity):
    return SimpleNamespace(path=Path("nowhere/base"), clip_similarity=lambda: similarity)


def captions(project):
    return [(project.photos_folder / f"{number}.txt").read_text() for number in range(3)]


def test_photos_are_captioned_in_words_of_the_bank(project):
    said = []
    shown = caption_photos(project, base(DayOrNight()), lambda *args: said.append(args))
    assert [photo.caption for photo in shown] == [
        "a photo of ohwx car at night", "a photo of ohwx car in daylight", "a photo of ohwx car at night",
    ]  # fmt: skip
    assert captions(project)[0] == "a photo of ohwx car at night\n"
    assert said == [("captions", 3, 3)]


def test_a_caption_that_stands_is_never_overwritten(project):
    edited = "  my own words,\n as I like them  "
    (project.photos_folder / "1.txt").write_text(edited)
    (project.photos_folder / "2.txt").write_text(" \n")  # says nothing
    shown = caption_photos(project, base(DayOrNight()))
    assert [photo.caption for photo in shown] == [
        "a photo of ohwx car at night", "my own words, as I like them", "a photo of ohwx car at night",
    ]  # fmt: skip
    assert captions(project)[1] == edited
    before = captions(project)
    assert caption_photos(project, base(None)) == shown and captions(project) == before


def test_without_an_image_tower_captions_are_plain(project, tiny_base):
    assert isinstance(captioner_for(tiny_base), Plain)
    shown = caption_photos(project, tiny_base)
    assert {photo.caption for photo in shown} == {"a photo of ohwx car"}


def test_without_photos_it_says_what_to_do(tmp_path):
    empty = new(tmp_path / "empty", name="Duster", class_noun="car")
    with pytest.raises(
        PhotosRefused, match=r"empty has no photos yet\. Add some: packshot photos FOLDER"
    ):
        caption_photos(empty, base(None))
