"""Peak and free memory of a device."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from packshot.models.diffusion_model import DiffusionModel


def peak_bytes(base: DiffusionModel) -> int:
    """Peak memory in bytes so far: of the GPU if the base is on one, else of this process."""
    if base.device.type == "cuda":
        import torch

        return torch.cuda.max_memory_reserved(base.device)
    return _peak_of_process()


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


def device_name(device: torch.device) -> str:
    """A device's name: the GPU's product name, or "cpu"."""
    if device.type == "cuda":
        import torch

        return torch.cuda.get_device_name(device)
    return device.type
