"""Side-cars of an image: captions and masks next to it, where kohya's trainer finds them."""

from __future__ import annotations

import codecs
from pathlib import Path

from packshot.errors import ImageRejectedError
from packshot.utils import files

CAPTION_ENDINGS = (".txt", ".caption")
MAX_CAPTION = 300
_MOST_BYTES = 65_536


def caption_file(picture: Path) -> Path | None:
    """An image's caption file (`<stem>.txt`, else `<stem>.caption`), if there is one.

    Raises:
        ImageRejectedError: it is a link that leads out of the image's folder.
    """
    beside = (picture.with_suffix(ending) for ending in CAPTION_ENDINGS)
    found = next((path for path in beside if files.is_file(path)), None)
    return found and refuse_outside(found, picture.parent)


def mask_file(picture: Path) -> Path | None:
    """An image's mask (`masks/<stem>.png`), if there is one.

    Raises:
        ImageRejectedError: it is a link that leads out of the image's folder.
    """
    path = mask_place(picture)
    return refuse_outside(path, picture.parent) if files.is_file(path) else None


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
    """Read a caption as one line of at most 300 characters, otherwise unchanged."""
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES)
    line = one_line(decode(data, whole=len(data) < _MOST_BYTES))
    return (
        line
        if len(line) <= MAX_CAPTION
        else line[: MAX_CAPTION + 1].rsplit(" ", 1)[0][:MAX_CAPTION]
    )


def one_line(text: str) -> str:
    """A text as one line of printable characters, one space between words."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def decode(data: bytes, *, whole: bool = True) -> str:
    """Decode a text file's bytes: UTF-8, UTF-16 with a byte order mark, else Windows-1252.

    Args:
        whole: False if the bytes may have been cut within a character.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return codecs.getincrementaldecoder("utf-8-sig")().decode(data, final=whole)
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")  # what Windows' older editors write
