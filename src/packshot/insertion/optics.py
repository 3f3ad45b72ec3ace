"""What a camera does to a picture: how blurred it is at a place, and its grain."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.optimize import nnls

from packshot.insertion.background import Colours

_EDGE = 0.012
"""The least gradient per pixel of an edge; less is shading."""
_OVER_NOISE = 5
"""How many of the noise's deviations a gradient must have to be an edge's."""
_FEW = 40
"""Pixels of edges: fewer tell nothing."""
_RIDGE = 0.97
"""Of the greatest gradient beside it: along an edge grain makes it rise and fall."""
_SHARP_SHARE = 0.35
"""Quantile of the edges' blur: shadows and round things have softer edges than the lens makes."""
_BANDS = (0.0, 0.7, 1.4, 2.8)
"""Standard deviations between which lie the bands in which grain is measured, in pixels."""
_BLOCK = 16
_CALM = 0.25
"""Of the blocks of one brightness: those with the least in them that is no grain."""
_LEVELS = 6
_PER_LEVEL = 40
"""Blocks of a brightness: fewer tell less than they cost."""
_FIRST = 0.03
"""Of the blocks of one brightness: those that are the calmest of all."""
_EVEN = 1.25
"""How much stronger the calm blocks' noise may be than the calmest's: 1.1 on photos of plain walls,
1.3 to 3 on asphalt, concrete and grass."""
_WEAK = 0.004
"""Deviation of luma: one step of 8 bits."""
_FINE = 1.15
"""How much stronger noise is in each band than in the next coarser one: 1.4 to 2.6, also after JPEG;
textures have 0.6 to 1, or 1.2 and 1."""
_SPAN = 1.5
"""How much stronger grain is at one brightness than at another."""
_STEPS = 32
"""Of brightness, in which grain is added."""
_SHARP = 0.8
"""Pixels: what is drawn sharp is as blurred as this."""
_FAINT = 0.04
"""Step in brightness of an edge: where all are less, it is unknown whether they are soft or out of focus."""
_UNSEEN = 2e-4
_MOST = 0.06
"""Deviation of luma: stronger is no grain."""


def blur_of(colours: Colours, inside: np.ndarray | None = None) -> float | None:
    """How blurred the edges are: a Gaussian's standard deviation in pixels; None without edges.

    An edge is blurred again: the more blurred it was, the less gradient it loses (Zhuo and Sim 2011,
    https://doi.org/10.1016/j.patcog.2011.03.009). The second blur grows with the first, for a small one
    changes nothing about a much blurred edge.

    Args:
        inside: where to look, boolean [height, width]; everywhere if None.
    """
    grey = cv2.cvtColor(colours.astype(np.float32), cv2.COLOR_RGB2GRAY)
    area = np.ones(grey.shape, bool) if inside is None else inside
    found = None
    smooth = 0.0
    for again in (1.0, 2.0, 4.0):
        # Grain has edges as sharp as can be: before the blur is measured it is smoothed away.
        first = cv2.GaussianBlur(grey, (0, 0), smooth) if smooth else grey
        value = _edge_blur(first, area, again)
        if value is None:
            break
        found = math.sqrt(max(value**2 - smooth**2, 0.01))
        if found < 1.2 * again:
            break
        smooth = again / 2
    return found


def _edge_blur(grey: Colours, area: np.ndarray, again: float) -> float | None:
    own, second = (gradient(image) for image in (grey, cv2.GaussianBlur(grey, (0, 0), again)))
    if not area.any():
        return None
    noise = 1.5 * float(np.median(own[area]))
    least = max(float(np.quantile(own[area], 0.97)), _EDGE / again, min(noise, 0.05))
    strong = area & (own >= least) & (own >= cv2.dilate(own, np.ones((3, 3), np.uint8)) * _RIDGE)
    if strong.sum() < _FEW / 4:
        return None
    ratio = own[strong] / np.maximum(second[strong], 1e-6)
    variance = again**2 / np.maximum(ratio**2 - 1, 1e-4)
    sharp = float(np.quantile(variance, _SHARP_SHARE))
    return math.sqrt(
        max(sharp - 1 / 3, 0.01)
    )  # a central difference is itself a blur, of variance 1/3


def gradient(grey: Colours) -> Colours:
    """The gradient's magnitude per pixel."""
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *way, scale=1 / 8) for way in ((1, 0), (0, 1)))
    return np.hypot(across, down)


