"""CLIP's two towers where a checkpoint carries them: pictures and texts in one space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from packshot.bases.headers import read_config, read_safetensors
from packshot.bases.weights import filled


class ClipTowers:
    """The checkpoint's text encoder and, from its `clip` folder, image tower and projections.

    Follows `packshot.bases.base.ClipSimilarity`. Computes in fp32.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        text_encoder: nn.Module,
        tokenizer: Any,
        device: torch.device,
    ) -> None:
        from transformers import CLIPConfig, CLIPModel

        config = CLIPConfig.from_dict(read_config(folder / "config.json"))
        tensors = read_safetensors(folder / "model.safetensors")[0]
        text = {
            "text_model." + name.removeprefix("text_model."): value
            for name, value in text_encoder.state_dict().items()
        }
        self._clip: Any = filled(lambda: CLIPModel(config), tensors | text, folder, torch.float32)
        self._clip.to(device)
        self._tokenizer, self._device = tokenizer, device
        self.name = f"CLIP of {name}"
        self._side = config.vision_config.image_size

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
        hidden = self._clip.vision_model(pixel_values=sized).pooler_output
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
