"""`Lora`: the data of a LoRA, as files hold it and as it is fused into a network."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from packshot.errors import LoraError

T = TypeVar("T")


@dataclass(frozen=True)
class LoraWeights:
    """LoRA factors of one module: delta W = alpha / rank * up @ down.

    `down` is [rank, in(, k, k)], `up` is [out, rank(, 1, 1)].
    """

    down: Tensor
    up: Tensor
    alpha: float

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    def delta(self) -> Tensor:
        """(alpha / rank) * up @ down, in fp32 and in the shape of the module's weight."""
        product = self.up.float().flatten(1) @ self.down.float().flatten(1)
        return product.reshape(self.up.shape[0], *self.down.shape[1:]) * (self.alpha / self.rank)


MAX_STRENGTH = 100.0


def check_strength(called: str, strength: float) -> None:
    """Refuse to apply a LoRA at a strength that only makes black pictures.

    Raises:
        LoraError: not finite, or beyond `MAX_STRENGTH`.
    """
    if not abs(strength) <= MAX_STRENGTH:  # so is no comparison with what is no number
        raise LoraError(
            f"{called}: {strength:g} is not a weight; write a number such as 0.8, at most "
            f"{MAX_STRENGTH:g}."
        )


class WeightDelta(Protocol):
    """A change of one module's weight that is no standard LoRA: LoHa, LoKr, DoRA."""

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether the change has the shape of this weight."""
        ...

    def delta(self, frozen: Tensor) -> Tensor:
        """What to add to the weight `frozen`, fp32, in its shape."""
        ...


def on_device(change: T, device: torch.device) -> T:
    """A change of a module's weight (or a tensor, or a tuple of these) with its tensors on a device."""
    moved: Any = change
    if isinstance(change, Tensor):
        moved = change.to(device)
    elif isinstance(change, tuple):
        moved = tuple(on_device(one, device) for one in change)
    elif is_dataclass(change) and not isinstance(change, type):
        named = {one.name: getattr(change, one.name) for one in fields(change)}
        moved = replace(change, **{name: on_device(one, device) for name, one in named.items()})
    result: T = moved
    return result


@dataclass(frozen=True)
class Lora:
    """Weights by dotted module name, "unet.…" or "text_encoder.…", and the file's metadata."""

    weights: dict[str, LoraWeights]
    metadata: dict[str, str] = field(default_factory=dict)
    name: str = "lora"
    sha256: str = ""
    variants: dict[str, WeightDelta] = field(default_factory=dict)
    """Changes of other kinds (LoHa, LoKr, DoRA), which are folded but not written."""
    left_out: tuple[str, ...] = ()
    """Keys of its file that are no LoRA's and were not read: embeddings trained along."""
