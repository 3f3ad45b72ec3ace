"""Masks of photos that all show the same product: what each of them shows tells of the others.

Of each photo many regions are proposed, and all photos together choose one of each (`agreement`): once
with what one network says, once with what another does. A classifier that is fitted to these photos
tells which of the two looks more like the product of the other photos (`resemblance`). A third network
mends it (`refiner`), and finds again what both have lost, where that looks like the product, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image
from torch import Tensor

from packshot.masks.agreement import View, choose
from packshot.masks.edges import as_mask, refine_edges, softened
from packshot.masks.proposals import SIDE, propose, propose_anywhere
from packshot.masks.refiner import with_foot
from packshot.masks.regions import (
    SAME_THING,
    Region,
    cut_by_colours,
    cut_edge,
    grown,
    overlap,
    resized,
    without_specks,
)
from packshot.masks.resemblance import likeness, resemblances, with_alike, without_unlike
from packshot.masks.segmenter import Found
from packshot.utils.progress import Progress, silent

Say = Callable[[Image.Image], np.ndarray]
"""What a network says of a picture: probabilities, fp32 [height, width]."""
Look = Callable[[Image.Image], Tensor]
"""What a picture's places look like (`resemblance.looks`)."""
_ROUNDS = 4
_BAND = 0.08
"""Half the width of the band in which colours decide on a chosen proposal's edge, of its size."""
_DECIDED = 0.03
"""How far inside both and outside both the colours still decide, of the thing's size."""
_CLEARLY = 0.03
"""By how much a later network's mask must look more like the product than the one before."""
_KNOWN = 0.15
"""The most that the network that mends may be unsure of a mask: else it does not know the thing."""
_BY_OTHERS, _BY_LAST = 0.3, 1.15
"""What a mask's doubt is made of. (Of 45 photos these tell best which masks are wrong by a tenth; eight of
those nine are from 0.1 on, and six of the others.)"""
_COMPARED = 2
"""How often masks are chosen by how they look: what was chosen tells better what to look for."""


@dataclass(frozen=True)
class Mender:
    """What mends a region [h, w] of pixels uint8 [h, w, 3] (`refiner`).

    Attributes:
        mend: the region with a better edge.
        keep: what is the product, where the region has lost some of it.
        unsure: how much of the region may be wrong, 0 to 1.
    """

    mend: Callable[[np.ndarray, Region], Region]
    keep: Callable[[np.ndarray, Region], Region]
    unsure: Callable[[np.ndarray, Region], float]


@dataclass(frozen=True)
class _Photo:
    """One photo: its picture, the mask that a person drew, and what stands out in it."""

    picture: Image.Image
    drawn: Region | None
    square: np.ndarray
    """uint8 [SIDE, SIDE, 3]"""
    standing_out: Sequence[Region]

    @property
    def pixels(self) -> np.ndarray:
        """uint8 [h, w, 3]"""
        return np.asarray(self.picture)


@dataclass(frozen=True)
class _Opinion:
    """What the product is in a photo by one network, and the regions of which that was made."""

    region: Region
    witnesses: Sequence[Region]


def compare(
    pictures: Sequence[Image.Image],
    known: Sequence[Image.Image | None],
    networks: Sequence[Say],
    look: Look,
    mender: Mender,
    progress: Progress = silent,
) -> list[Found]:
    """The product in each picture; see `ComparingSegmenter.compare`.

    Args:
        known: masks that people drew: they are taken as they are, and tell of the others.
        networks: whose opinions are taken; the last one's where nothing tells which is right.
    """
    photos = []
    for picture, drawn in zip(pictures, known, strict=True):
        photos.append(_photo(picture, drawn))
        progress("comparing", len(photos), len(pictures))
    opinions = list(zip(*(_opinions(photos, say) for say in networks), strict=True))
    regions = [said[-1].region for said in opinions]
    odds: Sequence[np.ndarray | None] = [None] * len(photos)
    if len(photos) > 1:
        regions, odds = _likest(photos, opinions, regions, look)
    regions = [
        region if photo.drawn is not None else _mended(photo.pixels, region, own, mender)
        for photo, region, own in zip(photos, regions, odds, strict=True)
    ]
    return [
        Found(drawn, 0.0)
        if drawn
        else Found(
            as_mask(softened(region), photo.picture.size),
            _doubt(region, said, mender.unsure(photo.pixels, region)),
        )
        for photo, drawn, region, said in zip(photos, known, regions, opinions, strict=True)
    ]