def out_of_focus(values: Colours, blur: float | None) -> Colours:
    """What lies on ground that is blurred by that many pixels: as blurred as it. None: as it is."""
    if blur is None or blur < _SHARP:
        return values
    return np.asarray(cv2.GaussianBlur(values, (0, 0), blur))


def blur_at(colours: Colours, row: int, columns: slice, reach: int) -> float | None:
    """How blurred the ground is in a row: what stands there is as far from the camera, and as blurred.

    Rows nearby are taken, and more if they show no clear edges; None if none do. Unclear ones tell that it
    is no more blurred than they are.
    """
    height, most = len(colours), math.inf
    for wider in (1, 2, 4):
        rows = slice(max(0, row - wider * reach), min(height, row + wider * reach))
        for part in (colours[rows, columns], colours[rows]):
            found = blur_of(part)
            if found is not None and not _is_faint(part, found):
                return min(found, most)
            most = min(most, found or math.inf)
    return None


def _is_faint(colours: Colours, blur: float) -> bool:
    """Whether what looks blurred has no clear edges: a meadow painted softly, ice, a plain cloth."""
    if blur < _SHARP:
        return False
    steepest = float(np.quantile(gradient(cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)), 0.995))
    return steepest * math.sqrt(2 * math.pi) * blur < _FAINT


@dataclass(frozen=True)
class Grain:
    """Noise by brightness and fineness.

    Attributes:
        levels: brightnesses, [N], rising.
        deviations: of luma and the two chromas, in each band from fine to coarse: [N, bands, 3].
    """

    levels: Colours
    deviations: Colours

    def at(self, grey: Colours) -> Colours:
        """Deviations [..., bands, 3] at brightnesses [...]."""
        flat = self.deviations.reshape(len(self.levels), -1)
        columns = [np.interp(grey, self.levels, column) for column in flat.T]
        stacked = np.stack(columns, axis=-1).astype(np.float32)
        return stacked.reshape(*np.shape(grey), *self.deviations.shape[1:])


