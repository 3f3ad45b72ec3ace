"""Training the bundled light estimator on drawn and rendered places that look like photographs.

Places under an overcast sky and photographs without a sun teach it where no light has a direction.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from packshot.insertion.lighting import LightEstimator, most_likely
from packshot.insertion.lighting_network import (
    ELEVATION,
    HARDNESS,
    PIXELS,
    SECTORS,
    UNDIRECTED,
    LightNetwork,
    Said,
)
from packshot_pocket.pretrain import state
from packshot_pocket.pretrain.data import to_tensor
from packshot_pocket.pretrain.loop import Budget, Loop, LoopConfig, Report, batch_indices, generator
from packshot_pocket.pretrain.optim import OptimizerConfig, Stepper, for_computing
from packshot_pocket.pretrain.sunlit.drawn import SIDE, Drawn, draw
from packshot_pocket.pretrain.sunlit.photographed import linear, photographed, random_part
from packshot_pocket.pretrain.sunlit.textures import photographs

_SPREAD_DEGREES = 7.0
"""How far beside the true azimuth a sector still counts: deviation of a Gaussian."""


@dataclass(frozen=True)
class LightConfig:
    """The network's shape, what it is trained on, and how."""

    widths: tuple[int, ...] = (16, 32, 48, 64, 96)
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=9000, batch=32))
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            learning_rate=2e-3, muon=True, average_exponent=16.97
        )
    )
    drawn: int = 7200
    held_out: int = 600
    photograph_fraction: float = 0.12
    rendered_fraction: float = 0.2
    """Shares of a batch: photographs without a sun, and rendered places, if there are any."""


class Batch(NamedTuple):
    """Pictures fp32 [B, 3, 96, 96] in [-1, 1], directions [B, 3] (0 for none), hardness [B], and
    shares of ground and of cast shade [B, 2, 48, 48] (-1 where they are not known)."""

    pictures: Tensor
    directions: Tensor
    hardness: Tensor
    ground: Tensor

    def mirrored(self) -> Batch:
        """The same pictures and their light with right and left exchanged."""
        side = torch.tensor([-1.0, 1.0, 1.0])
        return Batch(
            self.pictures.flip(3), self.directions * side, self.hardness, self.ground.flip(3)
        )


