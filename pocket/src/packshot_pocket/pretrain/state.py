"""A stage's saved state: one safetensors file with the counters as JSON in its header.

One file, so that tensors and counters cannot disagree; a copy of the counters is written next to it
as JSON for people to read.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from torch import Tensor

from packshot.errors import PackshotError
from packshot.utils import files

Counters = dict[str, Any]


def save(folder: Path, stage: str, tensors: dict[str, Tensor], counters: Counters) -> None:
    """Write the checkpoint of `stage` atomically; the former one stands until then."""
    path = folder / f"{stage}.safetensors"
    files.write_safetensors(path, tensors, {"counters": json.dumps(counters)})
    files.write_json(folder / f"{stage}.json", counters)


def load(folder: Path, stage: str) -> tuple[dict[str, Tensor], Counters] | None:
    """The checkpoint of `stage`, or None where there is none yet."""
    path = folder / f"{stage}.safetensors"
    if not path.exists():
        return None
    with safe_open(path, "pt") as file:
        counters = json.loads(file.metadata()["counters"])
        names = file.keys()  # it cannot be iterated over itself
        return {name: file.get_tensor(name) for name in names}, counters


def step(folder: Path, stage: str) -> int:
    """How many optimizer steps the checkpoint of `stage` has taken; 0 where there is none."""
    found = load(folder, stage)
    return 0 if found is None else int(found[1]["at"]["step"])


def weights(folder: Path, stage: str) -> dict[str, Tensor]:
    """The trained weights of a finished or interrupted stage: the averaged ones where it averages.

    Raises:
        PackshotError: the stage has not run yet.
    """
    found = load(folder, stage)
    if found is None:
        raise PackshotError(f"The stage '{stage}' has not run in {folder}; run it first.")
    tensors, _ = found
    prefix = "average/" if any(name.startswith("average/") for name in tensors) else "master/"
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def save_array(path: Path, array: np.ndarray[Any, Any]) -> None:
    """Write a NumPy array (.npy) atomically."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    files.write_bytes(path, buffer.getvalue())


def save_picture(path: Path, pixels: np.ndarray[Any, Any]) -> None:
    """Write pixels uint8 [H, W, 3] as a picture atomically."""
    from PIL import Image

    files.write_image(path, Image.fromarray(pixels))


def open_array(path: Path, stage: str) -> np.ndarray[Any, Any]:
    """A NumPy array that `stage` wrote, memory-mapped.

    Raises:
        PackshotError: the stage has not run yet.
    """
    if not path.exists():
        raise PackshotError(f"No {path.name} in {path.parent}; run the stage '{stage}' first.")
    array: np.ndarray[Any, Any] = np.load(path, mmap_mode="r")
    return array
