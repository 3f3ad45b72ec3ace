"""Which outline a photo is measured against: one that was rendered with it, or that of its content."""

import numpy as np
from PIL import Image

from benchmarks import masks
from packshot.utils import hashing


def test_a_renderings_outline_lies_beside_it_and_is_no_photo(tmp_path):
    folder = tmp_path / "0-suv" / "photos"
    folder.mkdir(parents=True)
    inside = np.zeros((8, 8), np.uint8)
    inside[2:5] = 255
    Image.fromarray(inside).save(folder / "000000-0-mask.png")
    Image.new("RGB", (8, 8)).save(folder / "000000-0.png")
    Image.new("RGB", (8, 8), "red").save(folder / "other.jpg")
    (folder / "000000.json").write_text("{}")
    photos = masks.photos_of(tmp_path / "0-suv")
    assert [photo.name for photo in photos] == ["000000-0.png", "other.jpg"]
    assert masks.photos_of(folder) == photos
    drawn = {hashing.sha256(photos[1]): ~(inside > 0)}
    assert np.array_equal(masks.reference_of(photos[0], drawn), inside > 0)
    assert np.array_equal(masks.reference_of(photos[1], drawn), inside == 0)
    assert masks.reference_of(photos[1], {}) is None


def test_the_references_of_the_repository_are_outlines():
    references = masks.read_references()
    assert len(references) == 45
    for region in references.values():
        assert region.shape == (512, 512) and 0.01 < region.mean() < 0.95
        assert masks.fit(Image.fromarray(region.astype(np.uint8) * 255), region) == 1
