"""Embedders that were trained on photographs: DINO, DINOv2, DINOv3 and SigLIP (2), by transformers.

DINO's and DINOv2's vectors tell one thing from another of its kind better than CLIP's, which were learnt
from captions (DreamBooth, arXiv 2208.12242, section 4.1). They embed no texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from packshot.errors import ModelLoadError
from packshot.models.clip import ClipEncoder
from packshot.models.embedder import ImageEmbedder
from packshot.utils import hashing
from packshot.weights.loading import refusing
from packshot.weights.safetensors_file import read_config
from packshot.weights.shards import weight_names
from packshot.weights.transformers_network import LOCAL, kind_of_network, load_network, quiet

DINO = {
    "vit": "ViTModel",
    "dinov2": "Dinov2Model",
    "dinov2_with_registers": "Dinov2WithRegistersModel",
    "dinov3_vit": "DINOv3ViTModel",
}
SIGLIP = {"siglip": "SiglipModel"}
"""SigLIP 2's checkpoints of one size are of this kind, too; those of any size (NaFlex) are not read."""
_CLIP = {"clip": ""}
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
_MOST_SIDE = 1024
_TEXT_TOKENS = 64
"""Of SigLIP's texts, which are padded to so many."""


class _Normaliser:
    """Pictures in [-1, 1] as a network takes them: resized to its square, normalised by channel."""

    def __init__(
        self, side: int, mean: Sequence[float], std: Sequence[float], device: torch.device
    ) -> None:
        self.side, self.device = side, device
        mean_c11, std_c11 = (torch.tensor(v, device=device).view(3, 1, 1) for v in (mean, std))
        self._scale_c11, self._shift_c11 = 0.5 / std_c11, (0.5 - mean_c11) / std_c11

    def __call__(self, pixels: Tensor) -> Tensor:
        given = pixels.to(self.device, torch.float32)
        size = (self.side, self.side)
        if given.shape[-2:] != size:
            given = F.interpolate(given, size, mode="bicubic", antialias=True, align_corners=False)
        return given.clamp(-1, 1) * self._scale_c11 + self._shift_c11


class DinoEmbedder:
    """A vision transformer of the DINO family: the vector is that of its class token, normalised.

    Follows `packshot.models.diffusion_model.ImageEmbedder`; computes in fp32.
    """

    def __init__(self, name: str, network: Any, normalise: _Normaliser) -> None:
        self.name, self._normalise = name, normalise
        self._network = network.to(normalise.device)

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> DinoEmbedder:
        """A model as transformers saves it.

        Raises:
            ModelLoadError: another model, incomplete, or a pickle.
        """
        # DINO's checkpoints have no pooler: it was made for classes that they were not trained on.
        options = {"add_pooling_layer": False} if kind_of_network(folder, DINO) == "vit" else {}
        network = load_network(folder, DINO, torch.float32, **options)
        side = network.config.image_size
        return cls(_name(folder), network, _normaliser(folder, side, _IMAGENET, device))

    @torch.no_grad()
    def embed_images(self, pixels: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [-1, 1] (any size) to unit vectors [B, D]."""
        hidden = self._network(pixel_values=self._normalise(pixels)).last_hidden_state
        return F.normalize(hidden[:, 0], dim=-1)


class SiglipEmbedder:
    """SigLIP or SigLIP 2; follows `packshot.models.diffusion_model.ClipSimilarity`, in fp32."""

    def __init__(self, name: str, network: Any, tokenizer: Any, normalise: _Normaliser) -> None:
        self.name, self._normalise, self._tokenizer = name, normalise, tokenizer
        self._network = network.to(normalise.device)

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> SiglipEmbedder:
        """A model as transformers saves it.

        Raises:
            ModelLoadError: another model, incomplete, or a pickle; or its tokenizer cannot be read.
        """
        import transformers

        network = load_network(folder, SIGLIP, torch.float32)
        with refusing(folder), quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **LOCAL)
        side = network.config.vision_config.image_size
        return cls(_name(folder), network, tokenizer, _normaliser(folder, side, _HALF, device))

    @property
    def scale(self) -> float:
        """The learnt temperature: logits are scale x cosine."""
        return float(self._network.logit_scale.detach().exp())

    @torch.no_grad()
    def embed_images(self, pixels: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [-1, 1] (any size) to unit vectors [B, D]."""
        found = self._network.get_image_features(pixel_values=self._normalise(pixels))
        return F.normalize(found.pooler_output, dim=-1)

    @torch.no_grad()
    def embed_texts(self, texts: list[str]) -> Tensor:
        """Texts to unit vectors [B, D]; as it was trained, in small letters and padded."""
        tokens = self._tokenizer(
            [text.lower() for text in texts], padding="max_length", truncation=True,
            max_length=min(_TEXT_TOKENS, self._network.config.text_config.max_position_embeddings),
            return_tensors="pt",
        )  # fmt: skip
        found = self._network.get_text_features(
            input_ids=tokens.input_ids.to(self._normalise.device)
        )
        return F.normalize(found.pooler_output, dim=-1)


def load_image_embedder(folder: Path, device: torch.device) -> ImageEmbedder:
    """The CLIP, SigLIP or DINO of a folder, by its config.json.

    Raises:
        ModelLoadError: it is none of these, is incomplete, or would have to be unpickled.
    """
    kind = kind_of_network(folder, {**_CLIP, **SIGLIP, **DINO})
    if kind in _CLIP:
        return ClipEncoder.load(folder, device)
    return (SiglipEmbedder if kind in SIGLIP else DinoEmbedder).load(folder, device)


def _name(folder: Path) -> str:
    """The folder's name, and a hash by which its weights are known."""
    names = weight_names(str(folder), [file.name for file in folder.iterdir()])
    digest = hashing.fingerprint([hashing.sha256(folder / name) for name in names])[:12]
    return f"{folder.resolve().name}/{digest}"


def _normaliser(
    folder: Path,
    side: int,
    usual: tuple[tuple[float, ...], tuple[float, ...]],
    device: torch.device,
) -> _Normaliser:
    """By the folder's preprocessor_config.json, if it has one; else of the network's own size."""
    file = folder / "preprocessor_config.json"
    told = read_config(file) if file.is_file() else {}
    with refusing(file):
        for name in ("size", "crop_size") if told.get("do_center_crop") else ("size",):
            if "height" in (told.get(name) or {}):
                side = int(told[name]["height"])
        mean, std = told.get("image_mean") or usual[0], told.get("image_std") or usual[1]
        if not 0 < side <= _MOST_SIDE:
            raise ModelLoadError(
                f"{file} says {side} px, which no such model takes. Copy it again."
            )
        return _Normaliser(side, mean, std, device)
