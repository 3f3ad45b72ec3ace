"""Training the network of identity: what shows one product is near, what shows its look-alikes is not.

It learns from families (`shots.looks`): a drawn product and its look-alikes, each in several
photographs; and from rendered things, of which those of a kind are each other's look-alikes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from packshot.models.identity_network import PIXELS, IdentityNetwork
from packshot_pocket.pretrain import state
from packshot_pocket.pretrain.data import Pixels
from packshot_pocket.pretrain.loop import Budget, Loop, LoopConfig, Report, generator
from packshot_pocket.pretrain.optim import OptimizerConfig, Stepper, for_computing
from packshot_pocket.pretrain.shots.looks import MEMBERS, SIDE, framed
from packshot_pocket.pretrain.shots.pool import Pool
from packshot_pocket.scenes import alike

SMALL = 64
"""Side of the looks in the first steps: they teach most of it at half of the cost."""
Draw = Callable[..., Tensor]


@dataclass(frozen=True)
class IdentityConfig:
    """The network's shape and how it is trained."""

    widths: tuple[int, ...] = (32, 64, 128, 192, 208)
    dimensions: int = 128
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=1053, batch=96, warmup_steps=50)
    )
    """A batch is of families: two looks of each of their members."""
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            learning_rate=2e-3, weight_decay=0.05, muon=True, average_exponent=16.97
        )
    )
    small_steps: int = 735
    families: int = 500
    """Drawn ones."""
    rendered: float = 0.5
    """Share of families that are rendered things, where there are any."""
    temperature: float = 0.08
    judged: int = 25
    """Of the first drawn families so many are held out."""


def gather_renders(folder: Path, rendered: Sequence[Path]) -> None:
    """Pack the products of folders of rendered scenes into `folder`/renders.npy and their kinds.

    The fifty of each kind (`scenes.alike`) are left out: they are what the network is tested on.
    """
    looks, nouns = [], []
    for file in (file for each in rendered for file in sorted(each.glob("*[0-9].json"))):
        entries = json.loads(file.read_text())
        noun = entries[0]["noun"]
        if int(file.stem) not in alike.fifties().get(noun, ()):
            looks.append(np.stack([_look(file.parent / entry["file"]) for entry in entries]))
            nouns.append(noun)
    if looks:
        state.save_array(folder / "renders.npy", np.stack(looks))
        state.save_array(folder / "renders-nouns.npy", np.array(nouns))
    print(f"[identity] {len(looks)} rendered products", file=sys.stderr, flush=True)


def _look(file: Path) -> Pixels:
    """A picture and its mask as a look, uint8 [SIDE, SIDE, 4]."""
    with Image.open(file) as picture, Image.open(file.with_name(f"{file.stem}-mask.png")) as mask:
        return framed(
            np.dstack([np.asarray(picture.convert("RGB")), np.asarray(mask.convert("L"))])
        )


class FamilyBatches:
    """Batches of families' looks: a function of the step's number."""

    def __init__(self, folder: Path, config: IdentityConfig) -> None:
        self.pool = Pool.of_families(folder / "families", config.families, config.loop.seed)
        self.config = config
        self.kinds: list[Pixels] = []
        """The rendered products of a kind each, [N, views, SIDE, SIDE, 4]."""
        if (folder / "renders.npy").exists():
            looks, nouns = np.load(folder / "renders.npy"), np.load(folder / "renders-nouns.npy")
            kinds = [looks[nouns == noun] for noun in np.unique(nouns)]
            self.kinds = [kind for kind in kinds if len(kind) >= MEMBERS]

    def __call__(self, step: int) -> Tensor:
        """Batch number `step`: fp32 [B, 3, side, side]; two neighbours show one product."""
        rng = generator(self.config.loop.seed, step, "families")
        count = self.config.loop.batch // (2 * MEMBERS)
        side = SMALL if step < self.config.small_steps else PIXELS
        return varied(np.concatenate([self._family(rng) for _ in range(count)]), side, rng)

    def _family(self, rng: np.random.Generator) -> Pixels:
        """Two looks of each member, [2 MEMBERS, SIDE, SIDE, 4]; mirrored and recoloured alike."""
        if self.kinds and rng.random() < self.config.rendered:
            kind = self.kinds[rng.integers(len(self.kinds))]
            members = kind[rng.choice(len(kind), MEMBERS, replace=False)]
        else:
            members = self.pool[int(rng.integers(self.config.judged, self.config.families))]
        pairs = [member[rng.choice(len(member), 2, replace=False)] for member in members]
        looks = np.concatenate(pairs)
        if rng.random() < 0.5:
            looks = looks[:, :, ::-1]
        return looks[..., [*rng.permutation(3), 3]] if rng.random() < 0.5 else looks

    def held_out(self) -> Pixels:
        """Families that are not trained on, [F, MEMBERS, VIEWS, SIDE, SIDE, 4]."""
        return np.stack([self.pool[number] for number in range(self.config.judged)])


