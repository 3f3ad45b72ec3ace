"""A process is known by its mark, however the clock is set; no other is."""

import subprocess
import sys

import psutil
import pytest

from packshot.studio import process_marks
from packshot.studio.process_marks import mark_of, process_of


@pytest.fixture
def sleeper():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield psutil.Process(process.pid)
        process.kill()


@pytest.mark.skipif(not psutil.LINUX, reason="elsewhere a start's time is kept as it was")
@pytest.mark.parametrize("hours", [-5, 5])
def test_a_clock_that_is_set_changes_nothing(sleeper, monkeypatch, hours):
    mark, told = mark_of(sleeper), sleeper.create_time()
    booted = psutil.boot_time() + hours * 3600
    monkeypatch.setattr(psutil._psplatform, "boot_time", lambda: booted)  # as Linux tells it then
    assert psutil.Process(sleeper.pid).create_time() == pytest.approx(told + hours * 3600)
    assert process_of(mark) == sleeper


def test_another_process_of_its_id_is_not_it(sleeper, tmp_path, monkeypatch):
    mark = mark_of(sleeper)
    assert process_of(mark) == sleeper
    assert process_of(mark | {"started": mark["started"] - 60}) is None
    (tmp_path / "boot").write_text("of another start of the machine\n")
    monkeypatch.setattr(process_marks, "_BOOT", tmp_path / "boot")
    assert process_of(mark) is None


def test_one_that_has_ended_is_none(sleeper):
    mark = mark_of(sleeper)
    sleeper.kill()
    sleeper.wait()
    assert process_of(mark) is None


@pytest.mark.parametrize("mark", [{}, {"pid": 1}, {"pid": "x"}, {"pid": None, "started": []}])
def test_what_is_no_mark_is_nobodys(mark):
    assert process_of(mark) is None
