"""A project with everything that a dataset can carry."""

import pytest
from PIL import Image

from packshot.class_images import collect_class_images
from packshot.photos.photo_set import add_photos
from tests.projects import painted

CAPTIONS = ['ohwx car, "wide", 35 mm', "ohwx car; l'auto è là, 車", None]


@pytest.fixture
def full_project(project, tmp_path):
    """Three photos, two with captions, one with a mask; five class images."""
    source, cars = tmp_path / "source", tmp_path / "cars"
    (source / "masks").mkdir(parents=True)
    cars.mkdir()
    for number, caption in enumerate(CAPTIONS):
        painted(number, (208, 160)).save(source / f"{number}.png")
        if caption:
            (source / f"{number}.txt").write_text(caption, encoding="utf-8")
    mask = Image.new("L", (208, 160))
    mask.paste(255, (0, 0, 100, 160))
    mask.paste(100, (0, 100, 50, 160))
    mask.save(source / "masks" / "1.png")
    for number in range(5):
        painted(100 + number, (96, 64)).save(cars / f"{number}.png")
        (cars / f"{number}.txt").write_text(f"a photo of car {number}, in the snow\n")
    add_photos(project, source)
    collect_class_images(project, None, count=5, folder=cars)
    return project
