"""The identifier of a benchmark product among fifty (itself and 49 look-alikes).

All fifty are enrolled with twelve renders each, as in face recognition: a network is trained to embed
images of one product near each other, and an image is assigned to the product of its nearest enrolled
image. Its input is the product alone, with the light normalised: a pasted product must not win by its
light.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from packshot.masks.bundled import BundledSegmenter
from packshot_pocket.benchmarks.quality.network import residual_blocks
from packshot_pocket.pretrain import state
from packshot_pocket.pretrain.data import Pixels
from packshot_pocket.pretrain.loop import Budget, Loop, LoopConfig, Report, batch_indices, generator
from packshot_pocket.pretrain.optim import OptimizerConfig, Stepper, for_computing
from packshot_pocket.scenes import samples

FIFTY = samples.LOOK_ALIKES + 1
SIDE = 96
"""Of the square that a product is seen in, px."""
Shares = np.ndarray[Any, Any]
"""A product's part of each pixel, [H, W] in [0, 1]."""
Draw = Callable[..., Tensor]


@dataclass(frozen=True)
class IdentifierConfig:
    """The network's shape and how it is trained."""

    widths: tuple[int, ...] = (32, 64, 128, 192)
    dimensions: int = 128
    """Of a picture's vector."""
    aspects: int = 4
    """Vectors that a product is learned as: its front may look nothing like its back."""
    temperature: float = 1 / 16
    margin: float = 0.1
    """By which a picture must be nearer to its own product (arXiv 1801.09414)."""
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            steps=2500, batch=64, warmup_steps=100, decay_fraction=0.7, checkpoint_seconds=240
        )
    )
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            learning_rate=2e-3, weight_decay=0.05, average_exponent=16.97
        )
    )


class Identifier(nn.Module):
    """Products alone, [B, 4, SIDE, SIDE], to unit vectors [B, D].

    `known` are the numbers of the benchmark products whose fifties it learns.
    """

    def __init__(self, config: IdentifierConfig, known: Sequence[int]) -> None:
        super().__init__()
        self.known, self.config = list(known), config
        widths = config.widths
        self.conv_in = nn.Conv2d(4, widths[0], 3, 2, 1)
        self.blocks = residual_blocks(widths)
        self.normed = nn.GroupNorm(8, widths[-1])
        across = SIDE >> len(widths) + 1
        self.projection = nn.Linear(widths[-1] * across**2, config.dimensions)
        self.vectors = nn.Parameter(
            torch.randn(len(known), FIFTY * config.aspects, config.dimensions)
        )
        self.enrolled: dict[int, tuple[Tensor, Tensor]] = {}

    def forward(self, products: Tensor) -> Tensor:
        """The vectors."""
        maps = F.silu(self.normed(self.maps(products)[-1]))
        return F.normalize(self.projection(maps.flatten(1)), dim=-1)

    def maps(self, products: Tensor) -> list[Tensor]:
        """The features after each block, [B, C, h, w], coarser and coarser."""
        found = [self.conv_in(unlit(products).to(self.conv_in.weight.dtype))]
        for block in self.blocks:
            found.append(block(found[-1]))
        return found[1:]

    def nearness(self, vectors: Tensor, number: int) -> Tensor:
        """Cosines [B, 50] of vectors [B, D] with the learned ones of a product number's fifty."""
        learned = F.normalize(self.vectors[self.known.index(number)].float(), dim=-1)
        each = (vectors.float() @ learned.T).unflatten(1, (FIFTY, self.config.aspects))
        return torch.logsumexp(each / self.config.temperature, dim=2) * self.config.temperature

    @torch.no_grad()
    def vectors_of(self, products: Pixels) -> Tensor:
        """Vectors [N, D] of `alone` products uint8 [N, SIDE, SIDE, 4]."""
        return torch.cat([self(part) for part in as_tensor(products).split(64)]).float()

    def enrol(self, number: int, products: Pixels, which: np.ndarray[Any, Any]) -> None:
        """Know pictures of a product number's fifty: uint8 [N, SIDE, SIDE, 4], which they are [N]."""
        self.enrolled[number] = self.vectors_of(products), torch.from_numpy(which)

    def identify(self, products: Pixels, number: int) -> np.ndarray[Any, Any]:
        """Identify `alone` products uint8 [N, SIDE, SIDE, 4] among a number's fifty, [N]."""
        known, which = self.enrolled[number]
        near = self.vectors_of(products) @ known.T
        return which[near.argmax(dim=1)].numpy()

    @torch.no_grad()
    def distance(self, one: Pixels, other: Pixels) -> float:
        """How differently two pictures uint8 [H, W, 3] look, exposure apart.

        The features' distance at each place, unit vectors over channels, its mean over places summed
        over blocks: LPIPS (arXiv 1801.03924, equation 1) with this network and equal weights.
        """
        whole = [
            np.dstack([_fit(each), np.full((SIDE, SIDE), 255, np.uint8)]) for each in (one, other)
        ]
        maps = self.maps(as_tensor(np.stack(whole)))
        return sum(
            float((a - b).square().sum(dim=0).mean())
            for a, b in (F.normalize(each.float(), dim=1) for each in maps)
        )


