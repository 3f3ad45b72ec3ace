"""Masks for a project's photos: those that stand are kept, ours are known as ours."""

from __future__ import annotations

import pytest
from PIL import Image
from tests.projects import painted

from packshot import photo_manifest
from packshot.errors import PhotosRefused
from packshot.masks import mask_photos
from packshot.photos import add_photos, photos
from packshot.project import new


class LeftHalf:
    name = "left half"

    def mask(self, picture):
        mask = Image.new("L", picture.size)
        mask.paste(255, (0, 0, picture.width // 2, picture.height))
        return mask


@pytest.fixture
def project(tmp_path):
    source = tmp_path / "source"
    (source / "masks").mkdir(parents=True)
    for number in range(3):
        painted(number, (192, 160)).save(source / f"{number}.png")
    Image.new("L", (192, 160), 255).save(source / "masks" / "1.png")
    project = new(tmp_path / "project", name="Duster", class_noun="car")
    add_photos(project, source)
    return project


def test_photos_without_a_mask_get_one(project):
    said = []
    masked = mask_photos(project, LeftHalf(), lambda *args: said.append(args))
    shares = [sum(Image.open(photo.mask).histogram()[255:]) / (192 * 160) for photo in masked]
    assert shares == [0.5, 1.0, 0.5]
    assert said == [("masks", 1, 2), ("masks", 2, 2)]


def test_our_masks_are_remembered_as_ours(project):
    for photo in mask_photos(project, LeftHalf()):
        entries = photo_manifest.read(project).photos
        written = next(e.written_mask for e in entries if e.file == photo.file.name)
        assert photo_manifest.is_ours(photo.mask, written)


def test_masks_that_stand_are_kept(project):
    mask_photos(project, LeftHalf())
    before = [photo.mask.read_bytes() for photo in photos(project)]
    mask_photos(project, None)  # would load the bundled segmenter if a mask were missing
    assert [photo.mask.read_bytes() for photo in photos(project)] == before


def test_a_project_without_photos(tmp_path):
    with pytest.raises(PhotosRefused, match="packshot photos"):
        mask_photos(new(tmp_path / "empty", name="Duster", class_noun="car"), LeftHalf())
