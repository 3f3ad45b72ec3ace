import os

import pytest

from packshot.errors import OverwriteError
from packshot.utils import overwriting


def test_a_result_replaces_results_and_nothing_else(tmp_path):
    ours, theirs = tmp_path / "a.txt", tmp_path / "b.txt"
    theirs.write_text("theirs")
    for text in (b"one", b"two"):
        overwriting.write_result(ours, text)
    with pytest.raises(
        OverwriteError, match=r"b\.txt was not written by Packshot, .* Move it away"
    ):
        overwriting.write_result(theirs, b"ours")
    ours.write_text("changed by somebody")
    with pytest.raises(OverwriteError, match=r"a\.txt was not written .*, or was changed since"):
        overwriting.refuse_others(tmp_path / "none", ours)
    ours.write_text("one")  # as it was written once
    overwriting.write_result(ours, b"three")
    assert ours.read_bytes() == b"three" and theirs.read_text() == "theirs"


def test_a_result_may_have_a_name_that_is_no_utf8(tmp_path):
    file = tmp_path / os.fsdecode(b"b\xe9ach.png")
    for data in (b"one", b"two"):
        overwriting.write_result(file, data)
    assert file.read_bytes() == b"two" and overwriting.is_result(file)


def test_what_stands_in_the_way_of_a_result_may_be_no_file(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("folder", "link"):
        with pytest.raises(OverwriteError, match=name):
            overwriting.write_result(tmp_path / name, b"ours")
    assert (tmp_path / "link").is_symlink() and not (tmp_path / "nowhere").exists()


def test_a_result_whose_writing_was_killed_is_written_again(tmp_path, monkeypatch):
    def killed(*given):
        real(*given)
        raise KeyboardInterrupt

    real = os.replace
    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        overwriting.write_result(tmp_path / "a", b"one")
    monkeypatch.undo()
    assert (tmp_path / "a").read_bytes() == b"one"
    overwriting.write_result(tmp_path / "a", b"two")
