"""Hugging Face's imagefolder: images with a metadata.jsonl or metadata.csv."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packshot.datasets.image_export import write_upright
from packshot.datasets.metadata import MASK_COLUMN, read_metadata
from packshot.datasets.model import Dataset, origin_of
from packshot.errors import DatasetError
from packshot.images.masks import read_mask
from packshot.photos.photo_set import Photo
from packshot.settings import Subject
from packshot.utils import files

if TYPE_CHECKING:
    from packshot.class_images import ClassImage
    from packshot.utils.progress import Progress

TABLES = ("metadata.jsonl", "metadata.csv")
TRAIN, CLASS_IMAGES = "train", "class_images"


def find_table(root: Path) -> Path | None:
    """The metadata table of a folder, or of its train/, if there is one.

    Raises:
        DatasetError: there is only a table in an unsupported format.
    """
    folders = (root, root / TRAIN)
    candidates = (folder / name for folder in folders for name in TABLES)
    table = next((path for path in candidates if path.is_file()), None)
    parquet = [folder / "metadata.parquet" for folder in folders]
    if not table and any(path.is_file() for path in parquet):
        raise DatasetError(f"{root}: Packshot reads no metadata.parquet; save it as metadata.csv.")
    return table


def read_imagefolder(root: Path, table: Path) -> Dataset:
    """The images of a folder's table; those of class_images/, if any, as class images.

    Raises:
        DatasetError: a table is damaged.
    """
    dataset = read_metadata(table)
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        other_table = next((folder / name for name in TABLES if (folder / name).is_file()), None)
        if other_table is None or other_table == table:
            continue
        if folder.name == CLASS_IMAGES:
            others = read_metadata(other_table)
            dataset.add(Dataset(class_entries=others.entries, refused=others.refused))
        else:
            dataset.notes.append(f"{folder} was skipped: import it by its name if you want it")
    return dataset


def write_imagefolder(
    folder: Path,
    subject: Subject,
    photos: Sequence[Photo],
    class_images: Sequence[ClassImage],
    progress: Progress,
) -> None:
    """Write train/, with masks as an image column, and class_images/ as a separate dataset.

    In a folder called train, a photo called test.jpg does not count as the test split.
    """
    total = len(photos) + len(class_images)
    masked = any(photo.mask for photo in photos)
    rows: list[dict[str, Any]] = []
    for done, photo in enumerate(photos, start=1):
        written = write_upright(photo.file, folder / TRAIN / photo.file.stem)
        mask = {MASK_COLUMN: _write_mask(photo, folder / TRAIN)} if masked else {}
        rows.append({"file_name": written.name, "text": photo.caption, **mask})
        progress("export", done, total)
    files.write_json_lines(folder / TRAIN / TABLES[0], rows)
    rows = []
    for done, image in enumerate(class_images, start=len(photos) + 1):
        written = write_upright(image.file, folder / CLASS_IMAGES / image.file.stem)
        rows.append(
            {"file_name": written.name, "text": image.prompt, **origin_of(image.model_dump())}
        )
        progress("export", done, total)
    if rows:
        files.write_json_lines(folder / CLASS_IMAGES / TABLES[0], rows)


def _write_mask(photo: Photo, folder: Path) -> str | None:
    if photo.mask is None:
        return None
    name = f"masks/{photo.file.stem}.png"
    files.write_image(folder / name, read_mask(photo.mask, (photo.width, photo.height)))
    return name
