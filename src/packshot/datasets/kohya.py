"""Datasets of kohya's sd-scripts: folders with repeats, and `--dataset_config` files.

Compatible with its library/config_util.py and train_util.py (48d368f). Plain folders of pictures and
side-cars, as OneTrainer and ai-toolkit take them, are read here, too, and the configurations of kohya's
musubi-tuner, whose datasets have no subsets.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from packshot.class_images.manifest import ORIGINS_FILE, read_folder_metadata
from packshot.datasets.image_export import write_upright
from packshot.datasets.metadata import read_json, read_metadata
from packshot.datasets.model import Dataset, Entry, origin_of
from packshot.errors import DatasetError, ImageRejectedError
from packshot.images import sidecars
from packshot.images.caption_text import Remarks, Syntax
from packshot.images.loading import unreadable
from packshot.images.sources import picture_files
from packshot.photos.photo_set import Photo
from packshot.settings import Subject
from packshot.utils import files, pathnames, reading
from packshot.utils.validation import describe

if TYPE_CHECKING:
    from packshot.class_images import ClassImage
    from packshot.utils.progress import Progress

CONFIG_FILE = "dataset.toml"
_REPEATS = re.compile(r"(\d+)_(.*)", re.DOTALL)
_KNOWN = ("reg", "masks")
_CACHES = (".npz", ".safetensors", ".json", ".toml")
"""Beside images: what is cached of them, and tables, which are told of by themselves."""
_SHOWN = 5
_OFF = "{} was skipped: it is to be repeated 0 times"
_THE_PLANS = frozenset(
    (
        "batch_size", "resolution", "enable_bucket", "min_bucket_reso", "max_bucket_reso",
        "bucket_reso_steps", "bucket_no_upscale", "resize_interpolation", "network_multiplier",
        "cache_info", "validation_seed", "cache_directory", "skip_corrupted_cache",
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
    keep_tokens_separator: str | None = None
    secondary_separator: str | None = None
    enable_wildcard: bool | None = False
    """None where no configuration says it."""
    conditioning_data_dir: str | None = None
    alpha_mask: bool = False
    metadata_file: str | None = None
    is_whole: bool = False
    """Whether all of a text is its caption, as it stands."""


_MUSUBI = {"image_directory": "image_dir", "image_jsonl_file": "metadata_file"}
"""musubi-tuner's names of a dataset's folder and table, and a subset's."""
_VIDEOS = ("video_directory", "video_jsonl_file")


class _Table(BaseModel):
    model_config = ConfigDict(extra="allow")
    subsets: list[dict[str, Any]] = []

    def own_subsets(self) -> list[dict[str, Any]]:
        """Its subsets, or what of musubi-tuner's is one."""
        told = self.model_extra or {}
        named = {ours: told[theirs] for theirs, ours in _MUSUBI.items() if theirs in told}
        return self.subsets or ([{**named, "is_whole": True}] if named else [])


class _Config(BaseModel):
    model_config = ConfigDict(extra="allow")
    general: dict[str, Any] = {}
    datasets: list[_Table]


def read_folders(root: Path) -> Dataset:
    """Folders called `10_ohwx car`: those in `root`/img and `root`/reg, in `root`, or `root` itself.

    A folder without such folders is read as one folder of images of the product.
    """
    inside = _child(root, "img") or root
    folders = _folders(inside)
    numbered = [path for path in folders if _REPEATS.fullmatch(path.name)]
    dataset = Dataset()
    for folder in numbered or [inside]:
        dataset.add(_read_folder(folder, is_reg=False))
    if reg := _child(root, "reg"):
        for folder in _folders(reg) or [reg]:
            dataset.add(_read_folder(folder, is_reg=True))
    dataset.notes += _passed_over(inside, folders, numbered)
    return dataset


def _child(root: Path, name: str) -> Path | None:
    """A folder in `root`, in capitals or not."""
    return next((path for path in _folders(root) if path.name.lower() == name), None)


def _folders(root: Path) -> list[Path]:
    return [path for path in sorted(root.iterdir()) if path.is_dir() and path.name[0] != "."]


