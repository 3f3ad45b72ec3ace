"""Three times 24 insertions of real products into real photographs, to be judged by eye.

`python -m benchmarks.real_insertions PHOTOS --out FOLDER` takes the folders in PHOTOS (DreamBooth's
data set) as products, inserts each into photographs of the others, into plates that come with
scikit-image and into those of the examples, and leaves in FOLDER the sheets, `page.html` with all
of them, and `table.md`. Products, plates and places were chosen before anything was inserted, and
are not to be changed to please the result. The second set was chosen after the product had been
bettered with the first in view, the third after it had been bettered with both.
"""

from __future__ import annotations

import argparse
import html
from dataclasses import dataclass
from pathlib import Path

import skimage

from packshot.errors import PackshotError
from packshot.generation.embedders import embedder_for
from packshot.insertion.background import load_background
from packshot.insertion.insert import Insertion, insert
from packshot.insertion.placement import in_box
from packshot.masks import mask_photos
from packshot.masks.bundled import BundledSegmenter
from packshot.models import load_base
from packshot.photos.photo_set import add_photos
from packshot.project import Project, create_project, open_project
from packshot.utils import files
from packshot.utils.progress import Observer


@dataclass(frozen=True)
class Case:
    """A product, a plate, and the box [left, top, width, height] as shares of the plate's sides."""

    product: str
    plate: str
    box: tuple[float, float, float, float]

    @property
    def name(self) -> str:
        return f"{self.product}-{self.plate.partition('.')[0].replace('/', '-')}"


