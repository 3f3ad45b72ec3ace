"""Simulated GPUs: what is said of each, and which PyTorch is advised."""

import subprocess

import pytest
import torch

from packshot.doctor import device
from packshot.doctor.device import Driver, Gpu, TorchBuild, has_kernels, right_torch, unused_gpu

RTX_3060 = Driver("NVIDIA GeForce RTX 3060", "560.35", 12.6, 8.6)
CPU_ONLY = TorchBuild("2.13.0+cpu", None, None, False)
CU126 = ("sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90")
CUDA = TorchBuild("2.13.0+cu126", "12.6", None, True, CU126)
SEEN = Gpu("NVIDIA GeForce RTX 3060", (8, 6), 11e9, 12.5e9, True)


@pytest.fixture
def machine(monkeypatch):
    """Simulates a machine's driver, PyTorch and GPU; returns what is found by its name."""

    def simulate(driver, build, gpu=None):
        monkeypatch.setattr(device, "read_driver", lambda: driver)
        monkeypatch.setattr(device, "read_torch", lambda: build)
        monkeypatch.setattr(device, "read_gpu", lambda: gpu)
        monkeypatch.setattr(
            device, "computes", lambda gpu, driver: device.Finding("computing", "works")
        )
        monkeypatch.setattr("packshot.models.best_device", lambda: "cuda" if gpu else "cpu")
        fast = torch.bfloat16 if gpu and gpu.has_bf16 else torch.float32
        monkeypatch.setattr("packshot.models.best_dtype", lambda device: fast)
        return {finding.about: finding for finding in device.device_findings()}

    return simulate


def test_a_gpu_that_is_used(machine):
    found = machine(RTX_3060, CUDA, SEEN)
    assert {finding.mark for finding in found.values()} == {"ok"}
    assert "RTX 3060, compute capability 8.6, driver 560.35" in found["GPU"].text
    assert found["GPU memory"].text == "11.0 GB of 12.5 GB free"
    assert found["precision"].text == "bf16" and "CUDA 12.6" in found["PyTorch"].text


def test_no_gpu_at_all(machine):
    found = machine(None, CPU_ONLY)
    assert (
        found["GPU"].mark == "note" and "only the bundled base is practical" in found["GPU"].advice
    )
    assert found["precision"].mark == "ok"


def test_a_gpu_that_pytorch_is_not_built_for(machine):
    finding = machine(RTX_3060, CPU_ONLY)["GPU"]
    assert finding.mark == "problem" and "is built for the CPU: the GPU is not used" in finding.text
    assert finding.advice.endswith("--index-url https://download.pytorch.org/whl/cu126")


def test_a_driver_that_is_too_old():
    finding = unused_gpu(RTX_3060, TorchBuild("2.13.0+cu130", "13.0", None, False))
    assert "at most CUDA 12.6" in finding.text and "driver to 580" in finding.advice
    assert finding.advice.endswith("cu126")


def test_a_gpu_that_is_hidden(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    finding = unused_gpu(RTX_3060, TorchBuild("2.13.0+cu126", "12.6", None, False))
    assert finding.mark == "problem" and finding.advice == "unset CUDA_VISIBLE_DEVICES"


@pytest.mark.parametrize(
    ("cuda", "capability", "said"),
    [
        (13.0, 8.6, "cu130"), (12.4, 8.6, "cu126"), (13.0, 6.1, "cu126"), (13.0, 12.0, "cu130"),
        (12.8, 12.0, "Update NVIDIA's driver"), (11.4, 8.6, "Update NVIDIA's driver"),
    ],
)  # fmt: skip
def test_the_torch_for_a_driver_and_a_gpu(cuda, capability, said):
    assert said in right_torch(Driver("GPU", "1", cuda, capability))


@pytest.mark.parametrize(
    ("capability", "names", "runs"),
    [
        ((8, 6), CU126, True), ((8, 9), CU126, True), ((12, 0), CU126, False), ((6, 1), CU126, True),
        ((6, 1), ("sm_75", "sm_80"), False), ((12, 1), ("sm_90", "compute_120"), True),
        ((12, 0), ("sm_120a",), True), ((8, 6), (), True),
    ],
)  # fmt: skip
def test_which_kernels_run(capability, names, runs):
    assert has_kernels(capability, names) is runs


def test_a_gpu_without_kernels(machine):
    blackwell = Gpu("NVIDIA GeForce RTX 5090", (12, 0), 30e9, 32e9, True)
    finding = machine(Driver("RTX 5090", "580", 13.0, 12.0), CUDA, blackwell)["kernels"]
    assert finding.mark == "problem" and "no kernels for compute capability 12.0" in finding.text
    assert finding.advice.endswith("cu130")


def test_a_gpu_without_bf16_that_others_use_too(machine):
    found = machine(Driver("T4", "560", 12.6, 7.5, 2), CUDA, Gpu("T4", (7, 5), 3e9, 16e9, False))
    assert (
        found["precision"].mark == "note" and "2.x and SDXL, else fp32" in found["precision"].text
    )
    assert "fp16 is too narrow for the other families" in found["precision"].advice
    assert "nvidia-smi" in found["GPU memory"].advice and "2 are there" in found["more GPUs"].text


@pytest.mark.parametrize(
    ("name", "capability"), [("GeForce GTX 1660", (7, 5)), ("GeForce GTX 1080", (6, 1))]
)
def test_a_gpu_without_bf16_or_a_sound_fp16(machine, name, capability):
    found = machine(Driver(name, "560", 12.6, 7.5), CUDA, Gpu(name, capability, 6e9, 6e9, False))
    assert found["precision"].text == "fp32: this GPU has no fast bf16"
    assert "fp16 is no way out" in found["precision"].advice


def test_what_nvidia_smi_tells_is_read(monkeypatch):
    table = "| NVIDIA-SMI 560.35.03   Driver Version: 560.35.03   CUDA Version: 12.6 |"
    rows = "NVIDIA GeForce RTX 3060, 560.35.03, 8.6\nNVIDIA T4, 560.35.03, 7.5\n"
    monkeypatch.setattr(device.shutil, "which", lambda name: name)
    monkeypatch.setattr(device, "_output", lambda *words: rows if len(words) > 1 else table)
    read = Driver("NVIDIA GeForce RTX 3060", "560.35.03", 12.6, 8.6, 2)
    assert device.read_driver() == read


@pytest.mark.parametrize(
    "fault", [OSError("gone"), subprocess.TimeoutExpired("nvidia-smi", 30),
              subprocess.CalledProcessError(9, "nvidia-smi")],
)  # fmt: skip
def test_a_driver_that_does_not_answer_is_none(monkeypatch, fault):
    def fail(*words):
        raise fault

    monkeypatch.setattr(device.shutil, "which", lambda name: name)
    monkeypatch.setattr(device, "_output", fail)
    assert device.read_driver() is None


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (RuntimeError("CUDA error: no kernel image is available\nmore"), "no kernel image"),
        (torch.OutOfMemoryError("CUDA out of memory"), "no memory is free"),
    ],
)
def test_a_gpu_that_does_not_compute(monkeypatch, fault, said):
    def fail(*size, **where):
        raise fault

    monkeypatch.setattr(torch, "ones", fail)
    finding = device.computes(SEEN, RTX_3060)
    assert finding.mark == "problem" and said in finding.text and finding.advice
