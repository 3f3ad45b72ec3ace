"""Loading validated weight files into networks: completely, or not at all.

The libraries' own loaders are not used: they follow a folder's shard index to files that were not
validated (and unpickle those), load adapters in the folder, and leave missing weights random.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from packshot.errors import ModelLoadError, as_model_load_error
from packshot.weights import gguf_file
from packshot.weights.safetensors_file import is_gguf, read_safetensors, shapes

_Network = TypeVar("_Network", bound=nn.Module)
_MOST_MODULES = 100_000
"""Of a network; the largest that are published have ten thousand."""


def read_shapes(weights: Sequence[Path]) -> dict[str, Tensor]:
    """As `read_tensors`, but on the meta device: only the headers are read."""
    sizes: dict[str, Sequence[int]] = {}
    for file in weights:
        if is_gguf(file):
            sizes |= {name: stored.shape for name, stored in gguf_file.read_header(file).items()}
        else:
            sizes |= shapes(file).by_key
    return {name: torch.empty(tuple(size), device="meta") for name, size in sizes.items()}


def read_tensors(weights: Sequence[Path]) -> dict[str, Tensor]:
    """The tensors of one file, or of all shards."""
    tensors: dict[str, Tensor] = {}
    for file in weights:
        tensors |= gguf_file.read(file) if is_gguf(file) else read_safetensors(file)[0]
    return _dequantised(tensors)


# Keys next to scaled 8-bit weights, ComfyUI's older and newer names; not all are needed.
_SCALES = ("scale_weight", "weight_scale")
_SCALE_KEYS = (*_SCALES, "scale_input", "input_scale", "scaled_fp8", "comfy_quant")


def _dequantised(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """8-bit weights times their scales, in bf16; other tensors unchanged.

    Raises:
        ModelLoadError: a weight is not scaled as a whole or by rows.
    """
    plain = {key: t for key, t in tensors.items() if not key.endswith(_SCALE_KEYS)}
    for key, value in plain.items():
        stem = key.removesuffix("weight")
        scale = next((tensors[stem + n] for n in _SCALES if stem + n in tensors), None)
        if scale is not None and key.endswith(".weight"):
            by_rows = scale.shape == (len(value), *[1] * (value.ndim - 1))
            if not value.is_floating_point() or not (by_rows or scale.numel() == 1):
                raise ModelLoadError(
                    f"{key} is packed in fewer than 8 bits, or scaled in parts, which is not read "
                    "here. Use the same file in bf16 or fp8, or a GGUF."
                )
            plain[key] = (value.float() * scale.float()).to(torch.bfloat16)
    return plain


def load_weights_into(
    make: Callable[[], _Network],
    tensors: Mapping[str, Tensor],
    where: Path,
    dtype: torch.dtype,
    extra_keys: str | None = None,
) -> _Network:
    """The network that `make` builds, frozen, every weight of it from `tensors`, in `dtype`.

    Args:
        extra_keys: regex of the beginnings of further keys that are allowed; None for all.

    Raises:
        ModelLoadError: weights are missing, have other shapes or no place, or nothing can be built.
    """
    with refusing(where):
        network = empty_network(make, where)  # weights need no initialisation
        given = {n: t.to(dtype) if t.is_floating_point() else t for n, t in tensors.items()}
        odd = network.load_state_dict(given, strict=False, assign=True)
    lost = sorted(name for name in odd.missing_keys if not name.endswith("position_ids"))
    if lost:
        raise ModelLoadError(
            f"{where} lacks {len(lost)} weights, such as {lost[0]}; they would be random. "
            "Copy it again, whole."
        )
    stray = sorted(
        n for n in odd.unexpected_keys if extra_keys is not None and not re.match(extra_keys, n)
    )
    if stray:
        raise ModelLoadError(
            f"{where} holds {len(stray)} weights that have no place in a {type(network).__name__} as "
            f"it is known here, such as {stray[0]}. It is of a variant that is not supported."
        )
    return network.requires_grad_(False)


def empty_network(make: Callable[[], _Network], where: Path) -> _Network:
    """The network that `make` builds, frozen, its weights on the meta device.

    Raises:
        ModelLoadError: nothing can be built.
    """
    from accelerate import init_empty_weights

    # Buffers outside the state, such as rotary frequencies, are real.
    empty = init_empty_weights(include_buffers=False)
    with refusing(where), torch.random.fork_rng(devices=[]), empty, _counted_modules():
        return make().requires_grad_(False).eval()


@contextmanager
def _counted_modules() -> Iterator[None]:
    """Ends the building of a network that would have no end: layers of blocks of layers."""
    made, count = nn.Module.__init__, itertools.count(1)

    def counted(self: nn.Module, *given: Any, **options: Any) -> None:
        if next(count) > _MOST_MODULES:
            raise ValueError(f"it asks for more than {_MOST_MODULES:,} modules")
        made(self, *given, **options)

    nn.Module.__init__ = counted  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.__init__ = made  # type: ignore[method-assign]


def refusing(where: Path) -> AbstractContextManager[None]:
    """Turns whatever the libraries raise over a broken file into `ModelLoadError`."""
    fault = "cannot be loaded: its configuration and weights do not fit"
    return as_model_load_error(where, fault, "Copy it again, whole.")
