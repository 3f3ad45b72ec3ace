"""The rendered world as two files: all pictures in one array, and a line of attributes each."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from packshot import files
from packshot.errors import PackshotError
from packshot.pocket.pretrain.state import save_array

PIXELS = 128
ATTRIBUTES = ("body", "colour", "roof", "stripe", "setting", "time", "view", "distance")
Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Captioner = Callable[[Mapping[str, str], random.Random], str]


def world_caption(attributes: Mapping[str, str], rng: random.Random) -> str:
    """A caption of a rendered picture, with a random wording and random omissions."""
    from packshot.pocket.world.captions import caption

    return caption(attributes, rng)


@dataclass(frozen=True)
class Pictures:
    """Packed pictures: `pixels` uint8 [N, 128, 128, 3] (memory-mapped), one attribute dict each."""

    pixels: Pixels
    attributes: list[dict[str, str]]
    training: np.ndarray[Any, Any]
    """Indices of the pictures to train on."""
    held_out: np.ndarray[Any, Any]
    """Indices of the pictures of the last scenes, for judging."""


def pack(world: Path, state: Path, held_out_fraction: float = 0.03) -> Pictures:
    """Gather all finished scenes of `world` into `state`; run it again when there are more.

    Raises:
        PackshotError: there is no finished scene.
    """
    scenes = [(path, json.loads(path.read_text())) for path in sorted(world.glob("[0-9]*.json"))]
    if not scenes:
        raise PackshotError(f"No finished scene (NNNNNN.json) in {world}; render some first.")
    first_held_out = len(scenes) - max(1, round(len(scenes) * held_out_fraction))
    pixels, lines = [], []
    for position, (_, pictures) in enumerate(scenes):
        for entry in pictures:
            pixels.append(_pixels(files.contained(world, entry["file"])))
            facts = {name: entry[name] for name in ("file", *ATTRIBUTES)}
            lines.append(json.dumps({**facts, "held_out": position >= first_held_out}))
    save_array(state / "pictures.npy", np.stack(pixels))
    files.write_text(state / "attributes.jsonl", "\n".join(lines) + "\n")
    packed = open_packed(state)
    print(
        f"[pack] {len(scenes)} scenes, {len(packed.training)} pictures to train on, "
        f"{len(packed.held_out)} held out",
        file=sys.stderr,
    )
    return packed


def _pixels(path: Path) -> Pixels:
    with Image.open(path) as image:
        picture = image.convert("RGB")
    if picture.size != (PIXELS, PIXELS):
        picture = picture.resize((PIXELS, PIXELS), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def open_packed(state: Path) -> Pictures:
    """The packed pictures.

    Raises:
        PackshotError: `pack` has not run.
    """
    if not (state / "pictures.npy").exists():
        raise PackshotError(f"No packed pictures in {state}; run the stage 'pack' first.")
    lines = files.read_json_lines(state / "attributes.jsonl")
    held_out = np.array([line["held_out"] for line in lines])
    return Pictures(
        np.load(state / "pictures.npy", mmap_mode="r"),
        [{name: line[name] for name in ATTRIBUTES} for line in lines],
        np.flatnonzero(~held_out),
        np.flatnonzero(held_out),
    )


def to_tensor(pixels: Pixels) -> Tensor:
    """Pixels uint8 [B, H, W, 3] to fp32 [B, 3, H, W] in [-1, 1], channels last in memory."""
    picture = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2)
    return picture.float().div_(127.5).sub_(1.0)


def to_pixels(pictures: Tensor) -> Pixels:
    """Pictures [B, 3, H, W] in [-1, 1] (clipped) to uint8 [B, H, W, 3]."""
    scaled = pictures.float().clamp(-1, 1).add(1).mul(127.5).round().byte()
    return scaled.permute(0, 2, 3, 1).cpu().numpy()
