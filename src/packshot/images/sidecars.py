"""Side-cars of an image: captions and masks next to it, where kohya's trainer finds them."""

from __future__ import annotations

import codecs
import functools
import os
import time
import unicodedata
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TextIO

from packshot.errors import ImageRejectedError
from packshot.utils import hashing, pathnames

CAPTION_ENDINGS = (".txt", ".caption")
_MASK_ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
MASK_LABEL, CONDITIONING_LABEL = "-masklabel", "-condlabel"
"""What OneTrainer adds to a photo's stem: its mask, and an image to condition on."""
MAX_CAPTION = 10_000
"""Characters; more than any text encoder reads, see `packshot.models.prompt_length`."""
_MOST_BYTES = 65_536
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF16_ZEROS = ([True, False] * 2, [False, True] * 2)
_SETTLED = 2 * 10**9
"""Nanoseconds after which a folder's stamp tells every change; see `hashing.known_sha256`."""


def caption_file(picture: Path) -> Path | None:
    """An image's caption file (`<stem>.txt`, else `<stem>.caption`), if there is one.

    Raises:
        ImageRejectedError: it is a link that leads out of the image's folder.
    """
    found = (find_beside(picture.parent, picture.stem, ending) for ending in CAPTION_ENDINGS)
    path = next(filter(None, found), None)
    return path and refuse_outside(path, picture.parent)


def mask_file(picture: Path) -> Path | None:
    """An image's mask, if there is one: in `masks/`, else OneTrainer's `<stem>-masklabel.png`.

    Raises:
        ImageRejectedError: it is a link that leads out of the image's folder.
    """
    drawn = (find_beside(picture.parent / "masks", picture.stem, end) for end in _MASK_ENDINGS)
    path = next(filter(None, drawn), None)
    path = path or find_beside(picture.parent, f"{picture.stem}{MASK_LABEL}", ".png")
    return path and refuse_outside(path, picture.parent)


def labelled(picture: Path) -> tuple[str, str]:
    """The stem of the photo that an image file of OneTrainer's belongs to, and which kind it is.

    Both are empty for a photo.
    """
    for kind in (MASK_LABEL, CONDITIONING_LABEL):
        if picture.stem.lower().endswith(kind) and picture.stem.lower() != kind:
            return picture.stem[: -len(kind)], kind
    return "", ""


def find_beside(folder: Path, stem: str, ending: str) -> Path | None:
    """The file of this stem and ending in a folder, if there is one.

    Whatever the Unicode form of the stem (macOS and others write an accent as a character of its own,
    or do not) and the case of the ending.
    """
    exact = folder / f"{stem}{ending}"
    if pathnames.is_file(exact):
        return exact
    name = _names_in(folder).get((same_form(stem), ending.lower()))
    return folder / name if name and pathnames.is_file(folder / name) else None


def same_form(name: str) -> str:
    """A name in the one Unicode form (NFC) in which names are compared."""
    return unicodedata.normalize("NFC", name)


def _names_in(folder: Path) -> Mapping[tuple[str, str], str]:
    try:
        now = hashing.stamp(folder)
    except (OSError, ValueError):
        return {}
    if time.time_ns() - max(now[1:]) < _SETTLED:  # it may change again under this stamp
        return _listed(folder, now)
    return _remembered(folder, now)


def _listed(folder: Path, stamp: tuple[int, int, int]) -> Mapping[tuple[str, str], str]:
    try:
        names = sorted(os.listdir(folder), reverse=True)  # of several, the first counts
    except OSError:
        return {}
    paths = map(PurePath, names)
    return {(same_form(path.stem), path.suffix.lower()): path.name for path in paths}


_remembered = functools.lru_cache(maxsize=4)(_listed)


def refuse_outside(path: Path, folder: Path) -> Path:
    """A side-car, if it lies in the folder of its image.

    In a folder from somebody else a link could make the user's own files part of what is learnt, and
    shared.

    Raises:
        ImageRejectedError: it is a link that leads out of `folder`.
    """
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ImageRejectedError(
            path.name, f"is a link that leads out of {folder}; put the file itself in its place"
        )
    return path


def mask_place(picture: Path) -> Path:
    """The path of an image's mask, whether it exists or not."""
    return picture.parent / "masks" / f"{picture.stem}.png"


def read_caption(path: Path) -> str:
    """Read a caption as one line, otherwise unchanged."""
    return one_line(read_text(path))[:MAX_CAPTION].rstrip()


def read_text(path: Path) -> str:
    """The text of a caption file with its lines; of a longer one, the first 64 KiB."""
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES)
    return decode(data, whole=len(data) < _MOST_BYTES)


def one_line(text: str) -> str:
    """A text as one line of printable characters, one space between words."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def is_utf16(data: bytes) -> bool:
    """Whether bytes are UTF-16: by their mark, or by the zeros of the first two Latin letters."""
    is_unmarked = len(data) > 3 and [byte == 0 for byte in data[:4]] in _UTF16_ZEROS
    return data.startswith(_UTF16_MARKS) or is_unmarked


def _utf16(data: bytes) -> str:
    """Which UTF-16 it is; a mark says it, else the place of the zeros."""
    if data.startswith(_UTF16_MARKS):
        return "utf-16"
    return "utf-16-be" if data[0] == 0 else "utf-16-le"


def open_text(file: Path) -> TextIO:
    """A text file of any length, for reading its lines as they are, decoded as by `decode`."""
    with file.open("rb") as head:
        start = head.read(4)
    if is_utf16(start):
        return file.open(encoding=_utf16(start), errors="replace", newline="")
    return file.open(encoding="utf-8-sig", errors=_AS_WINDOWS, newline="")


def _as_windows(error: UnicodeError) -> tuple[str, int]:
    """Bytes that are no UTF-8, in Windows-1252."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", errors="replace"), error.end


_AS_WINDOWS = "packshot-windows-1252"
codecs.register_error(_AS_WINDOWS, _as_windows)


def decode(data: bytes, *, whole: bool = True) -> str:
    """Decode a text file's bytes: UTF-8, UTF-16 (also without its mark), else Windows-1252.

    Args:
        whole: False if the bytes may have been cut within a character.
    """
    if is_utf16(data):
        return data.decode(_utf16(data), errors="replace")
    try:
        return codecs.getincrementaldecoder("utf-8-sig")().decode(data, final=whole)
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")  # what Windows' older editors write
