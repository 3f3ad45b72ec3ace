import errno
import fcntl
import json
import math
import multiprocessing
import os
import pwd
import stat
import tempfile
import time
import warnings

import hypothesis
import portalocker
import pytest
import torch
from hypothesis import strategies as st
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save

from packshot.errors import (
    DiskFullError,
    MachineWarning,
    OverwriteError,
    PackshotError,
    ProjectError,
    UnsafePathError,
    WriteError,
)
from packshot.utils import consent, files


def test_write_replaces_whole(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    files.write_text(path, "one")
    files.write_text(path, "two")
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


def test_half_a_pair_of_surrogates_is_written_as_a_question_mark(tmp_path):
    files.write_text(tmp_path / "a.txt", "a \ud800 b")
    assert (tmp_path / "a.txt").read_text() == "a ? b"


def test_a_name_that_no_file_can_have_is_not_there(tmp_path):
    (tmp_path / "a").touch()
    assert files.exists(tmp_path) and files.exists(tmp_path / "a") and files.is_file(tmp_path / "a")
    assert not files.is_file(tmp_path)
    for name in ("b", "n" * 300, "a/b", "a\0b", "x/" * 3000):
        assert not files.exists(tmp_path / name) and not files.is_file(tmp_path / name)


def test_names_are_shown_on_one_line_without_escapes():
    assert files.printable_name("caffè 写真.jpg") == "caffè 写真.jpg"
    assert files.printable_name("a\nb\x1b[2J" + os.fsdecode(b"\xff")) == "a?b?[2J?"


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


def test_safetensors_round_trip_makes_contiguous(tmp_path):
    tensor = torch.arange(6.0).reshape(2, 3).T
    files.write_safetensors(tmp_path / "t.safetensors", {"t": tensor}, {"k": "v"})
    assert torch.equal(load_file(tmp_path / "t.safetensors")["t"], tensor)


DTYPES = [getattr(torch, name) for name in files._DTYPES]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0, 3), (3,), (2, 3, 1)])
def test_the_library_reads_the_tensors_that_were_written(tmp_path, dtype, shape):
    path = tmp_path / "t.safetensors"
    given = {
        "b é": torch.full(shape, 3).to(dtype), "a": torch.rand(5) > 0.5,
        "c": torch.randn(3, 2, dtype=torch.float64).T,
    }  # fmt: skip
    files.write_safetensors(path, given, {"title": "\u00e9\n", "a": "1"})
    for name, tensor in load_file(path).items():
        assert tensor.dtype == given[name].dtype and torch.equal(tensor, given[name])
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"title": "\u00e9\n", "a": "1"}
        assert set(file.keys()) == given.keys()
    assert path.read_bytes() == b"".join(
        files.safetensors_parts(dict(reversed(given.items())), {"a": "1", "title": "\u00e9\n"})
    )


def test_a_file_of_one_dtype_is_the_librarys_own(tmp_path):
    given = {name: torch.randn(3, 2) for name in "cab"}
    theirs = save(given)
    ours = b"".join(files.safetensors_parts(given))
    start = 8 + int.from_bytes(ours[:8], "little")
    assert ours[:8] == theirs[:8] and ours[start:] == theirs[start:]
    assert json.loads(ours[8:start]) == json.loads(theirs[8:start])


def test_what_is_saved_is_not_copied():
    given = torch.zeros(1000)
    header, data = files.safetensors_parts({"a": given})
    given += 1
    assert bytes(data) == given.numpy().tobytes() and len(header) % 8 == 0


def test_image_format_follows_the_ending(tmp_path):
    files.write_image(tmp_path / "a.jpg", Image.new("RGB", (4, 4)), quality=95)
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.format == "JPEG"


def test_json_lines_skip_a_torn_last_line(tmp_path):
    log = tmp_path / "log"
    assert files.read_json_lines(log) == []
    log.write_text('{"a": 1}\n{"a": 2}\n{"a": ')
    assert files.read_json_lines(log) == [{"a": 1}, {"a": 2}]
    log.write_bytes('{"a": 1}\n{"a": "è'.encode()[:-1])
    assert files.read_json_lines(log) == [{"a": 1}]


def test_of_a_log_its_end_is_read(tmp_path):
    log = tmp_path / "log"
    assert files.read_end(log, 10) == "" and files.read_end(tmp_path, 10) == ""
    log.write_text("begun\nfirst\nsecond\n")
    assert files.read_end(log, 100) == "begun\nfirst\nsecond\n"
    assert files.read_end(log, 7) == "second\n"


def test_json_lines_are_read_as_they_were_written(tmp_path):
    rows = [{"a": "è\u2028\x85"}, {"a": 'x, "y"\nz'}]
    files.write_json_lines(tmp_path / "rows", iter(rows))
    assert files.read_json_lines(tmp_path / "rows") == rows


