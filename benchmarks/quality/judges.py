"""Two judges: one tells what a picture shows, the other tells products of one kind apart."""

from __future__ import annotations

from collections.abc import Sequence
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
from packshot.pocket.pretrain.data import Pictures, Pixels, open_masks, open_packed, to_tensor
from packshot.pocket.pretrain.loop import Budget, Loop, LoopConfig, Report, batch_indices, generator
from packshot.pocket.pretrain.optim import OptimizerConfig, Stepper, for_computing

JUDGED = ("noun", "colour", "setting", "time")
PIXELS = 128


@dataclass(frozen=True)
class JudgeConfig:
    """The networks' shape and how they are trained."""

    widths: tuple[int, ...] = (24, 48, 96, 192)
    dimensions: int = 64
    """Of a product's vector."""
    temperature: float = 0.1
    views: int = 2
    """How many pictures of a product are in a batch."""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=2500, batch=32))
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            learning_rate=2e-3, muon=True, average_exponent=16.97
        )
    )


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
    """Pictures to unit vectors that are near for one product, far for two of a kind."""

    def __init__(self, widths: tuple[int, ...], dimensions: int) -> None:
        super().__init__()
        self.features = Features(widths)
        self.projection = nn.Linear(widths[-1], dimensions)

    def forward(self, pictures: Tensor) -> Tensor:
        """Unit vectors [B, D]."""
        return F.normalize(self.projection(self.features(pictures)).float(), dim=-1)

    @torch.no_grad()
    def identify(self, pixels: Pixels) -> Tensor:
        """Unit vectors [N, D] of the products in pictures uint8 [N, 128, 128, 3].

        What the product is, the bundled segmenter says.
        """
        segmenter = EmbeddedSegmenter()
        single = [alone(one, segmenter.shares(Image.fromarray(one))) for one in pixels]
        return torch.cat([self(part) for part in to_tensor(np.stack(single)).split(64)])


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


class IdentifierBatches:
    """Some views each of products of one noun, alone: a place that they share would give them away."""

    def __init__(self, pictures: Pictures, masks: Pixels, config: JudgeConfig) -> None:
        self.pictures, self.masks, self.config = pictures, masks, config
        self.by_noun: dict[str, list[np.ndarray]] = {}
        for scene in np.split(pictures.training, len(pictures.training) // 4):
            self.by_noun.setdefault(pictures.attributes[scene[0]]["noun"], []).append(scene)

    def __call__(self, step: int) -> Tensor:
        """Batch number `step`: [products x views, 3, 128, 128], the views of one side by side."""
        rng = generator(self.config.loop.seed, step, "identifier")
        nouns = sorted(self.by_noun)
        scenes = self.by_noun[nouns[step % len(nouns)]]
        products = min(len(scenes), self.config.loop.batch // self.config.views)
        views = []
        for number in rng.choice(len(scenes), products, replace=False):
            for index in rng.choice(scenes[number], self.config.views, replace=False):
                single = alone(self.pictures.pixels[index], self.masks[index] / np.float32(255))
                views.append(_relit(_view(single, rng), rng))
        return to_tensor(np.stack(views))


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


def identity_loss(vectors: Tensor, views: int, temperature: float) -> Tensor:
    """Supervised contrast (arXiv 2004.11362, L_out): rows k*views to (k+1)*views are one product."""
    count = len(vectors)
    product = torch.arange(count) // views
    same = (product[:, None] == product[None, :]).float().fill_diagonal_(0)
    logits = (vectors @ vectors.T / temperature).masked_fill(
        torch.eye(count, dtype=torch.bool), -1e4
    )
    return -(F.log_softmax(logits, dim=1) * same).sum(dim=1).div(same.sum(dim=1)).mean()


def train_identifier(folder: Path, config: JudgeConfig, budget: Budget) -> Report:
    """Train the identifier on the packed pictures of `folder`, from its checkpoint if any."""
    pictures = open_packed(folder)
    batches = IdentifierBatches(pictures, open_masks(folder), config)
    identifier: Any = for_computing(_new_identifier(config), torch.device("cpu"))
    dtype = identifier.features.conv_in.weight.dtype

    def loss(step: int) -> Tensor:
        vectors = identifier(batches(step).to(dtype))
        return identity_loss(vectors, config.views, config.temperature)

    def evaluate() -> Report:
        judge = _new_identifier(config)
        judge.load_state_dict({n: v.float() for n, v in identifier.state_dict().items()})
        return {"retrieval": _retrieval(judge, pictures)}

    stepper = Stepper(identifier, config.optimizer)
    return Loop("identifier", folder, stepper, config.loop, loss, evaluate).run(budget)


def _retrieval(judge: Identifier, pictures: Pictures) -> float:
    """How often a held-out picture is nearest to one of its own product, among those of its noun."""
    held_out = pictures.held_out
    vectors = judge.identify(pictures.pixels[held_out])
    nouns = np.array([pictures.attributes[i]["noun"] for i in held_out])
    scene = np.arange(len(held_out)) // 4
    likeness = (vectors @ vectors.T).fill_diagonal_(-1).numpy()
    likeness[nouns[:, None] != nouns[None, :]] = -1
    return float(np.mean(scene[likeness.argmax(axis=1)] == scene))


def _new_classifier(folder: Path, config: JudgeConfig) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(config.loop.seed)
        return Classifier(config.widths, values_of(open_packed(folder)))


def _new_identifier(config: JudgeConfig) -> Identifier:
    with torch.random.fork_rng():
        torch.manual_seed(config.loop.seed)
        return Identifier(config.widths, config.dimensions)


def load_judges(folder: Path, config: JudgeConfig) -> tuple[Classifier, Identifier]:
    """Both judges as trained, in fp32."""
    classifier, identifier = _new_classifier(folder, config), _new_identifier(config)
    classifier.load_state_dict(state.weights(folder, "classifier"))
    identifier.load_state_dict(state.weights(folder, "identifier"))
    return classifier.eval(), identifier.eval()
