"""One training by several processes, each with a GPU of its own: who computes what, and how it is added up.

A step is what it is in one process. Each process computes some of its examples, and the sum of their
gradients is the one process's gradient, so all processes step alike; the first alone writes. A launcher
(`accelerate launch`, `torchrun`) starts them and says in the environment who each is. Accelerate's own
wrapper is not used: it would draw the batches, and average gradients as if all shares were as large.

Tensors of numbers alone are exchanged, since PyTorch's collectives of objects unpickle what comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, nn

from packshot.errors import InvalidPlanError, ProcessesError, ProcessLostError, reason_of
from packshot.utils.launcher import launched

_TIMEOUT = timedelta(hours=2)
"""That processes wait for each other at most: the first may have to fetch a base. One whose process ended is
noticed at once; this is for a machine that vanishes."""


@dataclass(frozen=True)
class Processes:
    """The processes of a training, seen from one of them.

    Attributes:
        rank: which of them this one is, from 0.
        count: how many they are.
        beside: how many of them are on this machine.
    """

    rank: int = 0
    count: int = 1
    beside: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this one writes files and speaks."""
        return self.rank == 0

    def share(self, count: int) -> range:
        """This process's part of `count` examples; the parts of all are together all of them."""
        return range(self.rank * count // self.count, (self.rank + 1) * count // self.count)

    def require_batch(self, size: int) -> None:
        """Refuse a batch of which some process would have nothing.

        Raises:
            InvalidPlanError: it has fewer images than there are processes.
        """
        if size < self.count:
            raise InvalidPlanError(
                f"The plan's batch of {size} is too small for {self.count} processes. Set "
                f"effective_batch_size to {self.count} or more in plan.toml (and steps to fewer), or "
                f"start {size}."
            )

    def add_up(self, parameters: Sequence[nn.Parameter], losses: Tensor) -> Tensor:
        """Make the gradients those of all processes' examples; returns the sum of all `losses`.

        All in one exchange, so that a step that is begun anew, since memory or a compiler failed, was never
        half exchanged. A parameter keeps no gradient where it has one in no process.

        Raises:
            ProcessLostError: another process has ended.
        """
        if self.count == 1:
            return losses
        place = parameters[0].device
        learnt = torch.tensor([each.grad is not None for each in parameters], dtype=torch.float32)
        parts = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
        flat = torch.cat([part.flatten() for part in (*parts, learnt.to(place), losses.to(place))])
        self._sum(flat)
        sizes = [part.numel() for part in (*parts, learnt, losses)]
        *sums, learnt, losses = flat.split(sizes)
        for each, total, is_learnt in zip(parameters, sums, learnt.tolist(), strict=True):
            each.grad = total.view_as(each) if is_learnt else None
        return losses.to("cpu")

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes of a small tensor on the CPU."""
        if self.count > 1:
            self._sum(values)
        return values

    def any(self, is_so: bool) -> bool:
        """Whether it is so in any process."""
        return bool(self.sum(torch.tensor([float(is_so)])))

    def wait(self) -> None:
        """Wait until all processes are here."""
        self.any(False)

    def require_same(self, number: int) -> None:
        """Refuse to train where processes go on from different steps.

        Raises:
            ProcessesError: the number is another in another process.
        """
        mine = torch.zeros(self.count, dtype=torch.int64)
        mine[self.rank] = number
        if len(set(self.sum(mine).tolist())) > 1:
            raise ProcessesError(
                "The processes do not see the same project: some would go on from another step. On several "
                "machines its folder has to be on a drive that all of them share."
            )

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first process is through with the block before the others begin it."""
        if not self.is_first:
            self.wait()
        yield
        if self.is_first:
            self.wait()

    def _sum(self, values: Tensor) -> None:
        from torch import distributed

        try:
            distributed.all_reduce(values)
        except RuntimeError as error:
            raise ProcessLostError(
                "Another process of this training has ended; what it said of that is above. The same "
                "command goes on from what was saved, with any number of processes."
            ) from error


ALONE = Processes()


@contextmanager
def joined() -> Iterator[Processes]:
    """The processes that a launcher has started, connected while the block runs; `ALONE` if none has.

    From here on this process's GPU is the only one that it uses.

    Raises:
        ProcessesError: this machine has fewer GPUs than processes, or they do not find each other.
    """
    one = launched()
    if one is None:
        yield ALONE
        return
    from torch import distributed

    backend = "gloo"
    if torch.cuda.is_available():
        _take_gpu(one.local_rank)
        backend = "cpu:gloo,cuda:nccl"
    try:
        distributed.init_process_group(
            backend, rank=one.rank, world_size=one.count, timeout=_TIMEOUT
        )
    except (RuntimeError, ValueError) as error:
        raise ProcessesError(
            f"The {one.count} processes do not find each other at {one.address}: {reason_of(error)}"
        ) from error
    yield Processes(one.rank, one.count, one.local_count)
    # Not after an error: that would wait for processes that wait for this one.
    distributed.destroy_process_group()


def _take_gpu(number: int) -> None:
    if number >= torch.cuda.device_count():
        raise ProcessesError(
            f"There is no GPU for process {number + 1} of this machine, which has "
            f"{torch.cuda.device_count()}: start one process a GPU (--num_processes)."
        )
    torch.cuda.set_device(number)
