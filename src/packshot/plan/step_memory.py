"""The memory of a training step: one model, for `packshot memory` and `packshot plan`.

    present bytes + OVERHEAD x (OPTIMIZER_BYTES x the LoRA's parameters + images x working bytes)

Working bytes are the peak of a step's own tensors with one image: `packshot memory` counts them on
fake tensors (`memory_estimate.py`), `packshot plan` in a real step (`calibration.py`), which includes
weights that are dequantised or copied for a moment. The present bytes differ: `memory` takes
OVERHEAD x the weights, and so does `plan` on a GPU of what lies there; on the CPU it takes the process's
peak so far, with its libraries and trial steps, and its number is the larger one.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from packshot.models.device_memory import OVERHEAD
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.loss import Batch, per_image_loss

OPTIMIZER_BYTES = 16
"""Of a LoRA's parameter: its fp32 master, gradient and Adam's two moments."""
_FLOPS = flop_registry | {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: flop_registry[
        torch.ops.aten._scaled_dot_product_flash_attention
    ],
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: flop_registry[
        torch.ops.aten._scaled_dot_product_flash_attention_backward
    ],
}


def step_bytes(present: int, parameters: int, working: int) -> int:
    """The peak memory of a step, in bytes.

    Args:
        present: bytes in use before, fragmentation included.
        parameters: the number of the LoRA's parameters.
        working: peak bytes of the step's own tensors.
    """
    return int(present + OVERHEAD * (OPTIMIZER_BYTES * parameters + working))


def most_pictures(free: float, parameters: int, working: int) -> int:
    """The largest micro-batch that fits the free bytes; `working` is of one image."""
    left = free / OVERHEAD - OPTIMIZER_BYTES * parameters
    return max(0, int(left / working))


def trace_step(base: DiffusionModel, make_batch: Callable[[], Batch]) -> tuple[int, int]:
    """The peak bytes of a step's own tensors, and its operations.

    Of the forward and backward pass, from the call of `make_batch` on.
    """
    networks = (base.denoiser, *base.text_encoders.values())
    known = (one for net in networks for one in (*net.parameters(), *net.buffers()))
    with Tally(known) as tally:
        per_image_loss(base, make_batch(), 0.0).mean().backward()
    return tally.peak, tally.flops


class Tally(TorchDispatchMode):
    """Counts FLOPs and live tensor bytes, except of the tensors passed in."""

    def __init__(self, known: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self.now = self.peak = self.flops = 0
        self._seen = weakref.WeakSet(tensor.untyped_storage() for tensor in known)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        if count := _FLOPS.get(func.overloadpacket):
            self.flops += count(*args, **kwargs, out_val=output)
        for tensor in tree_leaves(output):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return output

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self._seen:
            return
        size = storage.nbytes()
        self._seen.add(storage)
        weakref.finalize(storage, self._forget, size)
        self.now += size
        self.peak = max(self.peak, self.now)

    def _forget(self, size: int) -> None:
        self.now -= size