def _photo(picture: Image.Image, drawn: Image.Image | None) -> _Photo:
    picture = picture.convert("RGB")
    square = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX))
    if drawn is not None:
        region = np.asarray(drawn.convert("L").resize(picture.size, Image.Resampling.BOX)) > 127
        if resized(region, (SIDE, SIDE)).any():
            return _Photo(picture, region, square, ())
    return _Photo(picture, None, square, propose_anywhere(square))


def _opinions(photos: Sequence[_Photo], say: Say) -> list[_Opinion]:
    """What all photos together choose, with what one network says."""
    views = [_view(photo, say(photo.picture)) for photo in photos]
    return [
        _finish(photo, say(photo.picture), view.proposals[chosen])
        for photo, view, chosen in zip(photos, views, choose(views), strict=True)
    ]


def _view(photo: _Photo, probabilities: np.ndarray) -> View:
    small = cv2.resize(probabilities, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    if photo.drawn is not None:
        return View(photo.square, small, [resized(photo.drawn, (SIDE, SIDE))])
    proposals = propose(photo.square, small, photo.standing_out)
    refined = resized(refine_edges(photo.pixels, probabilities) > 0.5, (SIDE, SIDE))
    if refined.any() and not refined.all():
        proposals.append(refined)
    # Nothing that stands out: then what the photo's middle shows.
    return View(photo.square, small, proposals or [_middle()])


def _middle() -> Region:
    middle = np.zeros((SIDE, SIDE), bool)
    middle[SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4] = True
    return middle


def _finish(photo: _Photo, probabilities: np.ndarray, chosen: Region) -> _Opinion:
    """The chosen proposal at the picture's size, its edge where the colours change."""
    if photo.drawn is not None:
        return _Opinion(photo.drawn, ())
    coarse = resized(chosen, photo.picture.size)
    chosen = cut_edge(photo.pixels, coarse, _BAND, _ROUNDS)
    network = refine_edges(photo.pixels, probabilities) > 0.5
    return _Opinion(_between(photo.pixels, network, chosen), (network, chosen, coarse))


def _between(pixels: np.ndarray, network: Region, chosen: Region) -> Region:
    """Colours decide between what the network found and what was chosen, if it is the same thing."""
    if overlap(network, chosen) <= SAME_THING:
        return chosen
    both, either = network & chosen, network | chosen
    width = max(1, round(_DECIDED * float(np.sqrt(either.sum()))))
    cut = cut_by_colours(pixels, network, grown(both, -width), grown(either, width), _ROUNDS)
    return chosen if cut is None else without_specks(cut)


def _likest(
    photos: Sequence[_Photo],
    opinions: Sequence[Sequence[_Opinion]],
    regions: Sequence[Region],
    look: Look,
) -> tuple[list[Region], list[np.ndarray]]:
    """Of the opinions on each photo the one that looks most like the product of the others, and how much
    each place does (`resemblances`)."""
    for _ in range(_COMPARED):
        odds = resemblances(lambda number: look(photos[number].picture), regions)
        before = regions
        regions = [_most_like(said, own) for own, said in zip(odds, opinions, strict=True)]
        if all(one is other for one, other in zip(before, regions, strict=True)):
            break
    alike = [
        region if photo.drawn is not None else without_unlike(photo.pixels, region, own)
        for photo, region, own in zip(photos, regions, odds, strict=True)
    ]
    return alike, odds


def _most_like(said: Sequence[_Opinion], odds: np.ndarray) -> Region:
    """The opinion that looks most like the product: the first one, unless another clearly does more."""
    worth = [likeness(odds, each.region) - _CLEARLY * place for place, each in enumerate(said)]
    return said[int(np.argmax(worth))].region


def _mended(pixels: np.ndarray, region: Region, odds: np.ndarray | None, by: Mender) -> Region:
    """A region mended, and with what it had lost where other photos tell how that looks."""
    better = by.mend(pixels, region)
    if odds is None or by.unsure(pixels, better) > _KNOWN:
        return better
    kept = by.keep(pixels, better)
    return with_foot(with_alike(better, kept, odds), kept)


def _doubt(region: Region, opinions: Sequence[_Opinion], unsure: float) -> float:
    """How far those who were asked are from what was decided, and how unsure the last one is: 0 to 1."""
    asked = [each for said in opinions for each in (said.region, *said.witnesses)]
    apart = 1 - sum(overlap(region, each) for each in asked) / len(asked)
    return min(1.0, _BY_OTHERS * apart + _BY_LAST * unsure)
