import errno
import os

import pytest

from packshot.errors import DiskFullError, WriteError
from packshot.utils import in_place


def test_a_log_on_a_full_disk_says_so(tmp_path, monkeypatch):
    in_place.append_line(tmp_path / "log", "è", durable=True)
    assert (tmp_path / "log").read_text(encoding="utf-8") == "è\n"

    def full(number):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match=r"No room on the disk for .*log"):
        in_place.append_line(tmp_path / "log", "b", durable=True)
    with pytest.raises(WriteError, match="a folder where a file must"):
        in_place.append_line(tmp_path, "c")