@hypothesis.given(
    st.recursive(
        st.none() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
        max_leaves=10,
    )
)
def test_json_holds_no_number_that_others_cannot_read(value):
    def odd(name):
        raise ValueError(name)

    def same(read, given):
        match given:
            case dict():
                return read.keys() == given.keys() and all(same(read[k], given[k]) for k in given)
            case list() | tuple():
                return len(read) == len(given) and all(map(same, read, given))
            case float() if not math.isfinite(given):
                return read is None
        return read == given

    assert same(json.loads(files.as_json(value), parse_constant=odd), value)


def test_what_is_not_finite_is_null_in_every_file(tmp_path):
    files.write_json(tmp_path / "a", {"limits": (-math.inf, 1.0), "nan": [math.nan]})
    assert json.loads((tmp_path / "a").read_text()) == {"limits": [None, 1.0], "nan": [None]}
    files.write_json_lines(tmp_path / "b", [{"a": math.inf}])
    assert (tmp_path / "b").read_text() == '{"a": null}\n'


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "x/../../a"])
def test_names_that_lead_out_are_refused(tmp_path, name):
    with pytest.raises(UnsafePathError, match="leads outside"):
        files.safe_join(tmp_path, name)


def test_links_that_lead_out_are_refused(tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "link").symlink_to(tmp_path)
    with pytest.raises(UnsafePathError):
        files.safe_join(tmp_path / "inside", "link/a")


def test_broken_toml_names_the_file_and_line(tmp_path):
    (tmp_path / "a.toml").write_text("x = \n")
    with pytest.raises(PackshotError, match=r"a\.toml is not valid TOML.*line 1"):
        files.read_toml(tmp_path / "a.toml")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_toml_as_windows_editors_save_it(tmp_path, encoding):
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / "a.toml").write_bytes(f'{mark}x = "là"\r\n'.encode(encoding))
    assert files.read_toml(tmp_path / "a.toml") == {"x": "là"}


def test_toml_of_another_encoding_is_told(tmp_path):
    (tmp_path / "a.toml").write_bytes('x = "là"'.encode("cp1252"))
    with pytest.raises(PackshotError, match=r"a\.toml .* Save it again as UTF-8"):
        files.read_toml(tmp_path / "a.toml")


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


def test_a_file_is_pointed_to_and_where_no_symbolic_links_may_be_has_a_second_name(
    tmp_path, monkeypatch
):
    source = tmp_path / "source"
    source.write_text("one")
    files.point(tmp_path / "a", source)
    assert (tmp_path / "a").readlink() == source

    def denied(*_args, **_kwargs):
        raise OSError(errno.EPERM, "A required privilege is not held by the client")

    monkeypatch.setattr(os, "symlink", denied)
    files.point(tmp_path / "b", source)
    assert not (tmp_path / "b").is_symlink() and (tmp_path / "b").samefile(source)
    monkeypatch.setattr(os, "link", denied)
    files.point(tmp_path / "c", source)
    assert not (tmp_path / "c").samefile(source) and (tmp_path / "c").read_text() == "one"


def test_a_holder_that_cannot_be_read_is_unknown(tmp_path):
    with (tmp_path / ".lock").open("w") as unreadable:
        assert files._holder(unreadable) == "unknown"


def _hold(path, ready, done):
    with files.lock(path):
        ready.set()
        done.wait(30)


@pytest.mark.slow
def test_second_holder_is_told_and_a_killed_one_frees_it(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path / ".lock", ready, done))
    other.start()
    assert ready.wait(30)
    told = f"is in use by another Packshot .process {other.pid}."
    with pytest.raises(ProjectError, match=told), files.lock(tmp_path / ".lock"):
        pass
    other.kill()
    other.join()
    with files.lock(tmp_path / ".lock"):
        assert (tmp_path / ".lock").read_text() == str(os.getpid())


def test_a_second_name_is_the_same_file_and_outlives_the_first(tmp_path):
    source, place = tmp_path / "a", tmp_path / "folder" / "b"
    source.write_text("one")
    for _ in range(2):  # the second time it stands already
        files.hard_link_or_copy(source, place)
        assert place.samefile(source)
    source.unlink()
    source.write_text("two")
    assert place.read_text() == "one"
    files.hard_link_or_copy(source, place)
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
    files.hard_link_or_copy(source, place)
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
        files.copy(tmp_path / "a", tmp_path / "folder" / "b")
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
        files.copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 2


