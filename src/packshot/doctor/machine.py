"""The machine: its system, cores, main memory and disk."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from packshot.doctor.report import Finding, gigabytes
from packshot.utils import caches

LITTLE_MEMORY, TOO_LITTLE_MEMORY = 4e9, 1.5e9
"""Bytes of free main memory: less than the first is enough for small bases only, less than the
second not for the libraries and the bundled base."""
LITTLE_DISK, TOO_LITTLE_DISK = 10e9, 1e9
"""The same of the disk: a base is downloaded; caches are written."""
_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def machine_findings() -> Iterator[Finding]:
    """System, cores, main memory, and the disks of both caches."""
    yield _system()
    yield _cpu()
    yield _main_memory()
    yield _disk("disk of caches", caches.cache_folder())
    from huggingface_hub import constants

    hub = _existing(Path(constants.HF_HUB_CACHE))
    if hub.stat().st_dev != _existing(caches.cache_folder()).stat().st_dev:
        yield _disk("disk of the hub", hub)


def _system() -> Finding:
    text = f"{platform.system()} {platform.release()}, {platform.machine()}"
    with suppress(OSError, KeyError, AttributeError):
        text = f"{platform.freedesktop_os_release()['PRETTY_NAME']} ({text})"
    if platform.system() == "Windows":
        return Finding("system", text, "note", "Packshot is tested on Linux: use WSL2.")
    return Finding("system", text)


def _cpu() -> Finding:
    count = cores()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    numbers = {"cores": float(count), "load": load}
    if load > 1.5 * count:
        text, advice = (
            f"{count} cores, load {load:.1f}",
            "Other programs compute, too: times are longer.",
        )
        return Finding("CPU", text, "note", advice, numbers)
    return Finding("CPU", f"{count} cores", numbers=numbers)


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_main_memory() -> tuple[float, float]:
    """Free and total bytes of main memory, within a container's limit."""
    import psutil

    memory = psutil.virtual_memory()
    free, total = float(memory.available), float(memory.total)
    for file in _CGROUPS:
        with suppress(OSError, ValueError):  # no container, or "max"
            limit = float(Path(file).read_text())
            if limit < total:
                free, total = min(free, limit - psutil.Process().memory_info().rss), limit
    return free, total


def _main_memory() -> Finding:
    free, total = free_main_memory()
    text = f"{gigabytes(free)} of {gigabytes(total)} free"
    numbers = {"free_bytes": free, "total_bytes": total}
    if free < TOO_LITTLE_MEMORY:
        return Finding(
            "main memory",
            text,
            "problem",
            "Close other programs, or give the container more.",
            numbers,
        )
    if free < LITTLE_MEMORY:
        advice = "Enough for the bundled base; other bases need their size in main memory."
        return Finding("main memory", text, "note", advice, numbers)
    return Finding("main memory", text, numbers=numbers)


def _disk(about: str, folder: Path) -> Finding:
    there = _existing(folder)
    free = float(shutil.disk_usage(there).free)
    text, numbers = f"{gigabytes(free)} free", {"free_bytes": free}
    variable = "HF_HOME" if "hub" in about else "PACKSHOT_CACHE"
    elsewhere = f"or move the cache: {variable}=FOLDER"
    if not os.access(there, os.W_OK):
        return Finding(
            about, f"{text}, but not yours to write", "problem", f"Mend its rights, {elsewhere}"
        )
    if free < TOO_LITTLE_DISK:
        return Finding(about, text, "problem", f"Free some space, {elsewhere}", numbers)
    if free < LITTLE_DISK:
        advice = f"SDXL takes 7 GB, FLUX.1 34 GB. Free some space, {elsewhere}"
        return Finding(about, text, "note", advice, numbers)
    return Finding(about, text, numbers=numbers)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(one for one in (folder, *folder.absolute().parents) if one.exists())
