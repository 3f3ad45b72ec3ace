"""Masks that people draw, in the forms that their programs save: white, opaque, or a hole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from packshot.errors import ImageRejectedError
from packshot.images.loading import opened_picture, upright

if TYPE_CHECKING:
    from PIL import Image

_SURE = 128
"""Of 255: from here on a pixel is the product's."""
_LEAST, _MOST = 0.001, 0.995
"""Of a photo's pixels, what a product covers; else nothing was found, or all was taken for it."""
_HOLE = 0.25
"""Of a picture's edge, what may be transparent where the transparent part is a hole in it. Around a
cut-out nearly all of the edge is."""
_MOST_LABELS = 16
"""Programs that number what they find begin at 0; a person's grey is lighter."""
_INK = 16
"""Of 255: how far from black and white a drawing in ink may be."""
_DRAWN = 0.98
"""Of the visible pixels, those in black or white, if it is a drawing and no cut-out photo."""


@dataclass(frozen=True)
class DrawnMask:
    """A mask as somebody drew it: mode L, upright, 255 on what it marks."""

    image: Image.Image
    by: Literal["white", "opaque", "hole"]
    """What marks it: white; what is opaque of a cut-out or a layer; what is transparent."""


def read_drawn(path: Path) -> DrawnMask:
    """Read a mask at its own size.

    Without transparency the product is white, or of any colour; of two labels (such as 0 and 1) it
    is the higher. With transparency it is what is opaque (a cut-out, a layer
    that was painted on), unless only a hole in the middle is transparent, as ComfyUI's mask editor
    saves it.

    Raises:
        ImageRejectedError: not an image, or damaged.
    """
    with opened_picture(path) as opened:
        image = upright(opened)
        if image is not opened and (labels := _labels_of(opened)):
            return DrawnMask(labels, "white")
        if not image.has_transparency_data:
            return DrawnMask(_bright(image), "white")
        layer = image.convert("RGBA")
    alpha = layer.getchannel("A")
    if not any(alpha.histogram()[:_SURE]):
        return DrawnMask(_bright(layer), "white")
    return _of_layer(layer, alpha)


def read_mask(path: Path, size: tuple[int, int]) -> Image.Image:
    """Read a mask, white on the product, resized to its upright photo's (width, height).

    Raises:
        ImageRejectedError: not an image, or of another aspect ratio than the photo.
    """
    mask = read_drawn(path).image
    if not has_shape(mask.size, size):
        raise ImageRejectedError(
            path.name,
            f"is {mask.width} x {mask.height} px, its upright photo {size[0]} x {size[1]}; "
            "draw it at the photo's size",
        )
    return resized(mask, size)


def has_shape(mask: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether a mask's (width, height) has the proportions of a photo's, within 2 %."""
    return abs(mask[0] * size[1] - mask[1] * size[0]) <= 0.02 * mask[0] * size[1]


def resized(mask: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The mask at a photo's size; of a smaller one the edge is soft, not in steps."""
    from PIL import Image

    is_smaller = mask.width < size[0] or mask.height < size[1]
    way = Image.Resampling.BILINEAR if is_smaller else Image.Resampling.BOX
    return mask if mask.size == size else mask.resize(size, way)


def own_mask(alpha: Image.Image | None) -> Image.Image | None:
    """The mask that a photo's transparency is, if it is a product cut out already."""
    if alpha is None or _is_hole(alpha) or not shows_a_product(alpha):
        return None
    return alpha


def shows_a_product(mask: Image.Image) -> bool:
    """Whether a mask is neither empty nor covers everything."""
    counts = mask.histogram()
    return _LEAST <= sum(counts[_SURE:]) / max(1, sum(counts)) <= _MOST


def _of_layer(layer: Image.Image, alpha: Image.Image) -> DrawnMask:
    import numpy as np
    from PIL import ImageChops

    bright = _bright(layer)
    visible = np.asarray(bright)[np.asarray(alpha) >= _SURE]
    black, white = visible <= _INK, visible >= 255 - _INK
    has_both = black.any() and white.any() and min(black.mean(), white.mean()) > _LEAST
    if has_both and (black | white).mean() >= _DRAWN:  # and beside it what nobody painted
        return DrawnMask(ImageChops.multiply(bright, alpha), "white")
    if _is_hole(alpha):
        return DrawnMask(alpha.point(lambda value: 255 - value), "hole")
    return DrawnMask(alpha, "opaque")


def _is_hole(alpha: Image.Image) -> bool:
    """Whether what is transparent is a hole in a picture, not the surroundings of a cut-out."""
    import numpy as np

    clear = np.asarray(alpha) < _SURE
    edge = np.concatenate([clear[0], clear[-1], clear[:, 0], clear[:, -1]])
    return bool(clear.any() and edge.mean() < _HOLE)


def _labels_of(deep: Image.Image) -> Image.Image | None:
    """The mask that labels in 16 bits say, which are all black in 8; None if there are no such."""
    import numpy as np
    from PIL import Image

    values: Any = np.asarray(deep)
    darkest, brightest = int(values.min()), int(values.max())
    if not (darkest < brightest <= _MOST_LABELS and np.isin(values, (darkest, brightest)).all()):
        return None
    return Image.fromarray(np.where(values == brightest, 255, 0).astype(np.uint8))


def _bright(image: Image.Image) -> Image.Image:
    """The brightest channel: any colour marks as white does, and so does a label.

    A grey between stays: for training it is a weight.
    """
    import numpy as np
    from PIL import Image

    channels: Any = np.asarray(image.convert("RGB"))
    values = channels.max(axis=2)
    darkest, brightest = int(values.min()), int(values.max())
    if darkest < brightest and np.isin(values, (darkest, brightest)).all():
        is_coloured = bool((channels.min(axis=2) != values).any())
        if brightest <= _MOST_LABELS or is_coloured:
            values = np.where(values == brightest, 255, 0).astype(np.uint8)
    return Image.fromarray(values)
