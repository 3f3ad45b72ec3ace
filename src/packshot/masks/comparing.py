"""Masks of photos that all show the same product: what each of them shows tells of the others.

Of each photo many regions are proposed, and all photos together choose one of each (`agreement`): once
with what one network says, once with what another does. A classifier that is fitted to these photos
tells which of the two looks more like the product of the other photos (`resemblance`).
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
from packshot.masks.lost_parts import colour_shares, with_lost_parts
from packshot.masks.proposals import SIDE, propose, propose_anywhere
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
from packshot.masks.resemblance import likeness, resemblances, without_unlike
from packshot.masks.segmenter import Found
from packshot.utils.progress import Progress, silent

Say = Callable[[Image.Image], np.ndarray]
"""What a network says of a picture: probabilities, fp32 [height, width]."""
Look = Callable[[Image.Image], Tensor]
"""What a picture's places look like (`resemblance.looks`)."""
Mend = Callable[[np.ndarray, Region], Region]
"""A region [h, w] of pixels uint8 [h, w, 3] with a better edge (`refiner.mended`)."""
_ROUNDS = 4
_BAND = 0.08
"""Half the width of the band in which colours decide on a chosen proposal's edge, of its size."""
_DECIDED = 0.03
"""How far inside both and outside both the colours still decide, of the thing's size."""
_CLEARLY = 0.03
"""By how much a later network's mask must look more like the product than the one before."""
_COMPARED = 2
"""How often masks are chosen by how they look: what was chosen tells better what to look for."""


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
    mend: Mend,
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
    if len(photos) > 1:
        regions = _likest(photos, opinions, regions, look)
    regions = [
        region if photo.drawn is not None else mend(photo.pixels, region)
        for photo, region in zip(photos, regions, strict=True)
    ]
    return [
        Found(drawn, 0.0)
        if drawn
        else Found(as_mask(softened(region), picture.size), _doubt(region, said))
        for picture, drawn, region, said in zip(pictures, known, regions, opinions, strict=True)
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
) -> list[Region]:
    """Of the opinions on each photo the one that looks most like the product of the others."""
    for _ in range(_COMPARED):
        odds = resemblances(lambda number: look(photos[number].picture), regions)
        before = regions
        regions = [_most_like(said, own) for own, said in zip(odds, opinions, strict=True)]
        if all(one is other for one, other in zip(before, regions, strict=True)):
            break
    regions = [
        region if photo.drawn is not None else without_unlike(photo.pixels, region, own)
        for photo, region, own in zip(photos, regions, odds, strict=True)
    ]
    return _completed(photos, opinions, regions, odds)


def _most_like(said: Sequence[_Opinion], odds: np.ndarray) -> Region:
    """The opinion that looks most like the product: the first one, unless another clearly does more."""
    worth = [likeness(odds, each.region) - _CLEARLY * place for place, each in enumerate(said)]
    return said[int(np.argmax(worth))].region


def _completed(
    photos: Sequence[_Photo],
    opinions: Sequence[Sequence[_Opinion]],
    regions: Sequence[Region],
    odds: Sequence[np.ndarray],
) -> list[Region]:
    """The regions with what they have lost; what a person drew stays as it is."""
    colours = [
        colour_shares(photo.pixels, region) if region.any() else None
        for photo, region in zip(photos, regions, strict=True)
    ]
    known = [each for each in colours if each is not None]
    completed = []
    for photo, said, region, own, shares in zip(
        photos, opinions, regions, odds, colours, strict=True
    ):
        if photo.drawn is None and shares is not None:
            found = [each.witnesses[0] for each in reversed(said)]
            # All photos show it, each in its own light.
            mixed = (shares + np.mean(known, axis=0)) / 2
            region = with_lost_parts(photo.pixels, region, found, own, mixed)
        completed.append(region)
    return completed


def _doubt(region: Region, opinions: Sequence[_Opinion]) -> float:
    """How far those who were asked are from what was decided, 0 to 1."""
    asked = [each for said in opinions for each in (said.region, *said.witnesses)]
    return 1 - sum(overlap(region, each) for each in asked) / len(asked)
