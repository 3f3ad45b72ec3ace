"""Insertions beside what one would do instead, on plates whose truth is known.

    python -m benchmarks.insertion [--plates N] [--sheet FILE]

Needs `packshot-world insertion` and `packshot-world benchmark`, and the judges of benchmarks.quality
(`python -m benchmarks.quality --prompts 0 --products 0` trains them). Each product is put where the
truth has it: its silhouette's box. Light is estimated, the horizon given.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.quality import judges
from benchmarks.quality.lora import Gallery
from packshot import files
from packshot.insertion import (
    Box,
    InsertionSettings,
    Placement,
    checks,
    cutouts,
    insert,
    read_plate,
)
from packshot.insertion.light import Light
from packshot.insertion.plate import Colours, Plate
from packshot.insertion.shadows import Ground
from packshot.photos import add_photos, photos
from packshot.project import Project, new

_CACHE = Path.home() / ".cache" / "packshot"


@dataclass(frozen=True)
class Case:
    """A plate, where the product goes, and the truth: the picture with it, its mask, the light."""

    product: str
    plate: Plate
    truth: Colours
    mask: Colours
    box: Box
    light: Light
    horizon: float


def cases(folder: Path) -> Iterator[Case]:
    """All plates of a product, camera by camera, so that the first few are of all scenes."""
    records = sorted((folder / "plates").glob("*.json"))
    for camera in range(4):
        for record in records:
            entry = json.loads(record.read_text())[camera]
            path = record.with_name(entry["file"])
            plate = read_plate(path.with_name(f"{path.stem}-plate.png"))
            mask = _grey(path.with_name(f"{path.stem}-mask.png"))
            rows, columns = (np.flatnonzero((mask > 0.5).any(axis=axis)) for axis in (1, 0))
            box = Box(
                int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1
            )
            right, away, up = entry["light"]["direction"]
            light = Light(
                float(np.degrees(np.arctan2(away, right))) % 360,
                float(np.degrees(np.arcsin(up))),
                1,
            )
            truth = np.asarray(Image.open(path).convert("RGB"), dtype=np.float32) / 255
            yield Case(folder.name, plate, truth, mask, box, light, entry["horizon"] * plate.height)


def _grey(path: Path) -> Colours:
    return np.asarray(Image.open(path).convert("L"), dtype=np.float32) / 255


def project_of(folder: Path, work: Path) -> Project:
    """A project with the product's photos and their masks."""
    source = work / f"{folder.name}-photos"
    (source / "masks").mkdir(parents=True)
    for photo in sorted((folder / "photos").glob("*-[0-9].png")):
        shutil.copy(photo, source / photo.name)
        shutil.copy(photo.with_name(f"{photo.stem}-mask.png"), source / "masks" / photo.name)
    noun = json.loads((folder / "product.json").read_text())["noun"]
    project = new(work / folder.name, name=folder.name, class_noun=noun)
    add_photos(project, source)
    return project


def ours(project: Project, case: Case, work: Path, light: Light | None = None) -> Plate:
    """Packshot's cut-out way, the light estimated or given."""
    told = {} if light is None else {
        "light_azimuth_degrees": light.azimuth_degrees,
        "light_elevation_degrees": light.elevation_degrees,
    }  # fmt: skip
    settings = InsertionSettings(horizon=case.horizon, **told)
    placement = Placement(case.box, case.mask[case.box.region])
    made = insert(project, case.plate, placement, work / "made", settings=settings)
    return read_plate(made.file)


def pasted(project: Project, case: Case) -> tuple[Colours, Colours, Box]:
    """The same photo's cut-out as it is: colours, alpha and its box."""
    placement = Placement(case.box, case.mask[case.box.region])
    return cutouts.fitted(cutouts.best_photos(photos(project), placement, None)[0], case.box)


def plain_paste(project: Project, case: Case) -> Plate:
    """The cut-out laid on the plate."""
    colours, alpha, box = pasted(project, case)
    return case.plate.with_colours(box, colours, alpha)


def seamless_clone(project: Project, case: Case) -> Plate:
    """OpenCV's Poisson blending of the cut-out (Perez et al. 2003)."""
    colours, alpha, box = pasted(project, case)
    ground = case.plate.pixels.copy()
    layer = np.zeros_like(ground)
    layer[box.region] = (colours * 255).round().astype(np.uint8)
    mask = np.zeros(ground.shape[:2], np.uint8)
    mask[box.region] = (alpha > 0.5) * 255
    mask[[0, -1]] = mask[:, [0, -1]] = 0
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    middle = int(columns[0] + columns[-1] + 1) // 2, int(rows[0] + rows[-1] + 1) // 2
    made = cv2.seamlessClone(layer, ground, mask, middle, cv2.NORMAL_CLONE)
    return Plate(case.plate.name, made, None)


