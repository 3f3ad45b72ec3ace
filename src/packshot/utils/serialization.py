"""Values, tensors and images as the bytes of a file."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

Bytes = bytes | memoryview
_DTYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
"""PyTorch's names of dtypes, and those of safetensors."""


def as_json(value: Any, *, indent: int | None = None) -> str:
    """A value as JSON that every program reads; a number that is not finite becomes null."""
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def safetensors_parts(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> list[Bytes]:
    """The bytes of a safetensors file: its header, then each tensor where it lies in memory.

    The library copies everything several times, and orders metadata differently in each process.

    Raises:
        KeyError: a tensor's dtype has no name in these files.
    """
    import torch

    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    parts: list[Bytes] = []
    end = 0
    # The widest numbers first, so that each begins at a multiple of its width.
    for name in sorted(tensors, key=lambda name: (-tensors[name].element_size(), name)):
        tensor = tensors[name].detach().cpu().contiguous()
        parts.append(tensor.reshape(-1).view(torch.uint8).numpy().data)
        start, end = end, end + len(parts[-1])
        dtype = _DTYPES[str(tensor.dtype).removeprefix("torch.")]
        header[name] = {
            "dtype": dtype,
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    told = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    told += b" " * (-len(told) % 8)
    return [len(told).to_bytes(8, "little") + told, *parts]


def image_bytes(suffix: str, image: Image.Image, **options: Any) -> bytes:
    """The bytes of an image file with this ending."""
    buffer = io.BytesIO()
    kind = {"jpg": "JPEG"}.get(suffix[1:].lower(), suffix[1:].upper())
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()