def grain_of(tiles: Sequence[Colours], inside: np.ndarray | None = None) -> Grain | None:
    """Measure the grain of pieces of a picture, [height, width, 3] each, in their calmest blocks.

    Noise of a camera depends on brightness (Foi et al. 2008, https://doi.org/10.1109/TIP.2008.2001399), and
    JPEG and what removes noise make it coarse; both are kept. It is the same in all blocks of a
    brightness: what differs from block to block is a texture, and such a brightness tells only
    that the grain is no stronger.

    Args:
        inside: where to look in the only tile; everywhere if None.

    Returns:
        None if there is no whole block.
    """
    blocks = np.concatenate([_blocks(tile, inside) for tile in tiles])
    if not len(blocks):
        return None
    level, energy, power = blocks[:, 0], blocks[:, 1], blocks[:, 2:].reshape(len(blocks), -1, 3)
    count = min(_LEVELS, max(1, len(blocks) // _PER_LEVEL))
    found = []
    for part in np.array_split(np.argsort(level), count):
        calmest = part[np.argsort(energy[part])]
        first, all_calm = (calmest[: math.ceil(share * len(part))] for share in (_FIRST, _CALM))
        is_steady = _is_grain(power[first], power[all_calm])
        calm = all_calm if is_steady else first
        found.append(
            (float(np.median(level[calm])), np.sqrt(np.median(power[calm], axis=0)), is_steady)
        )
    levels, deviations, steady = (np.array(each) for each in zip(*found, strict=True))
    return Grain(levels.astype(np.float32), _limited(deviations, steady))


def _is_grain(first: Colours, calm: Colours) -> bool:
    """Whether the calmest blocks' power [N, bands, 3] is a camera's: even, and fine where it is strong."""
    least, more = (np.sqrt(np.median(part[:, :, 0].sum(axis=1))) for part in (first, calm))
    fine, middle, coarse = np.sqrt(np.median(calm[:, :, 0], axis=0))
    is_fine = fine >= _FINE * middle and middle >= _FINE * coarse
    return bool(more <= _MOST and (is_fine or more <= _WEAK) and more < _EVEN * least)


def _limited(deviations: Colours, steady: np.ndarray) -> Colours:
    """Where texture was measured no more than the other brightnesses' grain allows."""
    total = np.sqrt((deviations[..., 0] ** 2).sum(axis=1))
    most = _SPAN * total[steady].min() if steady.any() else _WEAK
    most = np.where(steady, np.inf, most)
    share = np.minimum(1, most / np.maximum(total, 1e-6))
    return (deviations * share[:, None, None]).astype(np.float32)


def _blocks(tile: Colours, inside: np.ndarray | None) -> Colours:
    """Of each block inside: its brightness, what stirs in it, its bands' power in three channels."""
    channels = cv2.cvtColor(tile.astype(np.float32), cv2.COLOR_RGB2YCrCb)
    bands = _bands(channels)
    is_whole = _means(np.ones(channels.shape[:2], np.float32) if inside is None else inside) > 0.999
    luma = channels[..., 0]
    coarse = cv2.GaussianBlur(luma, (0, 0), 2 * _BANDS[-1])
    structure = np.sqrt((_means(coarse**2) - _means(coarse) ** 2).clip(0))
    power = [_means(band[..., channel] ** 2) for band in bands for channel in range(3)]
    energy = structure + np.sqrt(power[0] + power[3] + power[6])
    return np.stack([_means(luma), energy, *power], axis=-1)[is_whole]


def _bands(channels: Colours) -> list[Colours]:
    """Differences of Gaussians, from fine to coarse."""
    blurred = [cv2.GaussianBlur(channels, (0, 0), sigma) if sigma else channels for sigma in _BANDS]
    return [fine - coarse for fine, coarse in itertools.pairwise(blurred)]


def _means(values: Colours | np.ndarray) -> Colours:
    """Means over blocks, without those that the edge cuts."""
    rows, columns = (side // _BLOCK * _BLOCK for side in values.shape)
    part = np.asarray(values[:rows, :columns], np.float32)
    return part.reshape(rows // _BLOCK, _BLOCK, columns // _BLOCK, _BLOCK).mean(axis=(1, 3))


def add_grain(colours: Colours, wanted: Grain, own: Grain | None, seed: int) -> Colours:
    """Adds the noise that `wanted` has in excess of `own`, by brightness and fineness, [h, w, 3]."""
    channels = cv2.cvtColor(colours.astype(np.float32), cv2.COLOR_RGB2YCrCb)
    levels = np.linspace(0, 1, _STEPS + 1, dtype=np.float32)
    missing = wanted.at(levels) ** 2 - (own.at(levels) ** 2 if own else 0)
    needed = _amounts(missing.clip(0))
    generator = np.random.default_rng(seed)
    grey = cv2.GaussianBlur(channels[..., 0], (0, 0), 1.0).clip(0, 1)
    at = np.round(grey * _STEPS).astype(np.uint8)
    for channel in range(3):
        for band, (low, high) in enumerate(itertools.pairwise(_BANDS)):
            amount = needed[:, band, channel]
            if amount.max() < _UNSEEN:
                continue
            noise = generator.standard_normal(grey.shape, dtype=np.float32)
            fine = cv2.GaussianBlur(noise, (0, 0), low) if low else noise
            noise = fine - cv2.GaussianBlur(noise, (0, 0), high)
            channels[..., channel] += noise * (amount[at] / noise.std())
    return cv2.cvtColor(channels, cv2.COLOR_YCrCb2RGB)


def _amounts(power: Colours) -> Colours:
    """The deviation of noise to add in each band, so that bands have this power: [N, bands, 3].

    Bands overlap: noise of one is measured in its neighbours too.
    """
    leak = _overlap()
    flat = np.moveaxis(power, 1, -1).reshape(-1, power.shape[1])
    own = np.array([nnls(leak, each)[0] for each in flat.astype(np.float64)])
    parts = own.reshape(len(power), power.shape[2], -1)
    return np.sqrt(np.moveaxis(parts, -1, 1)).astype(np.float32)


@functools.cache
def _overlap() -> np.ndarray:
    """The power that each band [bands, .] measures in noise of unit power of each, [., bands]."""
    across = np.fft.fftfreq(128)
    square = across[:, None] ** 2 + across[None] ** 2
    passed = [np.exp(-2 * np.pi**2 * sigma**2 * square) for sigma in _BANDS]
    bands = [(fine - coarse) ** 2 for fine, coarse in itertools.pairwise(passed)]
    return np.array([[(one * own).mean() / own.mean() for own in bands] for one in bands])
