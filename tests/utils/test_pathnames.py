import os

import pytest

from packshot.errors import UnsafePathError
from packshot.utils import pathnames


def test_a_name_that_no_file_can_have_is_not_there(tmp_path):
    (tmp_path / "a").touch()
    assert pathnames.exists(tmp_path) and not pathnames.is_file(tmp_path)
    assert pathnames.exists(tmp_path / "a") and pathnames.is_file(tmp_path / "a")
    for name in ("b", "n" * 300, "a/b", "a\0b", "x/" * 3000):
        assert not pathnames.exists(tmp_path / name) and not pathnames.is_file(tmp_path / name)


def test_names_are_shown_on_one_line_without_escapes():
    assert pathnames.printable_name("caffè 写真.jpg") == "caffè 写真.jpg"
    assert pathnames.printable_name("a\nb\x1b[2J" + os.fsdecode(b"\xff")) == "a?b?[2J?"


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "x/../../a"])
def test_names_that_lead_out_are_refused(tmp_path, name):
    with pytest.raises(UnsafePathError, match="leads outside"):
        pathnames.safe_join(tmp_path, name)


def test_links_that_lead_out_are_refused(tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "link").symlink_to(tmp_path)
    with pytest.raises(UnsafePathError):
        pathnames.safe_join(tmp_path / "inside", "link/a")


def test_a_name_is_cut_between_letters():
    assert pathnames.shortened("写真.jpg", 99) == "写真.jpg"
    assert pathnames.shortened("写真.jpg", 5) == "写"
