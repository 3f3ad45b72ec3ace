"""`packshot run`, killed all over its path and started again in the same words: does it end the same?

    python -m tests.kills [--count 60]

On three sets of options the whole path is walked once undisturbed. Then it is killed (SIGKILL), half
of the times as it is about to give a file its name, all over the path, and half at a random moment,
each time in a new project with an empty cache, and started again. Compared are LoRA, captions, masks,
class images, shots and scores, byte for byte, and the number of runs. Timings are the machine's own,
but where the class images' number follows from one: there the undisturbed run's decisions are put in
place of the killed one's.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import walking
from tests.captioners import MAKERS, make_clip
from tests.families import make_tiny_sd1
from tests.lives import Lives, lives
from tests.projects import painted


@dataclass(frozen=True)
class Case:
    """A folder to walk in, with options; `by_the_clock`: a timing has a say in what is made."""

    name: str
    lives: Lives
    folder: Path
    options: Mapping[str, Any]
    by_the_clock: bool = False

    def start(self, write: int | None = None, kill_after: float | None = None) -> int:
        """One start of the command, killed at a write or after so many seconds; its exit code."""
        given = (str(self.folder), write, json.dumps(self.options), str(self.folder / "writes"))
        return self.lives.start(walking.life, *given, kill_after=kill_after)

    def cleared(self) -> None:
        """As before the first start."""
        for left in ("project", "cache"):
            shutil.rmtree(self.folder / left, ignore_errors=True)


def cases(lives: Lives, folder: Path) -> list[Case]:
    """Three sets of options, each with photos and a base of its own."""
    checkpoint = make_tiny_sd1(folder / "tiny")
    blip, clip = MAKERS["blip"](folder / "blip"), make_clip(folder / "clip")
    (folder / "cars").mkdir()
    for index in range(7):
        painted(100 + index, (272, 272)).save(folder / "cars" / f"{index}.png")
    options: dict[str, tuple[dict[str, Any], bool]] = {
        "class images by the base": ({}, False),
        "as many class images as there is time for, no masks": (
            {"class_count": None, "segmenter": "none", "time_budget": "90s", "images_per_prompt": 1},
            True,
        ),
        "other captioner, embedder, class images of a folder": (
            {
                "captioner": str(blip), "embedder": str(clip), "class_images": [str(folder / "cars")],
                "time_budget": None, "blur": ["license-plates"],
            },
            False,
        ),
    }  # fmt: skip
    made = []
    for number, (name, (chosen, by_the_clock)) in enumerate(options.items()):
        place = folder / str(number)
        place.mkdir()
        made.append(Case(name, lives, walking.make_case(place, checkpoint), chosen, by_the_clock))
    return made


def killed(case: Case, count: int) -> tuple[int, int, list[str]]:
    """How many lives were really cut short, how many writes the path has, and what went wrong."""
    case.cleared()
    begun = time.monotonic()
    assert case.start() == 0
    alone = time.monotonic() - begun
    undisturbed = walking.results(case.folder / "project")
    settled = (case.folder / "project" / "decisions.toml").read_bytes()
    writes = int((case.folder / "writes").read_text())
    draw, cut, wrong = random.Random(0), 0, []
    for number in range(count):
        case.cleared()
        if number % 2:
            code = case.start(kill_after=draw.uniform(0.1, 1.0) * alone)
        else:
            code = case.start(write=1 + number * writes // count)
        cut += code == -9
        decisions = case.folder / "project" / "decisions.toml"
        if case.by_the_clock and decisions.exists():
            decisions.write_bytes(settled)
        code = case.start()
        same = walking.results(case.folder / "project") == undisturbed
        runs = len(list((case.folder / "project" / "runs").iterdir()))
        comparable = not case.by_the_clock or decisions.read_bytes() == settled
        if code != 0 or runs != 1 or (comparable and not same):
            wrong.append(f"kill {number}: exit {code}, {runs} runs, same bytes: {same}")
    return cut, writes, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60)
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as folder, lives() as started:
        print("| options | writes | killed | went wrong |\n|---|---|---|---|")
        for case in cases(started, Path(folder)):
            cut, writes, wrong = killed(case, count // 3)
            print(f"| {case.name} | {writes} | {cut} of {count // 3} | {len(wrong)} |", flush=True)
            for one in wrong:
                print(one, flush=True)


if __name__ == "__main__":
    main()
