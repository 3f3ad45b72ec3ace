"""Training the bundled segmenter on rendered products with exact masks, strongly augmented.

Products are also composited on other backgrounds, and colours, sharpness and grain vary, so that the
network segments salient objects rather than this renderer's style.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from packshot.masks.bundled_network import PIXELS, SegmenterNetwork
from packshot_pocket.pretrain import state
from packshot_pocket.pretrain.data import Pictures, Pixels, open_masks, open_packed, to_tensor
from packshot_pocket.pretrain.generic import generic_pictures
from packshot_pocket.pretrain.loop import Budget, Loop, LoopConfig, Report, batch_indices, generator
from packshot_pocket.pretrain.optim import OptimizerConfig, Stepper, for_computing


@dataclass(frozen=True)
class SegmenterConfig:
    """The network's shape and how it is trained."""

    widths: tuple[int, ...] = (16, 32, 64, 96, 128)
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=3000, batch=24))
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            learning_rate=2e-3, muon=True, average_exponent=16.97
        )
    )
    generic_count: int = 500
    moved_fraction: float = 0.4
    """Share of products that are cut out and put on another ground."""
    smallest_crop: float = 0.5
    judged: int = 128


class MaskStage(Protocol):
    """What the configurations of all stages have that learn masks."""

    @property
    def loop(self) -> LoopConfig: ...
    @property
    def optimizer(self) -> OptimizerConfig: ...


class SegmenterBatches:
    """Augmented images and their masks: a function of the step's number."""

    def __init__(self, pictures: Pictures, masks: Pixels, config: SegmenterConfig) -> None:
        self.pictures, self.masks, self.config = pictures, masks, config
        self.generic = generic_pictures(config.generic_count, config.loop.seed)

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Batch number `step`: pictures fp32 [B, 3, 128, 128] in [-1, 1], masks [B, 1, 128, 128]."""
        loop, training = self.config.loop, self.pictures.training
        rng = generator(loop.seed, step, "disguises")
        chosen = training[batch_indices(len(training), loop.batch, step, loop.seed)]
        pairs = [self._pair(int(index), rng) for index in chosen]
        masks = torch.from_numpy(np.stack([mask for _, mask in pairs])).float() / 255
        return to_tensor(np.stack([picture for picture, _ in pairs])), masks[:, None]

    def _pair(self, index: int, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
        picture, mask = np.array(self.pictures.pixels[index]), np.array(self.masks[index])
        if rng.random() < self.config.moved_fraction:
            picture = _put_on(self._ground(rng), picture, mask)
        both = _crop(np.dstack([picture, mask]), self.config.smallest_crop, rng)
        return recoloured(both[..., :3], rng), both[..., 3]

    def _ground(self, rng: np.random.Generator) -> Pixels:
        """A generic picture, or another scene enlarged from its upper part, where no product is."""
        if rng.random() < 0.5:
            return self.generic[int(rng.integers(len(self.generic)))]
        other = self.pictures.pixels[int(rng.choice(self.pictures.training))]
        return cv2.resize(other[: PIXELS // 4], (PIXELS, PIXELS))


def _put_on(ground: Pixels, picture: Pixels, mask: Pixels) -> Pixels:
    share = mask[..., None] / np.float32(255)
    return (picture * share + ground * (1 - share)).round().astype(np.uint8)


def _crop(both: Pixels, smallest: float, rng: np.random.Generator) -> Pixels:
    """A random part, perhaps mirrored, of random proportions: photos get squeezed too."""
    height, width = (int(side) for side in rng.uniform(smallest, 1, 2) * PIXELS)
    top, left = rng.integers(0, PIXELS - height + 1), rng.integers(0, PIXELS - width + 1)
    cut = both[top : top + height, left : left + width]
    cut = cut[:, ::-1] if rng.random() < 0.5 else cut
    return cv2.resize(np.ascontiguousarray(cut), (PIXELS, PIXELS), interpolation=cv2.INTER_LINEAR)


def recoloured(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """Other exposure, white balance and contrast, some blur and some grain."""
    values = picture.astype(np.float32) / 255
    values = values ** np.float32(rng.uniform(0.6, 1.6)) * rng.uniform(0.75, 1.25, 3)
    if rng.random() < 0.15:
        values = values.mean(axis=2, keepdims=True).repeat(3, axis=2)
    if rng.random() < 0.3:
        values = cv2.GaussianBlur(values, (0, 0), float(rng.uniform(0.4, 1.2)))
    values = values + rng.normal(0, rng.choice([0.0, 0.01, 0.03]), values.shape)
    return (values.clip(0, 1) * 255).round().astype(np.uint8)


def segmentation_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy of pixels, and 1 - Dice's coefficient of each picture (arXiv 1606.04797)."""
    entropy = F.binary_cross_entropy_with_logits(logits, masks)
    shares = logits.sigmoid()
    common = (shares * masks).sum(dim=(1, 2, 3))
    total = shares.sum(dim=(1, 2, 3)) + masks.sum(dim=(1, 2, 3))
    return entropy + (1 - (2 * common + 1) / (total + 1)).mean()


