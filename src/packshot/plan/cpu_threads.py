"""Choosing the number of CPU threads by measuring, and whether others want the cores, too.

On an idle machine all threads are fastest. If other programs compute, threads wait for each other
in each of a network's hundreds of layers, and fewer threads are many times faster.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import psutil
import torch

from packshot.decisions import Value

AVAILABLE = torch.get_num_threads()
"""PyTorch's initial number of threads: from the environment, else the processor's cores."""
GAIN = 1.25
"""Fewer threads must be faster by this factor: measurements vary, and the load may go."""
BUSY = 1.25
"""From so many running threads a core others compute, too: ours alone are no more than the cores."""


def choose_cpu_threads(work: Callable[[], object]) -> tuple[Value, str]:
    """The number of threads with which `work` is fastest, and the reason in words."""

    def seconds_with(threads: int) -> float:
        torch.set_num_threads(threads)
        work()
        times = []
        for _ in range(3):
            started = time.perf_counter()
            work()
            times.append(time.perf_counter() - started)
        return min(times)

    threads = fastest_thread_count(seconds_with, AVAILABLE)
    why = "all: fewer are not clearly faster"
    if threads < AVAILABLE:
        why = f"faster than all {AVAILABLE}: other programs compute, too"
    return threads, why


def fastest_thread_count(seconds_with: Callable[[int], float], most: int) -> int:
    """`most`, or half of it or 1 if that is clearly faster."""
    if most == 1:
        return 1
    seconds = {threads: seconds_with(threads) for threads in sorted({most, most // 2, 1})}
    best = min(seconds, key=lambda threads: seconds[threads])
    return best if seconds[best] * GAIN < seconds[most] else most


def load_if_busy() -> str:
    """The load average of the last minute, in words, if it says that other programs compute; else ""."""
    load, cores = psutil.getloadavg()[0], os.cpu_count() or 1  # both are those of the whole machine
    return f"load {load:.1f} on {cores} cores" if load >= BUSY * cores else ""
