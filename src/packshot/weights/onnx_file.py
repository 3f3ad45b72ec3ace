"""Validating ONNX files (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto) before they are run.

They are protocol buffers, of which only lengths and a few names are read here: whether the file is
complete, and where its weights are. Other readers may follow a name such as `../../secret` out of
the model's folder.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from packshot.errors import ModelLoadError
from packshot.utils import pathnames
from packshot.weights.safetensors_file import PICKLES

Data = bytes | mmap.mmap
MAX_BYTES = 2**31
"""What a protocol buffer can hold."""
_VARINT, _EIGHT_BYTES, _SOME_BYTES, _FOUR_BYTES = 0, 1, 2, 5
_MAX_DEPTH = 64
_IR_VERSION, _GRAPH = 1, 7  # fields of the model
_KEY, _VALUE = 1, 2  # fields of an entry
# Messages, by their fields that hold others: all the ways to a tensor's list of external data.
_WITHIN = {
    "model": {_GRAPH: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
    "entry": {},
}  # fmt: skip


def check_onnx(path: Path) -> None:
    """Check that a file is a complete ONNX model with weights in its folder only; nothing is run.

    Raises:
        ModelLoadError: it is not, or is a pickle or too large.
    """
    if not pathnames.is_file(path):
        raise ModelLoadError(f"There is no file {path}. Copy the model again, whole.")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ModelLoadError(
            f"{path} has {size / 1e9:.1f} GB; an ONNX file cannot have more than 2.1."
        )
    if size == 0:
        raise ModelLoadError(f"{path} is empty. Download it again.")
    with path.open("rb") as file, _content(file) as data:
        if data[:2] in PICKLES:
            raise ModelLoadError(
                f"{path} is a pickle, which can run code when it is opened; refused. Use an .onnx."
            )
        try:
            locations = _locations(data)
        except (ValueError, IndexError) as error:
            raise ModelLoadError(
                f"{path} is not an ONNX model, or it is cut short or damaged ({error}). "
                "Download it again."
            ) from error
    for location in locations:
        _check_location(path, location)


@contextmanager
def _content(file: BinaryIO) -> Iterator[Data]:
    """A file's bytes, mapped into memory, or read where its drive maps none."""
    try:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError:
        yield file.read()
    else:
        with mapped:
            yield mapped


def _check_location(path: Path, location: str) -> None:
    external = path.parent / location
    within = any(
        external.resolve().is_relative_to(folder)
        # In the hub's cache model and weights are links to one folder.
        for folder in (path.parent.resolve(), path.resolve().parent)
    )
    if not location or Path(location).is_absolute() or ".." in Path(location).parts or not within:
        raise ModelLoadError(
            f"{path} wants weights from {location!r}, which lies outside its folder; refused."
        )
    if not pathnames.is_file(external):
        raise ModelLoadError(f"{path} has its weights in {external}, which is not there.")


def _locations(data: Data) -> set[str]:
    """Names of a model's external weight files.

    Raises:
        ValueError: not a model.
    """
    seen, locations = set(), set()
    todo = [("model", 0, len(data), 0)]
    while todo:
        message, start, end, depth = todo.pop()
        if depth > _MAX_DEPTH:
            raise ValueError("its graphs are nested too deep")
        entry = {}
        for field, first, last in _fields(data, start, end):
            if message == "model":
                seen.add(field)
            elif message == "entry":
                entry[field] = data[first:last]
            if inner := _WITHIN[message].get(field):
                todo.append((inner, first, last, depth + 1))
        if entry.get(_KEY) == b"location":
            locations.add(entry.get(_VALUE, b"").decode().replace("\0", ""))
    if not {_IR_VERSION, _GRAPH} <= seen:
        raise ValueError("it holds no graph")
    return locations


def _fields(data: Data, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Each field of the message data[start:end]: its number, and start and end of its value."""
    while start < end:
        tag, first = _number(data, start, end)
        kind = tag & 7
        if kind == _VARINT:
            start = _number(data, first, end)[1]
        elif kind == _SOME_BYTES:
            length, first = _number(data, first, end)
            start = first + length
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            start = first + (8 if kind == _EIGHT_BYTES else 4)
        else:
            raise ValueError("its fields are of no kind that is known")
        if start > end or not 0 < tag >> 3 < 2**29:
            raise ValueError("a field does not fit in it")
        yield tag >> 3, first, start


def _number(data: Data, start: int, end: int) -> tuple[int, int]:
    """A varint, and the position after it.

    Written in more bytes than it needs, or larger than 64 bits, it is refused: other readers cut such
    a number off, each in its way, and would then see another file than was judged here.
    """
    value = 0
    for place in range(start, min(end, start + 10)):
        value |= (data[place] & 127) << 7 * (place - start)
        if data[place] < 128:
            if value >= 2**64 or (place > start and data[place] == 0):
                raise ValueError("a number is longer than it may be")
            return value, place + 1
    raise ValueError("a number does not end")
