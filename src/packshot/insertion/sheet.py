"""The insertion's sheet: before and after, the changed area, close-ups, and the checks."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from packshot.images.contact_sheet import INK, PAPER, contact_sheet
from packshot.insertion.background import Background, Box, Colours
from packshot.insertion.quality_checks import Check

_CELL = 512
_GOOD, _BAD = "#1a7f37", "#b3261e"


def sheet(
    before: Background,
    after: Background,
    zone: Colours,
    crop: Box,
    product: Box,
    checks: Sequence[Check],
) -> Image.Image:
    """Draw the sheet's six panels; failed checks are red."""
    small, scale = after.whole(_CELL)
    zone_small = cv2.resize(
        zone, (max(1, round(crop.width * scale)), max(1, round(crop.height * scale)))
    )
    marked = small * 0.45
    top, left = round(crop.top * scale), round(crop.left * scale)
    part = marked[top : top + zone_small.shape[0], left : left + zone_small.shape[1]]
    fits = zone_small[: part.shape[0], : part.shape[1], None]
    part[:] = part * (1 - fits) + fits * (0.5 * part + 0.5)
    foot = _around(after, product.left + product.width // 2, product.bottom, product.width // 2)
    edge = _around(after, product.right, product.top + product.height // 3, product.width // 4)
    panels = [before.whole(_CELL)[0], small, marked, after.colours(foot), after.colours(edge)]
    labels = ["before", "after", "mask and shadow zone", "contact", "edge", "checks"]
    images = [_image(panel) for panel in panels] + [_table(checks)]
    return contact_sheet(images, columns=3, labels=labels, cell_pixels=_CELL)


def _around(background: Background, x: int, y: int, reach: int) -> Box:
    reach = max(24, reach)
    left, top = max(0, x - reach), max(0, y - reach)
    return Box(
        left, top, min(background.width, x + reach) - left, min(background.height, y + reach) - top
    )


def _image(colours: Colours) -> Image.Image:
    return Image.fromarray((colours.clip(0, 1) * 255).round().astype(np.uint8))


def _table(checks: Sequence[Check]) -> Image.Image:
    panel = Image.new("RGB", (_CELL, _CELL), PAPER)
    draw = ImageDraw.Draw(panel)
    apart = min(56, (_CELL - 12) // max(1, len(checks)))
    for row, check in enumerate(checks):
        y = 12 + apart * row
        ink = _GOOD if check.passed else _BAD
        told = f"{check.name}: {check.value:.3g}  {_within(check)}"
        draw.text((8, y), told, fill=ink, font=_fitting(told, 17))
        draw.text((8, y + 22), check.meaning, fill=INK, font=_fitting(check.meaning, 13))
    return panel


def _fitting(text: str, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A font of this size, or as much smaller as the text needs to end on the panel."""
    font = ImageFont.load_default(size)
    room = (_CELL - 16) / max(1.0, font.getlength(text))
    return font if room >= 1 else ImageFont.load_default(max(6, int(size * room)))


def _within(check: Check) -> str:
    low, high = check.limits
    if low == high:
        return f"(must be {low:g})"
    if low == -np.inf or low == 0:
        return f"(at most {high:g})"
    return f"({low:.3g} to {high:.3g})" if high < 1 or high > 1.001 else f"(at least {low:.3g})"
