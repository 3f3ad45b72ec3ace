"""Training: from a plan to a LoRA, as a generator of events."""

from packshot.training.events import (
    CachingLatents,
    CompileFailed,
    Done,
    Event,
    Resumed,
    Sample,
    StateSaved,
    Step,
    StepSkipped,
    Stopped,
)
from packshot.training.loop import train

__all__ = [
    "CachingLatents",
    "CompileFailed",
    "Done",
    "Event",
    "Resumed",
    "Sample",
    "StateSaved",
    "Step",
    "StepSkipped",
    "Stopped",
    "train",
]
