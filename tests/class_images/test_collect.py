import pytest

from packshot.class_images import add_class_images, list_class_images
from packshot.errors import ClassImagesError
from packshot.images.refusals import read_refusals
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
    assert two.file.samefile(second) and two.file.parent == project.class_images_folder


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
