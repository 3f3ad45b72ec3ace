"""Memory and disk: what is enough, little, or too little."""

from types import SimpleNamespace

import pytest

from packshot.doctor import machine
from packshot.doctor.machine import machine_findings


def found(about):
    return next(finding for finding in machine_findings() if finding.about == about)


@pytest.mark.parametrize(("free", "mark"), [(16e9, "ok"), (3e9, "note"), (1e9, "problem")])
def test_main_memory(monkeypatch, free, mark):
    monkeypatch.setattr(machine, "free_main_memory", lambda: (free, 32e9))
    finding = found("main memory")
    assert finding.mark == mark and bool(finding.advice) == (mark != "ok")
    assert finding.numbers == {"free_bytes": free, "total_bytes": 32e9}


@pytest.mark.parametrize(("free", "mark"), [(90e9, "ok"), (5e9, "note"), (1e8, "problem")])
def test_the_disk_of_caches(monkeypatch, tmp_path, free, mark):
    monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path / "not" / "yet"))
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    finding = found("disk of caches")
    assert finding.mark == mark and str(tmp_path) not in finding.text + finding.advice


def test_a_cache_that_is_not_yours(monkeypatch):
    monkeypatch.setattr(machine.os, "access", lambda path, right: False)
    assert "PACKSHOT_CACHE=FOLDER" in found("disk of caches").advice


def test_a_containers_limit_counts(monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text("5000000000\n")
    monkeypatch.setattr(machine, "_CGROUPS", (str(tmp_path / "memory.max"), "/nowhere"))
    free, total = machine.free_main_memory()
    assert total == 5e9 and free < 5e9
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.free_main_memory()[1] != 5e9


def test_a_busy_machine_is_told(monkeypatch):
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (1000.0, 0, 0))
    assert found("CPU").mark == "note" and "load 1000.0" in found("CPU").text
