"""What becomes of photos of real products: which are accepted, how they are captioned and masked.

`python -m benchmarks.real_photos PHOTOS --out FOLDER` takes each folder in PHOTOS as one product's,
named after its class, and leaves in FOLDER a project each, a sheet with the pictures (the mask's
edge drawn in red), and `table.md`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageChops, ImageFilter

from packshot.captions import caption_photos
from packshot.masks import mask_photos
from packshot.masks.bundled import BundledSegmenter
from packshot.models import load_base
from packshot.models.diffusion_model import DiffusionModel
from packshot.photos.guide import photo_guide
from packshot.photos.guide.photo_features import extract_features
from packshot.photos.photo_set import Photo, add_photos
from packshot.project import Project, create_project
from packshot.report import contact_sheet, write_report
from packshot.utils import files

HEADER = (
    "| product | photo | accepted | caption | product's share | why |\n|---|---|---|---|---|---|"
)
SHEET_PIXELS = 320


def outlined(photo: Photo) -> Image.Image:
    """The photo, small, with its mask's edge in red."""
    with Image.open(photo.file) as opened:
        small = opened.convert("RGB")
    small.thumbnail((SHEET_PIXELS, SHEET_PIXELS))
    if photo.mask:
        with Image.open(photo.mask) as opened:
            mask = opened.convert("L").resize(small.size).point(lambda value: 255 * (value > 127))
        edge = ImageChops.difference(mask.filter(ImageFilter.MaxFilter(5)), mask)
        small.paste((255, 0, 0), mask=edge)
    return small


def run(source: Path, out: Path, base: DiffusionModel) -> list[str]:
    """Take one product's photos through; returns its rows of the table."""
    noun = source.name.replace("_", " ")
    project = create_project(out / source.name, name=noun, class_noun=noun)
    refused = add_photos(project, source).refused
    caption_photos(project, base)
    shown = mask_photos(project, BundledSegmenter()).photos
    sheet = contact_sheet(
        [outlined(photo) for photo in shown],
        labels=[f"{photo.source}: {photo.caption}" for photo in shown],
        cell_pixels=SHEET_PIXELS,
        columns=3,
    )
    files.write_image(out / f"{source.name}.png", sheet)
    write_report(project)
    rows = [_row(noun, photo) for photo in shown]
    rows += [f"| {noun} | {name} | no | | | {reason} |" for name, reason in refused.items()]
    return rows + _missing(noun, project)


def _row(noun: str, photo: Photo) -> str:
    share = extract_features(photo).share
    told = "none" if share is None else f"{share:.0%}"
    return f"| {noun} | {photo.source} | yes | {photo.caption} | {told} | {photo.why} |"


def _missing(noun: str, project: Project) -> list[str]:
    told = "; ".join(item.missing for item in photo_guide(project))
    return [f"| {noun} | *guide* | | | | {told or 'nothing is missing'} |"]


def main() -> None:
    """Run over all products."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base", default="pocket")
    given = parser.parse_args()
    base, rows = load_base(given.base), [HEADER]
    for source in sorted(path for path in given.photos.iterdir() if path.is_dir()):
        rows += run(source, given.out, base)
        files.write_text(given.out / "table.md", "\n".join(rows) + "\n")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
