"""Datasets of kohya's sd-scripts: folders with repeats, and `--dataset_config` files.

Compatible with its library/config_util.py and train_util.py (48d368f).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from packshot.class_images.manifest import ORIGINS_FILE, read_folder_metadata
from packshot.datasets.image_export import write_upright
from packshot.datasets.metadata import read_json, read_metadata
from packshot.datasets.model import Dataset, Entry, origin_of
from packshot.errors import DatasetError
from packshot.images import sidecars
from packshot.images.sources import picture_files
from packshot.photos.photo_set import Photo
from packshot.project import Subject
from packshot.utils import files
from packshot.utils.validation import describe

if TYPE_CHECKING:
    from packshot.class_images import ClassImage
    from packshot.utils.progress import Progress

CONFIG_FILE = "dataset.toml"
_REPEATS = re.compile(r"(\d+)_(.*)", re.DOTALL)
_OFF = "{} was skipped: it is to be repeated 0 times"
_THE_PLANS = frozenset(
    (
        "batch_size", "resolution", "enable_bucket", "min_bucket_reso", "max_bucket_reso",
        "bucket_reso_steps", "bucket_no_upscale", "resize_interpolation", "network_multiplier",
        "cache_info", "validation_seed",
    )
)  # fmt: skip
"""Settings that Packshot's plan makes afresh, or that say nothing without others."""


class Subset(BaseModel):
    """One folder of images, as `[[datasets.subsets]]` describes it."""

    model_config = ConfigDict(extra="allow")
    image_dir: str | None = None
    num_repeats: int = 1
    is_reg: bool = False
    class_tokens: str | None = None
    caption_extension: str | None = Field(default=None, pattern=r"^\.?\w[\w.-]*$")
    caption_prefix: str | None = None
    caption_suffix: str | None = None
    caption_separator: str = ", "
    conditioning_data_dir: str | None = None
    alpha_mask: bool = False
    metadata_file: str | None = None


class _Table(BaseModel):
    model_config = ConfigDict(extra="allow")
    subsets: list[dict[str, Any]] = []


class _Config(BaseModel):
    model_config = ConfigDict(extra="allow")
    general: dict[str, Any] = {}
    datasets: list[_Table]


def read_folders(root: Path) -> Dataset:
    """Folders called `10_ohwx car`: those in `root`/img and `root`/reg, in `root`, or `root` itself.

    A folder without such folders is read as one folder of images of the product.
    """
    inside = root / "img" if (root / "img").is_dir() else root
    folders = _folders(inside)
    numbered = [path for path in folders if _REPEATS.fullmatch(path.name)]
    dataset = Dataset()
    for folder in numbered or [inside]:
        dataset.add(_read_folder(folder, is_reg=False))
    reg = root / "reg"
    if reg.is_dir():
        for folder in _folders(reg) or [reg]:
            dataset.add(_read_folder(folder, is_reg=True))
    dataset.notes += _passed_over(inside, folders, numbered)
    return dataset


def _folders(root: Path) -> list[Path]:
    return [path for path in sorted(root.iterdir()) if path.is_dir() and path.name[0] != "."]


def _passed_over(inside: Path, folders: Sequence[Path], numbered: Sequence[Path]) -> Iterator[str]:
    """Notes on images that were not read."""
    for folder in folders:
        if folder not in numbered and folder.name not in ("reg", "masks") and _shows(folder):
            yield f"{folder} was skipped: its name gives no repeats, as 10_ohwx car does"
    if numbered and _shows(inside):
        yield f"images in {inside} itself were skipped: they are in no folder with repeats"
    for table in sorted(inside.glob("*.json")):
        yield f"{table} was not read: if it holds captions, import it by its name"


def _shows(folder: Path) -> bool:
    return next(picture_files(folder), None) is not None


