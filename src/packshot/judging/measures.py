"""What is measured of pictures that a LoRA makes: each a function of embeddings, a value for each picture.

Values of the same prompts and seeds are paired (`packshot.judging.intervals.difference`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from packshot.generation.generate import GeneratedImage
from packshot.judging.seen import Seen
from packshot.models.clip import embed_image_files
from packshot.models.embedder import ClipSimilarity, ImageEmbedder
from packshot.settings import Subject


def products(embedder: ImageEmbedder, pictures: Sequence[Seen]) -> Tensor:
    """Unit vectors [N, D] of the products alone."""
    return torch.cat([embedder.embed_images(one.product) for one in pictures])


def backgrounds(embedder: ImageEmbedder, pictures: Sequence[Seen]) -> Tensor:
    """Unit vectors [N, D] of what is around them."""
    return torch.cat([embedder.embed_images(one.background) for one in pictures])


def identity(shots: Tensor, photos: Tensor, others: Tensor | None = None) -> list[float]:
    """How much more a shot's product is like the photos' than like others of its class.

    The mean cosine with every photo, less that with every look-alike; without any (None) the former alone.

    Args:
        shots, photos, others: unit vectors [N, D], [P, D], [C, D] of products alone.
    """
    like = (shots @ photos.T).mean(dim=1)
    unlike = (shots @ others.T).mean(dim=1) if others is not None and len(others) else 0
    return [float(value) for value in like - unlike]


def identity_of_photos(photos: Tensor, others: Tensor | None = None) -> list[float]:
    """As `identity`, of each photo by the other photos: what a perfect LoRA could reach."""
    rest = [torch.cat([photos[:n], photos[n + 1 :]]) for n in range(len(photos))]
    return [
        value
        for n, known in enumerate(rest)
        if len(known)
        for value in identity(photos[n : n + 1], known, others)
    ]


def prompt_fidelity(
    similarity: ClipSimilarity, shots: Sequence[GeneratedImage], subject: Subject
) -> list[float]:
    """The cosine of each shot with its prompt, the product's name replaced by its class (CLIP-T)."""
    words = [shot.prompt.replace(subject.phrase, f"a {subject.class_noun}") for shot in shots]
    pictures = embed_image_files(similarity, [shot.file for shot in shots])
    return [float(value) for value in (pictures * similarity.embed_texts(words)).sum(dim=1)]


def copied_background(shots: Tensor, photos: Tensor) -> list[float]:
    """The cosine of each shot's background with that of the photo that it is most like.

    Only against the same shots without the LoRA does it say that a photo was learnt by heart.
    """
    return [float(value) for value in (shots @ photos.T).max(dim=1).values]


def diversity(shots: Tensor, prompts: Sequence[str]) -> list[float]:
    """Of each prompt with several shots: 1 - the mean cosine of its pairs; 0 if they are all alike."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, prompt in enumerate(prompts):
        rows[prompt].append(row)
    found = []
    for own in rows.values():
        if len(own) > 1:
            cosines = shots[own] @ shots[own].T
            count = len(own)
            found.append(float(1 - (cosines.sum() - cosines.trace()) / (count * (count - 1))))
    return found