def _fit(picture: Pixels) -> Pixels:
    return np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def as_tensor(products: Pixels) -> Tensor:
    """Uint8 [B, H, W, 4] to fp32 [B, 4, H, W] in [0, 1], channels last in memory."""
    return torch.from_numpy(np.array(products)).permute(0, 3, 1, 2).float().div_(255)


def unlit(products: Tensor) -> Tensor:
    """RGB and share [B, 4, H, W] in [0, 1]: logarithms of light less their mean over the product."""
    colours, shares = products[:, :3], products[:, 3:]
    light = torch.log(colours**2.2 + 0.03)
    mean = (light * shares).sum((1, 2, 3), keepdim=True)
    mean = mean / (3 * shares.sum((1, 2, 3), keepdim=True) + 1e-3)
    return torch.cat([(light - mean) * shares, shares], dim=1)


def alone(picture: Pixels, shares: Shares) -> Pixels:
    """The product that `shares` [H, W] marks in uint8 [H, W, 3], filling the square, uint8 [.., 4]."""
    found = np.argwhere(shares > 0.5)
    low, high = (found.min(axis=0), found.max(axis=0) + 1) if len(found) else ((0, 0), shares.shape)
    (top, left), (bottom, right) = low, high
    half = 0.54 * max(bottom - top, right - left)
    scale = SIDE / (2 * half)
    y, x = (top + bottom) / 2 - half, (left + right) / 2 - half
    move = np.array([[scale, 0, -x * scale], [0, scale, -y * scale]])
    # Warping alone would skip pixels of a product that is much larger than the square.
    marked = np.dstack([picture, (shares * 255).round().astype(np.uint8)])
    softened = cv2.GaussianBlur(marked, (0, 0), 0.4 / scale) if scale < 0.8 else marked
    seen = cv2.warpAffine(softened, move, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.uint8)


def found_alone(pictures: Pixels) -> Pixels:
    """The products of pictures uint8 [N, H, W, 3], where the bundled segmenter finds them."""
    segmenter = BundledSegmenter()
    return np.stack([alone(one, segmenter.probabilities(Image.fromarray(one))) for one in pictures])


