"""A catalogue on this machine against plain `packshot run`s, and the same one with faults.

    python -m benchmarks.catalog_run FOLDER [--products 24] [--workers 2] [--faults 30] [--alone 24]

The base is the bundled one with a recipe of few steps; products are parts of the examples' photos, in
three classes. Three parts, each once (what is in FOLDER stands, so it can be stopped and called again):
each product by a `packshot run` of its own, one after the other, on one core, as each worker has; the
catalogue, undisturbed; and the catalogue to an S3 server that fails one request in ten, while workers,
Ray's own process and the driver are killed at random, and the disk is full now and then. Drivers that
end are started again, as a service would. LoRA files are compared byte for byte. Plain runs take most of
the time: with `--alone N` only the first N products are made so.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import psutil
from packshot_pocket_model import FOLDER as POCKET
from tests.object_store import BUCKET, served

from packshot.catalog.engine import make_all
from packshot.catalog.store import Store
from packshot.catalog.table import Product
from packshot.settings import Subject, choices_of
from packshot.utils import files, hashing, in_place, reading, serialization

EXAMPLES = Path(__file__).parents[1] / "examples"
KINDS = (
    ("torvane_ridge", "car"),
    ("veldane_tide", "watch"),
    ("oddlark_crisps", "bag of crisps"),
)
RECIPE = "exposures = {1 = 8}\neffective_batch_size = 2\ncrops_per_photo = 1\nleast_exposures_share = 0.1\n"
SAMPLER = 'name = "DPM++ 2M SDE"\nsteps = 4\nguidance_scale = 4.0\n'
CHOICES: dict[str, Any] = {
    "class_count": 4, "images_per_prompt": 1, "segmenter": "none",
    "prompts": ("a photo of {subject}",),
}  # fmt: skip
FAULTS = ("worker", "worker", "raylet", "driver", "disk")
OUT = f"s3://{BUCKET}/catalogue"


def products_of(folder: Path, count: int) -> list[Product]:
    """The products, each with four of an example's photos; makes base and photos at the first call."""
    base = folder / "base"
    if not base.exists():
        shutil.copytree(POCKET, folder / "base.part")
        (folder / "base.part" / "recipe.toml").write_text(RECIPE)
        (folder / "base.part" / "sampler.toml").write_text(SAMPLER)
        (folder / "base.part").rename(base)
    made = []
    for number in range(count):
        example, noun = KINDS[number % len(KINDS)]
        pictures = sorted((EXAMPLES / example).glob("*.jpg"))
        photos = folder / "photos" / f"p{number:02}"
        photos.mkdir(parents=True, exist_ok=True)
        for index in range(4):
            picture = pictures[(number // len(KINDS) + 3 * index) % len(pictures)]
            shutil.copyfile(picture, photos / picture.name)
        subject = Subject(name=f"p{number:02}", trigger="ohwx", class_noun=noun)
        choices = choices_of(base=str(base), seed=number, **CHOICES)
        made.append(Product(id=subject.name, subject=subject, photos=str(photos), choices=choices))
    return made


def run_alone(folder: Path, product: Product) -> float:
    """`packshot run` for one product, with a cache of its own; its CPU seconds.

    On one core nothing takes less time than that, whatever else the machine does.
    """
    told = folder / "alone" / f"{product.id}.json"
    if not told.exists():
        prompts, project = folder / "prompts.txt", folder / "alone" / product.id
        prompts.write_text("\n".join(CHOICES["prompts"]))
        words = [
            product.photos, "--project", project, "--name", product.id, "--base", product.choices.base,
            "--class", product.subject.class_noun, "--seed", product.choices.seed, "--prompts-file", prompts,
            "--class-count", CHOICES["class_count"], "--images-per-prompt", CHOICES["images_per_prompt"],
            "--segmenter", CHOICES["segmenter"],
        ]  # fmt: skip
        for left in (project, folder / "alone" / "cache"):
            shutil.rmtree(left, ignore_errors=True)
        environment = os.environ | {"PACKSHOT_CACHE": str(folder / "alone" / "cache")}
        before = _childrens_seconds()
        subprocess.run(
            [sys.executable, "-m", "packshot", "run", *map(str, words)],
            env=environment, check=True, preexec_fn=_on_one_core, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        files.write_json(told, _childrens_seconds() - before)
    return float(json.loads(told.read_text()))


def _childrens_seconds() -> float:
    """CPU seconds of the processes that were started here and have ended, with theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _on_one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def prepare() -> None:
    """What each worker does first: count what it makes, and find the disk full while a file says so."""
    from packshot.class_images import from_base
    from packshot.models.families.stable_diffusion import UNetModel

    cache = Path(os.environ["PACKSHOT_CACHE"])
    cache.mkdir(parents=True, exist_ok=True)
    _told_of(UNetModel, "__init__", cache / "loads")
    _told_of(from_base, "_pictures", cache / "batches")
    write = files._write

    def full(path: Path, *given: Any) -> None:
        if (cache / "disk is full").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, *given)

    files._write = full  # type: ignore[assignment]


def _told_of(owner: Any, name: str, path: Path) -> None:
    """Append a line to a file for each call: the process, and what it is given as text."""
    real = getattr(owner, name)

    def told(*given: Any, **named: Any) -> Any:
        with path.open("a") as file:
            file.write(f"{os.getpid()} {[one for one in given if isinstance(one, str | range)]}\n")
        return real(*given, **named)

    setattr(owner, name, told)


def drive(folder: Path, out: str, count: int, workers: int) -> None:
    """One start of the catalogue, in a process of its own; outcomes and its memory go to a file."""
    log = Path(os.environ["PACKSHOT_CACHE"]).with_suffix(".jsonl")
    begun, me, failed = time.monotonic(), psutil.Process(), False
    for outcome in make_all(products_of(folder, count), out, workers=workers, prepare=prepare):
        facts = outcome.facts() | {"at": time.monotonic() - begun, "bytes": me.memory_info().rss}
        in_place.append_line(log, serialization.as_json(facts), durable=True)
        failed = failed or outcome.state == "failed"
    if failed:  # as `packshot catalog` ends, to be started again
        raise SystemExit(1)


def started(folder: Path, name: str, out: str, count: int, workers: int) -> subprocess.Popen[bytes]:
    """A driver, in a process group of its own."""
    environment = os.environ | {"PACKSHOT_CACHE": str(folder / name)}
    words = [folder, "--drive", out, "--products", count, "--workers", workers]
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.catalog_run", *map(str, words)],
        env=environment, start_new_session=True, stderr=(folder / f"{name}.log").open("ab"),
    )  # fmt: skip


def undisturbed(folder: Path, count: int, workers: int) -> float:
    """The catalogue in one go; its seconds, with the start of Ray."""
    told = folder / "undisturbed.json"
    if not told.exists():
        for left in ("cache", "cache.jsonl", "catalogue"):
            path = folder / left
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        begun = time.monotonic()
        driver = started(folder, "cache", str(folder / "catalogue"), count, workers)
        if driver.wait():
            raise SystemExit(
                f"The catalogue ended with {driver.returncode}; see {folder}/cache.log"
            )
        files.write_json(told, time.monotonic() - begun)
    return float(json.loads(told.read_text()))


def disturbed(folder: Path, count: int, workers: int, faults: int, pause: float) -> dict[str, Any]:
    """The catalogue to a failing store, with faults about `pause` seconds apart; what it took."""
    told = folder / "disturbed.json"
    if not told.exists():
        for left in (folder / "faults", folder / "published"):
            shutil.rmtree(left, ignore_errors=True)
        (folder / "faults.jsonl").unlink(missing_ok=True)
        (folder / "faults").mkdir()
        with served(os.environ.__setitem__, fails=0.1) as server:
            begun = time.monotonic()
            done, starts = _with_faults(folder, count, workers, faults, pause)
            facts = {"seconds": time.monotonic() - begun, "faults": done, "starts": starts}
            facts |= {"requests": server.asked, "refused": server.failed}
            server.calm()
            store = Store(OUT)
            for name in store.stamps("products"):
                store.download(name, folder / "published" / name)
        files.write_json(told, facts)
    found: dict[str, Any] = json.loads(told.read_text())
    return found


def _with_faults(
    folder: Path, count: int, workers: int, faults: int, pause: float
) -> tuple[list[str], int]:
    """Start drivers until one ends well; the faults that hit something, and the number of drivers."""
    draw, done, starts = random.Random(0), list[str](), 1
    kinds = draw.sample(FAULTS * faults, k=len(FAULTS) * faults)
    driver = started(folder, "faults", OUT, count, workers)
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            if driver.wait(pause * draw.uniform(0.3, 1.7)) == 0:
                return done, starts
            driver, starts = started(folder, "faults", OUT, count, workers), starts + 1
            continue
        if len(done) < faults:
            kind = kinds.pop()
            if _strike(kind, driver, folder / "faults" / "disk is full", draw):
                done.append(kind)


def _strike(kind: str, driver: subprocess.Popen[bytes], full: Path, draw: random.Random) -> bool:
    """One fault; False if there was nothing to hit."""
    if kind == "disk":
        full.touch()
        threading.Timer(3.0, full.unlink).start()
        return True
    hit = list(_processes(kind, driver))
    if hit:
        draw.choice(hit).send_signal(signal.SIGKILL)
    return bool(hit)


def _processes(kind: str, driver: subprocess.Popen[bytes]) -> Iterator[psutil.Process]:
    if kind == "driver":
        yield psutil.Process(driver.pid)
        return
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(driver.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                name = " ".join(process.cmdline())
                if ("ray::Worker" in name) if kind == "worker" else (process.name() == "raylet"):
                    yield process


def loras(root: Path) -> dict[str, str]:
    """Hashes of the LoRA files of a project."""
    return {file.name: hashing.sha256(file) for file in sorted(root.glob("lora/*.safetensors"))}


def log_rows(folder: Path, name: str) -> list[dict[str, Any]]:
    """What the drivers wrote."""
    return reading.read_json_lines(folder / f"{name}.jsonl")


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def same_loras(folder: Path, ids: list[str], first: str, second: str) -> str:
    """Of how many products the LoRA files are there and the same in two of the folder's parts."""
    same = sum(loras(folder / first / id) == loras(folder / second / id) != {} for id in ids)
    return f"{same} of {len(ids)}"


def report(
    folder: Path, count: int, workers: int, faults: int, plain: int, out: IO[str] = sys.stdout
) -> None:
    """Do what is not done yet, and print the tables."""
    products = products_of(folder, count)
    ids = [product.id for product in products]
    alone = [run_alone(folder, product) for product in products[:plain]]
    wall = undisturbed(folder, count, workers)
    rows = log_rows(folder, "cache")
    made = [row for row in rows if row["state"] == "done"]
    loads, batches = _lines(folder / "cache/loads"), _lines(folder / "cache/batches")
    ideal = sum(row["seconds"] for row in made) / workers
    memory = [row["bytes"] / 2**20 for row in rows]
    out.write(f"{count} products, {workers} workers of a core each\n\n")
    out.write(f"{len(alone)} plain runs, one after the other: {sum(alone):.0f} s of CPU\n")
    out.write(
        f"catalogue: {wall:.0f} s; ideal (makings / workers): {ideal:.0f} s, {wall / ideal:.2f}\n"
    )
    if alone:
        each = sum(alone) / len(alone) * count
        out.write(f"of {count} plain runs, by the mean of these: {wall / each:.2f}\n")
    out.write(
        f"base loaded {len(loads)} times by {len({line.split()[0] for line in loads})} workers\n"
    )
    kinds = {product.subject.class_noun for product in products}
    batch_count = len({line.split(" ", 1)[1] for line in batches})
    out.write(
        f"batches of class images of {len(kinds)} classes: {len(batches)}, {batch_count} unlike\n"
    )
    out.write(f"driver's memory: {memory[0]:.0f} MiB at first, {max(memory):.0f} at most\n")
    out.write(
        f"LoRA files as those of run: {same_loras(folder, ids[:plain], 'alone', 'catalogue/products')}\n"
    )
    if not faults:
        return
    facts = disturbed(folder, count, workers, faults, wall / max(4, faults / 2))
    ended = log_rows(folder, "faults")
    counts = {kind: facts["faults"].count(kind) for kind in sorted(set(FAULTS))}
    done = {row["id"] for row in ended if row["state"] == "done"}
    makings = [row["id"] for row in ended if row["state"] == "done" and not row["was_complete"]]
    out.write(f"\nwith {len(facts['faults'])} faults {counts}, {facts['starts']} drivers, ")
    out.write(
        f"{facts['refused']} of {facts['requests']} requests refused: {facts['seconds']:.0f} s\n"
    )
    out.write(f"done: {len(done)}, twice: {len(makings) - len(set(makings))}, ")
    out.write(f"set aside: {sum(row['state'] == 'failed' for row in ended)}\n")
    for name, first, of in (
        ("run", "alone", ids[:plain]),
        ("undisturbed", "catalogue/products", ids),
    ):
        out.write(
            f"LoRA files as those of {name}: {same_loras(folder, of, first, 'published/products')}\n"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--products", type=int, default=24)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--faults", type=int, default=30)
    parser.add_argument("--alone", type=int, help="plain runs; default: as many as products")
    parser.add_argument("--drive", help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.folder = given.folder.absolute()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.drive:
        drive(given.folder, given.drive, given.products, given.workers)
    else:
        plain = given.products if given.alone is None else given.alone
        report(given.folder, given.products, given.workers, given.faults, plain)


if __name__ == "__main__":
    main()
