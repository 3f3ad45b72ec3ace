"""Delivering a project: shop pictures of its cut-outs, and one ZIP with what is wanted of it."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from packshot.delivery.shop_formats import (
    SHOP_FORMATS,
    ShopFormat,
    encoded,
    enlargement,
    shop_picture,
)
from packshot.errors import DeliveryError, ImageRejectedError, InsertionError
from packshot.generation.favourites import read_favourites
from packshot.generation.generate import read_generated_images
from packshot.insertion.cutouts import CutOut, chosen, cut_out, is_cut_off
from packshot.insertion.record import read_records
from packshot.photos.photo_set import Photo, list_photos
from packshot.project import Project
from packshot.provenance.marking import ENHANCED, Claim, Ingredient, Marking, mime_of
from packshot.report import write_report
from packshot.utils import files, overwriting
from packshot.utils.progress import Progress, silent

PARTS = ("lora", "shop", "shots", "insertions", "report")
"""What may be delivered: the LoRA files, shop pictures, generated images, insertions, the report."""
_SOFT = 1.5
"""Times that a cut-out is enlarged, above which it looks soft."""
_OLDEST = (1980, 1, 1, 0, 0, 0)
"""The date of what is in the ZIP: the same content makes the same file."""
_MIMES = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
_PACKED = (".html", ".json", ".csv")


@dataclass(frozen=True)
class Delivery:
    """What was delivered.

    Attributes:
        archive: the ZIP; what is in it is called as in the project.
        shop_pictures: files, which are in the ZIP, too.
        notes: what was left out or is not as good as it might be, and why.
    """

    archive: Path
    shop_pictures: tuple[Path, ...]
    notes: tuple[str, ...]


def deliver_project(
    project: Project,
    parts: Sequence[str] = PARTS,
    *,
    formats: Sequence[str] = tuple(SHOP_FORMATS),
    photos: Sequence[str] | None = None,
    language: str = "en",
    progress: Progress = silent,
) -> Delivery:
    """Make shop pictures of the cut-outs, and a ZIP of the parts: `delivery/` in the project.

    Of generated images the favourites are delivered; all with the LoRA where there is none.

    Args:
        parts: of `PARTS`.
        formats: names of `SHOP_FORMATS`.
        photos: names of the photos that shop pictures are made of; None for all with a mask.
        language: the report's.

    Raises:
        DeliveryError: an unknown part or format, or there is nothing to deliver.
        InsertionError: there is no such photo.
        DiskFullError, WriteError: as `files.write_bytes`.
    """
    _refuse_unknown("part", parts, PARTS)
    _refuse_unknown("format", formats, tuple(SHOP_FORMATS))
    shapes = [SHOP_FORMATS[name] for name in dict.fromkeys(formats)]
    notes: list[str] = []
    with project.held():
        shop: list[Path] = []
        if "shop" in parts:
            shop = _shop_pictures(project, _wanted(project, photos), shapes, notes, progress)
        report = write_report(project, language) if "report" in parts else None
        inside = [*_listed(project, parts), *shop, *([report] if report else [])]
        if not inside:
            raise DeliveryError(
                "There is nothing to deliver yet: train a LoRA, make pictures, or cut the product out "
                "(packshot masks)."
            )
        archive = project.delivery_folder / f"{project.slug}.zip"
        _pack(archive, [(_name(project, path), path) for path in inside], progress)
    return Delivery(archive, tuple(shop), tuple(notes))


def delivered_pictures(project: Project) -> list[Path]:
    """The shop pictures that are there."""
    folder = project.delivery_folder / "shop"
    endings = {one.ending for one in SHOP_FORMATS.values()}
    return sorted(path for path in folder.glob("*") if path.suffix in endings)


def _refuse_unknown(kind: str, given: Sequence[str], known: Sequence[str]) -> None:
    if unknown := [name for name in given if name not in known]:
        raise DeliveryError(
            f"There is no {kind} {', '.join(map(repr, unknown))}; there are {', '.join(known)}."
        )


def _wanted(project: Project, names: Sequence[str] | None) -> list[Photo]:
    photos = list_photos(project)
    if names is None:
        return [photo for photo in photos if photo.mask]
    named = (photo for name in names for photo in chosen(photos, name))
    return [*{photo.file: photo for photo in named}.values()]


def _shop_pictures(
    project: Project,
    photos: Sequence[Photo],
    formats: Sequence[ShopFormat],
    notes: list[str],
    progress: Progress,
) -> list[Path]:
    for path in delivered_pictures(project):
        if overwriting.is_result(path):  # of an earlier delivery, with other photos or formats
            path.unlink()
    marking = project.marking
    marking.check()
    made, total = [], len(photos) * len(formats)
    for number, photo in enumerate(photos):
        progress("shop pictures", number * len(formats), total)
        try:
            cut = cut_out(photo)
        except (InsertionError, ImageRejectedError) as error:
            notes.append(str(error))
            continue
        if is_cut_off(cut):
            notes.append(
                f"{photo.file.name}: the photo's edge cuts the product, and so it is in the shop picture."
            )
        product = _as_image(cut)
        for format in formats:
            name = f"{photo.file.stem}-{format.name}{format.ending}"
            file = project.delivery_folder / "shop" / name
            overwriting.write_result(file, _signed(marking, photo, file, format, product))
            made.append(file)
        most = max((enlargement(product.size, format) for format in formats), default=1.0)
        if most > _SOFT:
            notes.append(
                f"{photo.file.name}: the product is {product.width} x {product.height} px in it, so it is "
                f"enlarged {most:.1f} times and looks soft. Larger photos are better."
            )
    progress("shop pictures", total, total)
    return made


def _signed(
    marking: Marking, photo: Photo, file: Path, format: ShopFormat, product: Image.Image
) -> bytes:
    """A shop picture's file, which says that it is the photo, cut out."""
    data = photo.file.read_bytes()
    mime = mime_of(data)
    parents = (Ingredient(photo.file.name, "parentOf", data, mime),) if mime else ()
    claim = Claim(file.name, ENHANCED, {"photo": photo.file.name}, parents)
    picture = encoded(shop_picture(product, format), format, marking.xmp(claim))
    return marking.signed(picture, _MIMES[format.ending], claim)