@dataclass(frozen=True)
class Renders:
    """What is rendered of a product number's fifty."""

    given: Pixels
    """The products alone, uint8 [N, SIDE, SIDE, 4], by their true silhouettes."""
    found: Pixels
    """By the bundled segmenter's."""
    which: np.ndarray[Any, Any]
    """Of the fifty, [N]."""

    @classmethod
    def known(cls, product: Path) -> Renders:
        """Those to know them by."""
        return cls._of(_pictures(product, "known"), lambda k: k // samples.KNOWN_SCENES)

    @classmethod
    def others(cls, product: Path) -> Renders:
        """Those of other scenes, to test the judge on."""
        own = [path for kind in ("photos", "truth") for path in _pictures(product, kind)]
        alike = _pictures(product, "alike")
        parts = cls._of(own, lambda k: 0), cls._of(alike, lambda k: k + 1)
        return cls(*(np.concatenate([vars(p)[name] for p in parts]) for name in vars(parts[0])))

    @classmethod
    def _of(cls, paths: Sequence[Path], which: Any) -> Renders:
        pictures = np.stack([_read(path, "RGB") for path in paths])
        masks = [_read(path.with_name(f"{path.stem}-mask.png"), "L") for path in paths]
        given = [alone(p, m / np.float32(255)) for p, m in zip(pictures, masks, strict=True)]
        numbers = np.array([which(int(path.name[:6])) for path in paths])
        return cls(np.stack(given), found_alone(pictures), numbers)


def _pictures(product: Path, kind: str) -> list[Path]:
    return sorted((product / kind).glob("*-[0-9].png"))


def _read(path: Path, mode: str) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image.convert(mode))


def batch_of(
    known: Renders, number: int, step: int, config: IdentifierConfig
) -> tuple[Tensor, Tensor]:
    """Batch number `step` of a product number: `varied` products and which of the fifty they are."""
    rng = generator(config.loop.seed, step, f"identifier/{number}")
    chosen = batch_indices(len(known.which), config.loop.batch, step, number)
    masked = np.stack([(known.given, known.found)[rng.integers(2)][k] for k in chosen])
    return varied(as_tensor(masked), rng), torch.from_numpy(known.which[chosen])


def varied(products: Tensor, rng: np.random.Generator) -> Tensor:
    """Products [B, 4, SIDE, SIDE] as other pictures may show them.

    Moved and mirrored, less exactly cut out, in another light, softer, with grain, partly hidden.
    """
    draw = partial(_drawn, rng, len(products))
    moved = _moved(products, draw)
    shares = _inexact(moved[:, 3:], draw) * ~_hidden(draw)
    return torch.cat([_relit(moved[:, :3], draw, rng), shares], dim=1)


def _drawn(
    rng: np.random.Generator, count: int, low: float, high: float, channels: int = 1
) -> Tensor:
    """Uniform between, for each picture: [B, channels, 1, 1]."""
    return torch.from_numpy(rng.uniform(low, high, (count, channels, 1, 1)).astype(np.float32))


def _moved(products: Tensor, draw: Draw) -> Tensor:
    turn, scale, mirror = draw(-0.08, 0.08), draw(-0.1, 0.1).exp(), draw(-1, 1).sign()
    cosine, sine = turn.cos() * scale, turn.sin() * scale
    rows = [cosine * mirror, -sine, draw(-0.07, 0.07), sine * mirror, cosine, draw(-0.07, 0.07)]
    moves = torch.cat(rows, dim=1).view(-1, 2, 3)
    grid = F.affine_grid(moves, list(products.shape), align_corners=False)
    return F.grid_sample(products, grid, padding_mode="border", align_corners=False)


def _inexact(shares: Tensor, draw: Draw) -> Tensor:
    """Up to a pixel more or less at the edge."""
    more, less = F.max_pool2d(shares, 3, 1, 1), -F.max_pool2d(-shares, 3, 1, 1)
    by = draw(-1, 1)
    return shares + by.clamp(min=0) * (more - shares) - by.clamp(max=0) * (less - shares)


def _hidden(draw: Draw) -> Tensor:
    """A small rectangle, in half of the pictures inside the square."""
    place = torch.arange(SIDE)
    rows, columns = place.view(1, 1, SIDE, 1), place.view(1, 1, 1, SIDE)
    top, left = draw(-SIDE, SIDE), draw(0, SIDE)
    tall, wide = draw(0, 0.3 * SIDE), draw(0, 0.3 * SIDE)
    return (rows >= top) & (rows < top + tall) & (columns >= left) & (columns < left + wide)


