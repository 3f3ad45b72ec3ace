"""GGUF: transformers quantised by llama.cpp's types, unpacked to bf16, one tensor after the other."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packshot.errors import CheckpointRefused

if TYPE_CHECKING:
    from torch import Tensor

_MOST = 100_000
"""Tensors, or entries of metadata: more than any model has."""
_SHAPE = "comfy.gguf.orig_shape."


def is_gguf(path: Path) -> bool:
    """Whether a file begins as a GGUF does."""
    with path.open("rb") as file:
        return file.read(4) == b"GGUF"


def gguf_keys(path: Path) -> list[str]:
    """The names of its tensors.

    Raises:
        CheckpointRefused: it is damaged, or the package that reads it is missing.
    """
    with _opened(path) as reader:
        return [tensor.name for tensor in reader.tensors]


def read_gguf(path: Path) -> dict[str, Tensor]:
    """All its tensors in bf16 (whole numbers as they are), in the shapes of the original network.

    Raises:
        CheckpointRefused: as `gguf_keys`, or it has a quantisation that is not known.
    """
    import torch
    from gguf.quants import dequantize

    with _opened(path) as reader:
        found: dict[str, Tensor] = {}
        for tensor in reader.tensors:
            values = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
            # Lengths stand the other way round; what was flattened to be quantised says how it was.
            shape = [int(side) for side in reversed(tensor.shape)]
            field = reader.fields.get(_SHAPE + tensor.name)
            if field is not None:
                shape = [int(field.parts[index][0]) for index in field.data]
            found[tensor.name] = values.reshape(shape).to(torch.bfloat16)
        return found


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise CheckpointRefused(
            f"{path} is a GGUF file, which needs one more package: pip install 'packshot[gguf]'."
        ) from error
    with path.open("rb") as file:
        start = file.read(24)
    if len(start) < 24 or max(struct.unpack("<8xQQ", start)) > _MOST:
        raise CheckpointRefused(f"{path} is cut short or damaged. Copy it again.")
    try:
        yield GGUFReader(path)
    except MemoryError:
        raise
    except Exception as error:  # the reader raises nearly anything on malformed files
        reason = " ".join(str(error).split())[:200]
        raise CheckpointRefused(
            f"{path} is cut short, damaged, or quantised in a way that is not known ({reason})."
        ) from error