def _passed_over(inside: Path, folders: Sequence[Path], numbered: Sequence[Path]) -> Iterator[str]:
    """Notes on images that were not read."""
    for folder in [] if _REPEATS.fullmatch(inside.name) else folders:  # there told by itself
        if folder not in numbered and folder.name.lower() not in _KNOWN and _shows(folder):
            yield f"{folder} was skipped: its name gives no repeats, as 10_ohwx car does"
    if numbered and _shows(inside):
        yield f"images in {inside} itself were skipped: they are in no folder with repeats"
    for table in sorted(inside.glob("*.json")):
        yield f"{table} was not read: if it holds captions, import it by its name"


def _unread(folder: Path, read: Collection[Path]) -> Iterator[str]:
    """A note on files beside the images that belong to none of them."""
    left = [
        path.name
        for path in sorted(folder.iterdir())
        if path.name[0] != "." and path.is_file() and path not in read
        and path.suffix.lower() not in _CACHES
    ]  # fmt: skip
    if left:
        more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
        yield f"{folder}: left out, for no image has them: {', '.join(left[:_SHOWN])}{more}"


def _shared(entries: Sequence[Entry]) -> Iterator[str]:
    """Notes on images that have one stem, and so one caption."""
    by_stem: dict[str, list[Entry]] = {}
    for entry in entries:
        by_stem.setdefault(entry.picture.stem, []).append(entry)
    for stem, same in by_stem.items():
        if len(same) > 1 and same[0].caption:
            yield f"{', '.join(entry.picture.name for entry in same)} share the caption of {stem}"


def _shows(folder: Path) -> bool:
    return next(picture_files(folder), None) is not None


def _read_folder(folder: Path, *, is_reg: bool) -> Dataset:
    named = _REPEATS.fullmatch(folder.name)
    subset = Subset(
        num_repeats=int(named[1]) if named else 1,
        class_tokens=named[2].strip() if named else "",
        is_reg=is_reg,
        enable_wildcard=None,
    )
    read = _read_subset(subset, folder, joins_lines=False if named else None)
    for inner in _folders(folder) if named else []:
        if inner.name.lower() != "masks" and _shows(inner):
            read.notes.append(f"{inner} was skipped: folders within one with repeats are not read")
    return read