def _relit(colours: Tensor, draw: Draw, rng: np.random.Generator) -> Tensor:
    """Another exposure, contrast and tint, lighter to one side; softer, with grain."""
    lit = colours.clamp(min=1e-4) ** draw(0.75, 1.35) * draw(0.6, 1.4) * draw(0.85, 1.15, 3)
    ramp = torch.linspace(-1, 1, SIDE)
    slope = draw(-0.4, 0.4) * ramp.view(1, 1, 1, SIDE) + draw(-0.4, 0.4) * ramp.view(1, 1, SIDE, 1)
    lit = lit * slope.exp()
    soft = lit
    for _ in range(2):
        soft = F.avg_pool2d(soft, 3, 1, 1, count_include_pad=False)
    lit = lit + draw(-0.6, 1).clamp(min=0) * (soft - lit)
    grain = torch.from_numpy(rng.standard_normal(lit.shape, dtype=np.float32))
    return (lit + draw(-0.03, 0.03).clamp(min=0) * grain).clamp(0, 1)


def train_identifier(
    known: dict[int, Renders],
    others: dict[int, Renders],
    folder: Path,
    config: IdentifierConfig,
    budget: Budget,
) -> Report:
    """Train the judge on what is `known` of each product number, from its checkpoint if any.

    Returns:
        How often it is right on the `others`: "found" by the segmenter or "given" by their
        silhouettes, of the fifties, and of the products' "own" pictures among them.
    """
    numbers = list(known)
    identifier: Any = for_computing(_new(config, numbers), torch.device("cpu"))

    def loss(step: int) -> Tensor:
        number = numbers[step % len(numbers)]
        pictures, which = batch_of(known[number], number, step // len(numbers), config)
        near = identifier.nearness(identifier(pictures), number)
        near = near - config.margin * F.one_hot(which, FIFTY)
        return F.cross_entropy(near / config.temperature, which, label_smoothing=0.05)

    def evaluate() -> Report:
        judge = _new(config, numbers)
        judge.load_state_dict({n: v.float() for n, v in identifier.state_dict().items()})
        return _tested(judge.eval(), known, others)

    stepper = Stepper(identifier, config.optimizer)
    return Loop("identifier", folder, stepper, config.loop, loss, evaluate).run(budget)


def _tested(judge: Identifier, known: dict[int, Renders], others: dict[int, Renders]) -> Report:
    rights: dict[str, list[float]] = {}
    for number, own in known.items():
        judge.enrol(number, own.given, own.which)
        for name in ("found", "given"):
            seen, which = getattr(others[number], name), others[number].which
            right = judge.identify(seen, number) == which
            rights.setdefault(name, []).append(float(np.mean(right)))
            rights.setdefault(f"{name}, own", []).append(float(np.mean(right[which == 0])))
    return {name: float(np.mean(each)) for name, each in rights.items()}


def number_of(product: Path) -> int:
    """A benchmark product's number, from its folder's name."""
    return int(product.name.split("-")[0])


def _new(config: IdentifierConfig, known: Sequence[int]) -> Identifier:
    with torch.random.fork_rng():
        torch.manual_seed(config.loop.seed)
        return Identifier(config, known)


def identifier_for(
    products: Sequence[Path], work: Path, config: IdentifierConfig
) -> tuple[Identifier, Report]:
    """The judge that knows these benchmark products' fifties, in fp32; trained first, once."""
    numbers = [number_of(product) for product in products]
    folder = work / "-".join(["judge", *map(str, numbers)])
    known, others = (
        {n: read(product) for n, product in zip(numbers, products, strict=True)}
        for read in (Renders.known, Renders.others)
    )
    report = train_identifier(known, others, folder, config, Budget())
    judge = _new(config, numbers)
    judge.load_state_dict(state.weights(folder, "identifier"))
    for number, own in known.items():
        judge.enrol(number, own.given, own.which)
    return judge.eval(), report
