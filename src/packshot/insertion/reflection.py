"""The product's reflection on polished, wet or icy ground; and whether the ground is so."""

from __future__ import annotations

import cv2
import numpy as np

from packshot.insertion.background import Colours
from packshot.insertion.shadows import Standing

_NORMAL = 0.04
"""What glass and varnish reflect of light that falls straight on them; water and ice half as much."""
_ROUGH = 0.06
"""How much wider a reflection is blurred for each pixel further from the foot."""


def fresnel(slope: Colours | float) -> Colours:
    """The share of light that ground reflects towards a camera that looks down at this slope.

    (Schlick 1994, https://doi.org/10.1111/1467-8659.1330233.)
    """
    sine = np.sin(np.arctan(np.maximum(slope, 0)))
    return np.asarray(_NORMAL + (1 - _NORMAL) * (1 - sine) ** 5, np.float32)


def reflected(
    colours: Colours, product: Colours, product_alpha: Colours, standing: Standing, strength: float
) -> tuple[Colours, Colours]:
    """The ground with the product's reflection, and its opacity [h, w].

    Each column is mirrored about its own foot. The reflection is `strength` (0 to 1) at the nearest
    foot, weaker further down, where one looks at the ground more steeply, and the more blurred the
    further from the foot.

    Args:
        product: the product's colours per pixel of its box, [height, width, 3].
        product_alpha: its opacity.
    """
    box, weight = standing.box, np.zeros(colours.shape[:2], np.float32)
    first = box.bottom - int(np.ceil(standing.foot.rise.max(initial=0)))
    rows = min(box.bottom + box.height, colours.shape[0]) - first
    if rows <= 0 or strength <= 0:
        return colours, weight
    down = np.arange(first, first + rows, dtype=np.float32)[:, None]
    foot = box.bottom - standing.foot.rise[None]
    across = np.broadcast_to(np.arange(box.width, dtype=np.float32)[None], (rows, box.width)).copy()
    up = (2 * foot - 1 - down - box.top).astype(np.float32)
    image = cv2.remap(product.astype(np.float32), across, up, cv2.INTER_LINEAR)
    shown = cv2.remap(product_alpha.astype(np.float32), across, up, cv2.INTER_LINEAR) * (
        down >= foot
    )
    image, shown = _rougher(image, shown, rows)
    slope = (down + 0.5 - standing.ground.horizon) / standing.ground.focal
    share = fresnel(slope) / fresnel(standing.ground.slope(box.bottom + 0.5))
    region = slice(first, first + rows), slice(box.left, box.right)
    fade = np.linspace(1, 0, rows, dtype=np.float32)[:, None] ** 0.5
    weight[region] = shown * share * fade * strength
    mixed = colours.copy()
    part = weight[region][..., None]
    mixed[region] = colours[region] * (1 - part) + image * part
    return mixed, weight


def _rougher(image: Colours, shown: Colours, rows: int) -> tuple[Colours, Colours]:
    """Blurred more from row to row, between pictures that are each blurred evenly."""
    layers = np.concatenate([image * shown[..., None], shown[..., None]], axis=2)
    sigmas = np.array([0.0, 0.01, 0.03, 0.06]) * rows
    blurred = [
        cv2.GaussianBlur(layers, (0, 0), sigmaX=max(0.3, 0.5 * s), sigmaY=max(0.3, s))
        if s
        else layers
        for s in sigmas
    ]
    wanted = np.interp(_ROUGH * np.arange(rows), sigmas, np.arange(len(sigmas)))[:, None, None]
    mixed = sum(
        layer * (1 - np.abs(wanted - number)).clip(0) for number, layer in enumerate(blurred)
    )
    mixed = np.asarray(mixed, np.float32)
    return mixed[..., :3] / np.maximum(mixed[..., 3:], 1e-4), mixed[..., 3]
