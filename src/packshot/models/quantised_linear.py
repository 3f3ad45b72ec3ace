"""Linear layers whose frozen weights are stored in 8 or 4 bits and unpacked where they are used.

Only weights are quantised: activations keep their dtype, whose range some networks need (Z-Image's
reach 344,064, more than fp16 has). Everything lies in a parameter and buffers, so a layer moves from
device to device whole, as any other does.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from packshot.errors import ModelLoadError

BLOCK = 64
"""Number of weights that share a scale in nf4; a row must be a multiple of it."""


class QuantisedLinear(nn.Linear):
    """A frozen linear layer with stored weights; subclasses store and unpack them."""

    def __init__(self, layer: nn.Linear, stored: Tensor) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight = nn.Parameter(stored, requires_grad=False)
        self.bias = layer.bias

    def unpacked(self, dtype: torch.dtype) -> Tensor:
        """The weights [out, in] in `dtype`."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """x [..., in] to [..., out]."""
        product: Tensor = _Product.apply(x, self)
        return product if self.bias is None else product + self.bias.to(x.dtype)


class _Product(torch.autograd.Function):
    """x W^T. The weights are unpacked again for the gradient: kept, they would fill the memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: QuantisedLinear) -> Tensor:
        ctx.layer = layer
        return F.linear(x, layer.unpacked(x.dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        (gradient,) = gradients
        return gradient @ ctx.layer.unpacked(gradient.dtype), None


class Int8Linear(QuantisedLinear):
    """Whole numbers from -127 to 127, and a scale for each row."""

    scale: Tensor

    def __init__(self, layer: nn.Linear, device: torch.device) -> None:
        weight = layer.weight.data.to(device).float()
        scale = weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / 127
        super().__init__(layer, (weight / scale).round().to(torch.int8))
        self.register_buffer("scale", scale)

    def unpacked(self, dtype: torch.dtype) -> Tensor:
        return self.weight.to(dtype) * self.scale.to(dtype)


class Nf4Linear(QuantisedLinear):
    """Normal floats of 4 bits (QLoRA, arXiv 2305.14314), and a scale of 8 bits for each 64."""

    _KEPT = ("absmax", "code", "offset", "nested_absmax", "nested_code")

    def __init__(self, layer: nn.Linear, device: torch.device) -> None:
        weight = layer.weight.data.to(device)
        packed, state = _functional().quantize_4bit(
            weight, blocksize=BLOCK, compress_statistics=True, quant_type="nf4"
        )
        super().__init__(layer, packed)
        nested = state.state2
        self.nested_blocksize = nested.blocksize
        kept = (state.absmax, state.code, state.offset, nested.absmax, nested.code)
        for name, tensor in zip(self._KEPT, kept, strict=True):
            self.register_buffer(name, tensor)

    def unpacked(self, dtype: torch.dtype) -> Tensor:
        functional = _functional()
        absmax, code, offset, nested_absmax, nested_code = map(self.get_buffer, self._KEPT)
        nested = functional.QuantState(
            absmax=nested_absmax, code=nested_code, blocksize=self.nested_blocksize,
            dtype=torch.float32,
        )  # fmt: skip
        state = functional.QuantState(
            absmax=absmax, shape=torch.Size((self.out_features, self.in_features)), code=code,
            blocksize=BLOCK, quant_type="nf4", dtype=dtype, offset=offset, state2=nested,
        )  # fmt: skip
        weight: Tensor = functional.dequantize_4bit(self.weight, state)
        return weight


def _functional() -> Any:
    try:
        from bitsandbytes import functional
    except ImportError as error:
        raise ModelLoadError(
            "A base in nf4 needs one more package: pip install 'packshot[quantised]'."
        ) from error
    return functional