CASES = (
    Case("can", "rc_car/00.jpg", (0.76, 0.46, 0.18, 0.30)),
    Case("can", "candle/00.jpg", (0.64, 0.30, 0.15, 0.26)),
    Case("can", "shiny_sneaker/05.jpg", (0.84, 0.32, 0.15, 0.28)),
    Case("candle", "can/05.jpg", (0.74, 0.63, 0.24, 0.24)),
    Case("candle", "rc_car/02.jpg", (0.70, 0.72, 0.26, 0.22)),
    Case("candle", "teapot/01.jpg", (0.17, 0.565, 0.13, 0.13)),
    Case("clock", "can/02.jpg", (0.05, 0.30, 0.28, 0.42)),
    Case("clock", "candle/04.jpg", (0.02, 0.22, 0.32, 0.50)),
    Case("clock", "rc_car/01.jpg", (0.02, 0.50, 0.24, 0.42)),
    Case("backpack", "motorcycle_left.png", (0.02, 0.58, 0.17, 0.33)),
    Case("backpack", "rc_car/00.jpg", (0.78, 0.14, 0.19, 0.26)),
    Case("backpack", "shiny_sneaker/04.jpg", (0.62, 0.18, 0.33, 0.52)),
    Case("rc_car", "shiny_sneaker/02.jpg", (0.04, 0.42, 0.34, 0.46)),
    Case("rc_car", "candle/01.jpg", (0.05, 0.42, 0.30, 0.50)),
    Case("rc_car", "can/03.jpg", (0.05, 0.15, 0.42, 0.68)),
    Case("shiny_sneaker", "rc_car/04.jpg", (0.02, 0.50, 0.33, 0.28)),
    Case("shiny_sneaker", "motorcycle_left.png", (0.30, 0.84, 0.19, 0.11)),
    Case("shiny_sneaker", "backpack/02.jpg", (0.01, 0.72, 0.32, 0.22)),
    Case("teapot", "vase/02.jpg", (0.65, 0.64, 0.28, 0.21)),
    Case("teapot", "coffee.png", (0.70, 0.28, 0.29, 0.36)),
    Case("teapot", "candle/01.jpg", (0.03, 0.22, 0.36, 0.42)),
    Case("vase", "teapot/01.jpg", (0.16, 0.18, 0.16, 0.51)),
    Case("vase", "teapot/04.jpg", (0.02, 0.10, 0.20, 0.75)),
    Case("vase", "rc_car/01.jpg", (0.04, 0.18, 0.22, 0.62)),
)  # fmt: skip
SECOND_CASES = (
    Case("can", "rc_car/02.jpg", (0.76, 0.56, 0.15, 0.26)),
    Case("can", "candle/01.jpg", (0.08, 0.28, 0.22, 0.42)),
    Case("can", "teapot/01.jpg", (0.17, 0.415, 0.12, 0.265)),
    Case("candle", "shiny_sneaker/02.jpg", (0.08, 0.62, 0.24, 0.24)),
    Case("candle", "rc_car/03.jpg", (0.76, 0.66, 0.22, 0.20)),
    Case("candle", "shiny_sneaker/04.jpg", (0.60, 0.62, 0.22, 0.22)),
    Case("clock", "shiny_sneaker/01.jpg", (0.05, 0.30, 0.20, 0.32)),
    Case("clock", "rc_car/04.jpg", (0.68, 0.52, 0.20, 0.28)),
    Case("clock", "candle/01.jpg", (0.76, 0.45, 0.22, 0.36)),
    Case("backpack", "motorcycle_right.png", (0.30, 0.72, 0.14, 0.25)),
    Case("backpack", "mountain.jpg", (0.40, 0.55, 0.20, 0.30)),
    Case("backpack", "candle/03.jpg", (0.56, 0.13, 0.12, 0.22)),
    Case("rc_car", "vase/02.jpg", (0.06, 0.52, 0.28, 0.36)),
    Case("rc_car", "shiny_sneaker/04.jpg", (0.60, 0.50, 0.24, 0.30)),
    Case("rc_car", "snow.jpg", (0.36, 0.58, 0.28, 0.32)),
    Case("shiny_sneaker", "candle/00.jpg", (0.05, 0.55, 0.50, 0.30)),
    Case("shiny_sneaker", "mountain.jpg", (0.30, 0.72, 0.40, 0.22)),
    Case("shiny_sneaker", "motorcycle_right.png", (0.05, 0.82, 0.12, 0.09)),
    Case("teapot", "rc_car/02.jpg", (0.70, 0.60, 0.27, 0.24)),
    Case("teapot", "candle/04.jpg", (0.01, 0.55, 0.34, 0.28)),
    Case("teapot", "candle/00.jpg", (0.05, 0.38, 0.28, 0.22)),
    Case("vase", "shiny_sneaker/05.jpg", (0.01, 0.20, 0.17, 0.58)),
    Case("vase", "teapot/03.jpg", (0.76, 0.10, 0.17, 0.60)),
    Case("vase", "shiny_sneaker/00.jpg", (0.78, 0.20, 0.14, 0.42)),
)  # fmt: skip
THIRD_CASES = (
    Case("can", "shiny_sneaker/02.jpg", (0.36, 0.62, 0.16, 0.28)),
    Case("can", "candle/04.jpg", (0.06, 0.36, 0.17, 0.32)),
    Case("can", "shiny_sneaker/04.jpg", (0.62, 0.42, 0.14, 0.28)),
    Case("candle", "coffee.png", (0.01, 0.66, 0.17, 0.30)),
    Case("candle", "vase/02.jpg", (0.68, 0.66, 0.22, 0.20)),
    Case("candle", "rc_car/01.jpg", (0.76, 0.74, 0.20, 0.20)),
    Case("clock", "rc_car/02.jpg", (0.74, 0.58, 0.20, 0.30)),
    Case("clock", "candle/00.jpg", (0.66, 0.30, 0.20, 0.30)),
    Case("clock", "shiny_sneaker/02.jpg", (0.03, 0.52, 0.22, 0.36)),
    Case("backpack", "shiny_sneaker/00.jpg", (0.02, 0.40, 0.34, 0.52)),
    Case("backpack", "can/03.jpg", (0.08, 0.25, 0.22, 0.32)),
    Case("backpack", "shiny_sneaker/01.jpg", (0.74, 0.16, 0.25, 0.36)),
    Case("rc_car", "shiny_sneaker/03.jpg", (0.02, 0.45, 0.22, 0.36)),
    Case("rc_car", "candle/04.jpg", (0.68, 0.35, 0.28, 0.44)),
    Case("rc_car", "shiny_sneaker/01.jpg", (0.05, 0.45, 0.26, 0.40)),
    Case("shiny_sneaker", "candle/04.jpg", (0.60, 0.66, 0.36, 0.26)),
    Case("shiny_sneaker", "rc_car/01.jpg", (0.62, 0.20, 0.34, 0.22)),
    Case("shiny_sneaker", "snow.jpg", (0.10, 0.74, 0.30, 0.20)),
    Case("teapot", "shiny_sneaker/05.jpg", (0.04, 0.72, 0.34, 0.24)),
    Case("teapot", "rc_car/03.jpg", (0.74, 0.72, 0.25, 0.20)),
    Case("teapot", "can/02.jpg", (0.05, 0.50, 0.30, 0.24)),
    Case("vase", "candle/04.jpg", (0.74, 0.18, 0.16, 0.56)),
    Case("vase", "rc_car/02.jpg", (0.78, 0.30, 0.14, 0.54)),
    Case("vase", "can/03.jpg", (0.10, 0.30, 0.12, 0.42)),
)  # fmt: skip
_SETS = {"first": CASES, "second": SECOND_CASES, "third": THIRD_CASES}
_EXAMPLES = Path(__file__).parent.parent / "examples" / "plates"
_NOUNS = {"rc_car": "toy car", "shiny_sneaker": "sneaker", "clock": "alarm clock"}


