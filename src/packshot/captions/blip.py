"""BLIP (arXiv 2201.12086) and BLIP-2 (arXiv 2301.12597) as captioners."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from packshot.captions.transformers_model import MAX_TOKENS, Describing, Pretrained, load_pretrained
from packshot.errors import ModelLoadError
from packshot.settings import Subject

if TYPE_CHECKING:
    from PIL import Image

NETWORKS = {"blip": "BlipForConditionalGeneration", "blip-2": "Blip2ForConditionalGeneration"}
BEAMS = 3
"""What its authors caption with."""


class Blip(Describing):
    """BLIP, without a prompt."""

    name = "blip"

    def generate(self, picture: Image.Image, subject: Subject) -> Tensor:
        """Generate the caption's tokens."""
        inputs = self._pixels(picture)
        said: Tensor = self.pretrained.network.generate(
            **inputs, max_new_tokens=MAX_TOKENS, num_beams=BEAMS, do_sample=False
        )[0]
        return said

    def _pixels(self, picture: Image.Image) -> dict[str, Tensor]:
        processor = self.pretrained.image_processor
        return self.pretrained.placed(processor(picture.convert("RGB"), return_tensors="pt"))


class Blip2(Blip):
    """BLIP-2 with a language model: OPT, which continues the text, or T5, which answers."""

    def __init__(self, pretrained: Pretrained) -> None:
        super().__init__(pretrained)
        config = pretrained.config
        if config.image_token_id is None:
            # Older checkpoints do not say which token stands for a picture: it is the one after
            # the tokenizer's, for which their embeddings have room.
            config.image_token_id = len(pretrained.tokenizer)
        if config.image_token_id >= config.text_config.vocab_size:
            raise ModelLoadError(
                f"{pretrained.folder}/config.json does not say which token stands for the image "
                "(image_token_index), and there is no room for one. Copy a newer version of it."
            )

    def generate(self, picture: Image.Image, subject: Subject) -> Tensor:
        """Generate the caption's tokens."""
        given = self._given()
        said: Tensor = self.pretrained.network.generate(
            **self._pixels(picture),
            input_ids=given,
            max_new_tokens=MAX_TOKENS,
            num_beams=BEAMS,
            do_sample=False,
        )[0]
        answers = self.pretrained.network.language_model.config.is_encoder_decoder
        return said if answers else said[given.shape[1] :]

    def _given(self) -> Tensor:
        """The image's placeholder tokens and the start of a text, [1, queries + 1]."""
        config, tokenizer = self.pretrained.config, self.pretrained.tokenizer
        start = config.text_config.bos_token_id
        start = tokenizer.pad_token_id if start is None else start
        tokens = [*[config.image_token_id] * config.num_query_tokens, start]
        return torch.tensor([tokens], device=self.pretrained.network.device)


def load(folder: Path, device: torch.device) -> Blip:
    """BLIP or BLIP-2 of a folder.

    Raises:
        ModelLoadError: another model, incomplete, or a pickle.
    """
    pretrained = load_pretrained(folder, NETWORKS, device)
    return Blip(pretrained) if pretrained.config.model_type == "blip" else Blip2(pretrained)
