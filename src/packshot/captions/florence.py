"""Florence-2 (arXiv 2311.06242) as a captioner, in transformers' own class."""

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

NETWORKS = {"florence2": "Florence2ForConditionalGeneration"}
QUESTION = "Describe in detail what is shown in the image."
"""What it was trained to hear for its task <DETAILED_CAPTION>."""
BEAMS = 3


class Florence(Describing):
    """Florence-2 with its detailed caption task."""

    name = "florence"

    def __init__(self, pretrained: Pretrained) -> None:
        super().__init__(pretrained)
        places = getattr(pretrained.image_processor, "image_seq_length", None)
        if not isinstance(places, int):
            raise ModelLoadError(
                f"{pretrained.folder} does not say how many tokens an image takes (image_seq_length "
                "in preprocessor_config.json). Copy it again, whole."
            )
        self._places = places

    def generate(self, picture: Image.Image, subject: Subject) -> Tensor:
        """Generate the caption's tokens."""
        pretrained = self.pretrained
        pixels = pretrained.image_processor(picture.convert("RGB"), return_tensors="pt")
        tokens: Tensor = pretrained.network.generate(
            **pretrained.placed({**pixels, **self._asked()}),
            max_new_tokens=MAX_TOKENS,
            num_beams=BEAMS,
            do_sample=False,
        )[0]
        return tokens

    def _asked(self) -> dict[str, Tensor]:
        """The image's placeholder tokens, then the task's prompt: token ids and mask, [1, N]."""
        tokenizer = self.pretrained.tokenizer
        text = tokenizer.bos_token + QUESTION + tokenizer.eos_token
        question = tokenizer(text, add_special_tokens=False, return_tensors="pt")
        places = torch.full((1, self._places), self.pretrained.config.image_token_id)
        tokens = torch.cat([places, question.input_ids], dim=1)
        return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}


def load(folder: Path, device: torch.device) -> Florence:
    """Florence-2 of a folder.

    Raises:
        ModelLoadError: another model, incomplete, or a pickle.
    """
    return Florence(load_pretrained(folder, NETWORKS, device))
