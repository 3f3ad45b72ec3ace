"""What a photo shows that looks like the product of the other photos.

Two masks of one photo may both look right by themselves: with the saucer or without it. A small
classifier, fitted to the pixels of the other photos inside and outside their masks, tells: it takes
colours and what the segmenter's network sees at a place, and is fitted in a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from packshot.masks.regions import Region, cut_by_colours, grown, without_specks
from packshot.masks.shot_network import PIXELS

_FOLDS = 8
"""So many classifiers are fitted at most; with so many photos, each from all photos but one."""
_PIXELS = 100_000
"""The most that one is fitted to."""
_STEPS, _BATCH, _HIDDEN, _RATE, _DECAY = 150, 2048, 48, 5e-3, 3e-2
_RING = 0.2
"""Width of what counts as around a region, of its size."""
_DOUBT = 2.0
"""How far below even odds something must be to be left off."""
_MOST_ODDS = 5.0
_LEAST_LEFT_OFF = 0.25
"""Of a region: less is left as it is, for the edge is not told as finely as colours tell it."""
_ALIKE = 2.0
"""How far above even odds a part must be on average to be added."""
_SOLID, _LEAST_PART = 0.012, 0.002
"""Half the width of such a part, of the region's size, and its least area, of the region's."""


@torch.no_grad()
def looks(features: Callable[[Tensor], Tensor], pixels: np.ndarray) -> Tensor:
    """What the places of a picture look like: fp32 [channels, PIXELS / 2, PIXELS / 2].

    Args:
        features: the network's (`ShotNetwork.features`).
        pixels: uint8 [h, w, 3], RGB.
    """
    square = cv2.resize(pixels, (PIXELS, PIXELS), interpolation=cv2.INTER_AREA)
    half = (PIXELS // 2, PIXELS // 2)
    lab = cv2.cvtColor(square.astype(np.float32) / 255, cv2.COLOR_RGB2Lab) / (60.0, 25.0, 25.0)
    grey = cv2.cvtColor(square, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    busy = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 2)) * 10
    planes = [lab, *(cv2.GaussianBlur(each, (0, 0), s) for each in (lab, busy) for s in (2, 5))]
    small = [cv2.resize(each, half, interpolation=cv2.INTER_AREA) for each in planes]
    colours = torch.from_numpy(np.dstack(small).astype(np.float32)).permute(2, 0, 1)
    picture = torch.from_numpy(square.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)
    return torch.cat([colours, features(picture[None])[0]])


def resemblances(look: Callable[[int], Tensor], regions: Sequence[Region]) -> list[np.ndarray]:
    """How much each place looks like the product of the other photos: log odds, fp32 [side, side].

    Args:
        look: what a photo's places look like (`looks`), by its number; asked for twice.
        regions: what is taken to be the product in each photo, at any size; of two photos or more.
    """
    samples = [
        _sampled(look(n), region, _PIXELS // len(regions)) for n, region in enumerate(regions)
    ]
    folds = min(_FOLDS, len(regions))
    with _one_thread():
        classifiers = [
            _fitted([sample for n, sample in enumerate(samples) if n % folds != fold])
            for fold in range(folds)
        ]
    return [classifiers[n % folds](look(n)) for n in range(len(regions))]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Small products of matrices wait for each other's threads, for minutes where cores are busy; and by one
    thread they are the same on any number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def likeness(odds: np.ndarray, region: Region) -> float:
    """How much more a region looks like the product than what is around it, -1 to 1."""
    ring = grown(region, max(3, int(_RING * float(np.sqrt(region.sum()))))) & ~region
    if not region.any() or not ring.any():
        return -1.0
    shares = 1 / (1 + np.exp(-odds_at(odds, region)))
    return float(shares[region].mean() - shares[ring].mean())


def without_unlike(pixels: np.ndarray, region: Region, odds: np.ndarray) -> Region:
    """A region without what does not look like the product, if that is much of it.

    Args:
        pixels: uint8 [h, w, 3], RGB.
    """
    evidence = np.where(region, (odds_at(odds, region) + _DOUBT).clip(-_MOST_ODDS), -_MOST_ODDS)
    cut = cut_by_colours(pixels, evidence > 0, evidence > 2, evidence >= -2, rounds=3)
    if cut is None:
        return region
    left = without_specks(cut) & region
    return left if 0 < left.sum() < (1 - _LEAST_LEFT_OFF) * region.sum() else region


def with_alike(region: Region, found: Region, odds: np.ndarray) -> Region:
    """A region with those parts of what was found beside it that look like the product.

    Thin rims are left: how far an edge reaches is not told as finely.

    Args:
        found: [h, w].
        odds: of `resemblances`.
    """
    size, beside = float(np.sqrt(region.sum())), found & ~region
    radius = max(1, round(_SOLID * size))
    solid = grown(grown(beside, -radius), radius) & beside
    count, labels, stats, _ = cv2.connectedComponentsWithStats(solid.astype(np.uint8))
    own, added = odds_at(odds, region), np.zeros_like(region)
    for number in range(1, count):
        part = labels == number
        if stats[number, cv2.CC_STAT_AREA] >= _LEAST_PART * region.sum():
            added |= part & (own[part].mean() > _ALIKE)
    result: Region = region | (grown(added, 2) & beside)
    return result


def odds_at(odds: np.ndarray, region: Region) -> np.ndarray:
    """Odds of `resemblances` at a region's size."""
    return cv2.resize(odds, region.shape[::-1], interpolation=cv2.INTER_CUBIC)


