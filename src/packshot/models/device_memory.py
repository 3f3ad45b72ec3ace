"""Peak and free memory of a device, and what of it may be taken: all margins are here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from packshot.errors import InsufficientMemoryError
from packshot.types import WeightStorage

if TYPE_CHECKING:
    import torch

    from packshot.models.diffusion_model import DiffusionModel

S = TypeVar("S")
T = TypeVar("T")
USABLE = 0.95
"""The share of a GPU's memory, by its data sheet, that is free; the rest is the driver's and the screen's."""
OVERHEAD = 1.08
"""Workspaces and fragments beside the tensors; measured by benchmarks/memory.py."""
ROOM_TO_COMPUTE = 0.25
"""The share of a GPU's free memory that whole networks leave free for activations."""
SURELY_FITS = 0.25
"""Weights of less than this share of the free memory always fit; no estimate is needed."""


def peak_bytes(base: DiffusionModel) -> int:
    """Peak memory in bytes so far: of the GPU if the base is on one, else of this process."""
    if base.device.type == "cuda":
        import torch

        return torch.cuda.max_memory_reserved(base.device)
    return _peak_of_process()


def bytes_in_use(device: torch.device) -> int:
    """Bytes in use on a GPU now, fragments included.

    Its peak would count what has left since, such as text encoders.
    """
    import torch

    return int(OVERHEAD * torch.cuda.memory_allocated(device))


def left_beside(device: torch.device) -> int:
    """Bytes that may be taken beside what is in use: `free_on`, less the fragments of what lies there."""
    if device.type != "cuda":
        return free_on(device)
    import torch

    fragments = bytes_in_use(device) - torch.cuda.memory_allocated(device)
    return free_on(device) - fragments


def _peak_of_process() -> int:
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        used = psutil.Process().memory_info()
        return int(getattr(used, "peak_wset", used.rss))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def free_on(device: torch.device) -> int:
    """Free memory in bytes: of a GPU, else of the machine."""
    if device.type == "cuda":
        import torch

        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    import psutil

    return int(psutil.virtual_memory().available)


def weight_memory_budget(device: torch.device) -> float:
    """Bytes that weights may take on a device; infinite on the CPU, where they are loaded anyway."""
    if device.type != "cuda":
        return float("inf")
    return (1 - ROOM_TO_COMPUTE) * free_on(device)


def next_smaller(
    sizes: Mapping[WeightStorage, int], storage: WeightStorage
) -> WeightStorage | None:
    """The least harmful storage that takes less memory, of bytes by storage; None if none does.

    By bytes, not by names: where blocks are large beside the whole, offload takes more than nf4.
    """
    return next((one for one, size in sizes.items() if size < sizes[storage]), None)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory gave out, a GPU's or the machine's."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = (
        "out of memory",
        "can't allocate memory",
        "cannot allocate memory",
        "not enough memory",
    )
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)


def release_unused(device: torch.device) -> None:
    """Give back what PyTorch keeps of a GPU's memory; for after `is_out_of_memory`."""
    import gc

    gc.collect()  # the error's frames hold tensors
    if device.type == "cuda":
        import torch

        torch.cuda.empty_cache()


def attempt(device: torch.device, work: Callable[[], T]) -> T | None:
    """The result of `work`; None if memory gave out, of which then all is given back that can be."""
    try:
        return work()
    except InsufficientMemoryError:
        pass
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    release_unused(device)  # after the error, whose frames hold tensors
    return None


def within_memory(base: DiffusionModel, work: Callable[[], T], what: str) -> T:
    """The result of `work`; if memory gives out, once more with the VAE working in tiles for it, and then
    with the base's networks on the device in turn, as they stay.

    Tiles are decoded apart and blended: the picture differs a little, and takes far less memory.

    Args:
        what: what is made, for the error's message.

    Raises:
        InsufficientMemoryError: not even so does it fit.
    """
    made = attempt(base.device, work)
    if made is None and not base.vae.use_tiling:
        made = _in_tiles(base, work)
    if made is None and base.take_turns():
        made = _in_tiles(base, work)
    if made is None:
        raise InsufficientMemoryError(not_enough_for(base, what))
    return made


def _in_tiles(base: DiffusionModel, work: Callable[[], T]) -> T | None:
    """As `attempt`, with the VAE working in tiles."""
    base.vae.enable_tiling()
    try:
        return attempt(base.device, work)
    finally:
        base.vae.disable_tiling()  # what fits is made whole again


def all_within_memory(
    base: DiffusionModel, make: Callable[[Sequence[S]], list[T]], items: Sequence[S], what: str
) -> list[T]:
    """What `make` makes of all items at once; of one after the other, where memory gives out.

    Args:
        what: what is made of one of them, for the error's message.

    Raises:
        InsufficientMemoryError: not even one fits, see `within_memory`.
    """
    if len(items) > 1 and (together := attempt(base.device, lambda: make(items))):
        return together
    return [within_memory(base, partial(make, [item]), what)[0] for item in items]


def not_enough_for(base: DiffusionModel, what: str) -> str:
    """The message of an `InsufficientMemoryError`."""
    place = device_name(base.device) if base.device.type == "cuda" else "this machine"
    smaller = next_smaller(base.bytes_by_storage, base.weight_storage)
    advice = f', or set weight_storage = "{smaller}" in packshot.toml' if smaller else ""
    return (
        f"The memory of {place} is not enough for {what} with {base.name} ({base.weight_storage}). "
        f"Close other programs, choose a smaller size{advice}."
    )


def device_name(device: torch.device) -> str:
    """A device's name: the GPU's product name, or "cpu"."""
    if device.type == "cuda":
        import torch

        return torch.cuda.get_device_name(device)
    return device.type
