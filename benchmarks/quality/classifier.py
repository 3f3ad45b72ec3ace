"""Two judges: one tells what a picture shows, the other which of fifty products of a kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from packshot.masks.embedded import EmbeddedSegmenter
from packshot.pocket.pretrain import state
from packshot.pocket.pretrain.data import Pictures, Pixels, open_packed, to_tensor
from packshot.pocket.pretrain.loop import Budget, Loop, LoopConfig, Report, batch_indices, generator
from packshot.pocket.pretrain.optim import OptimizerConfig, Stepper, for_computing
from packshot.pocket.world import samples

JUDGED = ("noun", "colour", "setting", "time")
PIXELS = 128


@dataclass(frozen=True)
class JudgeConfig:
    """The networks' shape and how they are trained."""

    widths: tuple[int, ...] = (24, 48, 96, 192)
    dimensions: int = 64
    """Of a product's vector."""
    temperature: float = 0.1
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=1500, batch=32))
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(learning_rate=2e-3, average_exponent=16.97)
    )
    """Without Muon: its products in bf16 take longer than these steps on CPUs without it."""


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(8, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, 2, 1),
            nn.GroupNorm(8, outputs), nn.SiLU(), nn.Conv2d(outputs, outputs, 3, 1, 1),
        )  # fmt: skip
        self.past = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        shortcut: Tensor = self.past(F.avg_pool2d(x, 2))
        return shortcut + self.body(x)


class Features(nn.Module):
    """A small residual network: pictures [B, 3, 128, 128] in [-1, 1] to features [B, D]."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, widths[0], 5, 2, 2)
        pairs = zip(widths, (*widths[1:], widths[-1]), strict=True)
        self.blocks = nn.Sequential(*(_Residual(inputs, outputs) for inputs, outputs in pairs))
        self.width = widths[-1]

    def forward(self, pictures: Tensor) -> Tensor:
        """Averages over the last map."""
        return self.blocks(self.conv_in(pictures)).mean(dim=(2, 3))


class Classifier(nn.Module):
    """Tells noun, colour, setting and time of day."""

    def __init__(self, widths: tuple[int, ...], values: dict[str, list[str]]) -> None:
        super().__init__()
        self.values = values
        self.features = Features(widths)
        self.heads = nn.ModuleDict({n: nn.Linear(widths[-1], len(v)) for n, v in values.items()})

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Logits by attribute."""
        features = self.features(pictures)
        return {name: head(features) for name, head in self.heads.items()}

    @torch.no_grad()
    def tell(self, pixels: Pixels, batch: int = 64) -> list[dict[str, str]]:
        """What pictures uint8 [N, 128, 128, 3] show."""
        told: list[dict[str, str]] = []
        for start in range(0, len(pixels), batch):
            logits = self(to_tensor(pixels[start : start + batch]))
            best = {name: value.argmax(dim=1).tolist() for name, value in logits.items()}
            told += [
                {name: self.values[name][best[name][k]] for name in best}
                for k in range(len(next(iter(best.values()))))
            ]
        return told

    @torch.no_grad()
    def describe(self, pixels: Pixels) -> Tensor:
        """Features [N, D] of pictures uint8 [N, 128, 128, 3]."""
        return torch.cat([self.features(part) for part in to_tensor(pixels).split(64)])


class Identifier(nn.Module):
    """Tells which of a benchmark product's fifty (itself, number 0, and its look-alikes) is shown.

    It knows all of them from renders of their own, as one enrols faces: a vector for each, nearest
    to its pictures'.
    """

    def __init__(self, widths: tuple[int, ...], dimensions: int, known: Sequence[int]) -> None:
        super().__init__()
        self.known = list(known)
        self.features = Features(widths)
        self.projection = nn.Linear(widths[-1], dimensions)
        self.vectors = nn.Parameter(torch.randn(len(known), samples.LOOK_ALIKES + 1, dimensions))

    def forward(self, pictures: Tensor, number: int) -> Tensor:
        """Cosines [B, 50] of pictures [B, 3, 128, 128] with each of a product number's fifty."""
        found = self.projection(self.features(pictures)).float()
        vectors = self.vectors[self.known.index(number)].float()
        return F.normalize(found, dim=-1) @ F.normalize(vectors, dim=-1).T

    @torch.no_grad()
    def describe(self, pixels: Pixels) -> Tensor:
        """Features [N, D] of pictures uint8 [N, 128, 128, 3] as they are, to tell how near they are."""
        return torch.cat([self.features(part) for part in to_tensor(pixels).split(64)])

    @torch.no_grad()
    def identify(self, pixels: Pixels, number: int) -> np.ndarray[Any, Any]:
        """Which of the fifty pictures uint8 [N, 128, 128, 3] show, [N].

        Where the product is, the bundled segmenter says.
        """
        single = to_tensor(np.stack([alone(one, shares) for one, shares in segmented(pixels)]))
        return torch.cat([self(part, number) for part in single.split(64)]).argmax(dim=1).numpy()


