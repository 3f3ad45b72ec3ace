"""The rim of a cut-out: how much of each pixel is the product, and what colour the product has there.

Closed-form matting (Levin et al. 2008, https://doi.org/10.1109/TPAMI.2007.1177) decides in a narrow
band along the mask's edge; multi-level foreground estimation (Germer et al. 2020, arXiv 2006.14970)
takes the background's share out of the colours. Both by PyMatting.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import cv2
import numpy as np

from packshot.insertion.background import Colours
from packshot.masks.regions import continued

MOST_PIXELS = 768
"""Longer side at which the rim is computed: memory and time do not grow with the photo."""
_LEAST_PIXELS = 48
_BAND = 0.012
"""Half the band's width, of the longer side."""
_LEAST_BAND = 2
"""The same in pixels."""
_INSIDE, _OUTSIDE = 0.9, 0.1
_CORE = 0.6
"""Of how deep a thin part is: from there on it is sure, or colours would decide alone whether it is there."""
_KNOWN = 100.0
"""How firmly the band's edges hold."""
_DRAWN = 0.02
"""How firmly the mask holds in the band where no colour decides, as on even ground: over the square of the
band's width, for the wider it is, the less the mask is right to a pixel."""
_FIRM, _ALIKE, _BLACK = 3e4, 0.15, 0.15
"""How many times as firmly where it is black on both sides, as of a tyre and the shade behind it: colours
that differ by less, none brighter (RGB in [0, 1]). What the solver makes of such a band is frayed."""
_EPSILON = 1e-5
"""How far colours may lie from a line, as variance: with less, the noise of photos hides what is alike."""
_FAINT = 0.05
"""Opacity below which there is nothing, and beside 1 all: what the solver leaves of the ground as haze."""
_STEPS = 400
"""Of the solver; it needs about a hundred."""


def prepare() -> None:
    """Import what computes rims: on its first use on a machine it compiles for half a minute."""
    import pymatting  # noqa: F401


def matte(colours: Colours, alpha: Colours) -> tuple[Colours, Colours]:
    """Colours of the product alone, and its opacity, with a rim as the photo shows it.

    Inside the band all stays as it was; outside the product its edge colours are continued. Where
    the band cannot be solved (too small, no outside, no convergence), the nearest colours inside
    stand for those at the edge.

    Args:
        colours: [h, w, 3] in [0, 1].
        alpha: the mask, [h, w] in [0, 1].
    """
    height, width = alpha.shape
    scale = min(1.0, MOST_PIXELS / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    drawn = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    trimap = _trimap(drawn)
    if min(size) < _LEAST_PIXELS or len(np.unique(trimap)) < 3:
        return without_fringe(colours, alpha), alpha
    small = cv2.resize(colours, size, interpolation=cv2.INTER_AREA)
    solved = _solve(small, drawn, trimap)
    if solved is None:
        return without_fringe(colours, alpha), alpha
    front, rim = (
        cv2.resize(each, (width, height), interpolation=cv2.INTER_LINEAR) for each in solved
    )
    band = cv2.resize((trimap == 0.5).astype(np.float32), (width, height)) > 0
    opacity = np.where(band, rim, alpha)
    return _continued(colours, front, band, opacity), opacity


def _width(alpha: Colours) -> int:
    """Half the band's width in pixels."""
    return max(_LEAST_BAND, round(_BAND * max(alpha.shape)))


def _trimap(alpha: Colours) -> np.ndarray:
    """1 inside, 0 outside and 0.5 in the band, [h, w]; what is thinner than the band keeps its core."""
    width = _width(alpha)
    disc, wider = (
        cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        for radius in (width, width + 1)
    )
    sure = (alpha > _INSIDE).astype(np.uint8)
    inside = cv2.erode(sure, disc, borderValue=1)
    depth = cv2.distanceTransform(sure, cv2.DIST_L2, 5)
    deepest = cv2.dilate(depth, wider)
    core = (sure > 0) & (deepest <= width) & (depth >= _CORE * deepest)
    possible = cv2.dilate((alpha > _OUTSIDE).astype(np.uint8), disc)
    return np.where((inside > 0) | core, 1.0, np.where(possible > 0, 0.5, 0.0))


def _firmness(colours: Colours, trimap: np.ndarray) -> Colours:
    """How firmly the mask holds in the band, [h, w]: `_DRAWN`, and more where both sides are black."""
    smooth = cv2.GaussianBlur(colours, (0, 0), 1.0)
    inside, outside = (continued(smooth, trimap == side) for side in (1.0, 0.0))
    apart = np.linalg.norm(inside - outside, axis=2) / _ALIKE
    brightest = np.maximum(inside, outside).max(axis=2) / _BLACK
    untold = np.exp(-(apart**2) - brightest**2)
    return np.asarray(_DRAWN * (1 + _FIRM * untold) / _width(trimap) ** 2)


def _solve(colours: Colours, alpha: Colours, trimap: np.ndarray) -> tuple[Colours, Colours] | None:
    """The product's colours and opacity at the trimap's size; None if the solver fails."""
    # Not at the top: its first import on a machine compiles for half a minute.
    from pymatting import cf_laplacian, cg, estimate_foreground_ml, ichol
    from scipy.sparse import diags

    wide = colours.astype(np.float64).clip(0, 1)
    is_known = (trimap != 0.5).ravel()
    weights = np.where(is_known, _KNOWN, _firmness(colours, trimap).ravel())
    system = cf_laplacian(wide, epsilon=_EPSILON, is_known=is_known) + diags(weights)
    goal = weights * np.where(is_known, trimap.ravel(), alpha.ravel())
    try:
        # Where it tries again, it prints warnings of its speed.
        with redirect_stdout(io.StringIO()):
            preconditioner = ichol(system)
        opacity = cg(system, goal, M=preconditioner, maxiter=_STEPS).reshape(trimap.shape)
    except ValueError:  # of the solver, which did not converge
        return None
    if not np.isfinite(opacity).all():
        return None
    front = estimate_foreground_ml(wide, opacity.clip(0, 1))
    clear = ((opacity - _FAINT) / (1 - 2 * _FAINT)).clip(0, 1)
    return front.astype(np.float32).clip(0, 1), clear.astype(np.float32)


def _continued(colours: Colours, front: Colours, band: np.ndarray, opacity: Colours) -> Colours:
    """The photo's colours inside, the estimated ones in the band, and those continued outside."""
    return without_fringe(np.where(band[..., None], front, colours), opacity, sure=0.5)


def without_fringe(colours: Colours, alpha: Colours, sure: float = 0.9) -> Colours:
    """Replaces colours at the edge, which mix with the background, by the nearest ones inside.

    Args:
        sure: the opacity above which a pixel, with all its neighbours, keeps its colour.
    """
    padded = np.pad((alpha > sure).astype(np.uint8), 1)
    inside = cv2.erode(padded, np.ones((3, 3), np.uint8))[1:-1, 1:-1]
    if not inside.any():
        return colours
    return continued(colours, inside > 0)
