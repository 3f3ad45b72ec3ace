"""DreamBooth's table (arXiv 2208.12242, sections 4.1 and 4.3): DINO, CLIP-I, CLIP-T, PRES, and diversity.

Whole images are compared, as in the paper, not products alone. Its DINO is ViT-S/16 (facebook/dino-vits16)
and its CLIP ViT-B/32; which ones measured stands beside the numbers. Its DIV is an average LPIPS, whose
network comes only as a pickle: what stands here instead, diversity, is 1 - cosine in the embedder of DINO.
It is another number, and not to be compared with the paper's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from packshot.generation.generate import GeneratedImage
from packshot.judging import measures
from packshot.judging.intervals import Interval, interval
from packshot.models.clip import embed_image_files
from packshot.models.embedder import ClipSimilarity, ImageEmbedder
from packshot.photos.photo_set import Photo
from packshot.settings import Subject


@dataclass(frozen=True)
class DreamBoothRow:
    """One row of the table; None where it is not asked of these images.

    Attributes:
        dino: mean cosine of every image with every photo, higher is better.
        clip_i: the same by CLIP.
        clip_t: mean cosine of every image with its prompt.
        pres: mean cosine of other things of the class with the photos: lower is better.
        diversity: 1 - the mean cosine of images of one prompt, higher is more various.
    """

    dino: Interval | None
    clip_i: Interval | None
    clip_t: Interval | None = None
    pres: Interval | None = None
    diversity: Interval | None = None


@dataclass(frozen=True)
class DreamBooth:
    """What measures the table, and the photos by it."""

    dino: ImageEmbedder
    clip: ClipSimilarity
    photos: Sequence[Photo]
    subject: Subject

    def row(
        self, shots: Sequence[GeneratedImage], others: Sequence[GeneratedImage] = ()
    ) -> DreamBoothRow:
        """The row of some images.

        Args:
            shots: of the product.
            others: of other things of its class, made in the same way.
        """
        own = self._vectors(self.dino, shots)
        photos = self._of_photos(self.dino)
        various = measures.diversity(own, [shot.prompt for shot in shots])
        return DreamBoothRow(
            _mean_cosine(own, photos),
            _mean_cosine(self._vectors(self.clip, shots), self._of_photos(self.clip)),
            interval(measures.prompt_fidelity(self.clip, shots, self.subject)),
            _mean_cosine(self._vectors(self.dino, others), photos) if others else None,
            interval(various) if various else None,
        )

    def real_images(self) -> DreamBoothRow:
        """The row of the photos themselves, each against the others: the most that can be asked.

        One photo alone has no others: it says nothing.
        """
        rows = [measures.identity_of_photos(self._of_photos(one)) for one in (self.dino, self.clip)]
        return DreamBoothRow(*(interval(values) if values else None for values in rows))

    def _vectors(self, embedder: ImageEmbedder, shots: Sequence[GeneratedImage]) -> Tensor:
        return embed_image_files(embedder, [shot.file for shot in shots])

    def _of_photos(self, embedder: ImageEmbedder) -> Tensor:
        return embed_image_files(embedder, [photo.file for photo in self.photos])


def _mean_cosine(shots: Tensor, photos: Tensor) -> Interval:
    """Over all pairs; how sure it is, by images."""
    return interval([float(value) for value in (shots @ photos.T).mean(dim=1)])
