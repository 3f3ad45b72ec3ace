"""The bundled segmenter: a small network trained on rendered products with exact masks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from packshot.masks.bundled_network import PIXELS, SegmenterNetwork
from packshot.weights.loading import load_weights_into
from packshot.weights.safetensors_file import read_safetensors

_REFINED_PIXELS = 640
"""Longer side at which edges are found; finer edges are the upscaling's."""
_SURE = 0.9
_POSSIBLE = 0.1
_SPECK = 0.05


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

    @torch.no_grad()
    def probabilities(self, picture: Image.Image) -> np.ndarray:
        """The network's probabilities before refinement: fp32 [height, width] in [0, 1]."""
        square = picture.convert("RGB").resize((PIXELS, PIXELS), Image.Resampling.LANCZOS)
        array = np.asarray(square, dtype=np.float32) / 127.5 - 1
        tensor = torch.from_numpy(array).permute(2, 0, 1)[None]
        probabilities = self.network(tensor).sigmoid()[0, 0].numpy()
        return cv2.resize(probabilities, picture.size, interpolation=cv2.INTER_CUBIC).clip(0, 1)


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

    GrabCut (Rother et al. 2004, https://doi.org/10.1145/1015706.1015720), restricted to pixels of
    which the network is unsure.
    """
    labels = np.where(probabilities > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[probabilities > _SURE] = cv2.GC_FGD
    labels[probabilities < _POSSIBLE] = cv2.GC_BGD
    sure, unsure = (labels == cv2.GC_FGD).any(), np.isin(labels, (cv2.GC_PR_FGD, cv2.GC_PR_BGD))
    if not (sure and unsure.any() and (labels == cv2.GC_BGD).any()):
        return probabilities
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(
        np.ascontiguousarray(pixels[..., ::-1]), labels, None, *models, 2, cv2.GC_INIT_WITH_MASK
    )
    inside = without_specks(np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)))
    return cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 0.7)


def without_specks(inside: np.ndarray) -> np.ndarray:
    """Boolean [h, w] without islands, and without holes, of under a twentieth of the largest island."""
    least = 0.0
    for wanted in (True, False):
        same = (inside == wanted).astype(np.uint8)
        count, islands, stats, _ = cv2.connectedComponentsWithStats(same)
        areas = stats[:, cv2.CC_STAT_AREA]
        least = _SPECK * areas[1:].max(initial=0) if wanted else least
        small = (np.arange(count) > 0) & (areas < least)
        inside = np.where(small[islands], not wanted, inside)
    return inside