def values_of(pictures: Pictures) -> dict[str, list[str]]:
    """The values of what is judged among the training pictures, sorted."""
    facts = [pictures.attributes[i] for i in pictures.training]
    return {name: sorted({f[name] for f in facts}) for name in JUDGED}


def _view(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A random crop, perhaps mirrored, softened as generated pictures are, with some grain."""
    side = int(rng.uniform(0.8, 1) * PIXELS)
    top, left = rng.integers(0, PIXELS - side + 1, 2)
    cut = pixels[top : top + side, left : left + side]
    cut = cut[:, ::-1] if rng.random() < 0.5 else cut
    view = cv2.resize(np.ascontiguousarray(cut), (PIXELS, PIXELS)).astype(np.float32)
    if rng.random() < 0.5:
        view = cv2.GaussianBlur(view, (0, 0), float(rng.uniform(0.5, 1.5)))
    view = view + rng.normal(0, rng.choice([0, 3, 8]), view.shape)
    return view.clip(0, 255).astype(np.uint8)


def train_classifier(folder: Path, config: JudgeConfig, budget: Budget) -> Report:
    """Train the classifier on the packed pictures of `folder`, from its checkpoint if any."""
    pictures = open_packed(folder)
    classifier: Any = for_computing(_new_classifier(folder, config), torch.device("cpu"))
    dtype = classifier.features.conv_in.weight.dtype

    def loss(step: int) -> Tensor:
        rng = generator(config.loop.seed, step, "classifier")
        training = pictures.training
        chosen = training[batch_indices(len(training), config.loop.batch, step, config.loop.seed)]
        views = to_tensor(np.stack([_view(pictures.pixels[i], rng) for i in chosen]))
        parts = []
        for name, logits in classifier(views.to(dtype)).items():
            wanted = [classifier.values[name].index(pictures.attributes[i][name]) for i in chosen]
            parts.append(F.cross_entropy(logits.float(), torch.tensor(wanted)))
        return torch.stack(parts).sum()

    def evaluate() -> Report:
        judge = _new_classifier(folder, config)
        judge.load_state_dict({n: v.float() for n, v in classifier.state_dict().items()})
        told = judge.tell(pictures.pixels[pictures.held_out])
        truth = [pictures.attributes[i] for i in pictures.held_out]
        return accuracy(told, truth)

    stepper = Stepper(classifier, config.optimizer)
    return Loop("classifier", folder, stepper, config.loop, loss, evaluate).run(budget)


def accuracy(told: Sequence[dict[str, str]], truth: Sequence[dict[str, str]]) -> Report:
    """The share of pictures of which each attribute is told rightly."""
    return {
        name: float(np.mean([t[name] == f[name] for t, f in zip(told, truth, strict=True)]))
        for name in JUDGED
    }


@dataclass(frozen=True)
class Enrolled:
    """What an identifier learns one product's fifty from: all that is rendered of them as "known"."""

    pixels: Pixels
    masks: tuple[Pixels, Pixels]
    """The true ones and the bundled segmenter's, uint8 [N, 128, 128]: it sees with the latter."""
    which: np.ndarray[Any, Any]
    """Of the fifty, [N]."""

    @classmethod
    def of(cls, product: Path) -> Enrolled:
        """Read what `packshot-world benchmark` has rendered of a product."""
        paths = sorted((product / "known").glob("*-[0-9].png"))
        pixels = np.stack([_read(path, "RGB") for path in paths])
        true = np.stack([_read(path.with_name(f"{path.stem}-mask.png"), "L") for path in paths])
        found = np.stack([shares for _, shares in segmented(pixels)])
        which = np.array([int(path.name[:6]) // samples.KNOWN_SCENES for path in paths])
        return cls(pixels, (true, (found * 255).round().astype(np.uint8)), which)


def _read(path: Path, mode: str) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image.convert(mode))


def segmented(pixels: Pixels) -> Iterator[tuple[Pixels, np.ndarray[Any, Any]]]:
    """Each picture of uint8 [N, H, W, 3] with its product's share of each pixel, in [0, 1]."""
    segmenter = EmbeddedSegmenter()
    for one in pixels:
        yield one, segmenter.shares(Image.fromarray(one))


class IdentifierBatches:
    """Pictures of one product number's fifty, each alone and in another light than it was taken in."""

    def __init__(self, enrolled: dict[int, Enrolled], config: JudgeConfig) -> None:
        self.enrolled, self.config = enrolled, config

    def __call__(self, step: int) -> tuple[int, Tensor, Tensor]:
        """Batch number `step`: the product number, pictures [B, 3, 128, 128], which they are [B]."""
        rng = generator(self.config.loop.seed, step, "identifier")
        number = sorted(self.enrolled)[step % len(self.enrolled)]
        known = self.enrolled[number]
        chosen = batch_indices(
            len(known.which), self.config.loop.batch, step // len(self.enrolled), number
        )
        views = []
        for index in chosen:
            shares = known.masks[rng.integers(2)][index] / np.float32(255)
            views.append(_relit(_view(alone(known.pixels[index], shares), rng), rng))
        return number, to_tensor(np.stack(views)), torch.from_numpy(known.which[chosen])


def _relit(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """In another light: views of one scene share theirs, pictures of one product need not."""
    values = (pixels / np.float32(255)) ** np.float32(rng.uniform(0.7, 1.4))
    values = values * np.float32(rng.uniform(0.65, 1.3)) * rng.uniform(0.85, 1.15, 3)
    return (values.clip(0, 1) * 255).astype(np.uint8)


def alone(picture: Pixels, shares: np.ndarray) -> Pixels:
    """The product that `shares` [128, 128] in [0, 1] marks, filling the picture, over grey."""
    found = np.argwhere(shares > 0.5)
    low, high = (found.min(axis=0), found.max(axis=0) + 1) if len(found) else (0, PIXELS)
    middle, half = (low + high) / 2, np.max(high - low) * 0.56
    laid = picture * shares[..., None] + 128 * (1 - shares[..., None])
    scale = PIXELS / (2 * half)
    top, left = (middle - half) * scale
    move = np.array([[scale, 0, -left], [0, scale, -top]], np.float32)
    seen = cv2.warpAffine(
        laid.astype(np.uint8),
        move,
        (PIXELS, PIXELS),
        flags=cv2.INTER_LINEAR,
        borderValue=(128,) * 3,
    )
    return np.asarray(seen, np.uint8)


def train_identifier(
    products: Sequence[Path], folder: Path, config: JudgeConfig, budget: Budget
) -> Report:
    """Train the identifier on what is rendered of `products`, from its checkpoint in `folder` if any."""
    enrolled = {number_of(product): Enrolled.of(product) for product in products}
    batches = IdentifierBatches(enrolled, config)
    identifier: Any = for_computing(_new_identifier(config, list(enrolled)), torch.device("cpu"))
    dtype = identifier.features.conv_in.weight.dtype

    def loss(step: int) -> Tensor:
        number, pictures, which = batches(step)
        return F.cross_entropy(
            identifier(pictures.to(dtype), number) / config.temperature, which, label_smoothing=0.05
        )

    def evaluate() -> Report:
        judge = _new_identifier(config, list(enrolled))
        judge.load_state_dict({n: v.float() for n, v in identifier.state_dict().items()})
        judge.eval()
        return {"identity": float(np.mean([right(judge, product) for product in products]))}

    stepper = Stepper(identifier, config.optimizer)
    return Loop("identifier", folder, stepper, config.loop, loss, evaluate).run(budget)


def number_of(product: Path) -> int:
    """A benchmark product's number, from its folder's name."""
    return int(product.name.split("-")[0])


def right(judge: Identifier, product: Path) -> float:
    """How often the judge is right on renders of other scenes: of the product, and of each look-alike."""
    paths, which = [], []
    for kind, first in (("photos", None), ("truth", None), ("alike", 1)):
        for path in sorted((product / kind).glob("*-[0-9].png")):
            paths.append(path)
            which.append(0 if first is None else int(path.name[:6]) + first)
    pixels = np.stack([_read(path, "RGB") for path in paths])
    return float(np.mean(judge.identify(pixels, number_of(product)) == which))


def _new_classifier(folder: Path, config: JudgeConfig) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(config.loop.seed)
        return Classifier(config.widths, values_of(open_packed(folder)))


def _new_identifier(config: JudgeConfig, known: Sequence[int]) -> Identifier:
    with torch.random.fork_rng():
        torch.manual_seed(config.loop.seed)
        return Identifier(config.widths, config.dimensions, known)


def load_classifier(folder: Path, config: JudgeConfig) -> Classifier:
    """The classifier as trained, in fp32."""
    classifier = _new_classifier(folder, config)
    classifier.load_state_dict(state.weights(folder, "classifier"))
    return classifier.eval()


def identifier_for(
    products: Sequence[Path], work: Path, config: JudgeConfig
) -> tuple[Identifier, Report]:
    """The judge that knows these benchmark products' fifties, in fp32; trained first, once."""
    known = [number_of(product) for product in products]
    folder = work / "-".join(["judge", *map(str, known)])
    report = train_identifier(products, folder, config, Budget())
    identifier = _new_identifier(config, known)
    identifier.load_state_dict(state.weights(folder, "identifier"))
    return identifier.eval(), report
