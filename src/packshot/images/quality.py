"""Checks of a photo's quality for training: sharpness, and duplicates.

The limits were set on 45 photos of eight products (sharpness 950 and more; 29 at most once
blurred by 1/256 of their side) and on 2,800 rendered ones on all kinds of backdrops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from packshot.utils import hashing

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

MIN_SHARPNESS = 60.0
NEARLY_THE_SAME = 20
"""Copies (re-encoded, resized, brighter) differ in 16 bits of the perceptual hash at most; two views
of one small product on one plain backdrop in 42 at least. The usual 64-bit hash, and gradient
hashes, do not part the two."""
_SHARPNESS_PIXELS = 512
_TILES, _SHARPEST = 8, 3


def sharpness(image: Image.Image) -> float:
    """Variance of the Laplacian (grey values squared) at no more than 512 px, in the sharpest parts.

    The mean over the three sharpest of 8 x 8 tiles: a small product before a plain backdrop is
    sharp too. About 1 for a plain surface, below 60 for a blurred photo, hundreds for a sharp one.
    """
    import cv2
    import numpy as np

    laplacian = cv2.Laplacian(_grey(image, _SHARPNESS_PIXELS), cv2.CV_32F)
    rows = np.array_split(laplacian, _TILES)
    tiles = [tile for row in rows for tile in np.array_split(row, _TILES, axis=1)]
    return float(np.mean(sorted(float(tile.var()) for tile in tiles)[-_SHARPEST:]))


def _grey(image: Image.Image, longer_side: int) -> np.ndarray:
    import numpy as np
    from PIL import Image

    scale = min(1.0, longer_side / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return np.asarray(image.resize(size, Image.Resampling.BOX).convert("L"), dtype=np.float32)


def perceptual_hash(image: Image.Image) -> str:
    """The perceptual hash of an image, 64 hexadecimal digits.

    Which of the lowest 16 x 16 cosine frequencies are above the median (pHash, Zauner 2010, at 256
    bits). The constant is left out, so brightness does not count.
    """
    import cv2
    import numpy as np
    from PIL import Image

    small = image.convert("L").resize((64, 64), Image.Resampling.BOX)
    frequencies = cv2.dct(np.asarray(small, dtype=np.float32))[:16, :16].flatten()
    frequencies[0] = np.median(frequencies[1:])
    return bytes(np.packbits(frequencies > np.median(frequencies[1:]))).hex()


def distance(first: str, second: str) -> int:
    """The number of the 256 bits in which two perceptual hashes differ."""
    return (int(first, 16) ^ int(second, 16)).bit_count()


def nearly_the_same(first: str, second: str) -> bool:
    """Whether two perceptual hashes are of nearly the same image."""
    return distance(first, second) <= NEARLY_THE_SAME


class SeenImages:
    """The names of images by their perceptual hashes; of thousands, each is found in a millisecond."""

    def __init__(self) -> None:
        self._seen: list[tuple[int, str]] = []

    def add(self, perceptual_hash: str, name: str) -> None:
        """Remember an image."""
        self._seen.append((int(perceptual_hash, 16), name))

    def nearly_the_same(self, perceptual_hash: str) -> str | None:
        """The first image of which this is nearly the same; None if there is none."""
        bits = int(perceptual_hash, 16)
        names = (n for seen, n in self._seen if (seen ^ bits).bit_count() <= NEARLY_THE_SAME)
        return next(names, None)


def pixels_sha256(image: Image.Image) -> str:
    """SHA-256 of size and pixels: equal for two files with the same pixels."""
    return hashing.sha256_of(f"{image.size}".encode() + image.tobytes())
