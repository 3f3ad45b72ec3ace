"""LoHa, LoKr and DoRA files of other trainers, as changes of a weight.

They are only fused into weights, never trained here. Shapes are checked before anything is
multiplied: `fits` says whether a change has the weight's shape.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from packshot.lora.weights import LoraWeights, WeightDelta


@dataclass(frozen=True)
class StandardLora:
    """A plain LoRA as the inner change of a DoRA."""

    weights: LoraWeights

    def fits(self, shape: tuple[int, ...]) -> bool:
        up, down = self.weights.up, self.weights.down
        columns = math.prod(shape[1:])
        return up.flatten(1).shape == (shape[0], len(down)) and down[0].numel() == columns

    def delta(self, frozen: Tensor) -> Tensor:
        return self.weights.delta().reshape(frozen.shape)


@dataclass(frozen=True)
class LoHa:
    """LoHa: (w1a w1b) * (w2a w2b), element by element (FedPara, arXiv 2108.06098, eq. 3).

    Each factor's pair is [out, rank] and [rank, in]; with a core t [rank, rank, k, k] (Tucker, prop.
    3) they are [rank, out] and [rank, in].
    """

    first: tuple[Tensor, Tensor, Tensor | None]
    second: tuple[Tensor, Tensor, Tensor | None]
    scale: float

    def fits(self, shape: tuple[int, ...]) -> bool:
        return all(_product_shape(*factor, shape) for factor in (self.first, self.second))

    def delta(self, frozen: Tensor) -> Tensor:
        first, second = (_product(*factor) for factor in (self.first, self.second))
        return (first * second).reshape(frozen.shape) * self.scale


@dataclass(frozen=True)
class LoKr:
    """LoKr: w1 (x) w2 (LyCORIS, arXiv 2309.14859, section 3.2), each whole or of low rank."""

    first: Tensor
    second: Tensor
    """[out, in], or [out, in, k, k]."""
    scale: float

    def fits(self, shape: tuple[int, ...]) -> bool:
        rows, columns = (self.first.shape[i] * self.second.shape[i] for i in (0, 1))
        tail = self.second.shape[2:]
        return rows == shape[0] and columns * math.prod(tail) == math.prod(shape[1:])

    def delta(self, frozen: Tensor) -> Tensor:
        first = self.first.reshape(*self.first.shape[:2], *(1,) * (self.second.ndim - 2))
        product = torch.kron(first.float(), self.second.float().contiguous())
        return product.reshape(frozen.shape) * self.scale


@dataclass(frozen=True)
class DoRA:
    """DoRA: m (W + D) / ||W + D|| (arXiv 2402.09353, eq. 5).

    The magnitude m belongs to outputs, [out] or [out, 1, …] (PEFT, sd-scripts), or to inputs,
    [1, in, …] (LyCORIS's default): the norm runs over all else.
    """

    inner: WeightDelta
    magnitude: Tensor

    @property
    def by_input(self) -> bool:
        """Whether the magnitude belongs to inputs."""
        return self.magnitude.ndim > 1 and self.magnitude.shape[0] == 1

    def fits(self, shape: tuple[int, ...]) -> bool:
        count = shape[1] if self.by_input else shape[0]
        return self.inner.fits(shape) and self.magnitude.numel() == count

    def delta(self, frozen: Tensor) -> Tensor:
        own = frozen.float()
        moved = own + self.inner.delta(frozen).to(own)
        axis = 1 if self.by_input else 0
        norms = moved.transpose(0, axis).flatten(1).norm(dim=1).clamp(min=1e-12)
        ratio = self.magnitude.float().to(own).flatten() / norms
        return moved * ratio.reshape([-1 if dim == axis else 1 for dim in range(own.ndim)]) - own


@dataclass(frozen=True)
class RowSlice:
    """The rows of one module in the change of several stacked modules."""

    whole: WeightDelta
    start: int
    total: int

    def fits(self, shape: tuple[int, ...]) -> bool:
        return self.whole.fits((self.total, *shape[1:]))

    def delta(self, frozen: Tensor) -> Tensor:
        stacked = frozen.new_zeros(self.total, *frozen.shape[1:])
        stacked[self.start : self.start + len(frozen)] = frozen
        return self.whole.delta(stacked)[self.start : self.start + len(frozen)]


@dataclass(frozen=True)
class Swapped:
    """The change of a module whose rows are in another order in the file: shift before scale."""

    whole: WeightDelta

    def fits(self, shape: tuple[int, ...]) -> bool:
        return self.whole.fits(shape)

    def delta(self, frozen: Tensor) -> Tensor:
        return swap_halves(self.whole.delta(swap_halves(frozen)))


def swap_halves(rows: Tensor) -> Tensor:
    """The second half of the rows before the first."""
    return torch.cat(rows.chunk(2)[::-1])


PARTS = (
    "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2",
    "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2",
)  # fmt: skip
"""How their keys end; DoRA's magnitude is "dora", or "magnitude" in PEFT's files."""

REFUSED = {
    "a full fine-tune's difference": r"\.(diff|diff_b|w_norm|b_norm)$",
    "a LoRA that changes biases, too": r"\.(lora_B|lora_up)(\.[^.]+)?\.bias$",
    "a LoRA that changes norms, too": r"\.norm\.(query|key)_norm\.scale$",
    "an OFT": r"\.(oft_blocks|oft_diag|oft_r|oft_R\.weight)$",
    "a GLoRA": r"\.[ab]1\.weight$",
    "an IA3": r"\.on_input$",
    "a textual-inversion embedding": r"^(emb_params|clip_l|clip_g)$",
}
"""Kinds that change weights in ways not known here, by a pattern of their keys."""


def delta_from_tensors(parts: Mapping[str, Tensor], alpha: float) -> WeightDelta | None:
    """The change from a module's tensors, if they are a complete LoHa, LoKr or DoRA; else None.

    alpha 0 means that the file has none: scale 1.
    """
    inner = _hadamard(parts, alpha) or _kronecker(parts, alpha) or _plain(parts, alpha)
    if inner and "magnitude" in parts:  # of outputs, though a convolution's is [1, out, 1, 1]
        return DoRA(inner, parts["magnitude"].flatten())
    if inner and "dora" in parts:
        return DoRA(inner, parts["dora"])
    return None if isinstance(inner, StandardLora) else inner


def _plain(parts: Mapping[str, Tensor], alpha: float) -> StandardLora | None:
    if "down" not in parts or "up" not in parts:
        return None
    down = down_with_tucker_core(parts)
    return StandardLora(LoraWeights(down, parts["up"], alpha or float(len(down))))


def down_with_tucker_core(parts: Mapping[str, Tensor]) -> Tensor:
    """`down` multiplied by LoCon's Tucker core `mid` [rank, rank, k, k]: a plain convolution's."""
    down, core = parts["down"], parts.get("mid")
    if core is None:
        return down
    return torch.einsum("mnkl,ni->mikl", core.float(), down.float().flatten(1))


def _hadamard(parts: Mapping[str, Tensor], alpha: float) -> LoHa | None:
    names = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
    if not all(name in parts for name in names):
        return None
    first, second = (
        (parts[f"hada_w{n}_a"], parts[f"hada_w{n}_b"], parts.get(f"hada_t{n}")) for n in (1, 2)
    )
    rank = len(parts["hada_w1_b"])
    return LoHa(first, second, alpha / rank if alpha else 1.0)


def _kronecker(parts: Mapping[str, Tensor], alpha: float) -> LoKr | None:
    first = _factor(parts, "lokr_w1", None)
    second = _factor(parts, "lokr_w2", parts.get("lokr_t2"))
    if first is None or second is None:
        return None
    low = next((len(parts[n]) for n in ("lokr_w1_b", "lokr_w2_b") if n in parts), 0)
    # Two whole factors have no rank: their trainer sets the scale to 1.
    return LoKr(first, second, alpha / low if alpha and low else 1.0)


def _factor(parts: Mapping[str, Tensor], name: str, core: Tensor | None) -> Tensor | None:
    if name in parts:
        return parts[name]
    if f"{name}_a" not in parts or f"{name}_b" not in parts:
        return None
    return _product(parts[f"{name}_a"], parts[f"{name}_b"], core)


def _product(a: Tensor, b: Tensor, core: Tensor | None) -> Tensor:
    if core is None:
        product = a.float() @ b.float().flatten(1)
        return product.reshape(len(a), *b.shape[1:])
    return torch.einsum("ijkl,ip,jr->prkl", core.float(), a.float(), b.float())


def _product_shape(a: Tensor, b: Tensor, core: Tensor | None, shape: tuple[int, ...]) -> bool:
    columns = math.prod(shape[1:])
    if core is None:
        return a.ndim == 2 and a.shape == (shape[0], len(b)) and b[0].numel() == columns
    ranks = core.shape[:2] == (len(a), len(b))
    return ranks and a.shape[1] == shape[0] and b.shape[1] * core[0, 0].numel() == columns
