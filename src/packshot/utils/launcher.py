"""What a launcher (`accelerate launch`, `torchrun`) tells each of the processes that it starts."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Launched:
    """One of several processes.

    Attributes:
        rank: which of all, from 0.
        count: how many they are, on all machines.
        local_rank: which of those on this machine, from 0.
        local_count: how many are on this machine.
        address: where they meet, HOST:PORT.
    """

    rank: int
    count: int
    local_rank: int
    local_count: int
    address: str


def launched() -> Launched | None:
    """This process as a launcher has started it among several; None if none has.

    A batch system may set some of this for one process: all of it has to be there.
    """
    told = {name: os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE", "MASTER_PORT")}
    host = os.environ.get("MASTER_ADDR")
    if not host or not all(number.isdecimal() for number in told.values()):
        return None
    rank, count, port = map(int, told.values())
    local_rank = int(os.environ.get("LOCAL_RANK", rank))
    local_count = int(os.environ.get("LOCAL_WORLD_SIZE", count))
    given = Launched(rank, count, local_rank, local_count, f"{host}:{port}")
    return given if count > 1 else None
