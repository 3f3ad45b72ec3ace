"""A watermark: an identifier in a picture's pixels, which is there still when its metadata is gone.

A tile of weak noise is repeated over the picture, where there is texture more strongly. A quarter of
its chips are always the same: they tell where the tile lies. The others spread the bits of the
identifier (Cox, Kilian, Leighton and Shamoon 1997). That the tile repeats tells how much a picture was
scaled (Kutter 1998). It is no proof: who reads it can also copy or remove it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft

from packshot.provenance.watermark_code import CODE_BITS, decoded, encoded

Values = npt.NDArray[Any]
_TILE, _CHIP = 132, 3
"""Pixels of the tile's side and of a chip's: smaller ones cost PNG more, larger ones drown in texture."""
_CHIPS = _TILE // _CHIP
_SMALLEST, _LARGEST, _PART = 96, 2048, 384
"""Pixels of a side: smaller pictures tell too little; larger ones are read in parts of this size; where
a picture tells nothing, each part of it is asked."""
_LEAST, _LEAST_OF_PARTS, _MOST = 0.3, 0.48, 2.0
"""Scales that are looked for; below the second, parts alone tell nothing."""
_USUAL, _SMALL = (1.0, 0.5, 2 / 3, 0.75, 1.5), 400**2
"""Scales that are tried first, and pixels of a picture in which too little repeats to tell its scale."""
_WEAKEST, _STRONGEST, _BY_TEXTURE = (0.33 / 255, 1 / 255), 2.0 / 255, 0.18
_ENOUGH, _ENOUGH_TEXTURE, _MOST_GAIN = 1024, 640, 5 / 3
"""Sides of squares in which the weakest noise suffices, where it is smooth and where there is texture; and
how much stronger it may be in less."""
_BUDGET, _EVERY = 8 * 18_000, 4
"""Bits that noise may cost a PNG in `_ENOUGH` squared pixels or less, and of how many rows and columns one
is asked what it costs."""
_NEIGHBOURS, _BANDS, _FLOOR = 9, 9, 3.0
_CANDIDATES, _PEAKS, _CLEAR, _NEAR = 6, 2, 4.5, 99
_SEED = 20_260_801


def number_of(name: str) -> int:
    """The identifier that is written as 8 hexadecimal digits."""
    return int(name, 16)


def name_of(identifier: int) -> str:
    """An identifier as it is written."""
    return f"{identifier:08x}"


def marked(
    colours: Values, identifier: int, weights: Values | None = None, place: tuple[int, int] = (0, 0)
) -> Values:
    """Colours [height, width, 3] in [0, 1] with an identifier of 32 bits.

    Args:
        weights: [height, width] in [0, 1]; where it is 0 nothing is changed.
        place: top and left of these colours in the picture.
    """
    height, width = colours.shape[:2]
    luma = cv2.cvtColor(colours.astype(np.float32), cv2.COLOR_RGB2GRAY)
    strength = _smoothed(_strength(luma, np.ones_like(luma) if weights is None else weights))
    rows, columns = (
        (start + np.arange(size)) % _TILE
        for start, size in zip(place, (height, width), strict=True)
    )
    change = _tile(_spread(encoded(identifier)) + _sync())[rows][:, columns] * strength
    if weights is not None:
        change *= weights
    return (colours + change[..., None]).clip(0, 1)


def found(picture: Values) -> int | None:
    """The identifier in a picture uint8 [height, width, 3] or [height, width]; None if there is none."""
    luma = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    if min(luma.shape) < _SMALLEST:
        return None
    parts = _parts(luma, _LARGEST, _LARGEST)
    return next((told for told in map(_found, parts) if told is not None), None)


def _found(luma: Values) -> int | None:
    residual = _residual(luma)
    scales: list[float] = []
    for find in (lambda _: _USUAL, _scales):  # which takes longer
        for scale in find(residual):
            scales.append(scale)
            if (identifier := _read(_tries(residual, scale))) is not None:
                return identifier
    for scale in scales:  # where a part alone is marked
        if scale > _LEAST_OF_PARTS:
            for part in _parts(_unscaled(residual, scale), _PART, _PART // 2):
                if (identifier := _read([part], _CLEAR)) is not None:
                    return identifier
    return None


def _strength(luma: Values, weights: Values) -> Values:
    """How strong the noise is: as the texture is, and the more so the less there is of the picture.

    It is not beside an edge, where it would be seen. Where it is smoothest there is none, if that
    would cost more than `_BUDGET`: noise tells least there, and costs a PNG most.
    """
    texture = cv2.erode(_deviation(_fine(luma)), np.ones((_NEIGHBOURS, _NEIGHBOURS)))
    side = max(float(weights.sum()), 1.0) ** 0.5
    gain = min(max(_ENOUGH_TEXTURE / side, 1.0), _MOST_GAIN)
    least = min(max(_WEAKEST[0] * _ENOUGH / side, _WEAKEST[0]), _WEAKEST[1])
    strength = np.minimum(least + gain * _BY_TEXTURE * texture, gain * _STRONGEST)
    asked = [values[::_EVERY, ::_EVERY].ravel() for values in (strength, texture, weights)]
    most = _BUDGET * max(side / _ENOUGH, 1.0) ** 2 / _EVERY**2
    return strength * (texture > _too_smooth(asked[0], asked[1], asked[2], most))


def _too_smooth(strength: Values, texture: Values, weights: Values, most: float) -> float:
    """The texture up to which noise is left out, so that it costs no more bits than this in all."""
    order = np.argsort(-texture)
    spent = np.cumsum((_bits(strength, texture) * (weights > 0))[order])
    enough = int(np.searchsorted(spent, most, "right"))
    return float(texture[order[enough]]) if enough < len(order) else -1.0


def _bits(strength: Values, texture: Values) -> Values:
    """What noise costs a PNG for each pixel: by 45 photographs, of which the dearest cost twice that."""
    return 4.35 * (255 * strength) ** 1.4 / (1 + (255 / 0.3 * texture) ** 2)


def _parts(values: Values, side: int, step: int) -> Iterator[Values]:
    height, width = values.shape
    for top in range(0, max(height - side + step, 1), step):
        for left in range(0, max(width - side + step, 1), step):
            yield values[top : top + side, left : left + side]


def _smoothed(values: Values) -> Values:
    return cv2.boxFilter(values, -1, (_NEIGHBOURS, _NEIGHBOURS))


def _deviation(values: Values) -> Values:
    mean, square = _smoothed(values), _smoothed(values * values)
    return np.sqrt(np.maximum(square - mean * mean, 0))


def _fine(values: Values) -> Values:
    """What is finer than 1.5 pixels."""
    return values - cv2.GaussianBlur(values, (0, 0), 1.5)


def _residual(luma: Values) -> Values:
    """What is finer than 1.5 pixels, of one strength everywhere."""
    fine = _fine(luma.astype(np.float32))
    return (fine / (_deviation(fine) + 1)).clip(-3, 3)


@cache
def _chosen() -> tuple[Values, Values]:
    """The chips' order, those of the sync first, and their signs."""
    random = np.random.default_rng(_SEED)
    return random.permutation(_CHIPS**2), random.choice([-1.0, 1.0], _CHIPS**2)


