"""A CLIP interrogator (after pharmapsychotic's): the phrases of a bank that match an image best."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from packshot.captions.phrases import Bank, Group, read_bank
from packshot.models.embedder import ClipSimilarity
from packshot.settings import Subject
from packshot.utils.text import with_article

if TYPE_CHECKING:
    from PIL import Image

PIXELS = 256
"""Side of the squares that it sees: photos are squeezed into them whole, not cropped."""


class ClipInterrogator:
    """Zero-shot classification (CLIP, arXiv 2103.00020, section 3.1) in each group of a bank.

    A choice is scored as a whole prompt, "a photo of a car in the snow", and used if its probability,
    softmax(scale x cosine) over its group, is high and well ahead of the second's.
    """

    name, batch = "clip", 16

    def __init__(self, similarity: ClipSimilarity, bank: Bank) -> None:
        self.similarity, self.bank = similarity, bank
        self._texts: dict[str, list[Tensor]] = {}

    def caption(self, pictures: Iterable[Image.Image], subject: Subject) -> list[str]:
        """One line per image; see `caption_pixels`."""
        return self.caption_pixels(_pixels(pictures), subject)

    def caption_pixels(self, pixels: Tensor, subject: Subject) -> list[str]:
        """One line per image of [B, 3, H, W] in [-1, 1].

        Such as "a photo of ohwx car in the snow at night, side view".
        """
        pictures = self.similarity.embed_images(pixels).float()
        captions = [f"a photo of {subject.phrase}"] * len(pictures)
        phrases: list[set[str]] = [set() for _ in captions]
        texts = self._embedded(subject.class_noun)
        for group, prompts in zip(self.bank.groups.values(), texts, strict=True):
            likely = (self.similarity.scale * pictures @ prompts.T).softmax(dim=-1)
            for index, row in enumerate(likely):
                phrase = _choose(group, row)
                if phrase and phrases[index].isdisjoint(group.unless):
                    phrases[index].add(phrase)
                    captions[index] += group.joined_by + phrase
        return captions

    def _embedded(self, noun: str) -> list[Tensor]:
        """For each group one unit vector per choice [N, D]: the mean over its wordings, per noun once."""
        if noun not in self._texts:
            self._texts[noun] = [
                torch.stack([self._mean(f"a photo of {with_article(noun)}{group.joined_by}", wordings)
                             for wordings in group.choices])
                for group in self.bank.groups.values()
            ]  # fmt: skip
        return self._texts[noun]

    def _mean(self, opening: str, wordings: list[str]) -> Tensor:
        vectors = self.similarity.embed_texts([opening + words for words in wordings]).float()
        return F.normalize(vectors.mean(dim=0), dim=0)


def load(folder: Path, device: torch.device) -> ClipInterrogator:
    """Any CLIP that transformers has saved, with its own `phrases.toml` or the general one.

    Raises:
        ModelLoadError: not a CLIP, incomplete, or a pickle.
    """
    from packshot.models.clip import ClipEncoder

    return ClipInterrogator(ClipEncoder.load(folder, device), read_bank(folder))


def _pixels(pictures: Iterable[Image.Image]) -> Tensor:
    """Squares [B, 3, H, W] in [-1, 1]; one of the images at a time is in memory."""
    import numpy as np
    from PIL import Image

    squares = (
        picture.resize((PIXELS, PIXELS), Image.Resampling.BICUBIC, reducing_gap=2)
        for picture in pictures
    )
    arrays = np.stack([np.asarray(square, dtype=np.float32) for square in squares])
    return torch.from_numpy(arrays).permute(0, 3, 1, 2) / 127.5 - 1


def _choose(group: Group, probabilities: Tensor) -> str | None:
    """The phrase of the most probable choice, if it is clearly ahead. `probabilities` is [N]."""
    (best, second), (choice, _) = (values.tolist() for values in probabilities.topk(2))
    clear = best >= group.least_probability and best - second >= group.least_margin
    return group.phrases[int(choice)] if clear else None