def _read_folder(folder: Path, *, is_reg: bool) -> Dataset:
    named = _REPEATS.fullmatch(folder.name)
    tokens = named[2].strip() if named else ""
    repeats = int(named[1]) if named else 1
    return _read_subset(Subset(num_repeats=repeats, class_tokens=tokens, is_reg=is_reg), folder)


def read_config(file: Path) -> Dataset:
    """Read the dataset of a `--dataset_config`, TOML or JSON; relative paths start from its folder.

    Raises:
        DatasetError: not such a file, or a folder in it is missing.
        PackshotError: it is not TOML.
    """
    values = read_json(file) if file.suffix.lower() == ".json" else files.read_toml(file)
    try:
        config = _Config.model_validate(values)
        subsets = [
            Subset.model_validate({**config.general, **(table.model_extra or {}), **subset})
            for table in config.datasets
            for subset in table.subsets
        ]
    except ValidationError as error:
        raise DatasetError(
            f"{file} is no dataset configuration: {describe(error)[:300]}"
        ) from error
    dataset = Dataset(notes=_left_out(file, config, subsets))
    for subset in subsets:
        dataset.add(_read_named(file, subset))
    return dataset


def _left_out(file: Path, config: _Config, subsets: Sequence[Subset]) -> list[str]:
    """Notes on options of the configuration that Packshot ignores, unless they are off or 0."""
    extras = dict(config.model_extra or {})
    for subset in subsets:
        extras |= {key: value for key, value in (subset.model_extra or {}).items() if value}
    keys = sorted(extras.keys() - _THE_PLANS)
    return [f"{file.name}: Packshot has nothing for {', '.join(keys)}: left out"] if keys else []


def _read_named(file: Path, subset: Subset) -> Dataset:
    """Read a subset of a configuration."""
    notes: list[str] = []
    table, folder, masks = (
        _named(file, name, notes) if name else None
        for name in (subset.metadata_file, subset.image_dir, subset.conditioning_data_dir)
    )
    if subset.num_repeats < 1:
        return Dataset(notes=[_OFF.format(table or folder)])
    if table:
        read = read_metadata(table, folder, subset.caption_separator)
        read.entries = [_as_told(entry, subset) for entry in read.entries]
    elif folder:
        read = _read_subset(subset, folder, masks)
    else:
        raise DatasetError(f"{file}: a subset names no image_dir and no metadata_file.")
    read.notes += notes
    return read


def _named(file: Path, name: str, notes: list[str]) -> Path:
    """A path in a configuration; if it is missing, the one next to the configuration (moved together)."""
    parts = [part for part in re.split(r"[/\\]", name) if part]
    tails = (file.parent.joinpath(*parts[start:]) for start in range(len(parts)))
    if files.exists(named := file.parent / name):
        return named
    moved = next(filter(files.exists, tails), None)
    if moved is None:
        raise DatasetError(f"{file} names {name}, which is not there; mend the path in it.")
    notes.append(f"{name} is not there: {moved} was read instead")
    return moved


def _read_subset(subset: Subset, folder: Path, masks: Path | None = None) -> Dataset:
    """The images of one folder with their side-cars; its subfolders are ignored."""
    for path in (folder, masks or folder):
        if not path.is_dir():
            raise DatasetError(f"{path} is no folder; name one with images.")
    if subset.num_repeats < 1:
        return Dataset(notes=[_OFF.format(folder)])
    by_stem = {path.stem: path for path in picture_files(masks)} if masks else {}
    metadata = read_folder_metadata(folder) if subset.is_reg else {}
    entries = [
        _as_told(
            Entry(
                picture=path,
                caption=_caption(path, subset.caption_extension),
                mask=by_stem.get(path.stem) or sidecars.mask_file(path),
                origin=origin_of(metadata.get(path.name, {})),
            ),
            subset,
        )
        for path in picture_files(folder)
    ]
    if subset.is_reg:
        return Dataset(class_entries=entries, class_noun=subset.class_tokens or None)
    return Dataset(entries=entries, class_tokens=subset.class_tokens or None)