def read_config(file: Path) -> Dataset:
    """Read the dataset of a `--dataset_config`, TOML or JSON; relative paths start from its folder.

    Raises:
        DatasetError: not such a file, or a folder in it is missing.
        PackshotError: it is not TOML.
    """
    values = read_json(file) if file.suffix.lower() == ".json" else reading.read_toml(file)
    try:
        config = _Config.model_validate(values)
        subsets = [
            Subset.model_validate({**config.general, **(table.model_extra or {}), **subset})
            for table in config.datasets
            for subset in table.own_subsets()
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
    for table in config.datasets:  # of videos alone there are no subsets
        extras |= {key: value for key, value in (table.model_extra or {}).items() if key in _VIDEOS}
    for subset in subsets:
        extras |= {key: value for key, value in (subset.model_extra or {}).items() if value}
    keys = sorted(extras.keys() - _THE_PLANS - _MUSUBI.keys())
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
        read, remarks = read_metadata(table, folder, subset.caption_separator), Remarks()
        read.entries = [_as_told(entry, subset, remarks) for entry in read.entries]
        read.notes += remarks.notes()
    elif folder:
        read = _read_subset(subset, folder, masks)
    else:
        raise DatasetError(f"{file}: a subset names no image_dir and no metadata_file.")
    read.notes = notes + read.notes
    return read


def read_captions_json(file: Path, folder: Path | None = None) -> Dataset:
    """A metadata JSON of sd-scripts by itself; see `read_metadata`."""
    read, remarks = read_metadata(file, folder), Remarks()
    subset = Subset(enable_wildcard=None)
    read.entries = [_as_told(entry, subset, remarks) for entry in read.entries]
    read.notes += remarks.notes()
    return read


def _named(file: Path, name: str, notes: list[str]) -> Path:
    """A path in a configuration; if it is missing, the one next to the configuration (moved together)."""
    parts = [part for part in re.split(r"[/\\]", name) if part]
    tails = (file.parent.joinpath(*parts[start:]) for start in range(len(parts)))
    if pathnames.exists(named := file.parent / name):
        return named
    moved = next(filter(pathnames.exists, tails), None)
    if moved is None:
        raise DatasetError(f"{file} names {name}, which is not there; mend the path in it.")
    notes.append(f"{name} is not there: {moved} was read instead")
    return moved


def _read_subset(
    subset: Subset, folder: Path, masks: Path | None = None, *, joins_lines: bool | None = False
) -> Dataset:
    """The images of one folder with their side-cars; its subfolders are ignored.

    An image whose side-car may not or cannot be read is refused, and costs itself alone.
    """
    for path in (folder, masks or folder):
        if not path.is_dir():
            raise DatasetError(f"{path} is no folder; name one with images.")
    if subset.num_repeats < 1:
        return Dataset(notes=[_OFF.format(folder)])
    named = picture_files(masks) if masks else ()
    by_stem = {sidecars.same_form(path.stem): path for path in named}
    metadata = read_folder_metadata(folder) if subset.is_reg else {}
    remarks, known = Remarks(), {folder / ORIGINS_FILE}
    entries, refused = [], {}
    for path in picture_files(folder):
        known.add(path)
        try:
            side_car = _side_car(path, subset.caption_extension)
            text = sidecars.read_text(side_car) if side_car else None
            mask = by_stem.get(sidecars.same_form(path.stem)) or sidecars.mask_file(path)
        except ImageRejectedError as error:
            refused[f"{folder.name}/{path.name}"] = f"its side-car {error.reason}"
            continue
        except OSError as error:
            refused[f"{folder.name}/{path.name}"] = f"its side-car {unreadable(error)}"
            continue
        entry = Entry(
            picture=path,
            caption=text,
            mask=mask,
            origin=origin_of(metadata.get(sidecars.same_form(path.name), {})),
        )
        entries.append(_as_told(entry, subset, remarks, joins_lines=joins_lines))
        known |= {*filter(None, (side_car, mask, sidecars.caption_file(path)))}
    notes = [*remarks.notes(), *_shared(entries), *_unread(folder, known)]
    if subset.is_reg:
        noun = subset.class_tokens or None
        return Dataset(class_entries=entries, class_noun=noun, refused=refused, notes=notes)
    tokens = subset.class_tokens or None
    return Dataset(entries=entries, class_tokens=tokens, refused=refused, notes=notes)


def _as_told(
    entry: Entry, subset: Subset, remarks: Remarks, *, joins_lines: bool | None = False
) -> Entry:
    if subset.is_whole:
        caption = sidecars.one_line(entry.caption or "") or None
        return replace(entry, caption=caption, repeats=subset.num_repeats)
    syntax = Syntax(
        has_wildcards=subset.enable_wildcard,
        separator=subset.caption_separator,
        keep_tokens_separator=subset.keep_tokens_separator,
        secondary_separator=subset.secondary_separator,
        prefix=subset.caption_prefix or "",
        suffix=subset.caption_suffix or "",
        joins_lines=joins_lines,
    )
    return replace(
        entry,
        caption=syntax.read(entry.caption or "", entry.picture.name, remarks) or None,
        alpha_is_mask=subset.alpha_mask and entry.mask is None,
        repeats=subset.num_repeats,
    )


def _side_car(picture: Path, extension: str | None) -> Path | None:
    path = sidecars.caption_file(picture)
    if extension:
        ending = f".{extension.removeprefix('.')}"
        path = sidecars.find_beside(picture.parent, picture.stem, ending)
    if path is None:
        return None
    return sidecars.refuse_outside(path, picture.parent)


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
    """Words, made safe as part of a folder's name on any drive."""
    plain = " ".join(re.sub(r'[\\/:*?"<>|\x00-\x1f]', " ", words).split())
    return pathnames.shortened(plain, 200).rstrip(". ")  # which Windows drops
