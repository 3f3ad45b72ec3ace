"""A pool of shots on the disk, to train and to judge on."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

import numpy as np

from packshot_pocket.pretrain.shots.bank import Bank, make_bank
from packshot_pocket.pretrain.shots.meshes import Array
from packshot_pocket.pretrain.shots.scenes import draw_shot
from packshot_pocket.pretrain.state import save_array

_CHUNK = 250
_BANKS = 4
"""So many files of shots share a bank of textures."""


class Pool:
    """So many shots: each a function of the seed and its number, kept in `folder`, 250 a file."""

    def __init__(self, folder: Path, count: int, seed: int) -> None:
        self.folder, self.count, self.seed = folder, count, seed
        self._open: dict[int, Array] = {}

    def __getitem__(self, number: int) -> Array:
        """A shot and its mask, uint8 [256, 256, 4]; drawn, with its neighbours, if it is not there."""
        chunk, place = divmod(number, _CHUNK)
        if chunk not in self._open:
            self.draw(chunk)
            self._open[chunk] = np.load(self._path(chunk), mmap_mode="r")
        shot: Array = self._open[chunk][place]
        return shot

    def draw_all(self, part: int = 0, parts: int = 1) -> None:
        """Draw what is not there yet, or every `parts`-th file of it: for several processes at once."""
        for chunk in range(part, -(-self.count // _CHUNK), parts):
            self.draw(chunk)

    def draw(self, chunk: int) -> None:
        """Draw one file of shots, unless it is there."""
        if self._path(chunk).exists():
            return
        bank = _bank(self.seed + chunk // _BANKS)
        numbers = range(min(_CHUNK, self.count - chunk * _CHUNK))
        shots = [draw_shot(bank, (self.seed, chunk, number)) for number in numbers]
        save_array(self._path(chunk), np.stack([np.dstack(shot) for shot in shots]))
        drawn = chunk * _CHUNK + len(shots)
        print(f"[shots] {drawn} of {self.count}", file=sys.stderr, flush=True)

    def _path(self, chunk: int) -> Path:
        return self.folder / f"shots-{chunk:03}.npy"


@lru_cache(maxsize=1)
def _bank(seed: int) -> Bank:
    return make_bank(seed)
