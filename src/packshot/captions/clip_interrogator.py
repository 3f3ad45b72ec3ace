"""A CLIP interrogator (after pharmapsychotic's): the phrases of a bank that fit a picture best."""

from __future__ import annotations

import tomllib
from importlib import resources

import torch
from torch import Tensor

from packshot.bases.base import ClipSimilarity
from packshot.photos import Photo
from packshot.pictures import open_image
from packshot.project import Subject

MIN_PROBABILITY = 0.5
"""A phrase is said when it is likelier than all others of its group together."""


class ClipInterrogator:
    """Chooses from each group of the phrase bank (place, light, view) what the picture shows."""

    def __init__(self, similarity: ClipSimilarity) -> None:
        self.similarity = similarity
        bank = resources.files("packshot.captions").joinpath("phrases.toml").read_text("utf-8")
        self.groups: dict[str, dict[str, list[str]]] = tomllib.loads(bank)
        self._embedded: dict[tuple[str, str], Tensor] = {}

    def caption(self, photo: Photo, subject: Subject) -> str:
        picture = self.similarity.embed_images(self._pixels(photo))[0]
        said = [
            phrases[0]
            for name, group in self.groups.items()
            if (phrases := self._best(picture, name, group, subject.class_noun))
        ]
        return ", ".join([f"a photo of {subject.phrase}", *said])

    def _pixels(self, photo: Photo) -> Tensor:
        import numpy as np

        image = open_image(photo.file)
        side = min(image.size)
        left, upper = (image.width - side) // 2, (image.height - side) // 2
        square = image.resize((256, 256), box=(left, upper, left + side, upper + side))
        array = np.asarray(square, dtype=np.float32) / 127.5 - 1
        return torch.from_numpy(array).permute(2, 0, 1)[None]

    def _best(
        self, picture: Tensor, name: str, group: dict[str, list[str]], noun: str
    ) -> list[str] | None:
        scores = self.similarity.scale * (self._texts(name, group, noun) @ picture)
        likely = scores.softmax(dim=0)
        best = int(likely.argmax())
        return list(group.values())[best] if likely[best] > MIN_PROBABILITY else None

    def _texts(self, name: str, group: dict[str, list[str]], noun: str) -> Tensor:
        """One unit vector a choice: the mean over its wordings (arXiv 2103.00020, section 3.1.4)."""
        if (name, noun) not in self._embedded:
            means = [
                self.similarity.embed_texts([f"a photo of a {noun} {p}" for p in wordings]).mean(
                    dim=0
                )
                for wordings in group.values()
            ]
            self._embedded[name, noun] = torch.nn.functional.normalize(torch.stack(means), dim=-1)
        return self._embedded[name, noun]
