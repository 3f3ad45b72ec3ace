"""LoRA layers (arXiv 2106.09685): a frozen layer plus a trainable low-rank branch.

    y = W x + (alpha / rank) B A x        A = `down` [rank, in], B = `up` [out, rank]

`down` and `up` are fp32 and cast to the input's dtype where they are used. There is no dropout and
no merged state: this is the training step's hot path.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from packshot.lora.weights import Lora, LoraWeights
from packshot.models.block_offload import compute_device


class _Branched(nn.Module):
    """A frozen layer within."""

    frozen: nn.Module

    @property
    def weight(self) -> Tensor:
        """The frozen layer's: networks ask for its dtype (T5, Z-Image's times)."""
        weight = self.frozen.weight
        assert isinstance(weight, Tensor)
        return weight


class LoraLinear(_Branched):
    """A frozen `nn.Linear` (or a `LoraLinear`) and its LoRA branch."""

    def __init__(self, frozen: nn.Module, down: Tensor, up: Tensor, scale: float) -> None:
        super().__init__()
        self.frozen, self.scale = frozen, scale
        self.down, self.up = nn.Parameter(down), nn.Parameter(up)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., in] to [..., out]."""
        up = (self.up * self.scale).to(x.dtype)
        return self.frozen(x) + F.linear(F.linear(x, self.down.to(x.dtype)), up)


class LoraConv2d(_Branched):
    """A frozen `nn.Conv2d` (or a `LoraConv2d`) and its LoRA branch.

    `down` has the layer's kernel, `up` is 1 x 1.
    """

    stride: tuple[int, ...]
    padding: str | tuple[int, ...]
    dilation: tuple[int, ...]
    kernel_size: tuple[int, ...]

    def __init__(
        self, frozen: nn.Conv2d | LoraConv2d, down: Tensor, up: Tensor, scale: float
    ) -> None:
        super().__init__()
        self.frozen, self.scale = frozen, scale
        self.stride, self.padding, self.dilation = frozen.stride, frozen.padding, frozen.dilation
        self.kernel_size = frozen.kernel_size
        self.down, self.up = nn.Parameter(down), nn.Parameter(up)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, in, H, W] to [B, out, H', W']."""
        down = self.down.to(x.dtype)
        if self.kernel_size == (1, 1) and self.stride == (1, 1):
            inner = _pointwise(x, down)
        else:
            inner = F.conv2d(x, down, None, self.stride, self.padding, self.dilation)
        return self.frozen(x) + _pointwise(inner, (self.up * self.scale).to(x.dtype))


def _pointwise(x: Tensor, weight: Tensor) -> Tensor:
    """A 1 x 1 convolution of x [B, in, H, W] with weight [out, in, 1, 1], as a matrix product.

    Much faster than the convolution for a few channels in channels_last layout.
    """
    return F.linear(x.movedim(1, -1), weight.flatten(1)).movedim(-1, 1)


def branch(frozen: nn.Module, down: Tensor, up: Tensor, scale: float) -> LoraLinear | LoraConv2d:
    """A layer with a LoRA branch, which may have been made for a 1 x 1 convolution or a linear layer."""
    if isinstance(frozen, nn.Conv2d | LoraConv2d):
        kernel = down if down.ndim == 4 else down[..., None, None]
        return LoraConv2d(frozen, kernel, up.flatten(1)[..., None, None], scale)
    return LoraLinear(frozen, down.flatten(1), up.flatten(1), scale)


def frozen_in(module: nn.Module) -> nn.Module:
    """The layer within a module's LoRA branches; the module itself where it has none."""
    while isinstance(module, LoraLinear | LoraConv2d):
        module = module.frozen
    return module


class Adapter:
    """The LoRA layers in a network, by the dotted names of the modules that they replace."""

    def __init__(self, layers: dict[str, LoraLinear | LoraConv2d], rank: int, alpha: float) -> None:
        self.layers, self.rank, self.alpha = layers, rank, alpha

    def named_parameters(self) -> dict[str, nn.Parameter]:
        """The fp32 parameters: "<module>.down" and "<module>.up"."""
        return {
            f"{name}.{part}": getattr(layer, part)
            for name, layer in self.layers.items()
            for part in ("down", "up")
        }

    def state(self) -> dict[str, Tensor]:
        """Copies of the parameters on the CPU."""
        return copy_state(self.named_parameters())

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Set the parameters from `state()` of an adapter of the same shape."""
        set_state(self.named_parameters(), state)

    def to_lora(self, root: str, metadata: Mapping[str, str]) -> Lora:
        """The adapter as a `Lora`, for files and fusing; `root` is its network's name."""
        return Lora(
            {
                f"{root}.{name}": LoraWeights(
                    layer.down.detach().cpu().clone(), layer.up.detach().cpu().clone(), self.alpha
                )
                for name, layer in self.layers.items()
            },
            dict(metadata),
        )


def copy_state(parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Copies of parameters on the CPU, by name."""
    return {name: parameter.detach().cpu().clone() for name, parameter in parameters.items()}


@torch.no_grad()
def set_state(parameters: Mapping[str, nn.Parameter], state: Mapping[str, Tensor]) -> None:
    """Set parameters from a `copy_state` with the same names and shapes."""
    for name, parameter in parameters.items():
        parameter.copy_(state[name])


@contextmanager
def inject_lora(
    network: nn.Module, names: Sequence[str], *, rank: int, alpha: float, seed: int
) -> Iterator[Adapter]:
    """Replace the named Linear and Conv2d modules by LoRA layers while the block runs.

    `down` is initialised Kaiming-uniform from the seed and the module's name, `up` to zero, so the
    network's output is unchanged at first. The original modules are restored at the end.
    """
    layers = {n: _layer(network.get_submodule(n), n, rank, alpha, seed) for n in names}
    with swap_modules(network, layers):
        yield Adapter(layers, rank, alpha)


@contextmanager
def swap_modules(network: nn.Module, modules: Mapping[str, nn.Module]) -> Iterator[None]:
    """Replace the modules of these names while the block runs."""
    originals = {name: network.get_submodule(name) for name in modules}
    try:
        for name, module in modules.items():
            _replace(network, name, module)
        yield
    finally:
        for name, module in originals.items():
            _replace(network, name, module)


def _layer(
    frozen: nn.Module, name: str, rank: int, alpha: float, seed: int
) -> LoraLinear | LoraConv2d:
    down_shape: tuple[int, ...]
    up_shape: tuple[int, ...]
    if isinstance(frozen, nn.Linear):
        down_shape, up_shape = (rank, frozen.in_features), (frozen.out_features, rank)
    elif isinstance(frozen, nn.Conv2d) and frozen.groups == 1:
        down_shape = (rank, frozen.in_channels, *frozen.kernel_size)
        up_shape = (frozen.out_channels, rank, 1, 1)
    else:
        raise TypeError(f"{name} is a {type(frozen).__name__}; LoRA adapts Linear and Conv2d")
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    down = torch.empty(down_shape)
    nn.init.kaiming_uniform_(down, a=math.sqrt(5), generator=generator)
    device = compute_device(frozen)
    kind = LoraLinear if isinstance(frozen, nn.Linear) else LoraConv2d
    return kind(frozen, down.to(device), torch.zeros(up_shape, device=device), alpha / rank)  # type: ignore[arg-type]


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)