def test_a_hash_is_remembered_for_as_long_as_the_stamp_is_the_same(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = files.known_sha256(path)
    path.write_bytes(b"two")  # of one size, maybe within one tick of the clock
    assert files.known_sha256(path) != first == files.sha256_of(b"one")
    later = time.time_ns() + 10**10
    monkeypatch.setattr(time, "time_ns", lambda: later)
    again = files.known_sha256(path)
    monkeypatch.setattr(files, "sha256", lambda path: pytest.fail("read again"))
    assert files.known_sha256(path) == again == files.sha256_of(b"two")


def test_a_result_replaces_results_and_nothing_else(tmp_path):
    ours, theirs = tmp_path / "a.txt", tmp_path / "b.txt"
    theirs.write_text("theirs")
    for text in (b"one", b"two"):
        files.write_result(ours, text)
    with pytest.raises(
        OverwriteError, match=r"b\.txt was not written by Packshot, .* Move it away"
    ):
        files.write_result(theirs, b"ours")
    ours.write_text("changed by somebody")
    with pytest.raises(OverwriteError, match=r"a\.txt was not written .*, or was changed since"):
        files.refuse_others(tmp_path / "none", ours)
    ours.write_text("one")  # as it was written once
    files.write_result(ours, b"three")
    assert ours.read_bytes() == b"three" and theirs.read_text() == "theirs"


def test_what_stands_in_the_way_of_a_result_may_be_no_file(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("folder", "link"):
        with pytest.raises(OverwriteError, match=name):
            files.write_result(tmp_path / name, b"ours")
    assert (tmp_path / "link").is_symlink() and not (tmp_path / "nowhere").exists()


def test_a_result_whose_writing_was_killed_is_written_again(tmp_path, monkeypatch):
    def killed(*given):
        real(*given)
        raise KeyboardInterrupt

    real = os.replace
    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        files.write_result(tmp_path / "a", b"one")
    monkeypatch.undo()
    assert (tmp_path / "a").read_bytes() == b"one"
    files.write_result(tmp_path / "a", b"two")


def test_a_link_stays_one_whatever_is_written(tmp_path):
    """A caption that is a link, for one: neither it nor what it leads to is replaced."""
    (tmp_path / "shared.txt").write_text("theirs")
    (tmp_path / "a.txt").symlink_to(tmp_path / "shared.txt")
    with pytest.raises(UnsafePathError, match=r"a\.txt is a link, to .*shared\.txt, and stays one"):
        files.write_text(tmp_path / "a.txt", "ours")
    assert (tmp_path / "a.txt").is_symlink() and (tmp_path / "a.txt").read_text() == "theirs"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "shared.txt"]


def test_a_log_on_a_full_disk_says_so(tmp_path, monkeypatch):
    files.append_line(tmp_path / "log", "è", durable=True)
    assert (tmp_path / "log").read_text(encoding="utf-8") == "è\n"

    def full(number):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match=r"No room on the disk for .*log"):
        files.append_line(tmp_path / "log", "b", durable=True)
    with pytest.raises(WriteError, match="a folder where a file must"):
        files.append_line(tmp_path, "c")


def test_the_cache_is_where_the_user_wants_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path))
    assert files.cache_folder() == tmp_path
    monkeypatch.setenv("PACKSHOT_CACHE", "")
    assert files.cache_folder().name == "packshot"


def test_bytes_have_the_hash_of_a_file_of_them(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256_of(b"abc") == files.sha256(tmp_path / "file") == known


def _refusing(number, meant=lambda *given: True, real=None):
    def call(*given, **options):
        if real is None or meant(*given):
            raise OSError(number, os.strerror(number))
        return real(*given, **options)

    return call


def _leads_to_folder(descriptor, *_rest):
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EIO])
def test_where_folders_cannot_be_flushed_a_file_is_written_all_the_same(
    tmp_path, monkeypatch, number
):
    monkeypatch.setattr(os, "fsync", _refusing(number, _leads_to_folder, os.fsync))
    files.write_text(tmp_path / "a.txt", "one")
    files.append_line(tmp_path / "log", "two", durable=True)
    assert (tmp_path / "a.txt").read_text() == "one" and (tmp_path / "log").read_text() == "two\n"


