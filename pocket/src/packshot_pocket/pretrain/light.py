"""Training the bundled light estimator on rendered scenes without products."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from packshot.errors import PackshotError
from packshot.insertion.lighting_network import PIXELS, LightNetwork
from packshot_pocket.pretrain.data import Pixels, to_tensor
from packshot_pocket.pretrain.loop import Budget, Loop, LoopConfig, Report, batch_indices, generator
from packshot_pocket.pretrain.optim import OptimizerConfig, Stepper, for_computing
from packshot_pocket.pretrain.segmenter import recoloured


@dataclass(frozen=True)
class LightConfig:
    """The network's shape and how it is trained."""

    widths: tuple[int, ...] = (16, 32, 48, 64, 96)
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=2500, batch=32))
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            learning_rate=2e-3, muon=True, average_exponent=16.97
        )
    )
    held_out_scenes: int = 60


@dataclass(frozen=True)
class Backgrounds:
    """Scenes: pixels uint8 [N, 96, 96, 3], direction to the light [N, 3], whether it is a sun [N]."""

    pixels: Pixels
    directions: np.ndarray[Any, np.dtype[np.float32]]
    suns: np.ndarray[Any, np.dtype[np.float32]]

    def part(self, chosen: slice) -> Backgrounds:
        """Some of them."""
        return Backgrounds(self.pixels[chosen], self.directions[chosen], self.suns[chosen])


def read_backgrounds(folder: Path) -> Backgrounds:
    """All complete scenes of a folder, in their order.

    Raises:
        PackshotError: there are none.
    """
    pixels, directions, suns = [], [], []
    for record in sorted(folder.glob("*.json")):
        for entry in json.loads(record.read_text()):
            with Image.open(folder / entry["file"]) as picture:
                small = picture.convert("RGB").resize((PIXELS, PIXELS), Image.Resampling.BOX)
            pixels.append(np.asarray(small))
            directions.append(entry["light"]["direction"])
            suns.append(entry["light"]["kind"] == "sun")
    if not pixels:
        raise PackshotError(
            f"{folder} has no backgrounds: render some with packshot-render backgrounds."
        )
    return Backgrounds(
        np.stack(pixels), np.array(directions, np.float32), np.array(suns, np.float32)
    )


def light_loss(said: Tensor, directions: Tensor, suns: Tensor) -> Tensor:
    """Squared error of the unit vectors, and cross-entropy of the sun."""
    return (said[:, :3] - directions).square().sum(dim=1).mean() + 0.2 * (
        F.binary_cross_entropy_with_logits(said[:, 3], suns)
    )


def azimuth_errors(said: Tensor, directions: Tensor) -> Tensor:
    """Degrees between azimuths [N]."""
    ours, theirs = (torch.atan2(v[:, 1], v[:, 0]).rad2deg() for v in (said, directions))
    return ((ours - theirs + 180) % 360 - 180).abs()


def train_light(folder: Path, backgrounds: Path, config: LightConfig, budget: Budget) -> Report:
    """Train the estimator on the scenes in `backgrounds`, from the checkpoint in `folder` if any."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    every = read_backgrounds(backgrounds)
    count = min(4 * config.held_out_scenes, len(every.pixels) // 4)
    held_out, training = every.part(slice(None, count)), every.part(slice(count, None))
    with torch.random.fork_rng():
        torch.manual_seed(config.loop.seed)
        network: Any = for_computing(LightNetwork(config.widths), device)
    kind = next(network.parameters()).dtype

    def loss(step: int) -> Tensor:
        chosen = batch_indices(len(training.pixels), config.loop.batch, step, config.loop.seed)
        rng = generator(config.loop.seed, step, "disguises")
        pictures = np.stack([recoloured(training.pixels[index], rng) for index in chosen])
        wanted, suns = torch.from_numpy(training.directions[chosen]), training.suns[chosen]
        said = network(to_tensor(pictures).to(device, kind)).float()
        return light_loss(said, wanted.to(device), torch.from_numpy(suns).to(device))

    @torch.no_grad()
    def evaluate() -> Report:
        said = network(to_tensor(held_out.pixels).to(device, kind)).float().cpu()
        errors = azimuth_errors(said, torch.from_numpy(held_out.directions))
        under_sun = errors[torch.from_numpy(held_out.suns) > 0]
        return {
            "azimuth error": float(under_sun.median()),
            "right side": float((under_sun < 90).float().mean()),
            "sun": float(((said[:, 3] > 0).numpy() == (held_out.suns > 0)).mean()),
        }

    stepper = Stepper(network, config.optimizer)
    return Loop("light", folder, stepper, config.loop, loss, evaluate).run(budget)
