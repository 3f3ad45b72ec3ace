"""A project whose photos show a red box on grey, with masks; and a background of sky and ground."""

import pytest
from PIL import Image

from packshot.photos.photo_set import add_photos
from packshot.project import create_project
from tests.backgrounds import landscape, product_photo


@pytest.fixture
def product(tmp_path):
    """A project of four photos with masks."""
    source = tmp_path / "given"
    (source / "masks").mkdir(parents=True)
    for number in range(4):
        image, mask = product_photo(number)
        image.save(source / f"{number}.png")
        mask.save(source / "masks" / f"{number}.png")
    project = create_project(tmp_path / "project", name="Redbox", class_noun="box", base="unused")
    accepted = add_photos(project, source)
    assert len(accepted.photos) == 4, accepted.refused
    return project


@pytest.fixture
def background_file(tmp_path):
    """The landscape as a PNG."""
    file = tmp_path / "beach.png"
    Image.fromarray(landscape()).save(file)
    return file