class LightBatches:
    """Pictures made to look like photographs, and their light: a function of the step's number.

    Each batch is used twice, the second time mirrored: making it takes as long as a step.
    """

    def __init__(self, drawn: Drawn, rendered: Drawn | None, config: LightConfig) -> None:
        self.drawn, self.rendered, self.config = drawn, rendered, config
        self.photographs = [linear(picture) for picture in photographs()]
        self.last: tuple[int, Batch] | None = None

    def __call__(self, step: int) -> Batch:
        """Batch number `step`."""
        if self.last is None or self.last[0] != step // 2:
            self.last = step // 2, self._made(step // 2)
        batch = self.last[1]
        return batch.mirrored() if step % 2 else batch

    def _made(self, number: int) -> Batch:
        loop = self.config.loop
        rng = generator(loop.seed, number, "photographs")
        chosen = batch_indices(len(self.drawn.light), loop.batch, number, loop.seed)
        each = [self._one(int(index), rng) for index in chosen]
        return Batch(
            to_tensor(np.stack([photographed(one[0][..., :3], rng, PIXELS) for one in each])),
            torch.from_numpy(np.stack([one[1] for one in each])).float(),
            torch.tensor([float(one[2]) for one in each]),
            torch.from_numpy(np.stack([_ground(one[0][..., 3:]) for one in each])),
        )

    def _one(self, index: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
        """A part of a picture [h, w, 3 or 4] (with how far the sun reaches), direction, hardness."""
        share = rng.random()
        if share < self.config.photograph_fraction:
            picture = self.photographs[int(rng.integers(len(self.photographs)))]
            return _shrunken_part(picture, rng), np.zeros(3), 0.0
        source = self.drawn
        if self.rendered and share < (
            self.config.photograph_fraction + self.config.rendered_fraction
        ):
            source, index = self.rendered, int(rng.integers(len(self.rendered.light)))
        picture = source.light[index].astype(np.float32)
        if source is self.drawn:
            picture = np.dstack([picture, source.sunlit[index].astype(np.float32)])
        return random_part(picture, rng), source.directions[index], source.hardness[index]


def _shrunken_part(picture: Any, rng: np.random.Generator) -> Any:
    """A part of a photograph, of a fifth of it or more, about as large as drawn places."""
    height, width = picture.shape[:2]
    tall, wide = (int(size * rng.uniform(0.2, 1)) for size in (height, width))
    top, left = int(rng.integers(0, height - tall + 1)), int(rng.integers(0, width - wide + 1))
    step = max(1, min(tall, wide) // 110)
    return picture[top : top + tall : step, left : left + wide : step]


def _ground(sunlit: Any) -> Any:
    """Shares of ground and of cast shade [2, 48, 48] of how far the sun reaches [h, w, 0 or 1]."""
    side = PIXELS // 2
    if not sunlit.shape[2]:
        return np.full((2, side, side), -1, np.float32)
    ground = (sunlit[..., 0] >= 0).astype(np.float32)
    shade = (1 - sunlit[..., 0]) * ground
    return np.stack([
        cv2.resize(each, (side, side), interpolation=cv2.INTER_AREA) for each in (ground, shade)
    ])  # fmt: skip


def read_backgrounds(folder: Path) -> Drawn | None:
    """The places of a folder of renderings that a sun or an overcast sky lights by day or at sunset.

    None without any.
    """
    pixels, directions = [], []
    for record in sorted(folder.glob("*.json")):
        for entry in json.loads(record.read_text()):
            kind = entry["light"]["kind"]
            if kind in ("sun", "overcast") and entry.get("time") != "night":
                with Image.open(folder / entry["file"]) as picture:
                    small = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
                pixels.append(linear(np.asarray(small)).astype(np.float16))
                directions.append(np.array(entry["light"]["direction"]) * (kind == "sun"))
    if not pixels:
        return None
    unknown = np.full((len(pixels), 0, 0), -1, np.float16)
    towards = np.array(directions, np.float32)
    hardness = (np.abs(towards).sum(axis=1) > 0).astype(np.float32)
    return Drawn(np.stack(pixels), towards, hardness, unknown)


def drawn_places(folder: Path, part: str, count: int, seed: int) -> Drawn:
    """The drawn places of a part, kept in `folder` and drawn when there are none yet."""
    paths = {one.name: folder / f"light-{part}-{one.name}.npy" for one in fields(Drawn)}
    if not all(path.exists() for path in paths.values()):
        made = draw(part, count, seed)
        for name, path in paths.items():
            state.save_array(path, getattr(made, name))
    return Drawn(**{name: np.load(path, mmap_mode="r") for name, path in paths.items()})


def light_loss(said: Said, batch: Batch) -> Tensor:
    """Cross-entropy of azimuth (or no direction), of the elevation's sine, of hardness, and of the
    ground and its shade."""
    light, directions = said.light.float(), batch.directions
    directed = directions.abs().sum(dim=1) > 0
    azimuth = torch.atan2(directions[:, 1], directions[:, 0]).rad2deg()
    centres = (torch.arange(SECTORS, device=light.device) + 0.5) * (360 / SECTORS)
    apart = (centres[None] - azimuth[:, None] + 180) % 360 - 180
    wanted = torch.softmax(-0.5 * (apart / _SPREAD_DEGREES) ** 2, dim=1) * directed[:, None]
    wanted = torch.cat([wanted, (~directed).float()[:, None]], dim=1)
    where = -(wanted * light[:, : UNDIRECTED + 1].log_softmax(dim=1)).sum(dim=1).mean()
    height = F.binary_cross_entropy_with_logits(
        light[directed, ELEVATION], directions[directed, 2].clamp(0, 1), reduction="sum"
    )
    hard = F.binary_cross_entropy_with_logits(light[:, HARDNESS], batch.hardness)
    return (
        where + height / len(light) + 0.3 * hard + _ground_loss(said.ground.float(), batch.ground)
    )


def _ground_loss(said: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy of ground, and of cast shade where there is ground."""
    known = (wanted[:, :1] >= 0).float()
    weights = torch.cat([known, known * wanted[:, :1].clamp(min=0)], dim=1)
    each = F.binary_cross_entropy_with_logits(said, wanted.clamp(0, 1), reduction="none")
    return (each * weights).sum() / weights.sum().clamp(min=1)


def azimuth_errors(azimuths: Tensor, directions: Tensor) -> Tensor:
    """Degrees [N] between azimuths [N] and those of directions [N, 3]."""
    theirs = torch.atan2(directions[:, 1], directions[:, 0]).rad2deg()
    return ((azimuths - theirs + 180) % 360 - 180).abs()


def photographs_of(places: Drawn, side: int = PIXELS, seed: int = 0) -> Any:
    """Each place as one photograph, uint8 [N, side, side, 3]."""
    return np.stack([
        photographed(light.astype(np.float32), np.random.default_rng([seed, n]), side)
        for n, light in enumerate(places.light)
    ])  # fmt: skip


def train_light(folder: Path, backgrounds: Path, config: LightConfig, budget: Budget) -> Report:
    """Train the estimator on drawn places, on those in `backgrounds` if any, and on photographs.

    It goes on from the checkpoint in `folder`. Judged are places with things that it was not trained on.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    places = drawn_places(folder, "train", config.drawn, config.loop.seed)
    batches = LightBatches(places, read_backgrounds(backgrounds), config)
    held_out = drawn_places(folder, "calibrate", config.held_out, config.loop.seed)
    judged = photographs_of(held_out)
    with torch.random.fork_rng():
        torch.manual_seed(config.loop.seed)
        network: Any = for_computing(LightNetwork(config.widths), device)
    kind = next(network.parameters()).dtype

    def loss(step: int) -> Tensor:
        batch = Batch(*(each.to(device) for each in batches(step)))
        return light_loss(network.one_sided(batch.pictures.to(kind)), batch)

    @torch.no_grad()
    def evaluate() -> Report:
        parts = to_tensor(judged).split(50)
        said = torch.cat([network(part.to(device, kind)).light.float().cpu() for part in parts])
        shares = said[:, : UNDIRECTED + 1].softmax(dim=1).numpy()
        azimuths, sure = (torch.from_numpy(each) for each in most_likely(shares[:, :SECTORS]))
        directions = torch.from_numpy(np.array(held_out.directions))
        directed = directions.abs().sum(dim=1) > 0
        errors = azimuth_errors(azimuths, directions)
        right = (errors < 20) & directed
        return {
            "azimuth error": float(errors[directed].median()),
            "sure": float((sure > 0.8).float().mean()),
            "right where sure": float(right[sure > 0.8].float().mean()),
            "undirected": float(((sure < 0.5) == ~directed).float().mean()),
        }

    stepper = Stepper(network, config.optimizer)
    return Loop("light", folder, stepper, config.loop, loss, evaluate).run(budget)


def calibrated_weights(folder: Path) -> dict[str, Tensor]:
    """The trained weights, with confidence as on the places that are held out in `folder`.

    The logits of where the light is are divided by the temperature at which the truth is likeliest
    (Guo et al. 2017, arXiv 1706.04599), as the estimator asks: about several views of each place.
    """
    trained = state.weights(folder, "light")
    places = drawn_places(folder, "calibrate", LightConfig().held_out, 0)
    estimator = LightEstimator(trained)
    said = torch.stack([
        estimator.answers(picture.astype(np.float32) / 255).light[:, : UNDIRECTED + 1]
        for picture in photographs_of(places, side=SIDE)
    ])  # fmt: skip
    azimuths = np.degrees(np.arctan2(places.directions[:, 1], places.directions[:, 0])) % 360
    sectors = torch.from_numpy((azimuths * SECTORS / 360).astype(int) % SECTORS)
    sectors[torch.from_numpy(np.abs(places.directions).sum(axis=1) == 0)] = UNDIRECTED
    temperature = min(np.geomspace(0.4, 4, 60), key=lambda each: _surprise(said / each, sectors))
    for name in ("out.weight", "out.bias"):
        trained[name][: UNDIRECTED + 1] /= float(temperature)
    return trained


def _surprise(said: Tensor, truth: Tensor) -> float:
    """Mean negative log-likelihood of the truth [N] under the views' mean probabilities [N, views, 37]."""
    shares = said.softmax(dim=2).mean(dim=1)
    return float(-shares.gather(1, truth[:, None]).clamp(min=1e-9).log().mean())
