"""The whole report: of this machine, of a base, and of all that can go wrong with one."""

import getpass
import json
import os
import platform
import shutil
import sys
from pathlib import Path

import pytest
import torch

import packshot
from packshot.doctor import base as of_base
from packshot.doctor import device, examine, machine, trial
from packshot.plan import gpu_fit
from packshot.plan.memory_estimate import MemoryEstimate, MemoryOption

WAYS = (
    MemoryOption("full", False, 3 * 10**9, 10**9),
    MemoryOption("full", True, 2 * 10**9, 10**9),
    MemoryOption("nf4", True, 10**9, 10**9),
)


@pytest.fixture(autouse=True)
def computed(monkeypatch):
    """An idle machine, and what `test_memory_estimate.py` and `test_gpu_fit.py` tell of."""
    estimate = MemoryEstimate(WAYS, encoder_bytes=10**8, parameters=10**9, pixels=64)
    monkeypatch.setattr(of_base, "estimate_memory", lambda *given, **options: estimate)
    monkeypatch.setattr(gpu_fit, "_measured_speed", lambda *_: 1e12)
    monkeypatch.setattr(gpu_fit, "best_dtype", lambda *_: torch.float32)
    monkeypatch.setattr(of_base, "takes_half_files", lambda *_: False)
    monkeypatch.setattr(gpu_fit, "free_on", lambda device: 8 * 10**9)
    monkeypatch.setattr(machine, "free_main_memory", lambda: (16e9, 32e9))
    monkeypatch.setattr(device, "read_driver", lambda: None)
    monkeypatch.setattr(
        device, "read_torch", lambda: device.TorchBuild("2.13.0+cpu", None, None, False)
    )
    monkeypatch.setattr("packshot.models.best_device", lambda: "cpu")
    monkeypatch.setattr(of_base, "best_device", lambda: "cpu")
    monkeypatch.setattr(trial, "choose_cpu_threads", lambda work: (1, "in tests"))


@pytest.fixture
def loads(monkeypatch, tiny_base):
    """What is loaded is the tiny base, as the test has changed it."""
    monkeypatch.setattr(trial, "load_base", lambda *given, **options: tiny_base)
    return tiny_base


def of(report, about):
    return [finding for finding in report.findings if finding.about == about][-1]


def test_without_a_base_nothing_is_loaded(monkeypatch):
    monkeypatch.setattr(of_base, "choose", None)
    report = packshot.examine()
    assert report.is_ready and report.verdict.startswith("Works, but slow: no GPU is used")
    assert {finding.part for finding in report.findings} == {"packages", "machine", "device"}


@pytest.mark.slow
def test_a_base_is_tried(tiny_sd1):
    seen = []
    report = examine(str(tiny_sd1), lambda *told: seen.append(told[0]))
    assert report.is_ready and report.verdict.startswith("Ready: tiny; a run on 15 photos"), report
    step = of(report, "training step")
    assert {"seconds", "predicted_seconds", "peak_bytes", "predicted_bytes"} <= step.numbers.keys()
    assert step.numbers["gradient_norm"] > 0 and "finite" in step.text
    assert "finite, and not of one colour" in of(report, "picture").text
    assert "text_encoder" in of(report, "files").text and of(report, "decoding").mark == "ok"
    assert {"loading", "training step", "picture"} <= set(seen)


@pytest.mark.slow
def test_a_base_is_tried_in_fp16(tiny_sd1, monkeypatch):
    monkeypatch.setattr(gpu_fit, "best_dtype", lambda *_: torch.float16)
    report = examine(str(tiny_sd1))
    assert report.is_ready and of(report, "training step").numbers["gradient_norm"] > 0
    told = of(report, "computed in").text
    assert told == "fp16: this GPU has no fast bf16 (the VAE stays in fp32)"


@pytest.mark.slow
def test_what_a_trial_leaves_behind_is_nothing(loads, tiny_sd1):
    before = {name: weight.clone() for name, weight in loads.denoiser.state_dict().items()}
    threads = torch.get_num_threads()
    assert examine(str(tiny_sd1)).is_ready
    after = loads.denoiser.state_dict()
    assert before.keys() == after.keys() and torch.get_num_threads() == threads
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "about", "said"),
    [
        ("denoiser", "training step", "not finite"), ("denoiser", "picture", "not finite"),
        ("vae", "decoding", "not finite"), ("vae", "picture", "not finite"),
    ],
)  # fmt: skip
def test_values_that_are_not_finite_are_told(loads, tiny_sd1, network, about, said):
    broken = getattr(loads, network)
    (broken.conv_out if network == "denoiser" else broken.decoder.conv_out).bias.data.fill_(
        torch.nan
    )
    report = examine(str(tiny_sd1))
    assert of(report, about).mark == "problem" and said in of(report, about).text
    assert report.verdict.startswith("Will not work: tiny, because") and not report.is_ready
    json.dumps(report.as_json(), allow_nan=False)


@pytest.mark.slow
def test_a_picture_of_one_colour_is_told(loads, tiny_sd1):
    loads.vae.decoder.conv_out.weight.data.zero_()
    finding = of(examine(str(tiny_sd1)), "picture")
    assert finding.mark == "problem" and "all of one colour" in finding.text


@pytest.mark.parametrize(
    "fault",
    [
        MemoryError(), torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    ],
)  # fmt: skip
def test_memory_that_ends_is_a_line(monkeypatch, tiny_sd1, fault):
    def fail(*given, **options):
        raise fault

    monkeypatch.setattr(trial, "load_base", fail)
    report = examine(str(tiny_sd1))
    finding = of(report, "loading")
    assert (finding.mark, finding.text, finding.part) == ("problem", "out of memory", "trial")
    assert "3.0 GB were predicted. Close other programs" in finding.advice
    assert report.verdict.startswith("Will not work: tiny, because loading: out of memory")


