"""An entry of the cache: tensors beside their own hash, so that a damaged one is noticed and made anew."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from packshot.errors import StaleRunError
from packshot.utils import files, hashing
from packshot.weights.safetensors_file import opened

_HASH = "sha256"


def write_entry(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as a safetensors file, atomically, with their hash in its header.

    Raises:
        DiskFullError, WriteError: as `files.write_bytes`.
    """
    files.write_safetensors(file, tensors, {_HASH: _hash(tensors)})


def read_entry(file: Path) -> dict[str, Tensor] | None:
    """The tensors of an entry; None where there is none, or it is not as it was written."""
    from safetensors import SafetensorError

    try:
        with opened(file, "pt") as entry:
            told = entry.metadata() or {}
            tensors = {name: entry.get_tensor(name) for name in entry.keys()}  # noqa: SIM118
    except (OSError, ValueError, SafetensorError):
        return None
    return tensors if told.get(_HASH) == _hash(tensors) else None


def require_entry(file: Path) -> dict[str, Tensor]:
    """The tensors of an entry that was there a moment ago.

    Raises:
        StaleRunError: it was lost or damaged since.
    """
    entry = read_entry(file)
    if entry is None:
        raise StaleRunError(
            f"{file}, in the cache, was lost or damaged while it was used. Run the same command again: "
            "it is made anew."
        )
    return entry


def _hash(tensors: Mapping[str, Tensor]) -> str:
    """Of names, kinds, shapes and values."""
    parts = []
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        values = tensor.reshape(-1).view(torch.uint8).numpy().data
        parts.append([name, str(tensor.dtype), list(tensor.shape), hashing.sha256_of(values)])
    return hashing.fingerprint(parts)
