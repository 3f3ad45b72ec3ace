"""The GPU: what its driver tells, what PyTorch tells, and whether both fit together."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packshot.doctor.report import Finding, gigabytes

_WSL = "/usr/lib/wsl/lib/nvidia-smi"
_WHEELS = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/"
_LOCALLY = "https://pytorch.org/get-started/locally/"
_DRIVER = "Update NVIDIA's driver to 580 or newer"


@dataclass(frozen=True)
class Driver:
    """What nvidia-smi tells of the first GPU."""

    name: str
    version: str
    cuda: float
    """The newest CUDA that it runs; 0 if it was not told."""
    capability: float
    gpus: int = 1


@dataclass(frozen=True)
class TorchBuild:
    """What this PyTorch was built for, and what it sees."""

    version: str
    cuda: str | None
    """The version of CUDA in it."""
    hip: str | None
    """The version of ROCm in it."""
    sees_gpu: bool
    architectures: tuple[str, ...] = ()
    """As "sm_86"; empty where it sees no GPU."""

    @property
    def target(self) -> str:
        """What it was built for, in words."""
        return f"CUDA {self.cuda}" if self.cuda else f"ROCm {self.hip}" if self.hip else "the CPU"


@dataclass(frozen=True)
class Gpu:
    """The GPU that PyTorch computes on."""

    name: str
    capability: tuple[int, int]
    free: float
    total: float
    has_bf16: bool


def read_driver() -> Driver | None:
    """What nvidia-smi tells; None where there is none, or it fails."""
    program = shutil.which("nvidia-smi") or (_WSL if Path(_WSL).is_file() else None)
    if program is None:
        return None
    try:
        fields = "--query-gpu=name,driver_version,compute_cap"
        rows = _output(program, fields, "--format=csv,noheader").strip().splitlines()
        name, version, capability = (part.strip() for part in rows[0].split(","))
        told = re.search(r"CUDA[\w ]*Version *: *(\d+\.\d+)", _output(program))
        return Driver(name, version, float(told[1]) if told else 0.0, float(capability), len(rows))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout


def read_torch() -> TorchBuild:
    """What this PyTorch is."""
    import torch

    seen = torch.cuda.is_available()
    architectures = tuple(torch.cuda.get_arch_list()) if seen else ()
    return TorchBuild(torch.__version__, torch.version.cuda, torch.version.hip, seen, architectures)


def read_gpu() -> Gpu:
    """The GPU that PyTorch sees first."""
    import torch

    free, total = torch.cuda.mem_get_info()
    return Gpu(
        torch.cuda.get_device_name(), torch.cuda.get_device_capability(), float(free), float(total),
        torch.cuda.is_bf16_supported(including_emulation=False),
    )  # fmt: skip


def device_findings() -> Iterator[Finding]:
    """The GPU with its memory, whether PyTorch uses it, and the precision that is chosen."""
    from packshot.models import best_device, best_dtype

    driver, build, gpu = read_driver(), read_torch(), None
    yield Finding("PyTorch", f"built for {build.target}")
    if not build.sees_gpu:
        yield unused_gpu(driver, build) if driver else _no_gpu(best_device())
    else:
        gpu = read_gpu()
        yield from gpu_findings(gpu, driver, build)
        yield computes(gpu, driver)
    yield _precision(best_device(), best_dtype, gpu)


def unused_gpu(driver: Driver, build: TorchBuild) -> Finding:
    """Why PyTorch does not use a GPU that the driver shows, and what to do."""
    there = f"{driver.name} (driver {driver.version}) is there, but PyTorch"
    if build.cuda is None:
        text = f"{there} {build.version} is built for {build.target}: the GPU is not used"
        return Finding("GPU", text, "problem", right_torch(driver))
    if (hidden := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        text = f"{there} may not see it: CUDA_VISIBLE_DEVICES is '{hidden}'"
        return Finding("GPU", text, "problem", "unset CUDA_VISIBLE_DEVICES")
    if driver.cuda and driver.cuda < int(float(build.cuda)):
        text = f"{there} is built for CUDA {build.cuda}, and the driver runs at most CUDA {driver.cuda}"
        return Finding("GPU", text, "problem", f"{_DRIVER}, or: {right_torch(driver)}")
    text = f"{there} (CUDA {build.cuda}) cannot use it"
    advice = f"Restart the machine, which a new driver needs; else install torch anew: {right_torch(driver)}"
    return Finding("GPU", text, "problem", advice)


def right_torch(driver: Driver) -> str:
    """The command that installs the PyTorch for a driver and its GPU.

    PyTorch's builds of 2.12 to 2.14: CUDA 12.6 for compute capability 5.0 to 9.0, CUDA 13.0 from 7.5 on.
    """
    if driver.capability and driver.capability < 7.5:
        return f"{_WHEELS}cu126"
    if driver.cuda >= 13 or not driver.cuda:
        return f"{_WHEELS}cu130"
    if driver.capability > 9.0 or driver.cuda < 12:
        return f"{_DRIVER}, then: {_WHEELS}cu130"
    return f"{_WHEELS}cu126"


def _no_gpu(device: str) -> Finding:
    if device == "mps":
        advice = "No test has run on one; automatic weight storage is for NVIDIA GPUs only."
        return Finding("GPU", "Apple's GPU, by MPS", "note", advice)
    if Path("/dev/kfd").exists():
        advice = f"Install its build of PyTorch: {_LOCALLY}. No test has run on one."
        return Finding("GPU", "one of AMD's is there, but PyTorch does not use it", "note", advice)
    advice = "Without one only the bundled base is practical: the others take days."
    return Finding("GPU", "none found; the CPU is used", "note", advice)


def gpu_findings(gpu: Gpu, driver: Driver | None, build: TorchBuild) -> Iterator[Finding]:
    """The GPU with its memory, and whether this PyTorch has kernels for it."""
    capability = ".".join(map(str, gpu.capability))
    known = f", driver {driver.version}" if driver else ""
    yield Finding("GPU", f"{gpu.name}, compute capability {capability}{known}")
    if build.hip:
        yield Finding("ROCm", f"{build.hip}", "note", "No test has run on AMD's GPUs.")
    elif not has_kernels(gpu.capability, build.architectures):
        text = f"PyTorch {build.version} has no kernels for compute capability {capability}"
        made = driver or Driver(gpu.name, "", 0.0, float(capability))
        yield Finding("kernels", text, "problem", right_torch(made))
    if driver and driver.gpus > 1:
        yield Finding(
            "more GPUs",
            f"{driver.gpus} are there; one is used",
            "note",
            "CUDA_VISIBLE_DEVICES=N chooses.",
        )
    yield _gpu_memory(gpu)


def _gpu_memory(gpu: Gpu) -> Finding:
    text = f"{gigabytes(gpu.free)} of {gigabytes(gpu.total)} free"
    numbers = {"free_bytes": gpu.free, "total_bytes": gpu.total}
    if gpu.free < 0.7 * gpu.total:
        advice = "Other programs hold the rest: nvidia-smi names them; close what you do not need."
        return Finding("GPU memory", text, "note", advice, numbers)
    return Finding("GPU memory", text, numbers=numbers)


def has_kernels(capability: tuple[int, int], architectures: tuple[str, ...]) -> bool:
    """Whether code for one of the architectures runs on this compute capability.

    Machine code (sm) runs on later minor versions too, intermediate code (compute) on all later ones.
    """
    for name in architectures:
        if told := re.fullmatch(r"(sm|compute)_(\d+)(\d)[a-z]?", name):
            made = (int(told[2]), int(told[3]))
            if made <= capability and (told[1] == "compute" or made[0] == capability[0]):
                return True
    return not architectures


def computes(gpu: Gpu, driver: Driver | None) -> Finding:
    """Whether a product of two matrices on the GPU is right."""
    import torch

    try:
        ones = torch.ones(256, 256, device="cuda", dtype=torch.bfloat16 if gpu.has_bf16 else None)
        is_right = float((ones @ ones).float().mean()) == 256
        said = "a product of matrices is wrong"
    except torch.OutOfMemoryError:
        return Finding(
            "computing",
            "no memory is free on the GPU",
            "problem",
            "Close other programs: nvidia-smi",
        )
    except RuntimeError as error:
        is_right, said = False, str(error).strip().splitlines()[0]
    if is_right:
        return Finding("computing", "works on the GPU")
    made = driver or Driver(gpu.name, "", 0.0, float(".".join(map(str, gpu.capability))))
    return Finding("computing", said, "problem", right_torch(made))


def _precision(device: str, best_dtype, gpu: Gpu | None) -> Finding:  # type: ignore[no-untyped-def]
    import torch

    from packshot.models import registry
    from packshot.models.precision import computes_in_fp16

    dtype = best_dtype(torch.device(device))
    if dtype == torch.bfloat16:
        return Finding("precision", "bf16")
    if device == "cpu":
        return Finding("precision", "fp32: this CPU has no fast bf16")
    if gpu and computes_in_fp16(gpu.name, gpu.capability):
        text = f"fp16 for {registry.titles('unet')}, else fp32: this GPU has no fast bf16"
        advice = "fp16 is too narrow for the other families, which need twice the memory in fp32."
        return Finding("precision", text, "note", advice)
    advice = "Bases need twice the memory. fp16 is no way out: it is slow or wrong on this GPU."
    return Finding("precision", "fp32: this GPU has no fast bf16", "note", advice)
