"""A CLIP interrogator (after pharmapsychotic's): the phrases of a bank that fit a picture best."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from packshot.bases.base import ClipSimilarity
from packshot.captions.phrases import Bank, Group, with_article
from packshot.project import Subject


class ClipInterrogator:
    """Zero-shot classification (CLIP, arXiv 2103.00020, section 3.1) in each group of a bank.

    A choice is scored as a whole prompt, "a photo of a car in the snow", and said when its
    probability, softmax(scale x cosine) over its group, is high and well ahead of the second's.
    """

    def __init__(self, similarity: ClipSimilarity, bank: Bank) -> None:
        self.similarity, self.bank = similarity, bank
        self._texts: dict[str, list[Tensor]] = {}

    def caption(self, pixels: Tensor, subject: Subject) -> list[str]:
        """One line for each picture of [B, 3, H, W] in [-1, 1], such as
        "a photo of ohwx car in the snow at night, side view".
        """
        pictures = self.similarity.embed_images(pixels).float()
        captions = [f"a photo of {subject.phrase}"] * len(pictures)
        said: list[set[str]] = [set() for _ in captions]
        texts = self._embedded(subject.class_noun)
        for group, prompts in zip(self.bank.groups.values(), texts, strict=True):
            likely = (self.similarity.scale * pictures @ prompts.T).softmax(dim=-1)
            for index, row in enumerate(likely):
                phrase = _choose(group, row)
                if phrase and said[index].isdisjoint(group.unless):
                    said[index].add(phrase)
                    captions[index] += group.joined_by + phrase
        return captions

    def _embedded(self, noun: str) -> list[Tensor]:
        """For each group, one unit vector a choice [N, D]: the mean of its wordings', once a noun."""
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


def _choose(group: Group, probabilities: Tensor) -> str | None:
    """The phrase of the likeliest choice, if it is clearly ahead. `probabilities` is [N]."""
    (best, second), (choice, _) = (values.tolist() for values in probabilities.topk(2))
    clear = best >= group.least_probability and best - second >= group.least_margin
    return group.phrases[int(choice)] if clear else None
