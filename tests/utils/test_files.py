import errno
import os
import stat

import pytest

from packshot.errors import DiskFullError, UnsafePathError, WriteError
from packshot.utils import copying, files, in_place
from tests.utils.refusing import refusing


def test_write_replaces_whole(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    files.write_text(path, "one")
    files.write_text(path, "two")
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


def test_half_a_pair_of_surrogates_is_written_as_a_question_mark(tmp_path):
    files.write_text(tmp_path / "a.txt", "a \ud800 b")
    assert (tmp_path / "a.txt").read_text() == "a ? b"


def test_what_is_unpacked_is_written_as_it_comes_and_never_over_a_file(tmp_path):
    files.write_stream(iter([b"one", b"two"]), tmp_path / "deep" / "a")
    assert (tmp_path / "deep" / "a").read_bytes() == b"onetwo"
    with pytest.raises(FileExistsError):
        files.write_stream([b"three"], tmp_path / "deep" / "a")

    def full():
        yield b"one"
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(
        DiskFullError, match=r"No room on the disk to unpack b in .*; free some space"
    ):
        files.write_stream(full(), tmp_path / "b")


@pytest.mark.parametrize("operation", ["open", "fsync", "replace"])
def test_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, operation):
    path = tmp_path / "a.txt"
    files.write_text(path, "old")

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, operation, full)
    with pytest.raises(DiskFullError, match=r"No room on the disk for .*a\.txt \(3 bytes needed\)"):
        files.write_text(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_written_bit_by_bit_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "a.bin"
    files.write_with(path, lambda file: [file.write(b"old"), file.write(b" bits")])
    assert path.read_bytes() == b"old bits"

    def full(file):
        file.write(b"new")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFullError, match=r"a\.bin \(3 bytes needed\)"):
        files.write_with(path, full)
    assert path.read_bytes() == b"old bits" and list(path.parent.iterdir()) == [path]


def test_where_rights_cannot_be_set_a_file_is_written_all_the_same(tmp_path, monkeypatch):
    """As on a stick or a network drive with rights of its own."""
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    monkeypatch.setattr(os, "chmod", lambda *given: (_ for _ in ()).throw(PermissionError(1, "no")))
    files.write_text(path, "new")
    assert path.read_text() == "new"


def test_a_folder_that_cannot_be_opened_is_not_flushed(tmp_path, monkeypatch):
    real = os.open

    def as_windows(path, *args, **options):
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *args, **options)

    monkeypatch.delattr(os, "O_DIRECTORY")
    monkeypatch.setattr(os, "open", as_windows)
    files.write_text(tmp_path / "a.txt", "one")
    assert (tmp_path / "a.txt").read_text() == "one"


def test_a_link_stays_one_whatever_is_written(tmp_path):
    """A caption that is a link, for one: neither it nor what it leads to is replaced."""
    (tmp_path / "shared.txt").write_text("theirs")
    (tmp_path / "a.txt").symlink_to(tmp_path / "shared.txt")
    with pytest.raises(UnsafePathError, match=r"a\.txt is a link, to .*shared\.txt, and stays one"):
        files.write_text(tmp_path / "a.txt", "ours")
    assert (tmp_path / "a.txt").is_symlink() and (tmp_path / "a.txt").read_text() == "theirs"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "shared.txt"]


def _leads_to_folder(descriptor, *_rest):
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EIO])
def test_where_folders_cannot_be_flushed_a_file_is_written_all_the_same(
    tmp_path, monkeypatch, number
):
    monkeypatch.setattr(os, "fsync", refusing(number, _leads_to_folder, os.fsync))
    files.write_text(tmp_path / "a.txt", "one")
    in_place.append_line(tmp_path / "log", "two", durable=True)
    assert (tmp_path / "a.txt").read_text() == "one" and (tmp_path / "log").read_text() == "two\n"


def test_a_drive_that_flushes_nothing_holds_files_and_one_that_fails_in_it_is_told(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(os, "fsync", refusing(errno.EINVAL))
    files.write_text(tmp_path / "a.txt", "one")
    in_place.append_line(tmp_path / "log", "two", durable=True)
    monkeypatch.setattr(os, "fsync", refusing(errno.EIO))
    for call in (files.write_text, lambda *given: in_place.append_line(*given, durable=True)):
        with pytest.raises(
            WriteError, match=r"a\.txt cannot be written: the drive failed\. What st"
        ):
            call(tmp_path / "a.txt", "three")
    assert (tmp_path / "a.txt").read_text().startswith("one")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "log"]


REFUSALS = {
    errno.EACCES: "permission is denied. What stood there is intact. Allow it for this user",
    errno.EPERM: "permission is denied",
    errno.EROFS: "its drive or folder is read-only. What stood there is intact. Make it writable",
    errno.ENAMETOOLONG: "the drive does not take such a name",
    errno.EINVAL: "the drive does not take such a name",
    errno.EFBIG: "the drive takes no file of its size",
    errno.EBUSY: "another program has it open",
    errno.ESTALE: "the drive does not answer. What stood there is intact. See that it is connected",
    errno.EMFILE: "too many files are open",
    errno.EPROTO: f"{os.strerror(errno.EPROTO)}. What stood there is intact. See that the place",
}


@pytest.mark.parametrize("number", REFUSALS)
def test_a_drive_that_refuses_is_told_in_words(tmp_path, monkeypatch, number):
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    writers = {"replace": files.write_text, "open": in_place.append_line}
    for operation, write in writers.items():
        with monkeypatch.context() as patch:
            patch.setattr(os, operation, refusing(number))
            with pytest.raises(WriteError) as refused:
                write(path, "new")
        assert f"{path} cannot be written: {REFUSALS[number]}" in str(refused.value)
        assert str(refused.value).endswith(", and run the same command again.")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_file_where_a_folder_must_be_is_told(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(WriteError, match="b cannot be written: a file stands where a folder must"):
        files.write_text(tmp_path / "a" / "b", "")


@pytest.mark.parametrize("name", ["a" * 251 + ".txt", "é" * 125 + ".txt", "写" * 83 + ".png"])
def test_a_name_as_long_as_may_be_is_written(tmp_path, name):
    files.write_text(tmp_path / name, "one")
    files.write_text(tmp_path / name, "two")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(name, "two")]
    copying.hard_link_or_copy(tmp_path / name, tmp_path / ("b" * 255))
    assert (tmp_path / ("b" * 255)).read_text() == "two"


def test_a_name_of_other_bytes_than_utf8_is_written(tmp_path):
    for name in (b"\xff.txt", b"\xff" * 251 + b".txt"):
        path = tmp_path / os.fsdecode(name)
        files.write_text(path, "one")
        assert path.read_text() == "one"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(("umask", "rights"), [(0o077, 0o600), (0o002, 0o664)])
def test_the_users_umask_says_who_may_read(tmp_path, umask, rights):
    before = os.umask(umask)
    try:
        files.write_text(tmp_path / "new" / "a", "one")
        in_place.append_line(tmp_path / "new" / "log", "one")
        files.write_stream([b"one"], tmp_path / "new" / "b")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "new").iterdir()} == {rights}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o777 & ~umask
