"""Filtering downloaded images: large enough, no duplicates, and of the class."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from packshot.class_images.online.request_log import Fetched, RequestLog, Scored
from packshot.errors import ImageRejectedError
from packshot.images.quality import SeenImages
from packshot.models.embedder import ClipSimilarity
from packshot.photos.manifest import Entry
from packshot.utils.text import with_article

OTHERS = (
    "a photo of a person", "a photo of an animal", "a photo of a plant", "a photo of a landscape",
    "a photo of a building", "a photo of a room", "a photo of food", "a photo of a sign",
    "a drawing", "a diagram", "a map", "a page of text", "a screenshot", "a logo",
)  # fmt: skip
"""What a search finds that was not meant."""


class ClassCheck(Protocol):
    """Scores whether images show the class."""

    name: str
    """Of judge and class: another name, another score."""

    def score(self, picture: Path) -> float:
        """A score, above 0 if the image shows the class."""
        ...


class ClipCheck:
    """CLIP as a zero-shot classifier (arXiv 2103.00020, section 3.1): the class against others.

    The score is the cosine with "a photo of a <class>" minus the highest with any of `OTHERS`: it
    needs no threshold that differs between CLIPs.
    """

    def __init__(self, clip: ClipSimilarity, noun: str) -> None:
        self.name = f"{clip.name}: {noun}"
        self._clip = clip
        self._texts = clip.embed_texts([f"a photo of {with_article(noun)}", *OTHERS])

    def score(self, picture: Path) -> float:
        from packshot.models.clip import embed_image_files

        cosines = (embed_image_files(self._clip, [picture]) @ self._texts.T)[0]
        return float(cosines[0] - cosines[1:].max())


class ImageFilter:
    """Filters images one after the other; duplicates of earlier ones are rejected.

    Args:
        photos: of the product, which must not be among its class images.
        check: None accepts images of other things, too.
    """

    def __init__(
        self, photos: Iterable[Entry], min_side: int, check: ClassCheck | None, ledger: RequestLog
    ) -> None:
        self._min_side, self._check, self._ledger = min_side, check, ledger
        self._files: dict[str, str] = {}
        self._seen = SeenImages()
        for photo in photos:
            self._seen.add(photo.perceptual_hash, f"the product's photo {photo.file}")

    def check(self, picture: Fetched) -> None:
        """Accept an image.

        Raises:
            ImageRejectedError: the image is rejected, with the reason.
        """
        if min(picture.width, picture.height) < self._min_side:
            raise ImageRejectedError(
                picture.url,
                f"is only {picture.width} x {picture.height} px; its shorter side must have "
                f"{self._min_side}",
                "small",
            )
        if picture.sha256 in self._files:
            raise ImageRejectedError(
                picture.url, f"is the same file as {self._files[picture.sha256]}", "duplicate"
            )
        if name := self._seen.nearly_the_same(picture.look):
            raise ImageRejectedError(
                picture.url, f"is nearly the same image as {name}", "duplicate"
            )
        if self._check and (score := self._score(self._check, picture)) <= 0:
            raise ImageRejectedError(
                picture.url,
                f"shows something else than the class ({self._check.name}: {score:.3f})",
            )
        self._files[picture.sha256] = picture.url
        self._seen.add(picture.look, picture.url)

    def _score(self, check: ClassCheck, picture: Fetched) -> float:
        key = picture.sha256, check.name
        if key not in self._ledger.scores:
            score = check.score(self._ledger.folder / picture.file)
            self._ledger.append(Scored(sha256=picture.sha256, judge=check.name, score=score))
        return self._ledger.scores[key]
