"""How far a command is, for a program that shows it."""

import json

import pytest

from packshot.cli import progress_record as module
from packshot.cli.progress_record import progress_record


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "time", lambda: now[0])
    return now


@pytest.fixture
def told(monkeypatch, tmp_path):
    monkeypatch.setenv("PACKSHOT_PROGRESS_FILE", str(tmp_path / "progress.json"))
    return lambda: json.loads((tmp_path / "progress.json").read_text())


def test_the_first_the_last_and_those_between_at_intervals(clock, told):
    record = progress_record()
    record("masks", 1, 9)
    assert told() == {"what": "masks", "done": 1, "total": 9, "note": "", "since": 100.0}
    record("masks", 2, 9)
    assert told()["done"] == 1
    clock[0] += 2 * module.INTERVAL_SECONDS
    record("masks", 3, 9, "x")
    assert (told()["done"], told()["note"], told()["since"]) == (3, "x", 100.0)
    record("masks", 9, 9)
    assert told()["done"] == 9
    record("captions", 0, 4)
    assert (told()["what"], told()["since"]) == ("captions", clock[0])


def test_without_the_variable_nothing_is_written(monkeypatch, tmp_path):
    monkeypatch.delenv("PACKSHOT_PROGRESS_FILE", raising=False)
    monkeypatch.chdir(tmp_path)
    progress_record()("masks", 1, 1)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_stops_nothing(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PACKSHOT_PROGRESS_FILE", str(tmp_path / "file" / "progress.json"))
    progress_record()("masks", 1, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == ""
