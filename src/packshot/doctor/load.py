"""How busy the machine is now: cores, main memory, disk, and NVIDIA's GPUs as their driver tells it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

from packshot.doctor.machine import cores, free_main_memory

_QUERY = "name,utilization.gpu,memory.used,memory.total,temperature.gpu"
_SECONDS = 3.0
_MOMENT = 0.2
"""Seconds over which it is looked how busy the cores are."""


@dataclass(frozen=True)
class GpuLoad:
    """One GPU: busy in percent, bytes of memory, degrees Celsius (None if it does not tell)."""

    name: str
    busy: float
    used_bytes: float
    total_bytes: float
    celsius: float | None


@dataclass(frozen=True)
class MachineLoad:
    """The machine: busy in percent, bytes of memory and of disk."""

    busy: float
    cores: int
    free_bytes: float
    total_bytes: float
    free_disk_bytes: float
    gpus: tuple[GpuLoad, ...]


def machine_load(folder: Path) -> MachineLoad:
    """The machine's state.

    Args:
        folder: on the disk that is asked about.
    """
    free, total = free_main_memory()
    disk = float(shutil.disk_usage(folder).free)
    return MachineLoad(psutil.cpu_percent(_MOMENT), cores(), free, total, disk, _gpus())


def _gpus() -> tuple[GpuLoad, ...]:
    """NVIDIA's GPUs, without loading PyTorch; none where there is no driver, or it does not answer."""
    if not (program := shutil.which("nvidia-smi")):
        return ()
    words = [program, f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(gpu for line in done.stdout.splitlines() if (gpu := _gpu(line)))


def _gpu(line: str) -> GpuLoad | None:
    cells = [cell.strip() for cell in line.split(",")]
    if len(cells) != 5:
        return None
    numbers = [_number(cell) for cell in cells[1:]]
    busy, used, total = (number or 0.0 for number in numbers[:3])
    return GpuLoad(cells[0], busy, used * 2**20, total * 2**20, numbers[3])


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:  # "[N/A]"
        return None
