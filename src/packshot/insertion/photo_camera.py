"""The camera of a product's photo: how steeply it looks down at the product, and how the product leans.

What tells it: the file, else the caption's words, else the photo's horizon above the product's foot;
and the ellipse of a round product's foot. Each tells an angle with its standard deviation.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from packshot.errors import ImageRejectedError
from packshot.images.exif_camera import ExifCamera, exif_camera
from packshot.images.loading import open_image, opened_picture
from packshot.insertion.background import Box, Colours
from packshot.insertion.camera import Camera
from packshot.insertion.horizon import GRID, Values, find_horizon
from packshot.insertion.symmetry import lean_of
from packshot.photos.photo_set import Photo

_PIXELS = 640
_FOCALS = (1.0, 1.6, 2.6, 4.2)
"""In longer sides of the photo, where its file does not say: phones to what portraits are taken with."""
_MASKS = 4.0
"""Degrees that masks of photos are wrong at a foot by, beyond their pixels."""
_WIDE = 0.95
"""Of the widest half ellipse that fits: narrower ones fit the inside of a rounded foot."""
_USUAL = (18.0, 16.0)
"""Mean and standard deviation in degrees of how steeply products are photographed."""
_ELEVATIONS: tuple[tuple[tuple[str, ...], float, float], ...] = (
    (("top down", "flat lay", "overhead", "bird's eye", "directly above"), 80, 10),
    (("from below", "worm's eye"), -15, 12),
    (("low angle",), 0, 8),
    (("high angle", "from above", "top view", "seen from the top"), 45, 18),
    (("eye level", "straight on"), 5, 7),
    (("front view", "side view", "rear view", "from the front", "from the side"), 10, 12),
)
"""Words of captions, the elevation that they mean, and its standard deviation, in degrees."""
_YAWS: tuple[tuple[tuple[str, ...], float], ...] = (
    (("front three quarter",), 45),
    (("rear three quarter", "back three quarter"), 135),
    (("front view", "from the front"), 0),
    (("side view", "from the side"), 90),
    (("rear view", "back view", "from behind"), 180),
)


@dataclass(frozen=True)
class PhotoCamera:
    """How a photo sees the product.

    Attributes:
        elevation: degrees that it looks down at the product's foot.
        spread: the standard deviation of that.
        tilt: degrees that the product leans clockwise in the photo; None if that is not known.
        yaw: degrees from the product's front, by the caption's words; None if it names no side.
        by: what told the elevation most exactly, in words.
    """

    elevation: float
    spread: float
    tilt: float | None
    yaw: float | None
    by: str


def camera_of_photo(photo: Photo, place: Box, alpha: Colours, is_round: bool) -> PhotoCamera:
    """The camera of a photo of the product.

    Args:
        place: the product's box in the photo.
        alpha: the product's opacity in that box.
        is_round: whether the product is a solid of revolution, whose foot is seen as an ellipse.
    """
    told = _of_file(photo)
    foot = place.left + place.width / 2, float(place.bottom)
    inside, words = alpha > 0.5, _plain(photo.caption)
    angles: list[tuple[float, float, str]] = []
    if told.pitch is not None and told.focal:
        seen = Camera(photo.width, photo.height, told.focal, told.pitch, told.roll or 0.0)
        angles.append((math.degrees(seen.below_horizon(*foot)), 3.0, "the camera's own level"))
    elif said := next((how for how in _ELEVATIONS if any(one in words for one in how[0])), None):
        angles.append((*said[1:], "the caption"))
    else:
        angles += [(*_USUAL, "products' usual photos"), _by_horizon(photo, foot, told)]
    if is_round and (ellipse := foot_ellipse(inside)):
        angles.append((*ellipse, "the ellipse of its foot"))
    tilt = lean_of(inside)
    yaw = next((angle for wordings, angle in _YAWS if any(one in words for one in wordings)), None)
    mean, spread = joined([angle[:2] for angle in angles])
    return PhotoCamera(mean, spread, tilt, yaw, min(angles, key=lambda angle: angle[1])[2])


def joined(angles: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The mean of estimates weighted by certainty, and its standard deviation.

    Where they contradict each other the spread is theirs (Birge's ratio).
    """
    means, weights = np.array([a for a, _ in angles]), np.array([s**-2 for _, s in angles])
    mean = float((means * weights).sum() / weights.sum())
    chi = float((((means - mean) ** 2) * weights).sum()) / max(len(angles) - 1, 1)
    return mean, math.sqrt(max(1.0, chi) / weights.sum())


