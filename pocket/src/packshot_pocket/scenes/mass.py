"""Mass rendering: worker processes of one thread each, with progress on stderr."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from packshot.utils import locks
from packshot_pocket.scenes import spec


@dataclass(frozen=True)
class Batch:
    """Which scenes to render, where to and how."""

    out: Path
    collection: str  # one of spec.COLLECTIONS
    start: int
    count: int
    seed: int
    pixels: int
    samples: int
    truth: bool = False  # see render.Quality

    def is_complete(self, index: int) -> bool:
        """Whether a scene's list and its last mask have been written."""
        last = f"{index:06d}-{spec.CAMERAS_PER_SCENE - 1}-mask.png"
        return (self.out / f"{index:06d}.json").exists() and (self.out / last).exists()

    def waiting(self) -> list[int]:
        """Indices of scenes that are not complete yet."""
        wanted = range(self.start, self.start + self.count)
        return [index for index in wanted if not self.is_complete(index)]


def _work(batch: Batch, indices: list[int]) -> None:
    """One process: render its scenes one after the other."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Blender reports each picture on stdout
    from packshot_pocket.scenes import render

    quality = render.Quality(batch.pixels, batch.samples, truth=batch.truth)
    draw, parent = spec.COLLECTIONS[batch.collection], multiprocessing.parent_process()
    try:
        for index in indices:
            if parent is not None and not parent.is_alive():
                break  # it was killed, and perhaps begun again
            render.render_scene(index, draw(index, batch.seed), batch.out, quality)
    except KeyboardInterrupt:
        pass


def _progress(batch: Batch, waiting: list[int], workers: Sequence[BaseProcess]) -> None:
    """Say on stderr how far it is, until the workers are done."""
    begun, total = time.monotonic(), len(waiting)
    left = set(waiting)
    while any(worker.is_alive() for worker in workers):
        time.sleep(5)
        left = {index for index in left if not batch.is_complete(index)}
        done, seconds = total - len(left), time.monotonic() - begun
        if done:
            pictures = done * spec.CAMERAS_PER_SCENE / seconds
            minutes = len(left) * seconds / done / 60
            print(
                f"\r{done}/{total} scenes, {pictures:.2f} images/s, {minutes:.0f} min left   ",
                end="",
                file=sys.stderr,
                flush=True,
            )
    print(file=sys.stderr)


def render_batch(batch: Batch, processes: int) -> int:
    """Render what is missing of a batch; the exit code, 130 after Ctrl-C.

    Raises:
        ProjectError: another process renders to the same folder.
    """
    with locks.lock(batch.out / ".lock"):
        return _render(batch, processes)


def _render(batch: Batch, processes: int) -> int:
    waiting = batch.waiting()
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_work, args=(batch, waiting[k::processes])) for k in range(processes)
    ]
    for worker in workers:
        worker.start()
    try:
        _progress(batch, waiting, workers)
    except KeyboardInterrupt:
        print("\nstopped; the same command resumes from here", file=sys.stderr)
        for worker in workers:
            worker.terminate()
        return 130
    return max(abs(worker.exitcode or 0) for worker in workers)
