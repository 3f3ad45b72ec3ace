import errno
import os

import pytest

from packshot.errors import DiskFullError
from packshot.utils import copying


def test_a_file_is_pointed_to_and_where_no_symbolic_links_may_be_has_a_second_name(
    tmp_path, monkeypatch
):
    source = tmp_path / "source"
    source.write_text("one")
    copying.point(tmp_path / "a", source)
    assert (tmp_path / "a").readlink() == source

    def denied(*_args, **_kwargs):
        raise OSError(errno.EPERM, "A required privilege is not held by the client")

    monkeypatch.setattr(os, "symlink", denied)
    copying.point(tmp_path / "b", source)
    assert not (tmp_path / "b").is_symlink() and (tmp_path / "b").samefile(source)
    monkeypatch.setattr(os, "link", denied)
    copying.point(tmp_path / "c", source)
    assert not (tmp_path / "c").samefile(source) and (tmp_path / "c").read_text() == "one"


def test_a_second_name_is_the_same_file_and_outlives_the_first(tmp_path):
    source, place = tmp_path / "a", tmp_path / "folder" / "b"
    source.write_text("one")
    for _ in range(2):  # the second time it stands already
        copying.hard_link_or_copy(source, place)
        assert place.samefile(source)
    source.unlink()
    source.write_text("two")
    assert place.read_text() == "one"
    copying.hard_link_or_copy(source, place)
    assert place.read_text() == "two" and [p.name for p in place.parent.iterdir()] == ["b"]


@pytest.mark.parametrize("fails", ["link", "replace"])
def test_where_there_can_be_no_link_there_is_a_copy(tmp_path, monkeypatch, fails):
    source, place = tmp_path / "a", tmp_path / "folder" / "b"
    source.write_text("one")
    real, calls = getattr(os, fails), []

    def once(*args, **options):
        calls.append(args)
        if len(calls) == 1:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return real(*args, **options)

    monkeypatch.setattr(os, fails, once)
    copying.hard_link_or_copy(source, place)
    assert place.read_text() == "one" and not place.samefile(source)
    assert [p.name for p in place.parent.iterdir()] == ["b"]


@pytest.mark.parametrize("shares", [True, False])
def test_a_copy_is_a_file_of_its_own(tmp_path, monkeypatch, shares):
    """`FICLONE` is the file system's; here it is one that has it, or one that has not."""
    (tmp_path / "a").write_bytes(b"one")

    def clone(target, request, source):
        if not shares:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        assert request == 0x40049409
        os.write(target, os.read(source, 9))

    monkeypatch.setattr("fcntl.ioctl", clone)
    for _ in range(2):
        copying.copy(tmp_path / "a", tmp_path / "folder" / "b")
    copied = tmp_path / "folder" / "b"
    assert copied.read_bytes() == b"one" and not copied.samefile(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"two")
    assert copied.read_bytes() == b"one" and list(copied.parent.iterdir()) == [copied]


def test_a_copy_that_finds_no_room_leaves_no_litter(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"old")

    def full(*_given):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    monkeypatch.setattr("fcntl.ioctl", full)
    with pytest.raises(DiskFullError, match=r"No room on the disk for .*b \(3 bytes needed\)"):
        copying.copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 2
