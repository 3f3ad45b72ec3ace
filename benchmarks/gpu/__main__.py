"""What Packshot takes on this machine's GPU, on bases of the published sizes with random weights.

    python -m benchmarks.gpu [--size full|small] [--seconds 480] [--out FOLDER]

Training steps beside a plain loop of diffusers and peft, what a step consists of, memory predicted
and measured, resuming, pictures, other ways of storing the base, and the whole path once. Nothing is
downloaded. Results are written after each part, as JSON and as a table of it; what is done is not
done again, so a run that was interrupted goes on. With `--size small` the networks are tiny ones.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, get_args

import torch

from benchmarks.gpu import pictures, training
from benchmarks.gpu.bench import SEED, Bench
from benchmarks.gpu.random_base import FAMILIES, Size
from benchmarks.gpu.table import as_markdown
from packshot.models.device_memory import device_name
from packshot.utils import files, reading

LEAST_SECONDS = 5
"""With less time left no part is begun."""
_PACKAGES = ("packshot", "torch", "diffusers", "transformers", "peft", "accelerate", "bitsandbytes")


class _TimeIsUp(BaseException):
    """A part has taken all of its time; no `except Exception` on the way stops it."""


@dataclass(frozen=True)
class Part:
    """A part of the benchmark, and the weight of its share of the time."""

    name: str
    weight: float
    measure: Callable[[Bench], dict[str, Any]]


def parts() -> list[Part]:
    """All parts in order: of one base together, as it is built once for them; the surest first."""
    named: list[Part] = []

    def add(name: str, weight: float, work: Callable[..., dict[str, Any]], *given: Any) -> None:
        named.append(Part(name, weight, lambda bench: work(bench, *given)))

    for family, weight in zip(FAMILIES, (1.0, 1.5, 2.5), strict=True):
        add(f"{family} steps", 2 * weight, training.steps, family, False)
        add(f"{family} steps, checkpointing", 2 * weight, training.steps, family, True)
        add(f"{family} shares", weight, training.shares, family)
        add(f"{family} memory", 1.5 * weight, training.memory, family)
        add(f"{family} pictures", weight, pictures.pictures, family)
        if family == "sd1":
            add("sd1 resume", 2, training.resume, family)
            add("sd1 whole path", 4, pictures.whole_path, family)
    for family, weight in (("sdxl", 1.0), ("flux1", 2.0)):
        for storage in ("int8", "nf4", "offload"):
            add(f"{family} {storage}", weight, training.ways, family, storage)
    return named


def run(bench: Bench, seconds: float, results: Path, only: str = "") -> dict[str, Any]:
    """Do the parts that are not done, each within its share of what is left of the time.

    Time that a part does not need is left to the others.
    """
    told = _told(bench, results)
    ends = time.monotonic() + seconds
    wanted = [
        part
        for part in parts()
        if only in part.name and told["parts"].get(part.name, {}).get("status") != "done"
    ]
    for number, part in enumerate(wanted):
        left = ends - time.monotonic()
        share = part.weight / sum(other.weight for other in wanted[number:])
        bench.ends = time.monotonic() + left * share
        limit = min(left, max(2 * left * share, LEAST_SECONDS))
        if left < LEAST_SECONDS:
            told["parts"][part.name] = {"status": "skipped", "note": "no time was left"}
        else:
            told["parts"][part.name] = _measured(bench, part, limit)
        print(f"{part.name}: {told['parts'][part.name]['status']}", file=sys.stderr, flush=True)
        _write(told, results)
    return told


def _measured(bench: Bench, part: Part, limit: float) -> dict[str, Any]:
    """A part's result, or why there is none."""
    started = time.monotonic()
    try:
        with _within(limit):
            found = {"status": "done", "result": part.measure(bench)}
    except _TimeIsUp:
        found = {"status": "skipped", "note": f"not done after {limit:.0f} s"}
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        told = f"{type(error).__name__}: {error}"[:500]
        place = f"{Path(where.filename).name}:{where.lineno}"
        found = {"status": "failed", "note": _without_paths(told, bench), "where": place}
    if found["status"] != "done":
        bench.drop()
    return found | {"seconds": time.monotonic() - started}


@contextlib.contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise in the block when its time is up, between two operations."""
    if not hasattr(signal, "setitimer"):  # Windows
        yield
        return

    def interrupt(*_: object) -> None:
        raise _TimeIsUp

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _without_paths(text: str, bench: Bench) -> str:
    """A message without the names of folders outside the project."""
    for folder in (bench.work, Path(__file__).parents[2], Path(sys.prefix), Path.home()):
        text = text.replace(str(folder), "…")
    return text


def _told(bench: Bench, results: Path) -> dict[str, Any]:
    """The results so far, or none yet."""
    made = {
        "size": bench.size,
        "device": device_name(bench.device),
        "dtype": str(bench.dtype).removeprefix("torch."),
        "pixels": bench.pixels,
        "seed": SEED,
        "device_bytes": _device_bytes(bench.device),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "cpu_cores": os.cpu_count(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.version.cuda else None,
        "versions": {name: _version(name) for name in _PACKAGES},
    }
    before = reading.read_json(results) or {"made": made, "parts": {}}
    if before["made"] != made:
        raise SystemExit(
            f"{results} was measured elsewhere, or with other versions: name another --out."
        )
    return dict(before)


def _device_bytes(device: torch.device) -> int | None:
    if device.type != "cuda":
        return None
    return int(torch.cuda.get_device_properties(device).total_memory)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _write(told: dict[str, Any], results: Path) -> None:
    files.write_json(results, told)
    files.write_text(results.with_suffix(".md"), as_markdown(told))


@contextlib.contextmanager
def _own_cache(folder: Path) -> Iterator[None]:
    """Keep the user's cache out of it: what is measured is done, not read."""
    before = os.environ.get("PACKSHOT_CACHE")
    os.environ["PACKSHOT_CACHE"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("PACKSHOT_CACHE")
        if before is not None:
            os.environ["PACKSHOT_CACHE"] = before


def _import_libraries() -> None:
    """What parts would import: no part's time goes there, and none is interrupted half-way in it."""
    import peft  # noqa: F401
    from diffusers import (  # noqa: F401
        AutoencoderKL,
        FluxPipeline,
        StableDiffusionPipeline,
        StableDiffusionXLPipeline,
    )


def main(given: list[str] | None = None) -> None:
    """Measure, and write gpu-SIZE.json and gpu-SIZE.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--size", choices=get_args(Size), default="full")
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--only", default="", help=argparse.SUPPRESS)  # parts with this in the name
    parser.add_argument("--pixels", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(given)
    results, ends = options.out / f"gpu-{options.size}.json", time.monotonic() + options.seconds
    _import_libraries()
    with tempfile.TemporaryDirectory() as name, _own_cache(Path(name) / "cache"):
        bench = Bench(options.size, Path(name), options.pixels)
        if options.size == "small":
            torch.set_num_threads(1)  # more only wait for each other
        told = run(bench, ends - time.monotonic(), results, options.only)
        bench.drop()
    print(as_markdown(told))


if __name__ == "__main__":
    main()
