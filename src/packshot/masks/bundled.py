"""The bundled segmenter: two small networks, trained on rendered and on drawn products with exact masks, find
the product, and a third one mends the edge: one of its own where that is a car."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from packshot.masks import bundled_network, shot_network
from packshot.masks.comparing import Mender, compare
from packshot.masks.edges import as_mask, refine_edges, softened
from packshot.masks.refiner import (
    MOST_SHADE,
    PLANES,
    kept_of_more,
    mended,
    share_in_doubt,
)
from packshot.masks.regions import Region
from packshot.masks.resemblance import looks
from packshot.masks.segmenter import Found
from packshot.utils.progress import Progress, silent
from packshot.weights.loading import load_weights_into
from packshot.weights.safetensors_file import read_safetensors

_Network = TypeVar("_Network", bound=nn.Module)
_REFINED_PIXELS = 640
"""Longer side at which edges are found; finer edges are the upscaling's."""
_SUREST = 9.0
"""The largest logit with which one network speaks against the other."""
_CAR_NOUNS = (
    "4x4", "automobile", "cabriolet", "car", "convertible", "coupe", "coupé", "crossover", "estate",
    "hatchback", "jeep", "limousine", "minivan", "pickup", "pickup truck", "roadster", "saloon", "sedan",
    "station wagon", "suv", "van",
)  # fmt: skip
"""How class nouns of cars end: below them it is as black as their tyres, which no colour tells apart."""
_TOYS = {
    "die-cast",
    "diecast",
    "miniature",
    "model",
    "pedal",
    "radio",
    "rc",
    "remote",
    "slot",
    "toy",
}
"""Words before them of what only looks like one: it has drivers and antennas, and stands on tables."""


class BundledSegmenter:
    """A `Segmenter`. The networks work at 128 and 192 px, the one that mends on what was found alone."""

    name = "bundled"

    def __init__(self, folder: Path | None = None) -> None:
        """Load the weights: model, shots and refiner.safetensors of `folder`, or the bundled ones.

        Raises:
            ModelLoadError: a file is of another network.
        """
        self.folder = folder = folder or Path(__file__).parent / "weights"
        rendered = _load(bundled_network.SegmenterNetwork, folder / "model.safetensors")
        shots = _load(shot_network.ShotNetwork, folder / "shots.safetensors")
        self._refiner, self._most_shade = _load_refiner(folder / "refiner.safetensors"), 0.0
        self.networks: tuple[tuple[nn.Module, int], ...] = (
            (rendered, bundled_network.PIXELS),
            (shots, shot_network.PIXELS),
        )
        self._features = shots.features

    def for_class(self, noun: str) -> BundledSegmenter:
        """See `ClassSegmenter.for_class`: cars are mended by cars.safetensors, if the folder has it."""
        file = self.folder / "cars.safetensors"
        if not is_car(noun) or not file.is_file():
            return self
        fitted = copy(self)
        fitted._refiner, fitted._most_shade = _load_refiner(file), MOST_SHADE
        return fitted

    def mask(self, picture: Image.Image) -> Image.Image:
        """See `Segmenter.mask`."""
        small = picture.convert("RGB")
        small.thumbnail((_REFINED_PIXELS, _REFINED_PIXELS), Image.Resampling.LANCZOS)
        pixels = np.asarray(small)
        region = refine_edges(pixels, self.probabilities(small)) > 0.5
        return as_mask(softened(self._mend(pixels, region)), picture.size)

    def compare(
        self,
        pictures: Sequence[Image.Image],
        known: Sequence[Image.Image | None],
        progress: Progress = silent,
    ) -> list[Found]:
        """See `ComparingSegmenter.compare`."""
        networks = [self._first, self._second]
        mender = Mender(self._mend, self._keep, self._unsure)
        return compare(pictures, known, networks, self._look, mender, progress)

    def _first(self, picture: Image.Image) -> np.ndarray:
        network, pixels = self.networks[0]
        return _sigmoid(_logits(network, picture, pixels))

    def _second(self, picture: Image.Image) -> np.ndarray:
        return _sigmoid(_on_both_sides(*self.networks[1], picture))

    def _look(self, picture: Image.Image) -> Tensor:
        return looks(self._features, np.asarray(picture.convert("RGB")))

    def _mend(self, pixels: np.ndarray, region: Region) -> Region:
        return mended(self._refiner, pixels, region, self._most_shade)

    def _keep(self, pixels: np.ndarray, region: Region) -> Region:
        return kept_of_more(self._refiner, pixels, region)

    def _unsure(self, pixels: np.ndarray, region: Region) -> float:
        return share_in_doubt(self._refiner, pixels, region)

    def probabilities(self, picture: Image.Image) -> np.ndarray:
        """The networks' probabilities before refinement: fp32 [height, width] in [0, 1].

        Averaged before the sigmoid, over the picture and its mirror image: what one is unsure of, the
        other decides.
        """
        logits = [_on_both_sides(*each, picture) for each in self.networks]
        return _sigmoid(np.mean([each.clip(-_SUREST, _SUREST) for each in logits], axis=0))


def is_car(noun: str) -> bool:
    """Whether a class noun is one of a car: "suv", "Sports Car"; no toy."""
    words = noun.lower().split()
    return _TOYS.isdisjoint(words) and any(
        words[-len(name) :] == name for name in map(str.split, _CAR_NOUNS)
    )


def _load_refiner(file: Path) -> nn.Module:
    return _load(partial(shot_network.ShotNetwork, planes=PLANES), file)


def _load(network: Callable[[], _Network], file: Path) -> _Network:
    return load_weights_into(network, read_safetensors(file)[0], file.parent, torch.float32)


def _on_both_sides(network: nn.Module, pixels: int, picture: Image.Image) -> np.ndarray:
    """What a network says of a picture and of its mirror image, on average: fp32 [height, width]."""
    mirrored = _logits(network, picture, pixels, mirrored=True)
    mean: np.ndarray = (_logits(network, picture, pixels) + mirrored) / 2
    return mean


@torch.no_grad()
def _logits(
    network: nn.Module, picture: Image.Image, pixels: int, mirrored: bool = False
) -> np.ndarray:
    """What a network says of a picture, or of its mirror image: fp32 [height, width]."""
    square = picture.convert("RGB").resize((pixels, pixels), Image.Resampling.LANCZOS)
    array = np.asarray(square, dtype=np.float32) / 127.5 - 1
    tensor = torch.from_numpy(array).permute(2, 0, 1)[None]
    said = network(tensor.flip(3)).flip(3) if mirrored else network(tensor)
    return cv2.resize(said[0, 0].numpy(), picture.size, interpolation=cv2.INTER_CUBIC)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    probabilities: np.ndarray = 1 / (1 + np.exp(-logits.clip(-60, 60)))
    return probabilities
