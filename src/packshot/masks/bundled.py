"""The bundled segmenter: a small network trained on rendered products with exact masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from packshot.masks.agreement import View, choose
from packshot.masks.bundled_network import PIXELS, SegmenterNetwork
from packshot.masks.proposals import SIDE, propose
from packshot.masks.regions import (
    Region,
    cut_by_colours,
    cut_edge,
    grown,
    overlap,
    resized,
    without_specks,
)
from packshot.masks.segmenter import Found
from packshot.utils.progress import Progress, silent
from packshot.weights.loading import load_weights_into
from packshot.weights.safetensors_file import read_safetensors

_REFINED_PIXELS = 640
"""Longer side at which edges are found; finer edges are the upscaling's."""
_SURE = 0.9
_POSSIBLE = 0.1
_ROUNDS = 4
_BAND = 0.08
"""Half the width of the band in which colours decide on a chosen proposal's edge, of its size."""
_SAME_THING = 0.65
"""Overlap from which the chosen proposal and what the network found are the same thing."""
_DECIDED = 0.03
"""How far inside both and outside both the colours still decide, of the thing's size."""


class BundledSegmenter:
    """A `Segmenter`. The network works at 128 px; the edge is refined by the image's colours."""

    name = "bundled"

    def __init__(self, folder: Path | None = None) -> None:
        """Load the weights: of `folder`/model.safetensors, or the bundled ones.

        Raises:
            ModelLoadError: the file is of another network.
        """
        folder = folder or Path(__file__).parent / "weights"
        tensors = read_safetensors(folder / "model.safetensors")[0]
        self.network = load_weights_into(SegmenterNetwork, tensors, folder, torch.float32)

    def mask(self, picture: Image.Image) -> Image.Image:
        """See `Segmenter.mask`."""
        small = picture.convert("RGB")
        small.thumbnail((_REFINED_PIXELS, _REFINED_PIXELS), Image.Resampling.LANCZOS)
        probabilities = refine_edges(np.asarray(small), self.probabilities(small))
        return as_mask(probabilities, picture.size)

    def compare(
        self,
        pictures: Sequence[Image.Image],
        known: Sequence[Image.Image | None],
        progress: Progress = silent,
    ) -> list[Found]:
        """See `ComparingSegmenter.compare`.

        Of each photo many regions are proposed, and all photos together choose one of each
        (`agreement`). Where the network found the same thing, colours decide between the two.
        """
        probabilities = [self.probabilities(picture) for picture in pictures]
        views = []
        for picture, found, drawn in zip(pictures, probabilities, known, strict=True):
            views.append(_view(picture, found, drawn))
            progress("comparing", len(views), len(pictures))
        return [
            Found(drawn, 0.0) if drawn else _finish(picture, found, view.proposals[chosen])
            for picture, found, drawn, view, chosen in zip(
                pictures, probabilities, known, views, choose(views), strict=True
            )
        ]

    @torch.no_grad()
    def probabilities(self, picture: Image.Image) -> np.ndarray:
        """The network's probabilities before refinement: fp32 [height, width] in [0, 1]."""
        square = picture.convert("RGB").resize((PIXELS, PIXELS), Image.Resampling.LANCZOS)
        array = np.asarray(square, dtype=np.float32) / 127.5 - 1
        tensor = torch.from_numpy(array).permute(2, 0, 1)[None]
        probabilities = self.network(tensor).sigmoid()[0, 0].numpy()
        return cv2.resize(probabilities, picture.size, interpolation=cv2.INTER_CUBIC).clip(0, 1)


def _view(picture: Image.Image, probabilities: np.ndarray, drawn: Image.Image | None) -> View:
    square = (SIDE, SIDE)
    pixels = np.asarray(picture.convert("RGB").resize(square, Image.Resampling.BOX))
    small = cv2.resize(probabilities, square, interpolation=cv2.INTER_AREA)
    if drawn is not None:
        region = np.asarray(drawn.convert("L").resize(square, Image.Resampling.BOX)) > 127
        if region.any():
            return View(pixels, small, [region])
    proposals = propose(pixels, small)
    refined = resized(refine_edges(np.asarray(picture.convert("RGB")), probabilities) > 0.5, square)
    if refined.any() and not refined.all():
        proposals.append(refined)
    # Nothing that stands out: then what the photo's middle shows.
    return View(pixels, small, proposals or [_middle()])


def _middle() -> Region:
    middle = np.zeros((SIDE, SIDE), bool)
    middle[SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4] = True
    return middle


def _finish(picture: Image.Image, probabilities: np.ndarray, chosen: Region) -> Found:
    """The chosen proposal at the picture's size, its edge where the colours change."""
    pixels = np.asarray(picture.convert("RGB"))
    coarse = resized(chosen, picture.size)
    chosen = cut_edge(pixels, coarse, _BAND, _ROUNDS)
    network = refine_edges(pixels, probabilities) > 0.5
    final = _between(pixels, network, chosen)
    witnesses = (network, chosen, coarse)
    doubt = 1 - sum(overlap(final, each) for each in witnesses) / len(witnesses)
    return Found(as_mask(softened(final), picture.size), doubt)


def _between(pixels: np.ndarray, network: Region, chosen: Region) -> Region:
    """Colours decide between what the network found and what was chosen, if it is the same thing."""
    if overlap(network, chosen) <= _SAME_THING:
        return chosen
    both, either = network & chosen, network | chosen
    width = max(1, round(_DECIDED * float(np.sqrt(either.sum()))))
    cut = cut_by_colours(pixels, network, grown(both, -width), grown(either, width), _ROUNDS)
    return chosen if cut is None else without_specks(cut)


def as_mask(probabilities: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """Probabilities [h, w] in [0, 1] as a mask, mode L, resized to (width, height)."""
    # In 8 bits before it is made larger: one of 64 megapixels would take 256 MB in floats.
    mask = Image.fromarray((probabilities * 255).round().astype(np.uint8))
    return mask.resize(size, Image.Resampling.BICUBIC)


def without_islands(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities [h, w] without small separate islands; soft edges and translucency are kept."""
    return np.where(without_specks(probabilities > _POSSIBLE / 2), probabilities, 0)


def refine_edges(pixels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Move the edge of probabilities [h, w] to where the colours of `pixels` uint8 [h, w, 3] change.

    Colours decide on the pixels of which the network is unsure.
    """
    sure, possible = probabilities > _SURE, probabilities >= _POSSIBLE
    if not sure.any() or not (possible & ~sure).any():
        return probabilities
    cut = cut_by_colours(pixels, probabilities > 0.5, sure, possible, rounds=2)
    return probabilities if cut is None else softened(without_specks(cut))


def softened(inside: Region) -> np.ndarray:
    """A region as probabilities, fp32 [h, w], with an edge of about a pixel."""
    return cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 0.7)
