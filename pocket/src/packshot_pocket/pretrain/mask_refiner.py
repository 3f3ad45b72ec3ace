"""Training the networks that mend masks: they see a product from near, and a mask that is partly wrong.

One mends masks of anything, and goes on as one that mends those of cars.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from packshot.errors import PackshotError
from packshot.masks.refiner import PLANES, Box, box_around
from packshot.masks.shot_network import PIXELS, ShotNetwork
from packshot_pocket.pretrain import state
from packshot_pocket.pretrain.data import Pixels, to_tensor
from packshot_pocket.pretrain.loop import Budget, LoopConfig, Report, generator
from packshot_pocket.pretrain.optim import OptimizerConfig
from packshot_pocket.pretrain.segmenter import recoloured, train_on_masks
from packshot_pocket.pretrain.shot_segmenter import ShotSegmenterConfig, load_shot_segmenter
from packshot_pocket.pretrain.shots.pool import Pool
from packshot_pocket.pretrain.shots.spoiling import spoilt


@dataclass(frozen=True)
class MaskRefinerConfig:
    """A network's shape and how it is trained."""

    widths: tuple[int, ...] = (16, 48, 96, 128, 128)
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=5000, batch=16, decay_fraction=0.3)
    )
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            learning_rate=1e-3, muon=True, average_exponent=16.97
        )
    )
    shots: int = 13_000
    """The same as `ShotSegmenterConfig`'s."""
    sides: tuple[tuple[int, int], ...] = ((0, 128), (3000, PIXELS))
    """From which step on products are seen at which side."""
    smallest: int = 48
    """Shots whose product is smaller than so many pixels of 256 show too little of it."""
    margins: tuple[float, float] = (1.2, 1.9)
    """Side of the part that is seen, of the spoilt mask's longer side."""
    exact: float = 0.06
    """Share of masks that are right already."""
    judged: int = 128
    """Of the last shots so many are held out."""


def of_cars() -> MaskRefinerConfig:
    """How the network of cars is trained."""
    loop = LoopConfig(steps=4000, batch=16, decay_fraction=0.3)
    return MaskRefinerConfig(loop=loop, shots=3_000, sides=((0, PIXELS),))


class SpoiltBatches:
    """Products from near with masks that are partly wrong, and their true masks: functions of the step."""

    def __init__(self, pool: Pool, config: MaskRefinerConfig) -> None:
        """Raises PackshotError where all shots would be held out."""
        if pool.count <= config.judged:
            raise PackshotError(
                f"{pool.count} shots are too few: {config.judged} of them are held out."
            )
        self.pool, self.config = pool, config

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Batch number `step`: fp32 [B, 4, side, side] in [-1, 1], true masks [B, 1, side, side]."""
        config = self.config
        rng = generator(config.loop.seed, step, "spoilt")
        side = next(side for first, side in reversed(config.sides) if first <= step)
        shots = range(self.pool.count - config.judged)
        pairs = [self._next_pair(shots, side, rng) for _ in range(config.loop.batch)]
        masks = torch.from_numpy(np.stack([mask for _, mask in pairs])).float() / 255
        return to_tensor(np.stack([seen for seen, _ in pairs])), masks[:, None]

    def held_out(self) -> tuple[Pixels, Pixels]:
        """As `__call__`, of shots that are not trained on: uint8 [N, side, side, 4] and [N, side, side]."""
        rng = generator(self.config.loop.seed, 0, "judged")
        shots = range(self.pool.count - self.config.judged, self.pool.count)
        pairs = [self._next_pair(shots, PIXELS, rng) for _ in shots]
        return np.stack([seen for seen, _ in pairs]), np.stack([mask for _, mask in pairs])

    def _next_pair(
        self, numbers: range, side: int, rng: np.random.Generator
    ) -> tuple[Pixels, Pixels]:
        while True:
            shot = self.pool[int(rng.choice(numbers))]
            rows, columns = np.where(shot[..., 3] > 127)
            if len(rows) and max(np.ptp(rows), np.ptp(columns)) >= self.config.smallest:
                return self._pair(shot, side, rng)

    def _pair(self, shot: Pixels, side: int, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
        picture, truth = np.ascontiguousarray(shot[..., :3]), shot[..., 3]
        right = truth > 127
        wrong = right if rng.random() < self.config.exact else spoilt(picture, right, rng)
        both = np.dstack([picture, wrong.astype(np.uint8) * 255, truth])
        part = _part(both, box_around(wrong, float(rng.uniform(*self.config.margins))), rng)
        part = part[:, ::-1] if rng.random() < 0.5 else part
        views = [_resized(each, side) for each in np.split(part, (3, 4), axis=2)]
        return np.dstack([recoloured(views[0], rng), views[1]]), views[2]


def _resized(part: Pixels, side: int) -> Pixels:
    smaller = side < len(part)
    way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(part), (side, side), interpolation=way).astype(np.uint8)


def _part(both: Pixels, box: Box, rng: np.random.Generator) -> Pixels:
    """The part of a shot in a box whose sides are moved a little."""
    moved = rng.normal(0, 0.04, 4) * (box.bottom - box.top)
    top, left = max(0, int(box.top + moved[0])), max(0, int(box.left + moved[1]))
    return both[top : int(box.bottom + moved[2]), left : int(box.right + moved[3])]


def train_mask_refiner(folder: Path, config: MaskRefinerConfig, budget: Budget) -> Report:
    """Train the network on the shots in `folder`/shots, from its checkpoint if any.

    Otherwise it begins with what the segmenter of shots has learned, whose stage comes before.
    """
    batches = SpoiltBatches(Pool.of_shots(folder / "shots", config.shots, config.loop.seed), config)
    network = ShotNetwork(config.widths, PLANES)
    if state.load(folder, "mask_refiner") is None:
        begin_from(network, load_shot_segmenter(folder, ShotSegmenterConfig(widths=config.widths)))
    return train_on_masks(
        "mask_refiner", folder, network, config, batches, batches.held_out, budget
    )


def train_car_refiner(folder: Path, config: MaskRefinerConfig, budget: Budget) -> Report:
    """As `train_mask_refiner`, on drawn cars; it begins with what mends masks of anything."""
    batches = SpoiltBatches(Pool.of_cars(folder / "shots", config.shots, config.loop.seed), config)
    network = ShotNetwork(config.widths, PLANES)
    if state.load(folder, "car_refiner") is None:
        network.load_state_dict(state.weights(folder, "mask_refiner"))
    return train_on_masks("car_refiner", folder, network, config, batches, batches.held_out, budget)


@torch.no_grad()
def begin_from(network: ShotNetwork, former: ShotNetwork) -> None:
    """Take the weights of a network that sees no mask; those of the mask, which come last, begin at zero."""
    known = former.state_dict()
    for name, weights in network.state_dict().items():
        weights.zero_()
        weights[tuple(map(slice, known[name].shape))] = known[name]


def load_mask_refiner(
    folder: Path, config: MaskRefinerConfig, stage: str = "mask_refiner"
) -> ShotNetwork:
    """A trained network in fp32: that of "mask_refiner" or of "car_refiner"."""
    network = ShotNetwork(config.widths, PLANES)
    network.load_state_dict(state.weights(folder, stage))
    return network.eval()
