"""The classifier of an image's noun, colour, setting and time of day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from packshot_pocket.benchmarks.quality.network import residual_blocks
from packshot_pocket.pretrain import state
from packshot_pocket.pretrain.data import Pictures, Pixels, open_packed, to_tensor
from packshot_pocket.pretrain.loop import Budget, Loop, LoopConfig, Report, batch_indices, generator
from packshot_pocket.pretrain.optim import OptimizerConfig, Stepper, for_computing

JUDGED = ("noun", "colour", "setting", "time")
PIXELS = 128


@dataclass(frozen=True)
class ClassifierConfig:
    """The network's shape and how it is trained."""

    widths: tuple[int, ...] = (24, 48, 96, 192)
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=1500, batch=32))
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(learning_rate=2e-3, average_exponent=16.97)
    )
    """Without Muon: its products in bf16 take longer than these steps on CPUs without it."""


class Features(nn.Module):
    """A small residual network: images [B, 3, 128, 128] in [-1, 1] to features [B, D]."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, widths[0], 5, 2, 2)
        self.blocks = residual_blocks(widths)

    def forward(self, pictures: Tensor) -> Tensor:
        """Averages over the last map."""
        return self.blocks(self.conv_in(pictures)).mean(dim=(2, 3))


class Classifier(nn.Module):
    """Classifies noun, colour, setting and time of day."""

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
        """Classify images uint8 [N, 128, 128, 3]."""
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
        """Features [N, D] of images uint8 [N, 128, 128, 3]."""
        return torch.cat([self.features(part) for part in to_tensor(pixels).split(64)])


def values_of(pictures: Pictures) -> dict[str, list[str]]:
    """The classes of each attribute among the training images, sorted."""
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


def train_classifier(folder: Path, config: ClassifierConfig, budget: Budget) -> Report:
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
    """The accuracy of each attribute."""
    return {
        name: float(np.mean([t[name] == f[name] for t, f in zip(told, truth, strict=True)]))
        for name in JUDGED
    }


def _new_classifier(folder: Path, config: ClassifierConfig) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(config.loop.seed)
        return Classifier(config.widths, values_of(open_packed(folder)))


def load_classifier(folder: Path, config: ClassifierConfig) -> Classifier:
    """The classifier as trained, in fp32."""
    classifier = _new_classifier(folder, config)
    classifier.load_state_dict(state.weights(folder, "classifier"))
    return classifier.eval()
