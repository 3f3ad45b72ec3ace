"""How dark the background's own ground is where something touches it."""

from __future__ import annotations

import cv2
import numpy as np

from packshot.insertion.background import Box, Colours
from packshot.insertion.shadows import Ground

_PIXELS = 96
"""The product's height when the ground is looked at: thin lines and grain are gone."""
_VALLEY = 11
"""Pixels of that: wider dark things are no contact."""
_LINE = 7
"""Pixels of that: a contact is a line along the ground, a hole in a texture is not."""
_SHARE = 0.998
_LEAST, _MOST = 0.68, 0.92
"""What anchors a product even where the background shows no contact; and ink, which is no shade."""


def contact_density(colours: Colours, ground: Ground, box: Box) -> float:
    """The opacity of the darkest contact shade near the place: 0.68 to 0.92.

    Dark valleys along the ground are looked for, relative to the brightness on their both sides
    (the black top-hat of mathematical morphology). Nothing gets darker than the background is
    anywhere about.
    """
    scale = min(1.0, _PIXELS / box.height)
    small = cv2.resize(
        colours.astype(np.float32), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
    )
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    part = grey[max(0, round(ground.horizon * scale)) :]
    if min(part.shape) < 2 * _VALLEY:
        return _LEAST
    along = cv2.blur(part, (_LINE, 1))
    around = cv2.morphologyEx(along, cv2.MORPH_CLOSE, np.ones((_VALLEY, 1), np.uint8))
    valleys = 1 - along / np.maximum(around, 0.02)
    deepest = float(np.quantile(valleys, _SHARE))
    black = float(np.quantile(grey, 0.002))
    possible = 1 - black / max(float(np.median(part)), 0.02)
    return float(np.clip(min(max(deepest, _LEAST), max(possible, 0)), 0.3, _MOST))
