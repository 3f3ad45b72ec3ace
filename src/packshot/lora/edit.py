"""LoRAs merged, resized, or extracted from a fine-tuned checkpoint, by SVD.

The best approximation of a given rank in the least-squares sense is the truncated singular value
decomposition (Eckart and Young 1936); what it keeps is reported as a share of the squared norm.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from packshot.errors import LoraError
from packshot.lora.fuse import weight_of
from packshot.lora.metadata import MADE_BY, agreed_metadata
from packshot.lora.weights import Lora, LoraWeights, check_strength
from packshot.models.diffusion_model import DiffusionModel
from packshot.types import TargetModules


@dataclass(frozen=True)
class EditedLora:
    """A new LoRA, and the share of the weight change's squared norm that it keeps, 0 to 1."""

    lora: Lora
    energy_kept: float


def merge(
    loras: Sequence[tuple[Lora, float]], base: DiffusionModel, rank: int | None = None
) -> EditedLora:
    """Merge several LoRAs, each times its weight.

    Without a rank the result is exact: the ranks add up, by concatenation.

    Raises:
        LoraError: nothing to merge; a weight that is none, as `check_strength`; or LoHa, LoKr or
            DoRA without a rank to approximate them with.
    """
    if not loras:
        raise LoraError("There is nothing to merge: name LoRA files.")
    for lora, weight in loras:
        check_strength(lora.name, weight)
    story = " + ".join(f"{weight:g} x {lora.name}" for lora, weight in loras)
    metadata = agreed_metadata([lora for lora, _ in loras]) | {MADE_BY: f"merge: {story}"}
    if rank is None:
        if curious := [lora.name for lora, _ in loras if lora.variants]:
            raise LoraError(f"{curious[0]} is no standard LoRA: give --rank to approximate it.")
        weights = {name: _side_by_side(loras, name) for name in _modules(loras)}
        return EditedLora(Lora(weights, metadata, loras[0][0].name), 1.0)
    pairs = ((name, _change(loras, name, base)) for name in _modules(loras))
    return _nearest(pairs, rank, None, Lora({}, metadata, loras[0][0].name))


def resize(
    lora: Lora, base: DiffusionModel, rank: int | None = None, energy: float | None = None
) -> EditedLora:
    """The LoRA at another rank: at most `rank`, or the least that keeps `energy` of each module.

    Raises:
        LoraError: neither or both are given, or out of range.
    """
    if (rank is None) == (energy is None) or (energy is not None and not 0 < energy <= 1):
        raise LoraError("Give either a rank or the energy to keep, over 0 and at most 1.")
    pairs = ((name, _change([(lora, 1.0)], name, base)) for name in _modules([(lora, 1.0)]))
    metadata = lora.metadata | {MADE_BY: f"resize: {lora.name}"}
    return _nearest(pairs, rank, energy, Lora({}, metadata, lora.name))


def extract(
    tuned: DiffusionModel, base: DiffusionModel, rank: int, scope: TargetModules = "attention+mlp"
) -> EditedLora:
    """The difference of a fine-tuned checkpoint from its base, as a LoRA of this rank.

    Raises:
        LoraError: the two are of different families or shapes, or do not differ in `scope`.
    """
    if tuned.family != base.family:
        raise LoraError(f"{tuned.name} is {tuned.family}, {base.name} is {base.family}.")
    pairs = []
    for target in base.lora_targets(scope):
        name = f"{base.denoiser_root}.{target}"
        try:
            new = weight_of(tuned, name).data
        except AttributeError:
            new = torch.zeros(0)
        old = weight_of(base, name).data
        if new.shape != old.shape:
            raise LoraError(f"{tuned.name} and {base.name} differ in their layers at {name}.")
        new = new.to(old.device)  # of two large ones, one may have had no room on the GPU
        if bool((new != old).any()):
            pairs.append((name, new.float() - old.float()))
    if not pairs:
        raise LoraError(f"{tuned.name} and {base.name} do not differ in {scope}.")
    story = {MADE_BY: f"extract: {tuned.name} - {base.name}"}
    return _nearest(pairs, rank, None, Lora({}, story, tuned.name))


def _modules(loras: Sequence[tuple[Lora, float]]) -> list[str]:
    return sorted({name for lora, _ in loras for name in (*lora.weights, *lora.variants)})


def _side_by_side(loras: Sequence[tuple[Lora, float]], name: str) -> LoraWeights:
    present = [(lora.weights[name], weight) for lora, weight in loras if name in lora.weights]
    down = torch.cat([lora.down.float() for lora, _ in present])
    up = torch.cat([lora.up.float() * (lora.alpha / lora.rank * w) for lora, w in present], dim=1)
    return LoraWeights(down, up, float(len(down)))


def _change(loras: Sequence[tuple[Lora, float]], name: str, base: DiffusionModel) -> Tensor:
    """The sum of what several LoRAs add to a weight, in the weight's shape."""
    frozen = weight_of(base, name).data
    total = torch.zeros(frozen.shape)
    for lora, weight in loras:
        if name in lora.weights:
            total += weight * lora.weights[name].delta().reshape(frozen.shape)
        if name in lora.variants:
            total += weight * lora.variants[name].delta(frozen).cpu()
    return total


def _nearest(
    pairs: Iterable[tuple[str, Tensor]],
    rank: int | None,
    energy: float | None,
    like: Lora,
) -> EditedLora:
    weights: dict[str, LoraWeights] = {}
    all_of_it = kept = 0.0
    for name, change in pairs:
        left, values, right = torch.linalg.svd(change.flatten(1), full_matrices=False)
        energies = values.square()
        total = float(energies.sum())
        if energy is None:
            count = min(rank or 1, len(values))
        else:
            reached = energies.cumsum(0) < energy * total * (1 - 1e-6)
            count = min(int(reached.sum()) + 1, len(values))
        root = values[:count].sqrt()
        ones = (1,) * (change.ndim - 2)
        weights[name] = LoraWeights(
            (root[:, None] * right[:count]).reshape(count, *change.shape[1:]).cpu().contiguous(),
            (left[:, :count] * root).reshape(len(left), count, *ones).cpu().contiguous(),
            float(count),
        )
        all_of_it += total
        kept += float(energies[:count].sum())
    share = kept / all_of_it if all_of_it else 1.0
    return EditedLora(replace(like, weights=weights), share)