def product_of(name: str, photos: Path, out: Path) -> Project:
    """The product's project in `out`, with its photos and masks; made where it is missing."""
    folder = out / "products" / name
    if folder.is_dir():
        return open_project(folder)
    project = create_project(folder, name=name, class_noun=_NOUNS.get(name, name))
    add_photos(project, photos / name)
    mask_photos(project, BundledSegmenter())
    return project


def plate_of(name: str, photos: Path) -> Path:
    """The plate's file: of `photos`, of the examples, or one that comes with scikit-image."""
    folders = (photos, _EXAMPLES, Path(skimage.__file__).parent / "data")
    return next((f / name for f in folders if (f / name).is_file()), photos / name)


def run(case: Case, photos: Path, out: Path) -> Insertion:
    """Make one insertion, from the product's photos alone."""
    project = product_of(case.product, photos, out)
    background = load_background(plate_of(case.plate, photos))
    across, down = background.width, background.height
    left, top, width, height = case.box
    numbers = (left * across, top * down, width * across, height * down)
    box = in_box(background, ",".join(str(round(number)) for number in numbers))
    embedder = embedder_for(project, lambda: load_base("pocket"), Observer())
    return insert(project, background, box, out, name=case.name, embedder=embedder)


def _told(case: Case, insertion: Insertion) -> str:
    missed = ", ".join(check.name for check in insertion.checks if not check.passed)
    return f"{missed or 'all checks hold'}; {insertion.photo}; {'; '.join(insertion.notes)}"


def write_page(out: Path, told: dict[str, str]) -> None:
    """Write `page.html` with every sheet, and `table.md`."""
    parts = [
        f'<h2>{name}</h2><p>{html.escape(words)}</p><img src="{name}.sheet.png">'
        for name, words in told.items()
    ]
    head = "<!doctype html><meta charset=utf-8><style>img{max-width:100%}</style>"
    files.write_text(out / "page.html", head + "\n".join(parts))
    rows = [f"| {name} | {words} |" for name, words in told.items()]
    files.write_text(out / "table.md", "\n".join(["| insertion | checks |", "|---|---|", *rows]))


def main() -> None:
    """Make one of the sets, or those of it that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--set", choices=_SETS, default="first")
    parser.add_argument("--only", nargs="*", help="names of products or of insertions")
    given = parser.parse_args()
    told: dict[str, str] = {}
    for case in _SETS[given.set]:
        if given.only and not {case.name, case.product} & set(given.only):
            continue
        try:
            told[case.name] = _told(case, run(case, given.photos, given.out))
        except PackshotError as error:
            told[case.name] = f"not made: {error}"
        print(f"{case.name}: {told[case.name]}", flush=True)
        write_page(given.out, told)


if __name__ == "__main__":
    main()
