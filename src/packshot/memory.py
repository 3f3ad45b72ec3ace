"""How much memory has been used."""

from __future__ import annotations

import resource
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packshot.bases.base import Base


def peak_bytes(base: Base) -> int:
    """The most memory used so far: of the GPU where the base is on one, else of this process."""
    if base.device.type == "cuda":
        import torch

        return torch.cuda.max_memory_reserved(base.device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
