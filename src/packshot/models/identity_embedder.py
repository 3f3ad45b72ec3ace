"""The bundled embedder of identity: it tells a product from its look-alikes by shape, colours and print.

It was trained on drawn and rendered products, each in several photographs beside look-alikes of it, and
takes products cut out, on grey, as `packshot.judging.seen` cuts them out. It knows no backgrounds, no words.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from packshot.models.identity_network import PIXELS, IdentityNetwork
from packshot.utils import hashing
from packshot.weights.loading import load_weights_into
from packshot.weights.safetensors_file import read_safetensors

WEIGHTS = Path(__file__).parent / "weights" / "identity.safetensors"
_BATCH = 64


class IdentityEmbedder:
    """Follows `packshot.models.diffusion_model.ImageEmbedder`; computes on the CPU in fp32."""

    def __init__(self, file: Path = WEIGHTS) -> None:
        """Load the weights of a file, or the bundled ones.

        Raises:
            ModelLoadError: they are of another network.
        """
        tensors = read_safetensors(file)[0]
        self._network = load_weights_into(IdentityNetwork, tensors, file, torch.float32)
        self.name = f"bundled/{hashing.sha256(file)[:12]}"

    @torch.no_grad()
    def embed_images(self, pixels: Tensor) -> Tensor:
        """Products on grey [B, 3, H, W] in [-1, 1] (any size) to unit vectors [B, D]."""
        return torch.cat([self._network(_fitted(part)) for part in pixels.split(_BATCH)])


def _fitted(pixels: Tensor) -> Tensor:
    given = pixels.to("cpu", torch.float32)
    size = (PIXELS, PIXELS)
    if given.shape[-2:] != size:
        given = F.interpolate(given, size, mode="bicubic", antialias=True, align_corners=False)
    return given.clamp(-1, 1)
