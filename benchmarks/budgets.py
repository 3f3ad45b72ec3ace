"""Ten budgets, from the least to the whole recipe: how long `packshot run` takes of each.

    python -m benchmarks.budgets PHOTOS --class suv [--exposures 60]

On the bundled base, each in a new project with an empty cache of its own; the first is so small that
it is refused, and the least that the error names is the next one. With `--exposures` the recipe is
shortened to so many per photo, to measure in minutes. Loading is not counted, as in a budget.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import tempfile
from pathlib import Path

import tomlkit

from packshot.errors import TimeBudgetError
from packshot.models import checkpoint_path
from packshot.settings import choices_of
from packshot.utils import files, reading
from packshot.workflow import end_to_end
from packshot.workflow.observer import RunObserver


class _Hearing(RunObserver):
    """Keeps what is said of time."""

    steps = 0
    took = ""

    def say(self, text: str) -> None:
        if text.startswith("took "):
            self.took = text

    def plan(self, plan: object) -> None:
        self.steps = plan.steps  # type: ignore[attr-defined]


def shortened(folder: Path, exposures: int) -> Path:
    """A copy of the bundled base whose recipe shows each photo so many times."""
    base = folder / "base"
    shutil.copytree(checkpoint_path("pocket"), base)
    recipe = reading.read_toml(base / "recipe.toml")
    recipe["exposures"] = {"1": exposures, "100": 100 * exposures}
    files.write_text(base / "recipe.toml", tomlkit.dumps(recipe))
    return base


def walk(photos: Path, noun: str, base: Path | str, folder: Path, budget: str) -> _Hearing:
    """One run within a budget, in a project and with a cache of its own."""
    heard = _Hearing()
    os.environ["PACKSHOT_CACHE"] = str(folder / "cache")
    choices = choices_of(base=str(base), time_budget=budget, images_per_prompt=1)
    end_to_end.run(
        photos, root=folder / "project", class_noun=noun, choices=choices, observer=heard
    )
    return heard


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--class", dest="noun", required=True)
    parser.add_argument("--exposures", type=int)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = shortened(folder, given.exposures) if given.exposures else "pocket"
        try:
            walk(given.photos, given.noun, base, folder / "least", "1s")
        except TimeBudgetError as error:
            told = str(error)
        least = int(re.search(r"Give (\d+)s", told)[1])  # type: ignore[index]
        minutes, seconds = re.findall(r"about (?:(\d+) min )?(\d+) s\)", told)[0]
        whole = 60 * int(minutes or 0) + int(seconds)
        print(f"the least that is named: {least} s; the whole recipe: about {whole} s")
        print("| budget | steps | took |\n|---|---|---|")
        for number in range(10):
            budget = round(least + number * (1.05 * whole - least) / 9)
            place = folder / (f"run{number}" if number else "least")
            heard = walk(given.photos, given.noun, base, place, f"{budget}s")
            print(f"| {budget} s | {heard.steps} | {heard.took} |", flush=True)


if __name__ == "__main__":
    main()