def middle(looks: Tensor) -> Tensor:
    """The middle of looks [B, 4, SIDE, SIDE]: [B, 4, PIXELS, PIXELS]."""
    edge = (SIDE - PIXELS) // 2
    return looks[..., edge : edge + PIXELS, edge : edge + PIXELS]


def on_grey(looks: Tensor) -> Tensor:
    """RGB and share [B, 4, H, W] in [0, 1] as the network takes them, [B, 3, H, W] in [-1, 1]."""
    return (looks[:, :3] * 2 - 1) * looks[:, 3:]


def as_tensor(looks: Pixels) -> Tensor:
    """Uint8 [B, H, W, 4] to fp32 [B, 4, H, W] in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(looks)).permute(0, 3, 1, 2).float().div_(255)


def varied(looks: Pixels, side: int, rng: np.random.Generator) -> Tensor:
    """Looks as other photographs may show them, on grey: [B, 3, side, side].

    Moved, less exactly cut out, partly hidden, in another light, softer, with grain.
    """
    draw = partial(_drawn, rng, len(looks))
    moved = _moved(as_tensor(looks), side, draw)
    shares = _inexact(moved[:, 3:], draw) * ~_hidden(side, draw)
    return on_grey(torch.cat([_relit(moved[:, :3], draw, rng), shares], dim=1))


def _drawn(
    rng: np.random.Generator, count: int, low: float, high: float, channels: int = 1
) -> Tensor:
    """Uniform between, for each look: [B, channels, 1, 1]."""
    return torch.from_numpy(rng.uniform(low, high, (count, channels, 1, 1)).astype(np.float32))


def _moved(looks: Tensor, side: int, draw: Draw) -> Tensor:
    turn, scale = draw(-0.1, 0.1), PIXELS / SIDE * draw(-0.08, 0.08).exp()
    cosine, sine = turn.cos() * scale, turn.sin() * scale
    rows = [cosine, -sine, draw(-0.06, 0.06), sine, cosine, draw(-0.06, 0.06)]
    moves = torch.cat(rows, dim=1).view(-1, 2, 3)
    shape = [*looks.shape[:2], side, side]
    grid = F.affine_grid(moves, shape, align_corners=False)
    return F.grid_sample(looks, grid, padding_mode="border", align_corners=False)


def _inexact(shares: Tensor, draw: Draw) -> Tensor:
    """Up to two pixels more or less at the edge; in some a round part beside it, or of it lacks."""
    more, less = F.max_pool2d(shares, 5, 1, 2), -F.max_pool2d(-shares, 5, 1, 2)
    by = draw(-1, 1)
    shares = shares + by.clamp(min=0) * (more - shares) - by.clamp(max=0) * (less - shares)
    near = F.max_pool2d(more, 5, 1, 2)
    inside = _disc(shares.shape[-1], draw) & (draw(0, 1) < 0.25)
    added = near * draw(0, 1).round()
    return torch.where(inside, added, shares)


def _disc(side: int, draw: Draw) -> Tensor:
    place = torch.arange(side)
    rows, columns = place.view(1, 1, side, 1), place.view(1, 1, 1, side)
    away = (rows - draw(0, side)) ** 2 + (columns - draw(0, side)) ** 2
    return away < draw(3, 0.14 * side) ** 2


def _hidden(side: int, draw: Draw) -> Tensor:
    """A rectangle, in some looks where the product is."""
    place = torch.arange(side)
    rows, columns = place.view(1, 1, side, 1), place.view(1, 1, 1, side)
    top, left = draw(-2 * side, side), draw(0, side)
    tall, wide = draw(0, 0.35 * side), draw(0, 0.35 * side)
    return (rows >= top) & (rows < top + tall) & (columns >= left) & (columns < left + wide)


def _relit(colours: Tensor, draw: Draw, rng: np.random.Generator) -> Tensor:
    """Another exposure, contrast and tint, lighter to one side; softer, with grain."""
    lit = colours.clamp(min=1e-4) ** draw(0.75, 1.35) * draw(0.7, 1.25) * draw(0.93, 1.07, 3)
    side = colours.shape[-1]
    ramp = torch.linspace(-1, 1, side)
    slope = draw(-0.3, 0.3) * ramp.view(1, 1, 1, side) + draw(-0.3, 0.3) * ramp.view(1, 1, side, 1)
    lit = lit * slope.exp()
    soft = F.avg_pool2d(lit, 5, 1, 2, count_include_pad=False)
    lit = lit + draw(-0.6, 0.9).clamp(min=0) * (soft - lit)
    grain = torch.from_numpy(rng.standard_normal(lit.shape, dtype=np.float32))
    return (lit + draw(-0.03, 0.04).clamp(min=0) * grain).clamp(0, 1)


def contrast(vectors: Tensor, temperature: float) -> Tensor:
    """How surely the other look of its product is told from all looks of others (arXiv 2004.11362).

    Args:
        vectors: unit vectors [B, D]; each two neighbours show one product.
    """
    count = len(vectors)
    near = vectors @ vectors.T / temperature
    near = near.masked_fill(torch.eye(count, dtype=torch.bool), -torch.inf)
    return F.cross_entropy(near, torch.arange(count) ^ 1)


def retrieved(vectors: Tensor) -> float:
    """The share of products [N, V, D] whose first view is nearest to another view of theirs."""
    near = torch.einsum("nd,mvd->nmv", vectors[:, 0], vectors[:, 1:]).amax(dim=2)
    return float((near.argmax(dim=1) == torch.arange(len(vectors))).float().mean())


@torch.no_grad()
def vectors_of(network: Any, looks: Pixels) -> Tensor:
    """Vectors [..., D] of looks uint8 [..., SIDE, SIDE, 4]."""
    dtype = next(network.parameters()).dtype
    flat = on_grey(middle(as_tensor(looks.reshape(-1, *looks.shape[-3:]))))
    found = torch.cat([network(part.to(dtype)).float() for part in flat.split(64)])
    return found.reshape(*looks.shape[:-3], -1)


def train_identity(folder: Path, config: IdentityConfig, budget: Budget) -> Report:
    """Train the network on the families in `folder`, from its checkpoint if any.

    Families that are not there yet are drawn when their turn comes.
    """
    batches = FamilyBatches(folder, config)
    with torch.random.fork_rng():
        torch.manual_seed(config.loop.seed)
        network: Any = for_computing(
            IdentityNetwork(config.widths, config.dimensions), torch.device("cpu")
        )
    dtype = next(network.parameters()).dtype

    def loss(step: int) -> Tensor:
        looks = batches(step).contiguous(memory_format=torch.channels_last)
        return contrast(network(looks.to(dtype)), config.temperature)

    def evaluate() -> Report:
        vectors = vectors_of(network, batches.held_out())
        families = [retrieved(family) for family in vectors]
        return {
            "of its family": float(np.mean(families)),
            "of all": retrieved(vectors.flatten(0, 1)),
        }

    stepper = Stepper(network, config.optimizer)
    return Loop("identity", folder, stepper, config.loop, loss, evaluate).run(budget)


def load_identity(folder: Path, config: IdentityConfig) -> IdentityNetwork:
    """The trained network in fp32."""
    network = IdentityNetwork(config.widths, config.dimensions)
    network.load_state_dict(state.weights(folder, "identity"))
    return network.eval()
