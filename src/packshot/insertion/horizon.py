"""The horizon of a photo, from what it shows, with how sure that is.

Lines of the ground and of buildings, uprights, and the sky each say how likely every height of the
horizon is; their product is the answer, and its mass near the best height is the confidence.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Colours = npt.NDArray[np.floating]
GRID = np.arange(-1.2, 1.4, 0.02)
"""The heights that a horizon may have, in picture heights from the top."""
TOLERANCE = 0.08
"""In picture heights: within so much of the truth an estimate is right."""
_PIXELS = 512
_FOCALS = (0.8, 1.1, 1.6, 2.6)
"""In longer sides of the picture, where the file does not say: phones to portrait lenses."""


@dataclass(frozen=True)
class Cue:
    """How sharply a cue tells, and the probability that it misleads."""

    sharpness: float
    error: float

    def log(self, evidence: Values) -> Values:
        """Log-likelihood of the heights of `GRID`, where `evidence` tells of them."""
        told = np.exp(self.sharpness * (evidence - evidence.max()))
        return np.log((1 - self.error) * told * len(told) / told.sum() + self.error)


@dataclass(frozen=True)
class Weights:
    """How much each cue counts, and where horizons usually lie: `middle` and `spread`.

    Fitted to photographs, rendered and drawn places by `benchmarks.horizon`; uprights and sky count less
    than that, as they are surer of rendered forests and mountains than they are right.
    """

    lines: Cue = Cue(0.16, 0.36)
    uprights: Cue = Cue(0.18, 0.2)
    sky: Cue = Cue(0.6, 0.3)
    rim: Cue = Cue(0.97, 0.11)
    middle: float = 0.05
    spread: float = 0.35


@dataclass(frozen=True)
class Horizon:
    """An estimate of the horizon.

    Attributes:
        height: where it crosses the middle column, in picture heights from the top.
        roll: how far it is turned clockwise, in radians.
        confidence: the probability that `height` is right within `TOLERANCE`.
        by: the cue that told most, by its name in `Weights`.
        likely: how likely each height of `GRID` is, [N].
    """

    height: float
    roll: float
    confidence: float
    by: str
    likely: Values = field(repr=False, compare=False)


def find_horizon(
    colours: Colours, focal: float | None = None, weights: Weights | None = None
) -> Horizon:
    """The horizon of a photo [h, w, 3] in [0, 1].

    Args:
        focal: the focal length in longer sides of the picture, if it is known.
    """
    told, roll = evidence(colours, focal)
    likely, by = combined(told, weights or Weights())
    near = np.abs(GRID[:, None] - GRID[None]) <= TOLERANCE
    mass = near @ likely
    best = int(mass.argmax())
    around = near[best] * likely
    height = float((around * GRID).sum() / around.sum())
    return Horizon(height, roll, float(mass[best]), by, likely)


def evidence(colours: Colours, focal: float | None) -> tuple[dict[str, Values], float]:
    """What each cue says of the heights of `GRID`, by the names of `Weights`; and the roll."""
    scale = _PIXELS / max(colours.shape[:2])
    size = max(8, round(colours.shape[1] * scale)), max(8, round(colours.shape[0] * scale))
    small = cv2.resize(colours.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    ends = segments(small)
    roll, bend, trust = _uprights(ends, size)
    told = {
        "lines": _meeting(_turned(ends, size, roll), size),
        "uprights": _of_uprights(bend, trust, size, focal),
        "sky": _of_sky(small),
        "rim": _of_rims(small, roll),
    }
    return told, roll


def combined(told: dict[str, Values], weights: Weights) -> tuple[Values, str]:
    """How likely each height of `GRID` is, and the cue that told most."""
    cues = {name: getattr(weights, name).log(said) for name, said in told.items()}
    log = sum(cues.values(), -0.5 * ((GRID - weights.middle) / weights.spread) ** 2)
    likely = np.exp(log - log.max())
    likely /= likely.sum()
    best = int(likely.argmax())
    return likely, max(cues, key=lambda name: float(cues[name][best]))


def segments(colours: Colours) -> Values:
    """Line segments, longest first, [N, 4] of x1, y1, x2, y2 (LSD: von Gioi et al. 2012)."""
    grey = (cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY) * 255).clip(0, 255).astype(np.uint8)
    found = cv2.createLineSegmentDetector().detect(grey)[0]
    if found is None:
        return np.zeros((0, 4))
    ends = np.asarray(found, np.float64).reshape(-1, 4)
    lengths = np.hypot(ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1])
    order = np.argsort(-lengths)
    return ends[order[lengths[order] > 16]][:200]


def _uprights(ends: Values, size: tuple[int, int]) -> tuple[float, float, float]:
    """Roll in radians, and how the lean of uprights grows to the right (radians per pixel).

    RANSAC over pairs of lines: uprights that a camera looks down on lean outwards at the top in
    proportion to their distance from the middle. Third: the inliers' length in picture heights, over
    what chance would give.
    """
    run, rise = ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1]
    lean = np.arctan(np.where(rise == 0, np.inf, -run / np.where(rise == 0, 1, rise)))
    steep = np.abs(lean) < np.radians(30)
    lean, x = lean[steep], ((ends[:, 0] + ends[:, 2]) / 2 - size[0] / 2)[steep]
    lengths = np.hypot(run, rise)[steep]
    if len(lean) < 4:
        return 0.0, 0.0, 0.0
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, len(lean), (2, 400))
    apart = x[second] - x[first]
    usable = np.abs(apart) > 0.1 * size[0]
    bends = np.where(usable, (lean[second] - lean[first]) / np.where(usable, apart, 1), 0.0)
    rolls = lean[first] - bends * x[first]
    possible = (np.abs(rolls) < np.radians(12)) & (np.abs(bends) < 1.2 / max(size))
    bends, rolls = np.append(bends[possible], 0.0), np.append(rolls[possible], 0.0)
    off = np.abs(lean[None] - rolls[:, None] - bends[:, None] * x[None])
    inliers = off < np.radians(1.5)
    best = int((inliers @ lengths).argmax())
    kept = inliers[best]
    if not kept.any():
        return 0.0, 0.0, 0.0
    if kept.sum() >= 3 and np.ptp(x[kept]) > 0.15 * size[0]:
        bend, roll = np.polyfit(x[kept], lean[kept], 1, w=np.sqrt(lengths[kept]))
    else:
        bend, roll = bends[best], rolls[best]
    # Where many lines have any direction, some are upright by chance.
    chance = 3 / 60 * lengths.sum()
    surplus = max(0.0, float(lengths[kept].sum() - 2 * chance)) / size[1]
    trust = surplus * min(1.0, float(np.ptp(x[kept])) / (0.5 * size[0]))
    return (float(roll), float(bend), trust) if trust > 0.3 else (0.0, 0.0, 0.0)


def _of_uprights(bend: float, trust: float, size: tuple[int, int], focal: float | None) -> Values:
    """Log-likelihood of the heights of `GRID` by how uprights converge."""
    if not trust:
        return np.zeros_like(GRID)
    longest = max(size)
    each = [focal] if focal else list(_FOCALS)
    total = np.zeros_like(GRID)
    for one in each:
        # Uprights meet at focal / tan(pitch) below the middle; the horizon is focal * tan(pitch) above.
        height = 0.5 - (one * longest) ** 2 * bend / size[1]
        spread = 0.05 + (one * longest) ** 2 * np.radians(0.6) / size[0] / size[1]
        total += np.exp(-0.5 * ((GRID - height) / spread) ** 2) / spread / len(each)
    return np.log(total + 0.3) * min(trust, 6.0)


def _turned(ends: Values, size: tuple[int, int], roll: float) -> Values:
    """The segments as they were if the picture were turned upright about its middle."""
    middle = np.array([size[0] / 2, size[1] / 2])
    turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    points = (ends.reshape(-1, 2) - middle) @ turn.T + middle
    return points.reshape(-1, 4)


def _meeting(ends: Values, size: tuple[int, int]) -> Values:
    """Log-likelihood of the heights of `GRID` by lines that meet on them, in at most two points.

    Each line either points to such a vanishing point, within a degree or so, or anywhere. (Horizon
    first, then vanishing points on it: Zhai, Workman and Jacobs 2016.)
    """
    run, rise = ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1]
    angle = np.arctan2(rise, run)
    slope = np.abs(np.arctan2(np.abs(rise), np.abs(run)))
    slanted = (slope > np.radians(4)) & (slope < np.radians(72))
    ends, angle, length = ends[slanted], angle[slanted], np.hypot(run, rise)[slanted]
    if len(ends) < 4:
        return np.zeros_like(GRID)
    ends, angle, length = ends[:120], angle[:120], length[:120]
    middles = (ends[:, :2] + ends[:, 2:]) / 2
    weight = length / length.mean()
    away = np.tan(np.linspace(-1.35, 1.35, 55)) * 0.8 * size[0] + size[0] / 2
    heights = GRID * size[1]
    toward = np.arctan2(
        heights[:, None, None] - middles[None, None, :, 1],
        away[None, :, None] - middles[None, None, :, 0],
    )
    off = (toward - angle + np.pi / 2) % np.pi - np.pi / 2
    blur = np.radians(1.2) + 1.0 / length  # a pixel at each end
    fits = np.exp(-0.5 * (off / blur) ** 2) * (np.pi / (blur * np.sqrt(2 * np.pi)))
    share = 0.25
    gain = np.log1p(share * (fits - 1)) * weight  # [heights, points, lines]
    first = gain.sum(axis=2).max(axis=1)
    chosen = gain[np.arange(len(GRID)), gain.sum(axis=2).argmax(axis=1)]
    both = np.maximum(gain, chosen[:, None]).sum(axis=2).max(axis=1) - np.log(len(away))
    return np.maximum(np.maximum(first, both), 0.0)


def _of_sky(colours: Colours) -> Values:
    """Log-likelihood of the heights of `GRID` by where the sky ends: not much above the horizon."""
    bottom, flat, share = sky(colours)
    if share < 0.04:
        return np.zeros_like(GRID)
    below = GRID - bottom
    spread = 0.08 + 0.15 * (1 - flat)  # trees and mountains stand over the horizon
    fits = np.where(below < 0, np.exp(-0.5 * (below / 0.03) ** 2), np.exp(-below / spread))
    return np.log(fits + 0.15 * (1 - flat) + 0.02)


def _of_rims(colours: Colours, roll: float) -> Values:
    """Evidence for the heights of `GRID` by edges from side to side, as of a sea or a field.

    Where nearly all columns grow lighter, or darker, in some colour at one height, something ends there.
    """
    height, width = colours.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(np.degrees(roll)), 1.0)
    level = cv2.warpAffine(colours, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    soft = cv2.GaussianBlur(level, (0, 0), 2.0)
    reach = max(3, height // 60)
    step = np.zeros_like(soft)
    step[reach:-reach] = soft[2 * reach :] - soft[: -2 * reach]
    agree = np.abs((np.sign(step) * (np.abs(step) > 0.03)).mean(axis=1)).max(axis=1)
    rows = np.clip(np.round(GRID * height).astype(int), 0, height - 1)
    inside = (GRID > 0.03) & (GRID < 0.97)
    best = np.array([agree[max(0, row - reach) : row + reach + 1].max() for row in rows])
    return np.where(inside, 4.0 * np.maximum(best - 0.5, 0.0), 0.0)


def sky(colours: Colours) -> tuple[float, float, float]:
    """Where the sky ends (picture heights from the top), how flat its end is (0 to 1), and its share.

    Sky is bright or blue, smooth, and joined to the top edge.
    """
    smooth = cv2.GaussianBlur(colours, (0, 0), 1.5)
    grey = cv2.cvtColor(smooth, cv2.COLOR_RGB2GRAY)
    rough = np.hypot(
        cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=0.25), cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=0.25)
    )
    top = smooth[: max(2, len(smooth) // 12)]
    bright = grey > max(0.35, float(np.median(grey)))
    blue = (
        (smooth[..., 2] > smooth[..., 0] + 0.03)
        & (smooth[..., 2] >= smooth[..., 1] - 0.01)
        & (grey > 0.2)
    )
    alike = np.abs(smooth - np.median(top, axis=(0, 1))).sum(axis=2) < 0.9
    may = ((bright | blue) & alike & (rough < 0.03)).astype(np.uint8)
    _, labels = cv2.connectedComponents(
        cv2.morphologyEx(may, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    )
    touching = np.unique(labels[0])
    inside = np.isin(labels, touching[touching > 0])
    share = float(inside.mean())
    columns = inside[0] | inside[2]
    if share == 0 or columns.mean() < 0.3:
        return 0.0, 0.0, 0.0
    ends = np.where(inside.any(axis=0), len(inside) - inside[::-1].argmax(axis=0), 0)[columns]
    bottom = float(np.quantile(ends, 0.9)) / len(inside)
    if bottom > 0.97:  # a wall, or a studio's white
        return 0.0, 0.0, 0.0
    flat = float(np.mean(np.abs(ends / len(inside) - bottom) < 0.03))
    return bottom, flat, share
