"""A project of three photos with captions that a captioner wrote."""

import pytest

from packshot.captions import caption_photos
from packshot.photos.photo_set import add_photos, list_photos
from packshot.project import create_project
from tests.projects import painted


class Said:
    """Says what it is told to."""

    name, batch = "said", 16

    def __init__(self, *captions):
        self.captions = captions

    def caption(self, pictures, subject):
        return list(self.captions)[: len(list(pictures))]


@pytest.fixture
def reviewed(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in "abc":
        painted(ord(name), (192, 160)).save(source / f"{name}.png")
    project = create_project(tmp_path / "project", name="Duster", class_noun="car")
    add_photos(project, source)
    said = Said("ohwx car at dusk", "ohwx car in snow", "ohwx car at dusk, side view")
    caption_photos(project, captioner=said)
    return project


def captions(project):
    return [photo.caption for photo in list_photos(project)]


def authors(project):
    return [photo.caption_by for photo in list_photos(project)]


def locks(project):
    return [photo.caption_locked for photo in list_photos(project)]