class _Classifier:
    """A layer of hidden units over standardised values."""

    def __init__(self, values: Tensor) -> None:
        self.mean, self.deviation = values.mean(dim=0), values.std(dim=0) + 1e-4
        hidden = nn.Linear(values.shape[1], _HIDDEN)
        self.network = nn.Sequential(hidden, nn.SiLU(), nn.Dropout(0.2), nn.Linear(_HIDDEN, 1))

    def odds(self, values: Tensor) -> Tensor:
        """Log odds [N] of values [N, channels]."""
        odds: Tensor = self.network((values - self.mean) / self.deviation)[:, 0]
        return odds

    @torch.no_grad()
    def __call__(self, place: Tensor) -> np.ndarray:
        """Log odds [side, side] of a photo's places."""
        return self.odds(place.flatten(1).T).reshape(place.shape[1:]).numpy()


def _sampled(places: Tensor, region: Region, most: int) -> tuple[Tensor, Tensor]:
    """Values [N, channels] of at most so many places, and how much of each is inside [N]."""
    side = places.shape[-1]
    shares = cv2.resize(region.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
    chosen = torch.randperm(side**2, generator=torch.Generator().manual_seed(0))[:most]
    return places.flatten(1).T[chosen], torch.from_numpy(shares).flatten()[chosen]


def _fitted(samples: Sequence[tuple[Tensor, Tensor]]) -> _Classifier:
    """A classifier of what is inside; inside and outside count alike, however large they are."""
    values, inside = (torch.cat(parts) for parts in zip(*samples, strict=True))
    share = inside.mean().clamp(1e-3, 1 - 1e-3)
    weights = torch.where(inside > 0.5, 0.5 / share, 0.5 / (1 - share))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classifier = _Classifier(values)
        _fit(classifier, values, inside, weights)
    return classifier


def _fit(classifier: _Classifier, values: Tensor, inside: Tensor, weights: Tensor) -> None:
    parameters = classifier.network.parameters()
    optimizer = torch.optim.AdamW(parameters, lr=_RATE, weight_decay=_DECAY)
    for _ in range(_STEPS):
        some = torch.randint(0, len(values), (_BATCH,))
        loss = F.binary_cross_entropy_with_logits(
            classifier.odds(values[some]), inside[some], weights[some]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    classifier.network.eval()
