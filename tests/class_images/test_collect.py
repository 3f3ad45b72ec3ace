import os
import time

import pytest

from packshot.class_images import add_class_images, list_class_images, require_unchanged
from packshot.errors import ClassImagesError
from packshot.images.refusals import read_refusals
from packshot.utils import copying
from tests.projects import painted


def saved(seed, path):
    painted(seed).save(path)
    return path


def test_pictures_are_added_with_what_is_told_of_them(project, tmp_path):
    first, second = (saved(number, tmp_path / f"{number}.png") for number in range(2))
    said = []
    add_class_images(project, {first: {}}, lambda *args: said.append(args))
    told = {"prompt": "a photo of a blue car", "author": "Ada", "licence": "CC0", "source": "here"}
    assert add_class_images(project, {second: told, first: {"prompt": "another"}}) == {}
    assert said == [("class images", 1, 1)]
    one, two = list_class_images(project)
    assert (one.prompt, one.source) == ("a photo of a car", str(first))  # as it stood
    assert (two.prompt, two.author, two.licence, two.source) == (
        "a photo of a blue car", "Ada", "CC0", "here",
    )  # fmt: skip
    assert two.file.parent == project.class_images_folder and not two.file.samefile(second)


def test_what_cannot_be_used_is_told(project, tmp_path):
    (tmp_path / "other").mkdir()
    given = [saved(1, tmp_path / "a.png"), tmp_path / "b.png", tmp_path / "other" / "b.png"]
    given[1].write_bytes(given[0].read_bytes())
    given[2].write_text("hello")
    refused = add_class_images(project, {path: {} for path in [*given, tmp_path / "gone.png"]})
    assert refused == {
        "b.png": "is the same file as a.png",
        str(given[2]): "is not an image that Packshot reads; save it as JPEG, PNG, WebP or HEIC",
        "gone.png": "cannot be read (No such file or directory)",
    }
    assert read_refusals(project.class_images_refused_file) == refused
    assert len(list_class_images(project)) == 1


def test_a_damaged_list_is_not_written_over(project, tmp_path):
    project.class_images_folder.mkdir()
    project.class_images_manifest.write_text('{"file": 3}\n')
    with pytest.raises(ClassImagesError, match=r"manifest\.jsonl is damaged"):
        add_class_images(project, {saved(1, tmp_path / "a.png"): {}})
    assert project.class_images_manifest.read_text() == '{"file": 3}\n'


def test_what_happens_to_the_originals_does_not_happen_to_the_copies(project, tmp_path):
    given = saved(1, tmp_path / "a.png")
    add_class_images(project, {given: {}})
    (image,) = list_class_images(project)
    before = image.file.read_bytes()
    with given.open("r+b") as file:  # as an editor writes that does not make a new file
        file.truncate(9)
    assert image.file.read_bytes() == before
    require_unchanged([image])


@pytest.mark.parametrize("old", [0, 10])
def test_a_copy_that_was_changed_is_told_and_gathered_again(project, tmp_path, old):
    """Even one of the same size and time of modification."""
    given = saved(1, tmp_path / "a.png")
    add_class_images(project, {given: {}})
    (image,) = list_class_images(project)
    before = time.time() - old
    os.utime(image.file, (before, before))
    require_unchanged([image])
    data = bytearray(image.file.read_bytes())
    data[60] ^= 1
    image.file.write_bytes(data)
    os.utime(image.file, (before, before))
    with pytest.raises(ClassImagesError, match=r"was changed since it was collected.* gather them"):
        require_unchanged([image])
    add_class_images(project, {given: {}})
    require_unchanged(list_class_images(project))


def test_a_second_name_of_the_original_becomes_a_copy(project, tmp_path):
    """Packshot 0.1 gave the originals second names."""
    given = saved(1, tmp_path / "a.png")
    add_class_images(project, {given: {}})
    (image,) = list_class_images(project)
    image.file.unlink()
    os.link(given, image.file)
    add_class_images(project, {given: {}})
    (again,) = list_class_images(project)
    assert again == image and not again.file.samefile(given)


def test_what_changes_while_it_is_copied_costs_itself(project, tmp_path, monkeypatch):
    given = [saved(number, tmp_path / f"{number}.png") for number in range(3)]
    real = copying.copy

    def copy(source, path):
        if source == given[1]:
            source.write_bytes(b"short")
        if source == given[2]:
            source.unlink()
        real(source, path)

    monkeypatch.setattr(copying, "copy", copy)
    refused = add_class_images(project, {path: {} for path in given})
    assert refused == {
        "1.png": "was changed while it was read",
        "2.png": "cannot be copied (No such file or directory)",
    }
    assert [image.source for image in list_class_images(project)] == [str(given[0])]
    assert read_refusals(project.class_images_refused_file) == refused
