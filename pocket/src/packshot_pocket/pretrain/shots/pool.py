"""A pool of what is drawn on the disk, to train and to judge on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from packshot_pocket.pretrain.shots.bank import Bank, make_bank
from packshot_pocket.pretrain.shots.looks import draw_family
from packshot_pocket.pretrain.shots.meshes import Array
from packshot_pocket.pretrain.shots.scenes import draw_car_shot, draw_shot
from packshot_pocket.pretrain.state import save_array

_BANKS = 4
"""So many files of a pool share a bank of textures."""
Draw = Callable[[Bank, tuple[int, ...]], Array]


class Pool:
    """So many items: each a function of the seed and its number, kept in `folder`, some a file."""

    def __init__(
        self, folder: Path, count: int, seed: int, name: str, draw: Draw, a_file: int
    ) -> None:
        self.folder, self.count, self.seed = folder, count, seed
        self.name, self._draw, self._a_file = name, draw, a_file
        self._open: dict[int, Array] = {}

    @classmethod
    def of_shots(cls, folder: Path, count: int, seed: int) -> Pool:
        """Shots and their masks, uint8 [256, 256, 4] each."""
        return cls(folder, count, seed, "shots", _shot, 250)

    @classmethod
    def of_cars(cls, folder: Path, count: int, seed: int) -> Pool:
        """As `of_shots`, of cars."""
        return cls(folder, count, seed, "cars", _car_shot, 250)

    @classmethod
    def of_families(cls, folder: Path, count: int, seed: int) -> Pool:
        """Products with their look-alikes: see `draw_family`."""
        return cls(folder, count, seed, "families", draw_family, 25)

    def __getitem__(self, number: int) -> Array:
        """An item; drawn, with its neighbours, if it is not there."""
        chunk, place = divmod(number, self._a_file)
        if chunk not in self._open:
            self.draw(chunk)
            self._open[chunk] = np.load(self._path(chunk), mmap_mode="r")
        item: Array = self._open[chunk][place]
        return item

    def drawn(self) -> int:
        """How many are there without a gap."""
        files = range(-(-self.count // self._a_file))
        known = next((k for k in files if not self._path(k).exists()), len(files))
        return min(self.count, known * self._a_file)

    def draw_all(self, part: int = 0, parts: int = 1) -> None:
        """Draw what is not there yet, or every `parts`-th file of it: for several processes at once."""
        for chunk in range(part, -(-self.count // self._a_file), parts):
            self.draw(chunk)

    def draw(self, chunk: int) -> None:
        """Draw one file of them, unless it is there."""
        if self._path(chunk).exists():
            return
        bank = _bank(self.seed + chunk // _BANKS)
        numbers = range(min(self._a_file, self.count - chunk * self._a_file))
        items = [self._draw(bank, (self.seed, chunk, number)) for number in numbers]
        save_array(self._path(chunk), np.stack(items))
        drawn = chunk * self._a_file + len(items)
        print(f"[{self.name}] {drawn} of {self.count}", file=sys.stderr, flush=True)

    def _path(self, chunk: int) -> Path:
        return self.folder / f"{self.name}-{chunk:03}.npy"


def _shot(bank: Bank, seed: tuple[int, ...]) -> Array:
    return np.dstack(draw_shot(bank, seed))


def _car_shot(bank: Bank, seed: tuple[int, ...]) -> Array:
    return np.dstack(draw_car_shot(bank, seed))


@lru_cache(maxsize=1)
def _bank(seed: int) -> Bank:
    return make_bank(seed)