def _as_image(cut: CutOut) -> Image.Image:
    """A cut-out as RGBA."""
    values = np.dstack([cut.colours, cut.alpha])
    return Image.fromarray((values.clip(0, 1) * 255).round().astype(np.uint8), "RGBA")


def _listed(project: Project, parts: Sequence[str]) -> list[Path]:
    """Files of the project that are delivered as they are."""
    found: list[Path] = []
    if "lora" in parts:
        loras = project.lora_file, project.diffusers_lora_file
        found += [file for file in loras if file.is_file()]
    if "shots" in parts:
        found += read_favourites(project) or [
            shot.file
            for folder in (project.shots_folder, project.shots_folder / "with")
            for shot in read_generated_images(folder)
        ]
    if "insertions" in parts:
        folder = project.insertions_folder
        found += [folder / record.file for record in read_records(folder)]
    return found


def _name(project: Project, path: Path) -> str:
    """What a file is called in the ZIP: as in the project, the shop pictures in `shop/`."""
    is_made = path.is_relative_to(project.delivery_folder)
    root = project.delivery_folder if is_made else project.root
    return path.relative_to(root).as_posix()


def _pack(archive: Path, inside: Sequence[tuple[str, Path]], progress: Progress) -> None:
    def write(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w") as packed:
            for number, (name, path) in enumerate(inside):
                progress("packing", number, len(inside))
                info = zipfile.ZipInfo(name, _OLDEST)
                is_text = path.suffix in _PACKED
                info.compress_type = zipfile.ZIP_DEFLATED if is_text else zipfile.ZIP_STORED
                info.external_attr = 0o644 << 16
                info.file_size = path.stat().st_size
                with path.open("rb") as source, packed.open(info, "w") as target:
                    while chunk := source.read(2**20):
                        target.write(chunk)
        progress("packing", len(inside), len(inside))

    files.write_with(archive, write)
