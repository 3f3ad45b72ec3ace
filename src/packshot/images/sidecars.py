"""Side-cars of an image: captions and masks next to it, where kohya's trainer finds them."""

from __future__ import annotations

import codecs
from pathlib import Path

from packshot.errors import ImageRejectedError
from packshot.utils import files

CAPTION_ENDINGS = (".txt", ".caption")
_ON_WINDOWS = tuple(ending.upper() for ending in CAPTION_ENDINGS)
_MASK_ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
MASK_LABEL, CONDITIONING_LABEL = "-masklabel", "-condlabel"
"""What OneTrainer adds to a photo's stem: its mask, and an image to condition on."""
MAX_CAPTION = 10_000
"""Characters; more than any text encoder reads, see `packshot.models.prompt_length`."""
_MOST_BYTES = 65_536
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF16_ZEROS = ([True, False] * 2, [False, True] * 2)


def caption_file(picture: Path) -> Path | None:
    """An image's caption file (`<stem>.txt`, else `<stem>.caption`), if there is one.

    Raises:
        ImageRejectedError: it is a link that leads out of the image's folder.
    """
    beside = (picture.with_suffix(ending) for ending in (*CAPTION_ENDINGS, *_ON_WINDOWS))
    found = next((path for path in beside if files.is_file(path)), None)
    return found and refuse_outside(found, picture.parent)


def mask_file(picture: Path) -> Path | None:
    """An image's mask, if there is one: in `masks/`, else OneTrainer's `<stem>-masklabel.png`.

    Raises:
        ImageRejectedError: it is a link that leads out of the image's folder.
    """
    place = mask_place(picture)
    drawn = (place.with_name(f"{picture.stem}{ending}") for ending in _MASK_ENDINGS)
    label = picture.with_name(f"{picture.stem}{MASK_LABEL}.png")
    path = next(filter(files.is_file, (*drawn, label)), None)
    return path and refuse_outside(path, picture.parent)


def labelled(picture: Path) -> tuple[str, str]:
    """The stem of the photo that an image file of OneTrainer's belongs to, and which kind it is.

    Both are empty for a photo.
    """
    for kind in (MASK_LABEL, CONDITIONING_LABEL):
        if picture.stem.lower().endswith(kind) and picture.stem.lower() != kind:
            return picture.stem[: -len(kind)], kind
    return "", ""


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


def decode(data: bytes, *, whole: bool = True) -> str:
    """Decode a text file's bytes: UTF-8, UTF-16 (also without its mark), else Windows-1252.

    Args:
        whole: False if the bytes may have been cut within a character.
    """
    if is_utf16(data):
        unmarked = "utf-16-be" if data[0] == 0 else "utf-16-le"
        encoding = "utf-16" if data.startswith(_UTF16_MARKS) else unmarked
        return data.decode(encoding, errors="replace")
    try:
        return codecs.getincrementaldecoder("utf-8-sig")().decode(data, final=whole)
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")  # what Windows' older editors write
