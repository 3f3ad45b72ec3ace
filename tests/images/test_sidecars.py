import os
import time
import unicodedata

import pytest

from packshot.errors import ImageRejectedError
from packshot.images.sidecars import caption_file, mask_file, read_caption


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"  a photo of ohwx car,\r\n  in the snow \n", "a photo of ohwx car, in the snow"),
        ("﻿una macchina, di là".encode(), "una macchina, di là"),
        ("una macchina, di là".encode("utf-16"), "una macchina, di là"),
        ("una macchina, di là".encode("cp1252"), "una macchina, di là"),
        ("una macchina, di là".encode("utf-16-le"), "una macchina, di là"),
        ("una macchina, di là".encode("utf-16-be"), "una macchina, di là"),
        (b"a\0b\x1b[31m", "a b [31m"),
        (b"", ""),
        (("word " * 20_000 + "à").encode(), "word " * 1999 + "word"),
        (b"x" * 20_000, "x" * 10_000),
    ],
)
def test_a_caption_is_one_line_as_it_was_written(tmp_path, data, expected):
    (tmp_path / "a.txt").write_bytes(data)
    assert read_caption(tmp_path / "a.txt") == expected


def test_side_cars_go_by_the_stem(tmp_path):
    picture = tmp_path / "a.b.jpg"
    assert caption_file(picture) is None and mask_file(picture) is None
    (tmp_path / "a.b.caption").touch()
    assert caption_file(picture) == tmp_path / "a.b.caption"
    (tmp_path / "a.b.txt").touch()
    assert caption_file(picture) == tmp_path / "a.b.txt"
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.b.png").touch()
    assert mask_file(picture) == tmp_path / "masks" / "a.b.png"


def test_side_cars_as_windows_and_onetrainer_name_them(tmp_path):
    picture = tmp_path / "a.jpg"
    (tmp_path / "a.TXT").touch()
    (tmp_path / "a-masklabel.png").touch()
    assert caption_file(picture) == tmp_path / "a.TXT"
    assert mask_file(picture) == tmp_path / "a-masklabel.png"
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.png").touch()
    assert mask_file(picture) == tmp_path / "masks" / "a.png"


FORMS = ("NFC", "NFD")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("other", FORMS)
@pytest.mark.parametrize("ending", [".txt", ".TXT", ".Caption"])
@pytest.mark.parametrize("mask", [".png", ".PNG", ".Png"])
def test_side_cars_are_found_in_any_form_of_unicode_and_any_case(
    tmp_path, form, other, ending, mask
):
    stem, beside = (unicodedata.normalize(name, "Città.là") for name in (form, other))
    picture = tmp_path / f"{stem}.jpg"
    assert caption_file(picture) is None and mask_file(picture) is None  # and it is looked again
    (tmp_path / "masks").mkdir()
    (tmp_path / f"{beside}{ending}").touch()
    (tmp_path / "masks" / f"{beside}{mask}").touch()
    assert caption_file(picture) == tmp_path / f"{beside}{ending}"
    assert mask_file(picture) == tmp_path / "masks" / f"{beside}{mask}"
    assert caption_file(tmp_path / "Citta.jpg") is None
    (tmp_path / f"{beside}{ending}").unlink()
    assert caption_file(picture) is None


def test_a_side_car_of_the_very_name_is_preferred(tmp_path):
    for name in ("a.TXT", "a.txt", "a.Txt"):
        (tmp_path / name).touch()
    assert caption_file(tmp_path / "a.jpg").name == "a.txt"
    (tmp_path / "a.txt").unlink()
    assert caption_file(tmp_path / "a.jpg").name == "a.TXT"


def test_a_folder_that_has_settled_is_listed_once(tmp_path, monkeypatch):
    (tmp_path / "a.TXT").touch()
    later = time.time_ns() + 10**11
    monkeypatch.setattr(time, "time_ns", lambda: later)
    assert caption_file(tmp_path / "a.jpg") == tmp_path / "a.TXT"
    monkeypatch.setattr(os, "listdir", lambda folder: pytest.fail("listed again"))
    assert caption_file(tmp_path / "b.jpg") is None
    assert caption_file(tmp_path / "a.jpg") == tmp_path / "a.TXT"


def test_a_name_too_long_for_side_cars_has_none(tmp_path):
    picture = tmp_path / ("n" * 251 + ".jpg")
    picture.touch()
    assert caption_file(picture) is None and mask_file(picture) is None


@pytest.mark.parametrize("beside", ["a.txt", "a.caption", "masks/a.png", "a-masklabel.png"])
def test_a_side_car_that_leads_to_the_users_own_files_is_refused(tmp_path, beside):
    (tmp_path / "credentials").write_text("key = 1234")
    (tmp_path / "photos" / "masks").mkdir(parents=True)
    place = tmp_path / "photos" / beside
    place.symlink_to(tmp_path / "credentials")
    read = mask_file if beside.endswith("png") else caption_file
    with pytest.raises(ImageRejectedError, match="is a link that leads out of"):
        read(tmp_path / "photos" / "a.jpg")
    place.unlink()
    (tmp_path / "photos" / "own").write_text("a car")
    place.symlink_to(tmp_path / "photos" / "own")
    assert read(tmp_path / "photos" / "a.jpg") == place
