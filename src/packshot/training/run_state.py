"""Saved states of a run: LoRA parameters, optimizer, step, held-out losses.

A state is valid if its manifest, written last, has the hashes of its files.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from packshot.errors import StaleRunError
from packshot.utils import files, hashing, pathnames, serialization
from packshot.weights.safetensors_file import read_safetensors

KEPT = 2
_NAME = re.compile("[0-9]{7}")
_PARTS = ("adapter.safetensors", "optimizer.safetensors")


@dataclass(frozen=True)
class State:
    """The state of a run after `step` optimizer steps."""

    step: int
    adapter: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    held_out_losses: tuple[float, ...] = ()
    """One of each evaluation so far; the manifest keeps them."""


def save(folder: Path, state: State) -> Path:
    """Write a state, then delete the older ones except the newest `KEPT`.

    Each part is hashed once, as it is written, and copied nowhere: a large LoRA's state has
    gigabytes. What the disk has made of it is read when a run resumes; then the newest state that
    is whole is taken.

    Raises:
        DiskFullError: no room; the states before it are intact.
    """
    place = folder / f"{state.step:07d}"
    hashes = {}
    for name, tensors in zip(_PARTS, (state.adapter, state.optimizer), strict=True):
        parts = serialization.safetensors_parts(tensors)
        files.write_parts(place / name, parts)
        hashes[name] = hashing.sha256_of(*parts)
    told = {"step": state.step, "sha256": hashes, "held_out_losses": state.held_out_losses}
    files.write_json(place / "manifest.json", told)
    for old in _complete(folder)[:-KEPT]:
        pathnames.remove_tree(old, below=folder.parent)
    return place


def _complete(folder: Path) -> list[Path]:
    """The states that were written to their end, oldest first; nothing of them is read."""
    return [place for place in _places(folder) if (place / "manifest.json").is_file()]


def is_valid(place: Path) -> bool:
    """Whether there is a manifest and every file has the hash in it."""
    try:
        hashes = _manifest(place)["sha256"]
        _losses(place)
        return set(hashes) == set(_PARTS) and all(
            hashing.sha256(place / name) == digest for name, digest in hashes.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _manifest(place: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((place / "manifest.json").read_text())
    return manifest


def _losses(place: Path) -> tuple[float, ...]:
    """The held-out losses in a state's manifest; none in one of an earlier Packshot."""
    return tuple(float(loss) for loss in _manifest(place).get("held_out_losses", ()))


def _places(folder: Path) -> list[Path]:
    """The folders that states are saved in, by their names; what is named otherwise is none of ours."""
    return sorted(place for place in folder.glob("[0-9]*") if _NAME.fullmatch(place.name))


def latest(folder: Path) -> tuple[State | None, str]:
    """The newest valid state (None if there is none), and a note on damaged newer ones.

    Nothing older than it is read.
    """
    damaged: list[str] = []
    for place in reversed(_complete(folder)):
        if is_valid(place):
            adapter, optimizer = (read_safetensors(place / name)[0] for name in _PARTS)
            return State(int(place.name), adapter, optimizer, _losses(place)), _note(damaged)
        damaged.insert(0, place.name)
    return None, _note(damaged)


def _note(damaged: list[str]) -> str:
    return f"damaged, not used: {', '.join(damaged)}" if damaged else ""


def check_names(state: State, expected: set[str]) -> None:
    """Refuse a state with other LoRA layers than the plan's.

    Raises:
        StaleRunError: names differ.
    """
    if set(state.adapter) != expected:
        raise StaleRunError(
            "The checkpoint adapts other layers than the plan says; plan again to start a new run."
        )
