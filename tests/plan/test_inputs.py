"""Which hash changes with what: each thing that a plan depends on has its own."""

from types import SimpleNamespace

import pytest
from PIL import Image

from packshot.class_images import add_class_images
from packshot.photos.photo_set import add_photos
from packshot.plan.inputs import current_inputs
from packshot.project import save_choices
from packshot.settings import choices_of
from tests.projects import painted


@pytest.fixture
def filled(project, source, tmp_path):
    for name in ("a", "b"):
        painted(ord(name)).save(source / f"{name}.png")
        (source / f"{name}.txt").write_text(f"a photo of {name}")
    add_photos(project, source)
    painted(9).save(tmp_path / "class.png")
    add_class_images(project, {tmp_path / "class.png": {}})
    return project


@pytest.fixture
def base():
    return SimpleNamespace(family="sd1", content_hash="ab" * 32, weight_storage="full")


def caption(project, tmp_path, base):
    (project.photos_folder / "a.txt").write_text("another")


def mask(project, tmp_path, base):
    project.masks_folder.mkdir(exist_ok=True)
    Image.new("L", (192, 160), 255).save(project.masks_folder / "a.png")


def photo(project, tmp_path, base):
    painted(77).save(project.photos_folder / "b.png")


def class_image(project, tmp_path, base):
    painted(8).save(tmp_path / "other.png")
    add_class_images(project, {tmp_path / "other.png": {}})


def storage(project, tmp_path, base):
    base.weight_storage = "nf4"


def assistant(project, tmp_path, base):
    (tmp_path / "assistant.safetensors").write_bytes(b"weights")
    save_choices(project, choices_of(assistant=str(tmp_path / "assistant.safetensors")))


def weights(project, tmp_path, base):
    base.content_hash = "cd" * 32


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (caption, "captions"), (mask, "photos"), (photo, "photos"), (class_image, "class images"),
        (storage, "base"), (weights, "base"), (assistant, "assistant"),
    ],
)  # fmt: skip
def test_a_change_shows_where_it_was_and_nowhere_else(filled, base, tmp_path, change, name):
    before = current_inputs(filled, base)
    assert before == current_inputs(filled, base) and before.versions.keys() >= {
        "torch",
        "diffusers",
    }
    change(filled, tmp_path, base)
    assert before.differences(current_inputs(filled, base)) == [name]


def test_a_photo_that_is_taken_out_takes_its_caption_along(filled, base):
    before = current_inputs(filled, base)
    (filled.photos_folder / "b.png").unlink()
    assert before.differences(current_inputs(filled, base)) == ["photos", "captions"]
