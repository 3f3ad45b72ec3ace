import json

import pytest
from PIL import Image

from packshot.class_images import ClassImage, list_class_images
from packshot.class_images.manifest import write_manifest
from packshot.errors import ClassImagesError, UnsafePathError
from packshot.project import create_project


@pytest.fixture
def project(tmp_path):
    project = create_project(tmp_path / "project", name="Duster", class_noun="car")
    project.class_images_folder.mkdir()
    return project


def image(project, name="a.png"):
    Image.new("RGB", (8, 8)).save(project.class_images_folder / name)
    file = project.class_images_folder / name
    return ClassImage(
        file=file, sha256="0" * 64, width=8, height=8, prompt="a photo of a car",
        source="here", author="Ada", licence="CC0",
    )  # fmt: skip


def test_what_is_written_is_read_back(project):
    assert list_class_images(project) == []
    images = [image(project), image(project, "b.png")]
    write_manifest(project, iter(images))
    assert list_class_images(project) == images


def test_an_interrupted_gathering_leaves_the_list_of_before(project):
    write_manifest(project, [image(project)])

    def stopped():
        yield image(project, "b.png")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_manifest(project, stopped())
    assert len(list_class_images(project)) == 1


def test_a_missing_picture_is_named(project):
    write_manifest(project, [image(project)])
    (project.class_images_folder / "a.png").unlink()
    with pytest.raises(ClassImagesError, match=r"a\.png is missing\. Gather them again: packshot"):
        list_class_images(project)


def test_a_damaged_or_hostile_list(project):
    write_manifest(project, [image(project)])
    row = json.loads(project.class_images_manifest.read_text())
    for bad in ({}, row | {"width": 0}, row | {"more": 1}, row | {"sha256": "x"}, [1]):
        project.class_images_manifest.write_text(json.dumps(bad))
        with pytest.raises(
            ClassImagesError, match=r"manifest\.jsonl is damaged \(.*Gather them again"
        ):
            list_class_images(project)
    for name in ("../../secret.png", "/etc/passwd"):
        project.class_images_manifest.write_text(json.dumps(row | {"file": name}))
        with pytest.raises(UnsafePathError, match="leads outside"):
            list_class_images(project)
