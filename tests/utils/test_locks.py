import contextlib
import errno
import fcntl
import multiprocessing
import os
import tempfile

import portalocker
import pytest

from packshot.errors import ProjectError, WriteError
from packshot.utils import locks
from tests.utils.refusing import refusing


def test_a_holder_that_cannot_be_read_is_unknown(tmp_path):
    with (tmp_path / ".lock").open("w") as unreadable:
        assert locks._holder(unreadable) == "unknown"


def _hold(path, ready, done):
    with locks.lock(path):
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
    with pytest.raises(ProjectError, match=told), locks.lock(tmp_path / ".lock"):
        pass
    other.kill()
    other.join()
    with locks.lock(tmp_path / ".lock"):
        assert (tmp_path / ".lock").read_text() == str(os.getpid())


def _lock_at(path):
    with locks.lock(path):
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

    monkeypatch.setattr(portalocker.portalocker, "LOCKER", refusing(number, on_drive, fcntl.flock))
    with locks.lock(drive / ".lock"):
        told = f"{drive} is in use by another Packshot .process {os.getpid()}."
        with pytest.raises(ProjectError, match=told), locks.lock(drive / ".lock"):
            pass
    _lock_at(drive / ".lock")
    monkeypatch.setattr(portalocker.portalocker, "LOCKER", refusing(number))
    _lock_at(drive / ".lock")  # nothing can be locked anywhere


def test_a_file_where_a_folder_must_be_is_told(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(WriteError, match="b cannot be written: a file stands where a folder must"):
        _lock_at(tmp_path / "a" / "b")


def test_a_lock_is_awaited_until_its_holder_lets_go(tmp_path):
    holder, waited = contextlib.ExitStack(), []
    holder.enter_context(locks.lock(tmp_path / ".lock"))

    def waits():
        waited.append(1)
        if len(waited) == 3:
            holder.close()

    with locks.await_lock(tmp_path / ".lock", 0.001, waits), pytest.raises(ProjectError):
        _lock_at(tmp_path / ".lock")
    assert len(waited) == 3
