"""What one photo shows, as far as the guide asks: view, light, background, place in the frame."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from PIL import Image

from packshot.images.loading import read_picture
from packshot.images.masks import read_drawn
from packshot.photos.photo_set import Photo

VIEWS = {
    "front": r"\bfront\b(?! of)|\bfrontal|\bdavanti\b(?! a)",
    "rear": r"\brear\b|\bbehind\b(?! (?:it|an?|the)\b)|\bback\b(?! of)|\bretro\b|\bdietro\b|posterior",
    "side": r"\bside\b(?! of)|\bprofile\b|\blateral|\bdi (?:lato|fianco|profilo)\b",
    "three_quarter": r"\bthree[- ]quarters?\b|\b3[/-]4\b|\btre quarti\b",
}
"""How captions say from where a product is seen, in the languages of the guide."""
LIGHTS = {
    "day": r"\bday(?:light|time)?\b|\bdi giorno\b|\bluce del giorno\b",
    "dusk": r"\bsunset\b|\bdusk\b|\bsunrise\b|\btramonto\b|\bcrepuscolo\b",
    "night": r"\bnight\b|\bin the dark\b|\bdi notte\b",
}
_SIDE = 128
_BORDER = 18
"""Of the 128 pixels: where there is background, if no mask tells."""
_TAKEN, _EXIF_FOLDER = 0x9003, 0x8769


@dataclass(frozen=True)
class PhotoFeatures:
    """One photo's look; `share` and `cut_off` are None where there is no mask."""

    captioned: bool
    views: frozenset[str]
    light: str | None
    taken: datetime | None
    dark: bool
    bright: bool
    """The product (the middle, without a mask) is burnt out."""
    background: np.ndarray
    """Histogram of its colours, fp [6, 8, 8] over L, a, b; sums to 1."""
    share: float | None
    """Of the picture, that the product takes."""
    cut_off: bool | None

    @property
    def small(self) -> bool:
        """Whether the product takes less than a fifteenth of the picture."""
        return self.share is not None and self.share < 1 / 15

    def overlap(self, other: PhotoFeatures) -> float:
        """Of two backgrounds' colours: 1 if they are the same (histogram intersection)."""
        return float(np.minimum(self.background, other.background).sum())


def extract_features(photo: Photo) -> PhotoFeatures:
    """A photo's look, by its caption, EXIF, mask and pixels."""
    picture = read_picture(photo.file)
    pixels = np.asarray(picture.image.resize((_SIDE, _SIDE), Image.Resampling.BOX))
    grey = pixels.mean(axis=2)
    mask = _mask(photo.mask)
    inner = np.zeros((_SIDE, _SIDE), bool)
    inner[_BORDER:-_BORDER, _BORDER:-_BORDER] = True
    inside = inner if mask is None else mask
    light = _said(photo.caption or "", LIGHTS) or _said(_plain(photo.source), LIGHTS)
    return PhotoFeatures(
        captioned=photo.caption is not None,
        views=views_of(photo),
        light=min(light, default=None),
        taken=_taken(picture.exif),
        dark=float((grey < 30).mean()) > 0.6,
        bright=float((grey[inside] > 250).mean()) > 0.3 if inside.any() else False,
        background=_colours(pixels[~inside]),
        share=None if mask is None else float(mask.mean()),
        cut_off=None if mask is None else _touches(mask),
    )


def views_of(photo: Photo) -> frozenset[str]:
    """From where a photo shows the product, of `VIEWS`, as its caption says, else its name."""
    return _said(photo.caption or "", VIEWS) or _said(_plain(photo.source), VIEWS)


def _plain(name: str) -> str:
    return re.sub(r"[_-]+", " ", Path(name).stem)


def _said(text: str, words: dict[str, str]) -> frozenset[str]:
    return frozenset(what for what, how in words.items() if re.search(how, text, re.IGNORECASE))


def _mask(path: Path | None) -> np.ndarray | None:
    if path is None:
        return None
    drawn = read_drawn(path).image.resize((_SIDE, _SIDE), Image.Resampling.BOX)
    mask = np.asarray(drawn) > 127
    return mask if 0 < mask.mean() < 1 else None


def _touches(mask: np.ndarray) -> bool:
    """Whether the product reaches one of the picture's edges over a tenth of it."""
    edges = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    return any(edge.mean() > 0.1 for edge in edges)


def _colours(pixels: np.ndarray) -> np.ndarray:
    import cv2

    lab = cv2.cvtColor(pixels.reshape(1, -1, 3), cv2.COLOR_RGB2LAB).reshape(-1, 3)
    lab[:, 1:] = lab[:, 1:].clip(64, 191)  # the strongest colours are of the outermost bins
    ranges = ((0, 256), (64, 192), (64, 192))
    counts = np.histogramdd(lab, bins=(6, 8, 8), range=ranges)[0]
    return counts / max(1.0, counts.sum())


def _taken(exif: bytes) -> datetime | None:
    values = Image.Exif()
    try:
        values.load(exif)
        return datetime.strptime(str(values.get_ifd(_EXIF_FOLDER)[_TAKEN]), "%Y:%m:%d %H:%M:%S")
    except Exception:  # none, or malformed: a camera's clock is not worth an error
        return None