def overlap(shares: Tensor, masks: Tensor) -> float:
    """Mean intersection over union of [B, 1, H, W] in [0, 1], cut at a half."""
    ours, theirs = shares > 0.5, masks > 0.5
    both, either = (ours & theirs).sum(dim=(1, 2, 3)), (ours | theirs).sum(dim=(1, 2, 3))
    return float((both / either.clamp(min=1)).mean())


@torch.no_grad()
def judge(network: nn.Module, pictures: Pixels, masks: Pixels, sheet: Path) -> Report:
    """How well masks fit held-out pictures [N, H, W, planes]; writes a sheet of the first eight."""
    weights = next(network.parameters())
    views = to_tensor(pictures).to(weights.device, weights.dtype)
    shares = torch.cat([network(part).float().sigmoid() for part in views.split(32)]).cpu()
    wanted = torch.from_numpy(np.array(masks))[:, None] / 255
    found = np.hstack([*(shares[:8, 0].numpy() * 255).astype(np.uint8)])
    shown = np.hstack([*pictures[:8, ..., :3]])
    state.save_picture(sheet, np.vstack([shown, np.dstack([found] * 3)]))
    return {"overlap": overlap(shares, wanted)}


def train_on_masks(
    stage: str,
    folder: Path,
    network: nn.Module,
    config: MaskStage,
    batches: Callable[[int], tuple[Tensor, Tensor]],
    held_out: Callable[[], tuple[Pixels, Pixels]],
    budget: Budget,
) -> Report:
    """Train a network on pictures and their masks, from the stage's checkpoint in `folder`, if any.

    Args:
        batches: of a step's number (`SegmenterBatches`).
        held_out: what `judge` is given.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    computing: Any = for_computing(network, device)
    # The next batch is made meanwhile: spoiling masks takes as long as learning from them.
    ahead = ThreadPoolExecutor(1)
    coming: dict[int, Future[tuple[Tensor, Tensor]]] = {}

    def loss(step: int) -> Tensor:
        now = coming.pop(step, None) or ahead.submit(batches, step)
        coming[step + 1] = ahead.submit(batches, step + 1)
        views, wanted = now.result()
        said = computing(views.to(device, next(computing.parameters()).dtype)).float()
        return segmentation_loss(said, wanted.to(device))

    def evaluate() -> Report:
        return judge(computing, *held_out(), folder / f"{stage}.png")

    stepper = Stepper(computing, config.optimizer)
    with ahead:
        return Loop(stage, folder, stepper, config.loop, loss, evaluate).run(budget)


def train_segmenter(folder: Path, config: SegmenterConfig, budget: Budget) -> Report:
    """Train the segmenter on the packed pictures of `folder`, from its checkpoint if any."""
    pictures, masks = open_packed(folder), open_masks(folder)
    batches = SegmenterBatches(pictures, masks, config)
    with torch.random.fork_rng():
        torch.manual_seed(config.loop.seed)
        network = SegmenterNetwork(config.widths)
    held_out = pictures.judged(config.judged)

    def known() -> tuple[Pixels, Pixels]:
        return pictures.pixels[held_out], masks[held_out]

    return train_on_masks("segmenter", folder, network, config, batches, known, budget)


def load_segmenter(folder: Path, config: SegmenterConfig) -> SegmenterNetwork:
    """The trained network in fp32."""
    network = SegmenterNetwork(config.widths)
    network.load_state_dict(state.weights(folder, "segmenter"))
    return network.eval()
