"""GGUF files (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): weights in llama.cpp's types.

The `gguf` package knows the types. Its reader trusts the header, so headers are read here: with a
size limit, and every tensor must lie inside the file.
"""

from __future__ import annotations

import math
import struct
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from packshot.errors import ModelLoadError, as_model_load_error
from packshot.weights.safetensors_file import GGUF

if TYPE_CHECKING:
    from torch import Tensor

MAX_HEADER_BYTES = 16 * 2**20
_VERSIONS = (2, 3)
_MAX_DIMENSIONS = 8
# Types of a header's values: how wide those of one width are, then those that tell their length.
_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_UINT32, _STRING, _ARRAY = 4, 8, 9


@dataclass(frozen=True)
class Stored:
    """A tensor in a file: its shape (in PyTorch's order), its type, and the position of its bytes."""

    shape: tuple[int, ...]
    kind: Any
    """A `gguf.GGMLQuantizationType`."""
    start: int
    bytes: int


def read_header(path: Path) -> dict[str, Stored]:
    """The tensors of a GGUF file by name; only the header is read.

    Raises:
        ModelLoadError: damaged, or the package `gguf` is not installed.
    """
    with _refusing(path), path.open("rb") as file:
        header = _Header(file)
        if header.bytes(4) != GGUF or header.number("I") not in _VERSIONS:
            raise ValueError("of a version that is not known")
        tensors, values = header.number("Q"), header.number("Q")
        alignment = 32
        for _ in range(values):
            key, kind = header.text(), header.number("I")
            if key == "general.alignment" and kind == _UINT32:
                alignment = header.number("I")
            else:
                header.skip(kind)
        entries = [_tensor(header) for _ in range(tensors)]
        size = path.stat().st_size
        first = math.ceil(file.tell() / alignment) * alignment
    return _placed(path, entries, first, size)


def _tensor(header: _Header) -> tuple[str, tuple[int, ...], int, int]:
    """Name, shape, type and offset."""
    name, dimensions = header.text(), header.number("I")
    if dimensions > _MAX_DIMENSIONS:
        raise ValueError(f"a tensor of {dimensions} dimensions")
    sides = [header.number("Q") for _ in range(dimensions)]
    return name, tuple(reversed(sides)), header.number("I"), header.number("Q")


def _placed(
    path: Path, entries: list[tuple[str, tuple[int, ...], int, int]], first: int, size: int
) -> dict[str, Stored]:
    """The tensors with their positions, checked to lie inside the file and not to overlap."""
    try:
        from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
    except ModuleNotFoundError as error:
        raise ModelLoadError(
            f"{path} is a GGUF file, and the package that knows its types is not installed: "
            'pip install "packshot[gguf]".'
        ) from error
    with _refusing(path):
        placed = {}
        for name, shape, number, offset in entries:
            kind = GGMLQuantizationType(number)
            block, width = GGML_QUANT_SIZES[kind]
            if math.prod(shape[-1:]) % block:
                raise ValueError(f"rows of {name} are no whole blocks")
            stored = Stored(shape, kind, first + offset, math.prod(shape) // block * width)
            if stored.start + stored.bytes > size:
                raise ValueError(f"{name} reaches beyond its end")
            placed[name] = stored
        ends = sorted((each.start, each.start + each.bytes) for each in placed.values())
        overlap = any(end > start for (_, end), (start, _) in pairwise(ends))
        if len(placed) < len(entries) or overlap:
            raise ValueError("tensors overlap, or share a name")
        return placed


def read(path: Path) -> dict[str, Tensor]:
    """All tensors of a GGUF file: fp32, fp16 and bf16 unchanged, quantised ones unpacked to bf16.

    One tensor at a time, so that the peak is the result and one tensor in fp32.

    Raises:
        ModelLoadError: as `read_header`, or of a type that cannot be unpacked.
    """
    import numpy as np
    import torch

    header = read_header(path)
    with _refusing(path):
        from gguf.quants import dequantize

        plain = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
        tensors = {}
        for name, stored in header.items():
            data = np.fromfile(path, np.uint8, stored.bytes, offset=stored.start)
            if dtype := plain.get(stored.kind.name):
                tensor = torch.from_numpy(data).view(dtype)
            else:
                rows = data.reshape(math.prod(stored.shape[:-1]), -1)
                tensor = torch.from_numpy(dequantize(rows, stored.kind)).to(torch.bfloat16)
            tensors[name] = tensor.reshape(stored.shape)
        return tensors


class _Header:
    """Reads the fields of a header in order, never beyond the size limit or the file's end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def bytes(self, count: int) -> bytes:
        if self._file.tell() + count > MAX_HEADER_BYTES:
            raise ValueError(f"a header of more than {MAX_HEADER_BYTES:,} bytes")
        data = self._file.read(count)
        if len(data) < count:
            raise ValueError("it ends in its header")
        return data

    def number(self, format: str) -> int:
        return int(struct.unpack(f"<{format}", self.bytes(struct.calcsize(format)))[0])

    def text(self) -> str:
        return self.bytes(self.number("Q")).decode()

    def skip(self, kind: int) -> None:
        """Skip a value or an array of values; arrays of arrays are refused."""
        count = 1
        if kind == _ARRAY:
            kind, count = self.number("I"), self.number("Q")
        if kind == _STRING:
            for _ in range(count):
                self.text()
        else:
            self.bytes(count * _WIDTHS[kind])


def _refusing(path: Path) -> AbstractContextManager[None]:
    """Turns whatever a broken or hostile file raises into `ModelLoadError`."""
    return as_model_load_error(path, "is a GGUF file that cannot be read", "Copy it again.")
