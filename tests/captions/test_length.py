import pytest

from packshot.captions.length import check_class_lengths, check_lengths
from packshot.errors import CaptionError
from packshot.photos.photo_set import add_photos, list_photos
from packshot.plan import make_plan
from packshot.plan.config import PlanInputs
from packshot.training import train
from tests.projects import painted

WORDS = "the wooden table in a bright living room, " * 9


@pytest.fixture
def captioned(project, tmp_path):
    """Adds a photo for each caption."""

    def add(*captions):
        for number, caption in enumerate(captions):
            painted(number, (192, 160)).save(tmp_path / f"{number}.png")
            (tmp_path / f"{number}.txt").write_text(caption)
        add_photos(project, [tmp_path / f"{number}.png" for number in range(len(captions))])
        return list_photos(project)

    return add


def test_what_is_not_read_is_told_with_the_photos(captioned, project, tiny_base):
    photos = captioned("ohwx car, short", f"ohwx car on {WORDS}", WORDS)
    assert len(photos[1].caption) > 300, "no length of characters is cut"
    (note,) = check_lengths(photos, project.subject, tiny_base)
    first, *others = note.split("\n")
    assert (
        first
        == f"{tiny_base.name} reads 77 tokens of a caption; what comes after them is not learnt:"
    )
    assert [line.split(":")[0] for line in others] == ["  1.png", "  2.png"]
    assert all("read up to “…" in line for line in others)
    assert check_lengths(photos[:1], project.subject, tiny_base) == []


def test_a_trigger_that_is_not_read_is_refused_before_training(captioned, project, tiny_base):
    photos = captioned("ohwx car, short", f"{WORDS} with ohwx car", f"ohwx car, {WORDS} ohwx")
    words = r"reads 77 tokens .* trigger 'ohwx' comes after them:\n  1\.png: read up to “…[^\n]*\nPut it"
    with pytest.raises(CaptionError, match=words):
        check_lengths(photos, project.subject, tiny_base)
    with pytest.raises(CaptionError, match=words):
        make_plan(project, tiny_base)


def test_a_plan_of_before_trains_no_such_caption_either(planned_project, tiny_base, monkeypatch):
    photo = list_photos(planned_project)[0]
    photo.file.with_suffix(".txt").write_text(f"{WORDS} with ohwx car")
    # As if it had been planned with it, by a Packshot that did not look.
    monkeypatch.setattr(PlanInputs, "differences", lambda *_: [])
    with pytest.raises(CaptionError, match="comes after them"):
        list(train(planned_project, tiny_base))


def test_many_photos_are_not_all_listed(captioned, project, tiny_base):
    (note,) = check_lengths(captioned(*[WORDS] * 12), project.subject, tiny_base)
    assert note.count("read up to") == 10 and note.endswith("\n  and 2 more")


def test_prompts_of_class_images_are_told_too(tiny_base):
    (note,) = check_class_lengths({"a.jpg": WORDS, "b.jpg": "a car", "c.jpg": WORDS}, tiny_base)
    assert [line.split(":")[0] for line in note.split("\n")[1:]] == ["  a.jpg", "  c.jpg"]
    assert check_class_lengths({"b.jpg": "a car"}, tiny_base) == []