def _as_told(entry: Entry, subset: Subset) -> Entry:
    words = (subset.caption_prefix, entry.caption, subset.caption_suffix)
    return replace(
        entry,
        caption=" ".join(word for word in words if word) if entry.caption else None,
        alpha_is_mask=subset.alpha_mask and entry.mask is None,
        repeats=subset.num_repeats,
    )


def _caption(picture: Path, extension: str | None) -> str | None:
    path = sidecars.caption_file(picture)
    if extension:
        path = picture.with_suffix(f".{extension.removeprefix('.')}")
    if path is None or not files.is_file(path):
        return None
    sidecars.refuse_outside(path, picture.parent)
    try:
        return sidecars.read_caption(path) or None
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be read ({error.strerror}); check that you may read it."
        ) from error


def write_kohya(
    folder: Path,
    subject: Subject,
    photos: Sequence[Photo],
    class_images: Sequence[ClassImage],
    progress: Progress,
) -> None:
    """Write img/ and reg/ with side-cars, then the configuration.

    Masks become transparency (`alpha_mask`): sd-scripts can also read masks from a folder
    (`conditioning_data_dir`), but ignores class images in a dataset that has one.
    """
    # It takes as many class images as there are photos, repeated; so none is left over.
    repeats = max(1, math.ceil(len(class_images) / len(photos)))
    img = folder / "img" / f"{repeats}_{_plain(subject.phrase)}"
    reg = folder / "reg" / f"1_{_plain(subject.class_noun)}"
    total = len(photos) + len(class_images)
    for done, photo in enumerate(photos, start=1):
        written = write_upright(photo.file, img / photo.file.stem, photo.mask)
        if photo.caption:
            files.write_text(written.with_suffix(".txt"), photo.caption + "\n")
        progress("export", done, total)
    rows = []
    for done, image in enumerate(class_images, start=len(photos) + 1):
        written = write_upright(image.file, reg / image.file.stem)
        files.write_text(written.with_suffix(".txt"), image.prompt + "\n")
        rows.append({"file": written.name, **origin_of(image.model_dump())})
        progress("export", done, total)
    if rows:
        files.write_json_lines(reg / ORIGINS_FILE, rows)
    subsets = list(_subsets(subject, img, repeats, photos, reg if rows else None))
    files.write_text(folder / CONFIG_FILE, _as_toml(subsets))


def _subsets(
    subject: Subject, img: Path, repeats: int, photos: Sequence[Photo], reg: Path | None
) -> Iterator[dict[str, Any]]:
    # Whole paths, for sd-scripts resolves others from wherever it is started.
    masked = {"alpha_mask": True} if any(photo.mask for photo in photos) else {}
    yield {
        "image_dir": str(img.resolve()),
        "class_tokens": subject.phrase,
        "num_repeats": repeats,
        **masked,
    }
    if reg:
        yield {
            "image_dir": str(reg.resolve()),
            "class_tokens": subject.class_noun,
            "num_repeats": 1,
            "is_reg": True,
        }


def _as_toml(subsets: Sequence[dict[str, Any]]) -> str:
    import tomlkit

    document = tomlkit.document()
    document.add(
        tomlkit.comment("For sd-scripts: --dataset_config. Mend the paths if it is moved.")
    )
    document.add(tomlkit.comment("The resolution is that of Stable Diffusion 1.x; SDXL has 1024."))
    document["general"] = {"caption_extension": ".txt", "enable_bucket": True}
    document["datasets"] = [{"resolution": 512, "batch_size": 1, "subsets": list(subsets)}]
    return tomlkit.dumps(document)


def _plain(words: str) -> str:
    """Words, made safe as part of a folder's name."""
    return " ".join(re.sub(r'[\\/:*?"<>|\x00-\x1f]', " ", words).split())
