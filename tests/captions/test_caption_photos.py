from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from packshot.captions import caption_photos, captioner_for, lock_captions
from packshot.captions.plain import Plain
from packshot.errors import CaptionError, DiskFullError, NoUsablePhotosError, PackshotError
from packshot.photos.photo_set import add_photos, list_photos
from packshot.project import create_project
from packshot.utils import files


class DayOrNight:
    """Knows of light only: dark pictures are of the night."""

    name, scale = "light", 10.0

    def embed_images(self, pixels):
        assert pixels.shape[1:] == (3, 256, 256) and pixels.abs().max() <= 1
        dark = pixels.mean(dim=(1, 2, 3)) < 0
        return F.one_hot(dark.long(), 3).float()

    def embed_texts(self, texts):
        return torch.stack([F.one_hot(torch.tensor(_axis(text)), 3).float() for text in texts])


def _axis(text):
    return 0 if "day" in text else 1 if "night" in text or "dark" in text else 2


@pytest.fixture
def project(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for number, light in enumerate((60, 200, 60)):
        blocks = np.random.default_rng(number).integers(
            light - 50, light + 50, (10, 12, 3), dtype=np.uint8
        )
        Image.fromarray(blocks.repeat(16, axis=0).repeat(16, axis=1)).save(source / f"{number}.png")
    project = create_project(tmp_path / "project", name="Duster", class_noun="car")
    add_photos(project, source)
    return project


def base(similarity):
    return SimpleNamespace(path=Path("nowhere/base"), clip_similarity=lambda: similarity)


def captions(project):
    return [(project.photos_folder / f"{number}.txt").read_text() for number in range(3)]


def test_photos_are_captioned_in_words_of_the_bank(project):
    said = []
    shown = caption_photos(project, base(DayOrNight()), lambda *args: said.append(args))
    assert [photo.caption for photo in shown] == [
        "a photo of ohwx car at night", "a photo of ohwx car in daylight", "a photo of ohwx car at night",
    ]  # fmt: skip
    assert captions(project)[0] == "a photo of ohwx car at night\n"
    assert said == [("captions", 3, 3)]


def test_a_caption_that_stands_is_never_overwritten(project):
    edited = "  my own words,\n as I like them  "
    (project.photos_folder / "1.txt").write_text(edited)
    (project.photos_folder / "2.txt").write_text(" \n")  # says nothing
    shown = caption_photos(project, base(DayOrNight()))
    assert [photo.caption for photo in shown] == [
        "a photo of ohwx car at night", "my own words, as I like them", "a photo of ohwx car at night",
    ]  # fmt: skip
    assert captions(project)[1] == edited
    before = captions(project)
    assert caption_photos(project, base(None)) == shown and captions(project) == before


def test_without_an_image_tower_captions_are_plain(project, tiny_base):
    assert isinstance(captioner_for(tiny_base), Plain)
    shown = caption_photos(project, tiny_base)
    assert {photo.caption for photo in shown} == {"a photo of ohwx car"}


def test_without_photos_it_says_what_to_do(tmp_path):
    empty = create_project(tmp_path / "empty", name="Duster", class_noun="car")
    with pytest.raises(
        NoUsablePhotosError, match=r"empty has no photos yet\. Add some: packshot photos FOLDER"
    ):
        caption_photos(empty, base(None))


class Numbered:
    """Says how many pictures it has seen."""

    name, batch = "numbered", 2

    def __init__(self, start=0):
        self.seen = start

    def caption(self, pictures, subject):
        numbers = []
        for picture in pictures:
            assert picture.mode == "RGB" and picture.size == (192, 160)
            self.seen += 1
            numbers.append(f"{subject.phrase} number {self.seen}")
        return numbers


def stand(project):
    return [(photo.caption, photo.caption_by) for photo in list_photos(project)]


def test_only_what_packshot_wrote_is_written_anew(project):
    assert stand(project) == [(None, None)] * 3
    caption_photos(project, captioner=Numbered())
    assert stand(project)[2] == ("ohwx car number 3", "numbered")
    (project.photos_folder / "0.txt").write_text("ohwx car, in my own words\n")
    lock_captions(project, ["1"])
    caption_photos(project, captioner=Numbered(10))
    assert [caption for caption, _ in stand(project)][1:] == [
        "ohwx car number 2",
        "ohwx car number 3",
    ]
    said = []
    caption_photos(
        project, None, lambda *a: said.append(a), captioner=Numbered(20), overwrite_generated=True
    )
    assert said == [("captions", 1, 1)]
    assert stand(project) == [
        ("ohwx car, in my own words", "person"),
        ("ohwx car number 2", "numbered"),
        ("ohwx car number 21", "numbered"),
    ]


def test_captions_that_came_with_photos_are_a_persons(project, tmp_path):
    (tmp_path / "source" / "1.txt").write_text("ohwx car, from elsewhere")
    add_photos(project, tmp_path / "source")
    caption_photos(project, captioner=Numbered(), overwrite_generated=True)
    assert [by for _, by in stand(project)] == ["numbered", "person", "numbered"]


def test_a_locked_caption_is_not_carried_over_either(project, tmp_path):
    caption_photos(project, captioner=Numbered())
    lock_captions(project, ["0"])
    for number in (0, 1):
        (tmp_path / "source" / f"{number}.txt").write_text("ohwx car, from elsewhere")
    add_photos(project, tmp_path / "source")
    assert [caption for caption, _ in stand(project)][:2] == [
        "ohwx car number 1", "ohwx car, from elsewhere"
    ]  # fmt: skip
    (project.photos_folder / "0.txt").unlink()
    caption_photos(project, captioner=Numbered(5))
    assert stand(project)[0] == (None, None)  # nor is a locked one made


def test_a_manifest_from_before_captioners_left_their_names(project):
    caption_photos(project, captioner=Numbered())
    text = project.photos_manifest.read_text()
    for name in ("caption_by", "promised_caption", "promised_by", "caption_locked"):
        assert f'"{name}"' in text
        text = "\n".join(line for line in text.split("\n") if f'"{name}"' not in line)
    project.photos_manifest.write_text(text)
    assert {by for _, by in stand(project)} == {"packshot"}
    caption_photos(project, captioner=Numbered(7), overwrite_generated=True)
    assert stand(project)[0] == ("ohwx car number 8", "numbered")


@pytest.mark.parametrize("writes", range(8))
def test_killed_at_any_write_it_knows_what_is_its_own(project, monkeypatch, writes):
    """Redone over older captions, the disk fills up after some writes; then it is redone once more."""
    caption_photos(project, captioner=Numbered())
    write, left = files._write, [writes]

    def failing(path, data):
        if left[0] == 0:
            raise OSError(28, "No space left on device")
        left[0] -= 1
        write(path, data)

    monkeypatch.setattr(files, "_write", failing)
    try:
        caption_photos(project, captioner=Numbered(10), overwrite_generated=True)
    except DiskFullError:
        assert writes < 7  # for two batches: a manifest, the captions, a manifest
    else:
        assert writes == 7
    monkeypatch.undo()
    for number, (caption, by) in enumerate(stand(project), start=1):
        assert caption in (f"ohwx car number {number}", f"ohwx car number {number + 10}")
        assert by == "numbered"
    caption_photos(project, captioner=Numbered(20), overwrite_generated=True)
    assert stand(project) == [(f"ohwx car number {20 + n}", "numbered") for n in (1, 2, 3)]


class Falters(Plain):
    """Cannot describe images of one size, nor several at once."""

    batch = 3

    def caption(self, pictures, subject):
        shown = list(pictures)
        if len(shown) > 1 or shown[0].size == (192, 161):
            raise PackshotError("too odd")
        return super().caption(shown, subject)


def spoilt(project):
    """One photo that is no longer an image, and one that the captioner does not like."""
    photos = sorted(project.photos_folder.glob("*.png"))
    photos[0].write_bytes(b"\x89PNG")
    Image.open(photos[1]).resize((192, 161)).save(photos[1])
    return {
        "0.png": "is damaged or cut short; copy it again from the camera or the cloud",
        "1.png": "too odd",
    }


def test_a_photo_that_cannot_be_described_costs_itself(project):
    reasons, refused = spoilt(project), {}
    shown = caption_photos(project, captioner=Falters(), refused=refused)
    assert refused == reasons
    assert [(photo.file.name, bool(photo.caption)) for photo in shown] == [
        ("1.png", False), ("2.png", True),
    ]  # fmt: skip


class Forgets(Plain):
    """Has memory for one picture at a time, and none for large ones; `fault` is another one's."""

    batch = 3

    def __init__(self, fault=None):
        self.fault = fault

    def caption(self, pictures, subject):
        pictures = list(pictures)
        if self.fault:
            raise self.fault
        if len(pictures) > 1 or pictures[0].height == 161:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB")
        return super().caption(pictures, subject)


def test_where_memory_gives_out_photos_are_described_one_by_one_or_it_is_said(project):
    photo = project.photos_folder / "1.png"
    Image.open(photo).resize((192, 161)).save(photo)
    refused = {}
    shown = caption_photos(project, captioner=Forgets(), refused=refused)
    assert [bool(photo.caption) for photo in shown] == [True, False, True]
    words = "the memory does not suffice for plain. Close other programs, or name a smaller"
    assert refused.keys() == {"1.png"} and refused["1.png"].startswith(words)
    with pytest.raises(RuntimeError, match="shapes"):
        caption_photos(project, captioner=Forgets(RuntimeError("shapes")), refused={})


def test_without_a_place_for_the_reasons_they_are_an_error_when_the_others_are_done(project):
    spoilt(project)
    with pytest.raises(
        CaptionError, match=r"for 2 photos:\n  0\.png: is damaged .*\n  1\.png: too"
    ):
        caption_photos(project, captioner=Falters())
    assert (project.photos_folder / "2.txt").is_file()
