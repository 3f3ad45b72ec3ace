"""Training: from a plan to a LoRA, as a generator of events."""

from typing import TYPE_CHECKING

from packshot.training.events import (
    CachingLatents,
    CompileFailed,
    Done,
    Evaluated,
    Event,
    Resumed,
    Sample,
    StateSaved,
    Step,
    StepSkipped,
    Stopped,
    WentOn,
)
from packshot.utils.on_demand import on_demand

if TYPE_CHECKING:
    from packshot.training.loop import train

__all__ = [
    "CachingLatents",
    "CompileFailed",
    "Done",
    "Evaluated",
    "Event",
    "Resumed",
    "Sample",
    "StateSaved",
    "Step",
    "StepSkipped",
    "Stopped",
    "WentOn",
    "train",
]
__getattr__ = on_demand(__name__, {"train": "loop"})