def foot_ellipse(inside: np.ndarray) -> tuple[float, float] | None:
    """The elevation in degrees at which a round foot has its ellipse, and its standard deviation.

    The lower edge of a round thing on the ground is half an ellipse, whose axes' ratio is the sine of
    the elevation. Of the half ellipses that fit the silhouette's lower edge, the best of the wide
    ones counts.

    Args:
        inside: the silhouette, boolean [height, width].

    Returns:
        None if no such ellipse is there.
    """
    height, width = inside.shape
    columns = np.flatnonzero(inside.any(axis=0))
    if len(columns) < 24:
        return None
    lowest = (height - inside[::-1].argmax(axis=0)).astype(np.float64)
    edge = lowest[columns]
    near = 0.008 * width + 0.6  # the silhouette is of whole pixels
    fits: list[tuple[int, float, float, float]] = []
    middle = float(columns[edge >= edge.max() - near].mean())
    for half in np.linspace(0.15, 0.52, 38) * width:
        for x in middle + np.linspace(-0.04, 0.04, 5) * width:
            along = (columns - x) / half
            under = np.abs(along) < 0.97
            if under.sum() < 20 or not (along.min() < -0.97 and along.max() > 0.97):
                continue
            arc = np.sqrt(1 - along[under] ** 2)
            sides = np.stack([np.ones_like(arc), arc], axis=1)
            (base, sag), *_ = np.linalg.lstsq(sides, edge[under], rcond=None)
            off = np.abs(sides @ (base, sag) - edge[under])
            if np.quantile(off, 0.9) < near and sag > -near:
                fits.append((int(under.sum()), float(off.mean()), float(sag), float(half)))
    if not fits:
        return None
    widest = max(count for count, *_ in fits)
    _, _, sag, half = min((fit for fit in fits if fit[0] >= _WIDE * widest), key=lambda fit: fit[1])
    ratio = min(max(sag, 0.0) / half, 1.0)
    blur = near / half / max(math.sqrt(1 - ratio**2), 0.3)
    return math.degrees(math.asin(ratio)), _MASKS + math.degrees(blur)


def _by_horizon(
    photo: Photo, foot: tuple[float, float], told: ExifCamera
) -> tuple[float, float, str]:
    """Mean and standard deviation in degrees by the heights that the photo's horizon may have."""
    width, height = photo.width, photo.height
    longest = max(width, height)
    likely = _horizon(photo.file, photo.sha256, told.focal and told.focal / longest)
    focals = [told.focal] if told.focal else [focal * longest for focal in _FOCALS]
    each = np.array(
        [
            [
                math.degrees(
                    Camera.with_horizon(width, height, y * height, focal).below_horizon(*foot)
                )
                for y in GRID
            ]
            for focal in focals
        ]
    )
    mean = float((each @ likely).mean())
    spread = math.sqrt(float(((each - mean) ** 2 @ likely).mean()))
    return mean, max(spread, 5.0), "the photo's horizon"


@functools.lru_cache(maxsize=256)
def _horizon(file: Path, sha256: str, focal: float | None) -> Values:
    """How likely the heights of `GRID` are for a photo's horizon; kept, as plates ask again."""
    small = open_image(file)
    small.thumbnail((_PIXELS, _PIXELS))
    return find_horizon(np.asarray(small, np.float32) / 255, focal).likely


def _of_file(photo: Photo) -> ExifCamera:
    try:
        with opened_picture(photo.file) as opened:
            return exif_camera(opened)
    except (ImageRejectedError, OSError):
        return ExifCamera()


def _plain(caption: str | None) -> str:
    return f" {caption or ''} ".replace("-", " ").lower()