def test_a_drive_that_flushes_nothing_holds_files_and_one_that_fails_in_it_is_told(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(os, "fsync", _refusing(errno.EINVAL))
    files.write_text(tmp_path / "a.txt", "one")
    files.append_line(tmp_path / "log", "two", durable=True)
    monkeypatch.setattr(os, "fsync", _refusing(errno.EIO))
    for call in (files.write_text, lambda *given: files.append_line(*given, durable=True)):
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
    writers = {"replace": files.write_text, "open": files.append_line}
    for operation, write in writers.items():
        with monkeypatch.context() as patch:
            patch.setattr(os, operation, _refusing(number))
            with pytest.raises(WriteError) as refused:
                write(path, "new")
        assert f"{path} cannot be written: {REFUSALS[number]}" in str(refused.value)
        assert str(refused.value).endswith(", and run the same command again.")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_file_where_a_folder_must_be_is_told(tmp_path):
    (tmp_path / "a").touch()
    for write in (lambda path: files.write_text(path, ""), _lock_at):
        with pytest.raises(
            WriteError, match="b cannot be written: a file stands where a folder must"
        ):
            write(tmp_path / "a" / "b")


def _lock_at(path):
    with files.lock(path):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_where_a_drive_has_no_locks_this_machine_has(tmp_path, monkeypatch, number):
    """As of a network share: the project's file cannot be locked, others can."""
    drive, local = tmp_path / "nas", tmp_path / "local"
    drive.mkdir()
    local.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(local))

    def on_drive(file, *_rest):
        descriptor = file if isinstance(file, int) else file.fileno()
        return os.fstat(descriptor).st_ino == os.stat(drive / ".lock").st_ino

    monkeypatch.setattr(portalocker.portalocker, "LOCKER", _refusing(number, on_drive, fcntl.flock))
    with files.lock(drive / ".lock"):
        told = f"{drive} is in use by another Packshot .process {os.getpid()}."
        with pytest.raises(ProjectError, match=told), files.lock(drive / ".lock"):
            pass
    _lock_at(drive / ".lock")
    monkeypatch.setattr(portalocker.portalocker, "LOCKER", _refusing(number))
    _lock_at(drive / ".lock")  # nothing can be locked anywhere


@pytest.mark.parametrize("name", ["a" * 251 + ".txt", "é" * 125 + ".txt", "写" * 83 + ".png"])
def test_a_name_as_long_as_may_be_is_written(tmp_path, name):
    files.write_text(tmp_path / name, "one")
    files.write_text(tmp_path / name, "two")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(name, "two")]
    files.hard_link_or_copy(tmp_path / name, tmp_path / ("b" * 255))
    assert (tmp_path / ("b" * 255)).read_text() == "two"


def test_a_name_of_other_bytes_than_utf8_is_written(tmp_path):
    for name in (b"\xff.txt", b"\xff" * 251 + b".txt"):
        path = tmp_path / os.fsdecode(name)
        files.write_text(path, "one")
        assert path.read_text() == "one"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_name_is_cut_between_letters():
    assert files.shortened("写真.jpg", 99) == "写真.jpg"
    assert files.shortened("写真.jpg", 5) == "写"


@pytest.mark.parametrize(("umask", "rights"), [(0o077, 0o600), (0o002, 0o664)])
def test_the_users_umask_says_who_may_read(tmp_path, umask, rights):
    before = os.umask(umask)
    try:
        files.write_text(tmp_path / "new" / "a", "one")
        files.append_line(tmp_path / "new" / "log", "one")
        files.write_stream([b"one"], tmp_path / "new" / "b")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "new").iterdir()} == {rights}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o777 & ~umask


def test_where_the_cache_cannot_be_written_there_is_another_until_the_end(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(
        MachineWarning, match=r"file/cache cannot be written: a file .*lies in .*PACK"
    ):
        stand_in = files.cache_folder()
    files.write_text(stand_in / "a" / "b", "kept")
    with warnings.catch_warnings(action="error"):  # it is said once
        assert files.cache_folder() == stand_in
    monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path / "cache"))
    assert files.cache_folder() == tmp_path / "cache"


def test_who_has_no_home_has_a_cache_until_the_end(monkeypatch):
    """As under a number without a name, as in containers."""

    def unknown(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    for name in ("HOME", "USERPROFILE", "PACKSHOT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.warns(MachineWarning, match="This user has no home folder, so there is no cache"):
        assert files.cache_folder().is_dir()
    assert str(files.expand_user("~/models")) == "~/models"


def test_a_machine_without_room_for_temporary_files_says_so(monkeypatch):
    monkeypatch.setattr(tempfile, "mkdtemp", _refusing(errno.ENOENT))
    told = r"no folder for temporary files .* Set TMPDIR to one"
    with pytest.raises(WriteError, match=told), files.temporary_folder():
        pass


def test_without_a_cache_and_temporary_files_nothing_is_kept(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "cache"
    monkeypatch.setenv("PACKSHOT_CACHE", str(folder))
    files.stand_in_folder.cache_clear()
    monkeypatch.setattr(tempfile, "mkdtemp", _refusing(errno.EROFS))
    with pytest.warns(MachineWarning, match="What would be kept for later runs is not kept"):
        assert files.cache_folder() == folder
    consent.agree(tmp_path, ["a/b"])
    assert consent.agreed(tmp_path) == set()
