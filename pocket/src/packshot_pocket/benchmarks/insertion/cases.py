"""Backgrounds with ground truth, and the products to insert."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from packshot.insertion import Box, load_background
from packshot.insertion.background import Background, Colours
from packshot.insertion.lighting import Light
from packshot.photos.photo_set import add_photos
from packshot.project import Project, create_project


@dataclass(frozen=True)
class Case:
    """A background, the placement, and the ground truth: the image with the product, mask, light."""

    product: str
    background: Background
    truth: Colours
    mask: Colours
    box: Box
    light: Light
    horizon: float


def cases(folder: Path) -> Iterator[Case]:
    """All backgrounds of a product, ordered by camera, so that the first few are of all scenes."""
    records = sorted((folder / "backgrounds").glob("*.json"))
    for camera in range(4):
        for record in records:
            entry = json.loads(record.read_text())[camera]
            path = record.with_name(entry["file"])
            background = load_background(path.with_name(f"{path.stem}-background.png"))
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
            yield Case(
                folder.name,
                background,
                truth,
                mask,
                box,
                light,
                entry["horizon"] * background.height,
            )


def _grey(path: Path) -> Colours:
    return np.asarray(Image.open(path).convert("L"), dtype=np.float32) / 255


def project_of(folder: Path, work: Path) -> Project:
    """A project with the product's photos and their masks."""
    source = work / f"{folder.name}-photos"
    (source / "masks").mkdir(parents=True, exist_ok=True)
    for photo in sorted((folder / "photos").glob("*-[0-9].png")):
        shutil.copy(photo, source / photo.name)
        shutil.copy(photo.with_name(f"{photo.stem}-mask.png"), source / "masks" / photo.name)
    noun = json.loads((folder / "product.json").read_text())["noun"]
    project = create_project(work / folder.name, name=folder.name, class_noun=noun)
    add_photos(project, source)
    return project