def _data_chips() -> Values:
    return _chosen()[0][_CHIPS**2 // 4 :]


def _spread(bits: Values) -> Values:
    chips, places = np.zeros(_CHIPS**2), _data_chips()
    chips[places] = np.resize(bits, len(places)) * _chosen()[1][places]
    return chips.reshape(_CHIPS, _CHIPS)


def _sync() -> Values:
    order, signs = _chosen()
    chips, places = np.zeros(_CHIPS**2), order[: _CHIPS**2 // 4]
    chips[places] = signs[places]
    return chips.reshape(_CHIPS, _CHIPS)


def _tile(chips: Values) -> Values:
    """Chips as pixels, without corners, of deviation 1."""
    wide = cv2.resize(np.tile(chips, (3, 3)), (3 * _TILE, 3 * _TILE), interpolation=cv2.INTER_CUBIC)
    tile = wide[_TILE : 2 * _TILE, _TILE : 2 * _TILE]
    return (tile / tile.std()).astype(np.float32)


@cache
def _sync_spectrum() -> Values:
    return np.conj(fft.rfft2(_tile(_sync())))


def _scales(residual: Values) -> list[float]:
    """The likeliest scales: of small pictures those that show the sync best, else by what repeats."""
    if residual.size > _SMALL:
        return _repeating(residual)
    scales = np.exp(np.arange(np.log(_LEAST), np.log(_MOST), 3 / max(residual.shape)))
    clear = [_clarity(_peaks(_folded(_unscaled(residual, scale)))) for scale in scales]
    return [float(scales[index]) for index in np.argsort(clear)[: -_CANDIDATES - 1 : -1]]


def _repeating(residual: Values) -> list[float]:
    """Scales at which a picture repeats itself most, by its autocorrelation."""
    height, width = residual.shape
    shape = [fft.next_fast_len(size + size // 2, real=True) for size in (height, width)]
    power = np.abs(fft.rfft2(residual, shape)) ** 2
    alike = fft.irfft2(power, shape).astype(np.float32)
    step = 1 / max(height, width)
    scales = np.exp(np.arange(np.log(_LEAST), np.log(_MOST), step))
    score, overlap = np.zeros_like(scales), np.zeros_like(scales)
    for down, right in ((i, j) for i in range(5) for j in range(-4, 5) if (i, j) > (0, 0)):
        y, x = _TILE * down * scales, _TILE * right * scales
        is_inside = (y < height / 2) & (np.abs(x) < width / 2)
        columns, rows = (
            np.mod(at, size)[None].astype(np.float32) for at, size in ((x, shape[1]), (y, shape[0]))
        )
        there = cv2.remap(alike, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)[0]
        score += np.where(is_inside, there, 0)
        overlap += np.where(is_inside, (height - y) * (width - np.abs(x)), 0)
    score /= np.sqrt(np.maximum(overlap, 1))
    best: list[float] = []
    for index in np.argsort(-score):
        if all(abs(scales[index] / other - 1) > 0.01 for other in best):
            best.append(float(scales[index]))
            if len(best) == _CANDIDATES:
                break
    return best


def _tries(residual: Values, scale: float) -> list[Values]:
    """A picture at this scale, give or take two pixels over the whole of it."""
    step = 1 / max(residual.shape)
    offs = (0,) if scale == 1 else (-2, -1, 0, 1, 2)
    return [_unscaled(residual, scale * (1 + step * off)) for off in offs]


def _read(pictures: Sequence[Values], least: float = 0) -> int | None:
    """The identifier in the picture with the clearest sync, which stands out by `least` deviations."""
    tiles = [_folded(picture) for picture in pictures]
    peaks = [_peaks(tile) for tile in tiles]
    best = max(range(len(tiles)), key=lambda index: _clarity(peaks[index]))
    if (clarity := _clarity(peaks[best])) < least:
        return None
    for place in np.argpartition(-peaks[best], _PEAKS, axis=None)[:_PEAKS]:
        top, left = map(int, np.unravel_index(place, tiles[best].shape))
        identifier = _decoded(np.roll(tiles[best], (-top, -left), (0, 1)))
        if identifier is None and clarity > _CLEAR:
            shown = _folded(pictures[best] * _shown(pictures[best], top, left))
            identifier = _decoded(np.roll(shown, (-top, -left), (0, 1)))
        if identifier is not None:
            return identifier
    return None


def _shown(picture: Values, top: int, left: int) -> Values:
    """How much each part of a picture shows the sync that lies there: where a part alone is marked."""
    height, width = picture.shape
    repeats = -(-height // _TILE), -(-width // _TILE)
    sync = np.tile(np.roll(_tile(_sync()), (top, left), (0, 1)), repeats)[:height, :width]
    return cv2.blur(picture * sync, (_NEAR, _NEAR)).clip(0, None)


def _peaks(tile: Values) -> Values:
    """How much a tile that is moved is like the sync, by its move."""
    return fft.irfft2(fft.rfft2(tile) * _sync_spectrum(), tile.shape)


def _clarity(peaks: Values) -> float:
    """Deviations by which the highest stands out."""
    return float(peaks.max() / (peaks.std() + 1e-9))


def _unscaled(residual: Values, scale: float) -> Values:
    if scale == 1:
        return residual
    return cv2.resize(residual, None, fx=1 / scale, fy=1 / scale, interpolation=cv2.INTER_LINEAR)


def _folded(residual: Values) -> Values:
    """All tiles of a picture, one on the other, with what is strong in some frequencies made weaker."""
    rows = np.zeros((_TILE, residual.shape[1]), np.float32)
    tile = np.zeros((_TILE, _TILE), np.float32)
    for top in range(0, len(residual), _TILE):
        part = residual[top : top + _TILE]
        rows[: len(part)] += part
    for left in range(0, rows.shape[1], _TILE):
        part = rows[:, left : left + _TILE]
        tile[:, : part.shape[1]] += part
    return _whitened(tile)


def _whitened(tile: Values) -> Values:
    """A tile whose picture's own texture counts for less, as in Wiener's filter."""
    spectrum = fft.rfft2(tile)
    alike = fft.irfft2(np.abs(spectrum) ** 2, tile.shape)
    smooth = np.maximum(fft.rfft2(alike * _near()).real, 0)
    level = smooth + _FLOOR * smooth.mean() + 1e-9
    return fft.irfft2(spectrum / level, tile.shape).astype(np.float32)


@cache
def _near() -> Values:
    """What autocorrelations are multiplied by, so that their spectrum is a mean over neighbouring bands."""
    bands = np.zeros((_TILE, _TILE), np.float32)
    bands[:_BANDS, :_BANDS] = 1 / _BANDS**2
    middle = -(_BANDS // 2)
    return fft.fft2(np.roll(bands, (middle, middle), (0, 1))).real


def _decoded(tile: Values) -> int | None:
    chips = tile.reshape(_CHIPS, _CHIP, _CHIPS, _CHIP).mean((1, 3)).ravel()
    places = _data_chips()
    values = (chips * _chosen()[1])[places]
    bits = np.bincount(np.arange(len(places)) % CODE_BITS, values, CODE_BITS)
    return decoded(bits.astype(np.float64))
