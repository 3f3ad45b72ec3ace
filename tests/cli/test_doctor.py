"""`packshot doctor`: what it prints and writes, and its exit codes."""

import json

import pytest
import torch

from packshot.doctor import DoctorReport, Finding, device, machine, trial


@pytest.fixture(autouse=True)
def calm(monkeypatch):
    """A machine with room, without a GPU."""
    monkeypatch.setattr(machine, "free_main_memory", lambda: (16e9, 32e9))
    monkeypatch.setattr(device, "read_driver", lambda: None)
    monkeypatch.setattr(
        device, "read_torch", lambda: device.TorchBuild("2.13.0+cpu", None, None, False)
    )
    monkeypatch.setattr("packshot.models.best_device", lambda: "cpu")
    monkeypatch.setattr("packshot.doctor.base.best_device", lambda: "cpu")


@pytest.mark.slow
def test_without_a_base_it_tells_of_the_machine(command):
    code, said = command("doctor")
    assert code == 0 and "ok torch" in said and "main memory" in said
    assert "Works, but slow: no GPU is used" in said


@pytest.mark.slow
def test_a_base_is_tried_and_the_report_is_written(command, tiny_sd1, tmp_path):
    file = tmp_path / "doctor.json"
    code, said = command("doctor", "--base", tiny_sd1, "--json", file)
    told = json.loads(file.read_text())
    assert code == 0 and told["ready"] and "Ready: tiny" in said
    assert {finding["part"] for finding in told["findings"]} >= {"packages", "base", "trial"}
    assert str(tmp_path) not in said + file.read_text()


def test_what_must_be_mended_is_exit_code_2_and_no_traceback(command, tmp_path):
    code, said = command("doctor", "--base", tmp_path / "none", "--json", tmp_path / "doctor.json")
    assert code == 2 and "Will not work: There is no checkpoint at none" in said
    assert (
        "Traceback" not in said and not json.loads((tmp_path / "doctor.json").read_text())["ready"]
    )


@pytest.mark.slow
def test_memory_that_ends_is_exit_code_2_and_no_traceback(command, tiny_sd1, monkeypatch):
    def fail(*given, **options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(trial, "load_base", fail)
    code, said = command("doctor", "--base", tiny_sd1)
    assert code == 2 and "loading: out of memory" in said and "Traceback" not in said


def test_commands_and_advice_stay_whole_in_the_text():
    order = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu126"
    finding = Finding("GPU", "is there " * 20, "problem", order)
    report = DoctorReport((finding,), "Works, but slow: " + order)
    lines = report.text().splitlines()
    assert lines[0] == "Packages" and lines[1].startswith("  problem  GPU")
    assert "https://download.pytorch.org/whl/cu126" in report.text() and not report.is_ready
    assert all(len(line) <= 100 for line in lines)
