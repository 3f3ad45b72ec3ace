"""Training the bundled segmenter's other network on drawn photographs with exact masks (`shots`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from packshot.masks.shot_network import PIXELS, ShotNetwork
from packshot_pocket.pretrain import state
from packshot_pocket.pretrain.data import Pixels, to_tensor
from packshot_pocket.pretrain.loop import Budget, LoopConfig, Report, generator
from packshot_pocket.pretrain.optim import OptimizerConfig
from packshot_pocket.pretrain.segmenter import recoloured, train_on_masks
from packshot_pocket.pretrain.shots.pool import Pool


@dataclass(frozen=True)
class ShotSegmenterConfig:
    """The network's shape and how it is trained."""

    widths: tuple[int, ...] = (16, 48, 96, 128, 128)
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=8500, batch=16, decay_fraction=0.15)
    )
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            learning_rate=2e-3, muon=True, average_exponent=16.97
        )
    )
    shots: int = 13_000
    first_shots: int = 1_000
    shots_per_step: int = 2
    """With how many it begins, and how many join at each step: they are drawn meanwhile."""
    sides: tuple[tuple[int, int], ...] = ((0, 128), (5500, PIXELS))
    """From which step on shots are seen at which side: small ones teach most of it at less than
    half of the cost."""
    smallest_crop: float = 0.6
    judged: int = 128
    """Of the last shots so many are held out."""


class ShotBatches:
    """Augmented shots and their masks: a function of the step's number."""

    def __init__(self, pool: Pool, config: ShotSegmenterConfig) -> None:
        self.pool, self.config = pool, config

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Batch number `step`: pictures fp32 [B, 3, side, side] in [-1, 1], masks [B, 1, side, side]."""
        config = self.config
        rng = generator(config.loop.seed, step, "disguises")
        known = min(self._training(), config.first_shots + config.shots_per_step * step)
        numbers = rng.integers(0, known, config.loop.batch)
        side = next(side for first, side in reversed(config.sides) if first <= step)
        pairs = [self._pair(int(number), side, rng) for number in numbers]
        masks = torch.from_numpy(np.stack([mask for _, mask in pairs])).float() / 255
        return to_tensor(np.stack([picture for picture, _ in pairs])), masks[:, None]

    def held_out(self) -> tuple[Pixels, Pixels]:
        """Pictures [N, PIXELS, PIXELS, 3] and masks [N, PIXELS, PIXELS] that are not trained on."""
        numbers = range(self._training(), self.pool.count)
        shots = np.stack(
            [
                cv2.resize(self.pool[n], (PIXELS, PIXELS), interpolation=cv2.INTER_AREA)
                for n in numbers
            ]
        )
        return shots[..., :3], shots[..., 3]

    def _training(self) -> int:
        return self.pool.count - self.config.judged

    def _pair(self, number: int, side: int, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
        both = _crop(self.pool[number], side, self.config.smallest_crop, rng)
        return recoloured(both[..., :3], rng), both[..., 3]


def _crop(both: Pixels, side: int, smallest: float, rng: np.random.Generator) -> Pixels:
    """A random part, perhaps mirrored, of random proportions: photos get squeezed too."""
    full = len(both)
    height, width = (int(extent) for extent in rng.uniform(smallest, 1, 2) * full)
    top, left = rng.integers(0, full - height + 1), rng.integers(0, full - width + 1)
    cut = both[top : top + height, left : left + width]
    cut = cut[:, ::-1] if rng.random() < 0.5 else cut
    return cv2.resize(np.ascontiguousarray(cut), (side, side), interpolation=cv2.INTER_AREA)


def draw_shots(folder: Path, config: ShotSegmenterConfig) -> None:
    """Draw all shots into `folder`/shots that are not there yet; the training draws them, too."""
    _pool(folder, config).draw_all()


def _pool(folder: Path, config: ShotSegmenterConfig) -> Pool:
    return Pool.of_shots(folder / "shots", config.shots, config.loop.seed)


def train_shot_segmenter(folder: Path, config: ShotSegmenterConfig, budget: Budget) -> Report:
    """Train the segmenter on the shots in `folder`/shots, from its checkpoint if any.

    Shots that are not there yet are drawn when their turn comes.
    """
    batches = ShotBatches(_pool(folder, config), config)
    with torch.random.fork_rng():
        torch.manual_seed(config.loop.seed)
        network = ShotNetwork(config.widths)
    return train_on_masks(
        "shot_segmenter", folder, network, config, batches, batches.held_out, budget
    )


def load_shot_segmenter(folder: Path, config: ShotSegmenterConfig) -> ShotNetwork:
    """The trained network in fp32."""
    network = ShotNetwork(config.widths)
    network.load_state_dict(state.weights(folder, "shot_segmenter"))
    return network.eval()
