"""Aspect-ratio buckets: the size and crop at which an image is used, without stretching.

After NovelAI's bucketing, as in kohya's trainer: images keep their aspect ratio, all buckets have
about the same area, and sides are multiples of the base's `pixel_multiple`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

MAX_RATIO = 4.0
"""No bucket is longer than this for its width, or wider for its height; sd-scripts' default, too."""
MAX_CUT = 0.4
"""The most of a class image's area that is cut off so that it has the size of the photos beside it."""
_MOST_OFF = 0.25
"""The share by which a bucket's area may be off: with large multiples the longest would be further."""


@lru_cache(maxsize=64)
def sizes(pixels: int, multiple: int) -> tuple[tuple[int, int], ...]:
    """All buckets (width, height): area about `pixels` squared, ratio 1:4 to 4:1."""
    square = max(1, round(pixels / multiple)) * multiple
    buckets = {(square, square)}
    for long_side in range(
        square + multiple, int(pixels * math.sqrt(MAX_RATIO)) + multiple, multiple
    ):
        short_side = round(pixels * pixels / long_side / multiple) * multiple
        is_near = abs(long_side * short_side / pixels**2 - 1) < _MOST_OFF
        if short_side and is_near and long_side <= MAX_RATIO * short_side:
            buckets |= {(long_side, short_side), (short_side, long_side)}
    return tuple(sorted(buckets))


def bucket(width: int, height: int, pixels: int, multiple: int) -> tuple[int, int]:
    """The bucket (width, height) whose aspect ratio is nearest to an image's.

    Args:
        width, height: the image's, in pixels.
        pixels: side of the square bucket.
        multiple: both sides of the bucket are multiples of this.
    """
    return nearest(width, height, sizes(pixels, multiple), pixels)


def nearest(
    width: int, height: int, among: Iterable[tuple[int, int]], pixels: int
) -> tuple[int, int]:
    """Of some buckets, the one whose aspect ratio is nearest to an image's; see `bucket`."""
    shape = math.log(width / height)

    def distance(size: tuple[int, int]) -> tuple[float, int, int]:
        return (
            round(abs(math.log(size[0] / size[1]) - shape), 9),
            abs(size[0] * size[1] - pixels**2),
            size[0],
        )

    return min(among, key=distance)


def cut_share(width: int, height: int, size: tuple[int, int]) -> float:
    """The share of an image's area that no crop of this bucket shows; 0 if it has its shape."""
    ratio = width / height * size[1] / size[0]
    return 1 - min(ratio, 1 / ratio)


def is_croppable(width: int, height: int, size: tuple[int, int]) -> bool:
    """Whether a bucket shows enough of an image: no more than `MAX_CUT` of its area is cut off."""
    return cut_share(width, height, size) <= MAX_CUT


def cover_box(
    width: int,
    height: int,
    bucket_width: int,
    bucket_height: int,
    *,
    zoom: float = 1.0,
    offset: tuple[float, float] = (0.5, 0.5),
) -> tuple[int, int, int, int]:
    """The crop (left, upper, right, lower) of an image that fills a bucket without stretching.

    Args:
        zoom: the sides as a share of the largest such crop's, in (0, 1].
        offset: the position in the remaining room, (0, 0) top left to (1, 1) bottom right.
    """
    scale = zoom * min(width / bucket_width, height / bucket_height)
    box_width = min(width, max(1, round(bucket_width * scale)))
    box_height = min(height, max(1, round(bucket_height * scale)))
    left = round((width - box_width) * offset[0])
    upper = round((height - box_height) * offset[1])
    return left, upper, left + box_width, upper + box_height
