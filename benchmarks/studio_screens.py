"""Pictures of all views of the studio: `python -m benchmarks.studio_screens OUT [--products FOLDER]`.

Each view in both languages, light and dark, in windows of 390, 1280 and 2560 pixels, with the sample
product in it, and a catalogue if FOLDER has one. FOLDER is a studio's; in an empty one the sample is made
first, which takes minutes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page

from benchmarks.studio import opened_browser, opened_studio
from packshot.plan import edit_plan
from packshot.project import create_project
from packshot.studio.views import STEPS
from packshot.studio.views.projects import sample_folder, sample_plates

WIDTHS = {390: 844, 1280: 900, 2560: 1440}
"""Of the windows, with their heights."""


THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def make_sample(folder: Path) -> None:
    """The sample product, taken through all steps in the shortest way."""
    photos = sample_folder()
    if photos is None:
        raise SystemExit("The sample product is not installed: run this in a clone.")
    root = create_project(folder / "torvane-ridge", name="Torvane Ridge", class_noun="suv").root
    plate = sample_plates()[0]
    for words in (
        ("photos", str(photos)), ("caption",), ("masks",), ("plan", "--compare"),
        ("plan", "--time-budget", "3m", "--keep-measurements"),
    ):  # fmt: skip
        _run(*words, "--project", str(root))
    edit_plan(root / "plan.toml", {"sample_every_n_steps": "60"})
    for words in (
        ("train",), ("candidates",), ("shoot", "--compare", "--images-per-prompt", "1"),
        ("insert", str(plate)), ("deliver",),
    ):  # fmt: skip
        _run(*words, "--project", str(root))


def _run(*words: str) -> None:
    print("packshot", *words, flush=True)
    subprocess.run(
        [sys.executable, "-m", "packshot", *words], check=True, stdout=subprocess.DEVNULL
    )


def pictures(browser: Browser, address: str, only: list[str], out: Path) -> Iterator[Path]:
    """Take each picture, and name its file."""
    base = address.split("?")[0]
    looks = product(("en", "it"), THEMES, WIDTHS.items())
    for language, theme, (width, height) in looks:
        context = browser.new_context(
            viewport={"width": width, "height": height}, locale=language, color_scheme=theme,
            reduced_motion="reduce",
        )  # fmt: skip
        page = context.new_page()
        page.goto(address)
        project = page.locator("a.whole[href^='/p/']").first.get_attribute("href") or ""
        at = base + project.lstrip("/").rsplit("/", 1)[0]
        places = {"projects": base} | {step.name: f"{at}/{step.name}" for step in STEPS}
        for link in page.locator("a.whole[href^='/c/']").all()[:1]:
            places["catalogue"] = base + (link.get_attribute("href") or "").lstrip("/")
        for name, place in places.items():
            if only and name not in only:
                continue
            page.goto(place)
            file = out / f"{name}-{language}-{theme}-{width}.png"
            settle(page)
            page.screenshot(path=file)
            yield file
        context.close()


def settle(page: Page) -> None:
    """Wait until all parts, pictures and a preview have come."""
    page.wait_for_timeout(400)  # the parts ask for theirs once the page has come
    parts = "document.querySelector('.htmx-request, .busy')"
    seen = "(one) => !one.complete && one.checkVisibility() && one.getBoundingClientRect().top < innerHeight"
    for _ in range(600):
        if not page.evaluate(f"!!{parts} || [...document.images].some({seen})"):
            break
        page.wait_for_timeout(100)
    page.wait_for_timeout(200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("out", type=Path)
    parser.add_argument("--products", type=Path, default=Path("packshot-studio-sample"))
    parser.add_argument("--only", action="append", default=[], help="a view's name")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if not any(given.products.glob("*/packshot.toml")):
        given.products.mkdir(parents=True, exist_ok=True)
        make_sample(given.products)
    with opened_studio(given.products) as (address, _), opened_browser() as browser:
        for file in pictures(browser, address, given.only, given.out):
            print(file, flush=True)


if __name__ == "__main__":
    main()
