"""Qwen2-VL (arXiv 2409.12191), Qwen2.5-VL and Qwen3-VL as captioners, by instruction."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from packshot.captions.transformers_model import MAX_TOKENS, Describing, load_pretrained
from packshot.errors import ModelLoadError
from packshot.settings import Subject
from packshot.utils.text import with_article

if TYPE_CHECKING:
    from PIL import Image

NETWORKS = {
    "qwen2_vl": "Qwen2VLForConditionalGeneration",
    "qwen2_5_vl": "Qwen2_5_VLForConditionalGeneration",
    "qwen3_vl": "Qwen3VLForConditionalGeneration",
}
IMAGE = "<|image_pad|>"
_ADDRESSED = ("qwen2_vl", "qwen2_5_vl")
_SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
"""The chat is written here: a repository's own template is a program, and one can run for ever."""
REQUEST = (
    "Describe this photo in one line that starts with “{a_noun}”. Say where the {noun} is, what is "
    "around it, from which side and how close it is seen, and what the light and the time of day are. "
    "Do not say what the {noun} itself looks like: not its colour, shape, brand, parts or material. "
    "Answer with that line only."
)
"""Told what to leave out, it leaves out most of it; tying does the rest."""


class QwenVl(Describing):
    """A Qwen-VL, instructed to write one line about place, view and light."""

    name = "qwen-vl"

    def generate(self, picture: Image.Image, subject: Subject) -> Tensor:
        """Generate the caption's tokens."""
        given = self.inputs(picture, subject)
        tokens: Tensor = self.pretrained.network.generate(
            **given, max_new_tokens=MAX_TOKENS, do_sample=False
        )[0]
        return tokens[given["input_ids"].shape[1] :]

    def inputs(self, picture: Image.Image, subject: Subject) -> dict[str, Tensor]:
        """The network's inputs: patches, their grid, tokens, and the mask of image tokens.

        The library's own processor needs torchvision, for videos.
        """
        processor, tokenizer = self.pretrained.image_processor, self.pretrained.tokenizer
        seen = processor(picture.convert("RGB"), return_tensors="pt")
        # merge_size² patches become one token.
        places = int(seen["image_grid_thw"][0].prod()) // processor.merge_size**2
        text = self._prompt(subject).replace(IMAGE, IMAGE * places)
        tokens = tokenizer(text, return_tensors="pt", return_token_type_ids=False)
        is_picture = tokens.input_ids == self.pretrained.config.image_token_id
        if int(is_picture.sum()) != places:
            raise ModelLoadError(
                f"{self.pretrained.folder}: its tokenizer has no place for an image "
                f"({IMAGE}). Copy it again, whole."
            )
        return self.pretrained.placed({**seen, **tokens, "mm_token_type_ids": is_picture.int()})

    def _prompt(self, subject: Subject) -> str:
        noun = subject.class_noun
        asked = REQUEST.format(noun=noun, a_noun=with_article(noun).capitalize())
        system = _SYSTEM if self.pretrained.config.model_type in _ADDRESSED else ""
        return (
            f"{system}<|im_start|>user\n<|vision_start|>{IMAGE}<|vision_end|>{asked}<|im_end|>\n"
            "<|im_start|>assistant\n"
        )


def load(folder: Path, device: torch.device) -> QwenVl:
    """A Qwen-VL of a folder.

    Raises:
        ModelLoadError: another model, incomplete, or a pickle.
    """
    return QwenVl(load_pretrained(folder, NETWORKS, device))