def measured(
    case: Case, made: Plate, gallery: Gallery, describe: Callable[[Colours], torch.Tensor]
) -> dict[str, float]:
    """An insertion's figures."""
    seen = made.pixels.astype(np.float32) / 255
    plate = case.plate.pixels.astype(np.float32) / 255
    near = _near(case)
    silhouette = cv2.dilate((case.mask > 0.02).astype(np.uint8), np.ones((3, 3))) > 0
    shadow = near & ~silhouette & (np.abs(case.truth - plate).max(axis=2) > 4 / 255)
    changed = (made.pixels != case.plate.pixels).any(axis=2)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "crop.png"
        Image.fromarray((_crop(seen, case.box) * 255).round().astype(np.uint8)).save(file)
        identity = gallery.retrieved([file])
    figures = {
        "identity": identity,
        "product PSNR": _psnr(seen, case.truth, silhouette),
        "perceptual": float(
            (describe(_crop(seen, case.box)) - describe(_crop(case.truth, case.box))).norm()
        ),
        "far pixels changed": float(changed[~near].sum()),
        "seam": checks.seam(seen, changed.astype(np.float32), case.mask, 1).value,
    }
    if shadow.sum() > 20:
        figures["shadow PSNR"] = _psnr(seen, case.truth, shadow)
    if case.light.elevation_degrees > 5:
        figures["shadow degrees"] = _shadow_error(case, plate, seen, silhouette)
    return figures


def _near(case: Case) -> np.ndarray:
    """Where the product or its shadow may be."""
    near = np.zeros(case.mask.shape, bool)
    box, reach = case.box, round(1.3 * max(case.box.width, case.box.height))
    near[
        max(0, box.top - reach // 2) : box.bottom + reach,
        max(0, box.left - reach) : box.right + reach,
    ] = True
    return near


def _shadow_error(case: Case, plate: Colours, seen: Colours, silhouette: np.ndarray) -> float:
    """Degrees from the true shadow's direction in the picture; 90, a guess's mean, without a shadow."""
    foot = (case.box.left + case.box.width / 2, float(case.box.bottom))
    before, after = (cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in (plate, seen))
    darkening = ((before - after) / np.maximum(before, 0.05)).clip(0, 1) * ~silhouette
    found = checks.darkening_direction(darkening, foot)
    ground = Ground.of(case.plate.width, case.horizon, case.box)
    wanted = checks.seen_direction(case.light, ground, foot)
    return 90.0 if found is None else abs((found - wanted + 180) % 360 - 180)


def _psnr(seen: Colours, truth: Colours, where: np.ndarray) -> float:
    return float(-10 * np.log10(max(float(np.square(seen - truth)[where].mean()), 1e-8)))


def _crop(colours: Colours, box: Box) -> Colours:
    """The product and a little around it, square."""
    half = round(0.65 * max(box.width, box.height))
    x, y = box.left + box.width // 2, box.top + box.height // 2
    padded = np.pad(colours, ((half, half), (half, half), (0, 0)), mode="edge")
    return cv2.resize(
        padded[y : y + 2 * half, x : x + 2 * half], (128, 128), interpolation=cv2.INTER_AREA
    )


def main() -> None:
    """Insert, measure, print the table and write insertion.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.insertion", description=__doc__)
    parser.add_argument("--plates", type=int, default=20, help="of each product")
    parser.add_argument("--world", type=Path, default=_CACHE / "world")
    parser.add_argument("--renders", type=Path, default=_CACHE / "pretrain" / "v2")
    parser.add_argument(
        "--sheet", type=Path, help="a picture: truth, then each way, for some plates"
    )
    options = parser.parse_args()
    classifier, identifier = judges.load_judges(options.renders, judges.JudgeConfig())

    def describe(crop: Colours) -> torch.Tensor:
        with torch.no_grad():
            return classifier.describe((crop[None] * 255).round().astype(np.uint8))[0]

    rows: dict[str, list[dict[str, float]]] = {}
    shown: list[Colours] = []
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        for folder in sorted(
            path for path in (options.world / "insertion").iterdir() if path.is_dir()
        ):
            project = project_of(folder, work)
            gallery = Gallery(options.world / "benchmark" / folder.name, identifier)
            for number, case in enumerate(cases(folder)):
                if number == options.plates:
                    break
                made = {
                    "truth": Plate("", (case.truth * 255).round().astype(np.uint8), None),
                    "Packshot": ours(project, case, work),
                    "Packshot, light given": ours(project, case, work, case.light),
                    "plain paste": plain_paste(project, case),
                    "seamlessClone": seamless_clone(project, case),
                }
                for way, plate in made.items():
                    rows.setdefault(way, []).append(measured(case, plate, gallery, describe))
                if number < 3:
                    shown.append(np.hstack([plate.pixels for plate in made.values()]))
    if options.sheet:
        files.write_image(options.sheet, Image.fromarray(np.vstack(shown)))
    _show(rows)
    files.write_json(_CACHE / "quality" / "insertion.json", rows)


def _show(rows: dict[str, list[dict[str, float]]]) -> None:
    names = list(dict.fromkeys(name for each in rows.values() for row in each for name in row))
    table = Table("way", *names, title=f"{len(next(iter(rows.values())))} plates")
    for way, each in rows.items():
        values = [[row[name] for row in each if name in row] for name in names]
        middle = [
            np.median(v) if "degrees" in n else np.mean(v)
            for n, v in zip(names, values, strict=True)
        ]
        table.add_row(way, *(f"{value:.3g}" for value in middle))
    Console().print(table)


if __name__ == "__main__":
    main()
