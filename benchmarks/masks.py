"""How well masks fit photos, against outlines that were drawn by hand or rendered with them.

`python -m benchmarks.masks PHOTOS` takes each folder in PHOTOS as one product's. Real photos are known by
their SHA-256, for which `tests/masks/references/` has outlines; others are compared with, but not
scored. A rendering NAME.png (`packshot-render benchmark --pixels 512`) has NAME-mask.png beside it.
The table has each photo's intersection over union: `alone` is the segmenter on that photo
by itself, `together` what it finds by comparing the product's photos, with the doubt that it tells.

Constants of `packshot.masks.agreement` were chosen on the products of `CHOSEN_ON`; the others were
held out, and are summed up apart. (How wide the bands are was seen on all.)
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from packshot.images.loading import open_image
from packshot.masks.bundled import BundledSegmenter
from packshot.masks.regions import overlap
from packshot.masks.segmenter import COMPARED_PIXELS, ComparingSegmenter, for_class
from packshot.utils import hashing

REFERENCES = Path(__file__).parents[1] / "tests" / "masks" / "references"
CHOSEN_ON = ("backpack", "clock", "rc_car", "teapot")
HEADER = "| photo | alone | together | doubt |\n|---|---|---|---|"


def read_references() -> dict[str, np.ndarray]:
    """Outlines as boolean [512, 512] (of square photos), by their photos' SHA-256."""
    names = json.loads((REFERENCES / "photos.json").read_text())
    return {
        sha256: np.asarray(Image.open(REFERENCES / f"{name}.png").convert("L")) > 127
        for name, sha256 in names.items()
    }


def photos_of(folder: Path) -> list[Path]:
    """A product's photos: in its folder, or in one called "photos" there."""
    inside = folder / "photos" if (folder / "photos").is_dir() else folder
    return [
        path
        for path in sorted(inside.iterdir())
        if path.suffix.lower() in (".jpg", ".png") and not path.stem.endswith("-mask")
    ]


def reference_of(photo: Path, drawn: dict[str, np.ndarray]) -> np.ndarray | None:
    """What is known to be the product, boolean [h, w]."""
    rendered = photo.with_name(f"{photo.stem}-mask.png")
    if rendered.exists():
        return np.asarray(Image.open(rendered).convert("L")) > 127
    return drawn.get(hashing.sha256(photo))


def fit(mask: Image.Image, reference: np.ndarray) -> float:
    """Intersection over union, at the reference's size."""
    size = reference.shape[1], reference.shape[0]
    return overlap(np.asarray(mask.resize(size, Image.Resampling.BOX)) > 127, reference)


def measure(
    folder: Path, references: dict[str, np.ndarray], noun: str
) -> dict[str, tuple[float, ...]]:
    """For each photo of one product that has a reference: alone, together, doubt."""
    segmenter = for_class(BundledSegmenter(), noun)
    assert isinstance(segmenter, ComparingSegmenter)
    paths = photos_of(folder)
    pictures = [open_image(path) for path in paths]
    alone = [segmenter.mask(picture) for picture in pictures]
    for picture in pictures:
        picture.thumbnail((COMPARED_PIXELS, COMPARED_PIXELS), Image.Resampling.LANCZOS)
    found = segmenter.compare(pictures, [None] * len(pictures))
    results: dict[str, tuple[float, ...]] = {}
    for path, mask, together in zip(paths, alone, found, strict=True):
        reference = reference_of(path, references)
        if reference is not None:
            fits = fit(mask, reference), fit(together.mask, reference)
            results[f"{folder.name}/{path.name}"] = (*fits, together.doubt)
    return results


def sum_up(title: str, rows: Sequence[tuple[float, ...]]) -> str:
    """Medians and means, and how many photos are from 0.90 and from 0.95 on, and under 0.60."""
    alone, together = (np.array([row[column] for row in rows]) for column in (0, 1))
    parts = [
        f"median {np.median(fits):.3f}, mean {fits.mean():.3f}, {(fits >= 0.9).sum()} from 0.90, "
        f"{(fits >= 0.95).sum()} from 0.95, {(fits < 0.6).sum()} under 0.60"
        for fits in (alone, together)
    ]
    return f"{title} ({len(rows)}): alone {parts[0]}; together {parts[1]}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--class", dest="noun", default="thing", help="the products' class noun")
    options = parser.parse_args()
    references = read_references()
    results: dict[str, tuple[float, ...]] = {}
    print(HEADER)
    for folder in sorted(path for path in options.photos.iterdir() if path.is_dir()):
        measured = measure(folder, references, options.noun)
        for name, (alone, together, doubt) in measured.items():
            print(f"| {name} | {alone:.3f} | {together:.3f} | {doubt:.2f} |", flush=True)
        results |= measured
    chosen_on = [row for name, row in results.items() if name.split("/")[0] in CHOSEN_ON]
    held_out = [row for name, row in results.items() if name.split("/")[0] not in CHOSEN_ON]
    for title, rows in (
        ("\nconstants chosen on", chosen_on),
        ("held out", held_out),
        ("all", list(results.values())),
    ):
        if rows:
            print(sum_up(title, rows))


if __name__ == "__main__":
    main()
