"""CLIP's image and text towers: embeddings of images and texts in one space."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from packshot.errors import ModelLoadError
from packshot.images.loading import open_image
from packshot.models.embedder import ImageEmbedder
from packshot.utils import hashing
from packshot.weights.loading import load_weights_into, refusing
from packshot.weights.safetensors_file import read_config, read_safetensors
from packshot.weights.tokenizers import clip_tokenizer

if TYPE_CHECKING:
    from PIL import Image

OPENAI_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Normalisation of the CLIPs that have no preprocessor_config.json."""
_WEIGHTS, _PREPROCESSOR = "model.safetensors", "preprocessor_config.json"
_SQUARE = 256
"""Pixels of a side: a little more than the input of most CLIPs."""


class ClipEncoder:
    """A CLIP model; follows `packshot.models.diffusion_model.ClipSimilarity`. Computes in fp32.

    Args:
        mean, std: of the channels, in [0, 1], by which its input is normalised.
    """

    def __init__(
        self,
        name: str,
        clip: Any,
        tokenizer: Any,
        device: torch.device,
        mean: Sequence[float] = (0.5, 0.5, 0.5),
        std: Sequence[float] = (0.5, 0.5, 0.5),
    ) -> None:
        self.name = name
        self._clip, self._tokenizer, self._device = clip.to(device), tokenizer, device
        self._side = clip.config.vision_config.image_size
        # Of pictures in [-1, 1].
        mean_c11, std_c11 = (torch.tensor(v, device=device).view(3, 1, 1) for v in (mean, std))
        self._scale_c11, self._shift_c11 = 0.5 / std_c11, (0.5 - mean_c11) / std_c11

    @classmethod
    def of_checkpoint(
        cls,
        name: str,
        folder: Path,
        text_encoder: nn.Module,
        tokenizer: Any,
        device: torch.device,
    ) -> Self:
        """A checkpoint's text encoder with the image tower and projections of its `clip` folder."""
        text = {
            "text_model." + key.removeprefix("text_model."): value
            for key, value in text_encoder.state_dict().items()
        }
        return cls(f"CLIP of {name}", _network(folder, text), tokenizer, device)

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> Self:
        """A whole CLIP, as transformers saves it: config.json, model.safetensors.

        Raises:
            ModelLoadError: it is none, lacks something, or would have to be unpickled.
        """
        normalised = {"image_mean": OPENAI_CLIP_MEAN, "image_std": OPENAI_CLIP_STD}
        if (folder / _PREPROCESSOR).is_file():
            normalised |= read_config(folder / _PREPROCESSOR)
        clip, tokenizer = _network(folder, {}), clip_tokenizer()
        if clip.config.text_config.vocab_size != len(tokenizer):
            raise ModelLoadError(
                f"{folder} is a CLIP with another vocabulary than OpenAI's (it has "
                f"{clip.config.text_config.vocab_size:,} tokens, not {len(tokenizer):,}); name another."
            )
        digest = hashing.sha256(folder / _WEIGHTS)[:12]
        with refusing(folder / _PREPROCESSOR):
            mean, std = normalised["image_mean"], normalised["image_std"]
            return cls(f"{folder.resolve().name}/{digest}", clip, tokenizer, device, mean, std)

    @property
    def scale(self) -> float:
        return float(self._clip.logit_scale.exp())

    @torch.no_grad()
    def embed_images(self, pixels: Tensor) -> Tensor:
        sized = F.interpolate(
            pixels.to(self._device, torch.float32),
            (self._side, self._side),
            mode="bilinear",
            antialias=True,
            align_corners=False,
        )
        normal = sized * self._scale_c11 + self._shift_c11
        hidden = self._clip.vision_model(pixel_values=normal).pooler_output
        return F.normalize(self._clip.visual_projection(hidden), dim=-1)

    @torch.no_grad()
    def embed_texts(self, texts: list[str]) -> Tensor:
        tokens = self._tokenizer(
            texts,
            padding="max_length",
            truncation=True,
            max_length=self._clip.config.text_config.max_position_embeddings,
            return_tensors="pt",
        ).to(self._device)
        # CLIP's mask keeps padding out; the text encoder of a pipeline sees none, nor did it here.
        hidden = self._clip.text_model(input_ids=tokens.input_ids).pooler_output
        return F.normalize(self._clip.text_projection(hidden), dim=-1)


def embed_images(similarity: ImageEmbedder, pictures: Iterable[Image.Image]) -> Tensor:
    """Unit vectors [N, D] of whole RGB images; one image is in memory at a time."""
    vectors = []
    for picture in pictures:
        array = np.asarray(picture, dtype=np.float32) / 127.5 - 1
        vectors.append(similarity.embed_images(torch.from_numpy(array).permute(2, 0, 1)[None]))
    return torch.cat(vectors)


def embed_image_files(similarity: ImageEmbedder, files: Iterable[Path]) -> Tensor:
    """Unit vectors [N, D] of image files, centre-cropped to a square.

    Raises:
        ImageRejectedError: a file cannot be opened.
    """
    return embed_images(similarity, map(_middle_square, files))


def _middle_square(file: Path) -> Image.Image:
    picture = open_image(file)
    side = min(picture.size)
    left, upper = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.resize((_SQUARE, _SQUARE), box=(left, upper, left + side, upper + side))


def _network(folder: Path, others: Mapping[str, Tensor]) -> Any:
    """The CLIP of a folder; weights that the folder lacks are taken from `others`."""
    from transformers import CLIPConfig, CLIPModel

    config = read_config(folder / "config.json")
    tensors = read_safetensors(folder / _WEIGHTS)[0]
    return load_weights_into(
        lambda: CLIPModel(CLIPConfig.from_dict(config)),
        tensors | dict(others),
        folder,
        torch.float32,
    )
