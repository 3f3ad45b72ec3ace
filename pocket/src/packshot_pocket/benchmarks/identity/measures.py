"""What is measured of an embedder: retrieval among look-alikes, and whether likeness falls by degrees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import spearmanr
from torch import Tensor
from torch.nn import functional as F

from packshot.images.loading import open_image
from packshot.judging.seen import see
from packshot.masks import Segmenter
from packshot_pocket.pretrain.shots.bank import Bank
from packshot_pocket.pretrain.shots.looks import Likeness, draw_alike, draw_look
from packshot_pocket.scenes import alike

Embed = Callable[[Tensor], Tensor]
"""Products on grey [N, 3, H, W] in [-1, 1] to unit vectors [N, D]."""
Rights = NDArray[np.float64]
_DRAWN_DEGREES = (0.0, 0.15, 0.3, 0.5, 0.75, 1.0)


def product_of(picture: Image.Image, mask: Image.Image) -> Tensor:
    """The product on grey as it is judged, [1, 3, 256, 256]."""
    return see(picture.convert("RGB"), mask.convert("L")).product


def product_of_render(file: Path, segmenter: Segmenter | None) -> Tensor:
    """A render's product, by its true silhouette or by what a segmenter finds."""
    with Image.open(file) as picture, Image.open(file.with_name(f"{file.stem}-mask.png")) as mask:
        own = picture.convert("RGB")
        return product_of(own, segmenter.mask(own) if segmenter else mask)


def histogram(products: Tensor) -> Tensor:
    """A baseline: how much there is of each of 8 x 8 x 8 colours, square roots of shares, [N, 512]."""
    found = []
    for product in products:
        pixels = ((product.permute(1, 2, 0).numpy() + 1) * 127.5).round().clip(0, 255)
        inside = pixels[np.abs(pixels - 127.5).max(axis=2) > 3]
        counts = np.histogramdd(inside, bins=(8, 8, 8), range=[(0, 256)] * 3)[0].ravel()
        soft = cv2.GaussianBlur(counts.reshape(8, 8, 8).astype(np.float32), (0, 0), 0.7)
        found.append(torch.from_numpy(np.sqrt(soft.ravel())))
    return F.normalize(torch.stack(found), dim=-1)


def retrieval(queries: Tensor, known: Tensor) -> tuple[Rights, Rights]:
    """Whether each query [N, D] is most like its own product's known views [N, V, D].

    Returns:
        by the most like view, and by the mean over views, which is what is judged by.
    """
    near = torch.einsum("nd,mvd->nmv", queries, known)
    truth = torch.arange(len(queries))
    return tuple(  # type: ignore[return-value]
        (each.argmax(dim=1) == truth).double().numpy()
        for each in (near.amax(dim=2), near.mean(dim=2))
    )


def fifty(noun: str, renders: Path, things: Path, embed: Embed, segmenter: Segmenter | None) -> Any:
    """`retrieval` of a kind's fifty: each in another scene, among what `things` shows of them."""
    numbers = alike.fifties()[noun]
    queries = [
        product_of_render(renders / "fifty" / noun / f"{number:06d}-0.png", segmenter)
        for number in numbers
    ]
    known = [
        product_of_render(things / f"{number:06d}-{view}.png", None)
        for number in numbers
        for view in range(4)
    ]
    vectors = embed(torch.cat(known)).unflatten(0, (len(numbers), 4))
    return retrieval(embed(torch.cat(queries)), vectors)


def falls(known: Tensor, degrees: Sequence[Tensor]) -> float:
    """Spearman's rank correlation of unlikeness, a mean over pairs of views, with its true degree."""
    like = [float((known @ views.T).mean()) for views in degrees]
    return -float(spearmanr(range(len(like)), like).statistic)


def rendered_ladder(noun: str, number: int, renders: Path, embed: Embed) -> float:
    """`falls` of one of a kind's ladders."""
    folder = renders / "ladder" / noun / str(number)
    steps = [
        embed(
            torch.cat(
                [product_of_render(folder / f"{step:06d}-{view}.png", None) for view in (0, 1)]
            )
        )
        for step in range(len(alike.DEGREES) + 1)
    ]
    return falls(steps[0], steps[1:])


def drawn_ladder(bank: Bank, number: int, embed: Embed) -> float:
    """`falls` of a drawn product that strays to another by degrees, in four photographs each."""
    seed = (1_000_003, number)

    def shown(amount: float, stream: int) -> Tensor:
        thing = draw_alike(bank, seed, 1, Likeness(amount, amount))
        looks = [
            draw_look(thing, bank, np.random.default_rng((*seed, stream, v))) for v in range(4)
        ]
        pairs = [(Image.fromarray(x[..., :3]), Image.fromarray(x[..., 3])) for x in looks]
        return embed(torch.cat([product_of(*pair) for pair in pairs]))

    return falls(shown(0.0, 100), [shown(d, k) for k, d in enumerate(_DRAWN_DEGREES)])


def of_photographs(photos: Path, masks: Path, embed: Embed) -> tuple[Rights, Rights]:
    """Whether each photograph is most like the other photographs of its own subject.

    Args:
        photos: a folder a subject.
        masks: `SUBJECT_NN.png` each; subjects without masks are left out.

    Returns:
        by the most like photograph, and by the mean over a subject's photographs.
    """
    vectors, subjects = [], []
    for subject in sorted(photos.iterdir()):
        for mask in sorted(masks.glob(f"{subject.name}_[0-9]*.png")):
            file = next(subject.glob(f"{int(mask.stem.split('_')[-1]):02d}.*"))
            picture = open_image(file)
            picture.thumbnail((640, 640))
            with Image.open(mask) as marked:
                vectors.append(product_of(picture, marked.resize(picture.size)))
            subjects.append(subject.name)
    found, names = embed(torch.cat(vectors)), np.array(subjects)
    near = (found @ found.T).fill_diagonal_(torch.nan).numpy()
    kinds = np.unique(names)
    each = [near[:, names == kind] for kind in kinds]
    by_most, by_mean = (
        np.stack([rule(rows, axis=1) for rows in each], axis=1) for rule in (np.nanmax, np.nanmean)
    )
    return (
        (kinds[by_most.argmax(axis=1)] == names).astype(float),
        (kinds[by_mean.argmax(axis=1)] == names).astype(float),
    )