@pytest.mark.slow
def test_memory_that_ends_in_training_is_a_line_and_says_what_takes_less(
    monkeypatch, loads, tiny_sd1
):
    def fail(*given):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(trial, "_steps", fail)
    monkeypatch.setattr(of_base, "best_device", lambda: "cuda")
    monkeypatch.setattr("packshot.plan.load_base.free_on", lambda device: 8 * 10**9)
    finding = of(examine(str(tiny_sd1)), "training step")
    assert finding.mark == "problem" and "--weight-storage nf4 with packshot run" in finding.advice


def test_an_unforeseen_error_is_a_line_that_says_where(monkeypatch, tiny_sd1):
    def fail(*given, **options):
        raise ZeroDivisionError(f"in {Path.home()}/secret")

    monkeypatch.setattr(trial, "load_base", fail)
    finding = of(examine(str(tiny_sd1)), "loading")
    assert "ZeroDivisionError: in secret, at trial.py:" in finding.text
    assert "report it" in finding.advice


@pytest.fixture
def pickle_file(tmp_path):
    file = tmp_path / "evil.safetensors"
    file.write_bytes(b"\x80\x04}q\x00.")
    return file


def test_a_pickle_is_a_line(pickle_file):
    report = examine(str(pickle_file))
    assert not report.is_ready and of(report, "base").text.startswith(
        "evil.safetensors is a pickle"
    )
    assert report.verdict.startswith("Will not work: evil.safetensors is a pickle")


def test_a_base_that_is_not_there_is_a_line(tmp_path):
    report = examine(str(tmp_path / "none.safetensors"))
    assert "There is no checkpoint at none.safetensors" in of(report, "base").text
    assert "Will not work: There is no checkpoint at none.safetensors" in report.verdict


@pytest.mark.parametrize(
    ("gigabytes", "chosen", "verdict"),
    [(5, "full: 3.0 GB", "Ready: sdxl"), (1.5, "nf4, checkpointing: 1.0 GB", "Ready: sdxl"),
     (0.5, "none fits; nf4", "Will not work: sdxl, because chosen: none fits")],
)  # fmt: skip
def test_of_a_familys_name_the_needs_are_told(monkeypatch, gigabytes, chosen, verdict):
    monkeypatch.setattr(of_base, "best_device", lambda: "cuda")
    monkeypatch.setattr(gpu_fit, "free_on", lambda device: gigabytes * 1e9)
    monkeypatch.setattr(trial, "load_base", None)
    report = examine("sdxl")
    assert of(report, "chosen").text.startswith(chosen)
    assert report.verdict.startswith(verdict)
    assert "files" not in {finding.about for finding in report.findings}


def test_a_run_of_days_is_called_slow(monkeypatch):
    monkeypatch.setattr(gpu_fit, "_measured_speed", lambda *_: 1e7)
    report = examine("sdxl")
    assert report.is_ready and report.verdict.startswith(
        "Works, but slow: sdxl; a run on 15 photos"
    )
    assert report.verdict.endswith("Take a GPU or a smaller base.")


def test_int8_without_its_package_is_a_problem(monkeypatch):
    monkeypatch.setattr(of_base, "best_device", lambda: "cuda")
    monkeypatch.setattr(gpu_fit, "free_on", lambda device: 1.5e9)
    monkeypatch.setattr(of_base, "find_spec", lambda name: None)
    assert of(examine("sdxl"), "storage").advice == "pip install 'packshot[quantised]'"


def test_a_gpu_that_is_not_used_is_a_problem_but_the_base_works(monkeypatch):
    driver = device.Driver("NVIDIA GeForce RTX 3060", "560", 12.6, 8.6)
    monkeypatch.setattr(device, "read_driver", lambda: driver)
    report = examine("sdxl")
    assert not report.is_ready
    assert report.verdict.startswith("Works, but slow: GPU: NVIDIA GeForce RTX 3060")
    assert "pip install --force-reinstall torch" in report.verdict


def test_libraries_that_cannot_be_imported_are_a_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    report = examine("sdxl")
    assert not report.is_ready and of(report, "libraries").mark == "problem"
    assert report.verdict.startswith("Will not work: sdxl, because libraries: ")


@pytest.mark.slow
def test_nobody_is_named(monkeypatch, tmp_path, tiny_sd1, pickle_file):
    home = tmp_path / "home" / "Anna Rossi"
    shutil.copytree(tiny_sd1, home / "bases" / "mine")
    shutil.copy(pickle_file, home / "evil.safetensors")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PACKSHOT_CACHE", str(home / "cache"))
    monkeypatch.setattr(getpass, "getuser", lambda: "annarossi")
    monkeypatch.setattr(platform, "node", lambda: "annas-laptop")
    monkeypatch.chdir(home)
    bases = [None, "sdxl", "bases/mine", str(home / "bases" / "mine"), "evil.safetensors",
             str(home / "evil.safetensors"), str(home / "none"), "none/at/all", str(home), "."]  # fmt: skip
    for base in bases:
        report = examine(base)
        said = (report.text() + json.dumps(report.as_json())).lower()
        assert not any(
            name in said for name in ("anna", "rossi", str(tmp_path), os.getcwd().lower())
        )


@pytest.mark.slow
def test_the_bundled_base_is_ready(monkeypatch):
    pytest.importorskip("packshot_pocket_model")
    report = examine("pocket")
    assert report.is_ready and of(report, "base").text == "pocket", report.text()
    assert of(report, "picture").mark == of(report, "training step").mark == "ok"
