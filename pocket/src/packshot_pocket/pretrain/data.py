"""The rendered scenes as two files: all images in one array, and a line of attributes each."""

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

from packshot.errors import PackshotError
from packshot.utils import files, pathnames, reading
from packshot_pocket.pretrain.state import open_array, save_array

PIXELS = 128
TOLD = ("noun", "colour", "setting", "time", "view", "distance")
"""Attributes with a handful of values each, which a picture can be asked for."""
ATTRIBUTES = (*TOLD, "class", "details")
Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Captioner = Callable[[Mapping[str, str], random.Random], str]


def world_caption(attributes: Mapping[str, str], rng: random.Random) -> str:
    """A caption of a rendered picture, with a random wording and random omissions."""
    from packshot_pocket.scenes.captions import caption

    return caption(attributes, rng)


@dataclass(frozen=True)
class Pictures:
    """Packed pictures: `pixels` uint8 [N, 128, 128, 3] (memory-mapped), one attribute dict each."""

    pixels: Pixels
    attributes: list[dict[str, str]]
    training: np.ndarray[Any, Any]
    """Indices of the pictures to train on."""
    held_out: np.ndarray[Any, Any]
    """Indices of the pictures of each world's last scenes, for judging."""

    def judged(self, most: int) -> np.ndarray[Any, Any]:
        """At most so many of the held-out indices, of all worlds alike."""
        count = min(most, len(self.held_out))
        return self.held_out[np.linspace(0, len(self.held_out) - 1, count).round().astype(int)]


def gather(worlds: list[Path], state: Path, held_out_fraction: float = 0.03) -> Pictures:
    """Gather all finished scenes of `worlds` into `state`; run it again when there are more.

    The last scenes of each world are held out.

    Raises:
        PackshotError: there is no finished scene.
    """
    pixels: list[Pixels] = []
    masks: list[Pixels] = []
    lines: list[str] = []
    for world in worlds:
        scenes = [json.loads(path.read_text()) for path in sorted(world.glob("[0-9]*.json"))]
        if not scenes:
            raise PackshotError(f"No finished scene (NNNNNN.json) in {world}; render some first.")
        first_held_out = len(scenes) - max(1, round(len(scenes) * held_out_fraction))
        for position, pictures in enumerate(scenes):
            for entry in pictures:
                file = pathnames.safe_join(world, entry["file"])
                pixels.append(_pixels(file))
                masks.append(_pixels(file.with_name(f"{file.stem}-mask.png"), "L"))
                facts = {name: entry[name] for name in ATTRIBUTES}
                lines.append(json.dumps({**facts, "held_out": position >= first_held_out}))
        print(f"[gather] {len(scenes)} scenes of {world}", file=sys.stderr)
    save_array(state / "pictures.npy", np.stack(pixels))
    save_array(state / "masks.npy", np.stack(masks))
    files.write_text(state / "attributes.jsonl", "\n".join(lines) + "\n")
    packed = open_packed(state)
    print(
        f"[gather] {len(packed.training)} images to train on, {len(packed.held_out)} held out",
        file=sys.stderr,
    )
    return packed


def _pixels(path: Path, mode: str = "RGB") -> Pixels:
    with Image.open(path) as image:
        picture = image.convert(mode)
    if picture.size != (PIXELS, PIXELS):
        picture = picture.resize((PIXELS, PIXELS), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def open_packed(state: Path) -> Pictures:
    """The packed images.

    Raises:
        PackshotError: `gather` has not run.
    """
    if not (state / "pictures.npy").exists():
        raise PackshotError(f"No packed images in {state}; run the stage 'gather' first.")
    lines = reading.read_json_lines(state / "attributes.jsonl")
    held_out = np.array([line["held_out"] for line in lines])
    return Pictures(
        np.load(state / "pictures.npy", mmap_mode="r"),
        [{name: line[name] for name in ATTRIBUTES} for line in lines],
        np.flatnonzero(~held_out),
        np.flatnonzero(held_out),
    )


def open_masks(state: Path) -> Pixels:
    """The products' masks, uint8 [N, 128, 128] (memory-mapped), as packed.

    Raises:
        PackshotError: `gather` has not run.
    """
    return open_array(state / "masks.npy", "gather")


def to_tensor(pixels: Pixels) -> Tensor:
    """Pixels uint8 [B, H, W, 3] to fp32 [B, 3, H, W] in [-1, 1], channels last in memory."""
    picture = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2)
    return picture.float().div_(127.5).sub_(1.0)


def to_pixels(pictures: Tensor) -> Pixels:
    """Images [B, 3, H, W] in [-1, 1] (clipped) to uint8 [B, H, W, 3]."""
    scaled = pictures.float().clamp(-1, 1).add(1).mul(127.5).round().byte()
    return scaled.permute(0, 2, 3, 1).cpu().numpy()
