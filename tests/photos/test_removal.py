"""Photos that are taken out come back as they were."""

import pytest

from packshot.errors import ProjectError
from packshot.masks.drawing import draw_mask
from packshot.photos.photo_set import add_photos, list_photos, write_captions
from packshot.photos.removal import remove_photos, restore_photos
from tests.projects import painted


@pytest.fixture
def taken(project, source):
    for number in range(2):
        painted(number).save(source / f"{number}.png")
    add_photos(project, source)
    first = list_photos(project)[0]
    write_captions(project, [(first, "ohwx car at dusk")], by="said")
    mask = painted(0).convert("L").point(lambda _: 0)
    mask.paste(255, (10, 10, 90, 90))
    draw_mask(project, first.file.name, mask)
    return project


def names(project):
    return [photo.file.name for photo in list_photos(project)]


def test_a_photo_leaves_with_what_belongs_to_it_and_comes_back(taken):
    before = list_photos(taken)
    assert remove_photos(taken, ["0.png"]) == ["0.png"]
    assert [photo.file.name for photo in list_photos(taken)] == ["1.png"]
    assert not list(taken.photos_folder.glob("0.*")) and not list(taken.masks_folder.iterdir())
    assert remove_photos(taken, ["0.png"]) == []
    assert restore_photos(taken, ["0.png"]) == ["0.png"]
    assert list_photos(taken) == before and before[0].caption_by == "said"


def test_one_that_was_added_again_is_not_overwritten(taken, source):
    remove_photos(taken, ["0.png"])
    add_photos(taken, source)
    assert len(list_photos(taken)) == 2 and restore_photos(taken, ["0.png"]) == []


def test_one_that_was_taken_out_stays_out_of_the_next_run_until_it_is_changed(taken, source):
    remove_photos(taken, ["0.png"])
    painted(0).resize((500, 500)).save(source / "near.png")
    added = add_photos(taken, source, anew=False)
    assert [photo.file.name for photo in added.photos] == ["1.png"] == names(taken)
    assert added.refused == {
        "0.png": "was taken out of the project; packshot photos adds it again",
        "near.png": "is nearly the same image as 0.png, which was taken out of the project; "
        "packshot photos adds it again",
    }
    painted(0).resize((800, 800)).save(source / "0.png")
    add_photos(taken, source, anew=False)
    assert names(taken) == ["0.png", "1.png"], "the source has a larger one by now"


def test_one_that_was_deleted_by_hand_stays_out_of_the_next_run_too(taken, source):
    (taken.photos_folder / "0.png").unlink()
    add_photos(taken, source, anew=False)
    assert names(taken) == ["1.png"]
    add_photos(taken, source)
    assert names(taken) == ["0.png", "1.png"]


def test_one_that_is_added_again_has_the_caption_that_it_came_with(project, source):
    painted(0).save(source / "0.png")
    (source / "0.txt").write_text("ohwx car at dusk")
    add_photos(project, source)
    remove_photos(project, ["0.png"])
    add_photos(project, source)
    assert [photo.caption for photo in list_photos(project)] == ["ohwx car at dusk"]


@pytest.mark.parametrize("name", ["z.png", "../packshot.toml", "manifest.json", "/etc/passwd"])
def test_only_photos_are_taken_out(taken, name):
    for change in (remove_photos, restore_photos):
        with pytest.raises(ProjectError, match="has no photo"):
            change(taken, [name])
