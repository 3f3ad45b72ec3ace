"""One heavy job at a time on this machine: the studios of all folders share its GPU and its cores.

Whoever computes holds a lock in the user's cache, which the system frees if the process is killed. A
command in a terminal neither asks for it nor waits: whoever types it knows what the machine does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from packshot.errors import ProjectError
from packshot.utils import caches, files, hashing, locks, reading

_PAUSE_SECONDS = 0.5


@contextmanager
def held(name: str, waits: Callable[[str], object] = lambda other: None) -> Iterator[None]:
    """Wait until nobody else computes, and hold the machine while the block runs.

    Args:
        name: what others are told while they wait: the product, and the folder of its studio.
        waits: is told the other's name, again and again until it has ended.
    """
    with locks.await_lock(_file(), _PAUSE_SECONDS, lambda: waits(_name())):
        files.write_json(_name_file(), {"name": name})
        yield


def holder() -> str | None:
    """The name of whoever computes; None if nobody does."""
    try:
        with locks.lock(_file()):
            return None
    except ProjectError:
        return _name()


def _name() -> str:
    told = reading.read_json(_name_file())
    return str(told.get("name", "")) if isinstance(told, dict) else ""


def _file() -> Path:
    """The lock of the GPUs that this process sees: studios on others do not wait for each other."""
    seen = hashing.fingerprint(os.environ.get("CUDA_VISIBLE_DEVICES", ""))[:8]
    return caches.cache_folder() / "studio" / f"machine-{seen}.lock"


def _name_file() -> Path:
    return _file().with_suffix(".json")
