"""Training events as TensorBoard scalars and images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from packshot.images.loading import open_image
from packshot.training.events import Evaluated, Event, Sample, Step


def logged(events: Iterable[Event], folder: Path) -> Iterator[Event]:
    """Pass events through, writing losses, learning rate and samples for TensorBoard."""
    import numpy as np
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(folder) as writer:
        for event in events:
            if isinstance(event, Step):
                for name in ("loss", "instance_loss", "class_loss", "learning_rate"):
                    value = getattr(event, name)
                    if value is not None:
                        writer.add_scalar(name, value, event.step)
            elif isinstance(event, Evaluated):
                writer.add_scalar("held_out_loss", event.loss, event.step)
            elif isinstance(event, Sample):
                for prompt, file in zip(event.prompts, event.files, strict=True):
                    pixels = np.asarray(open_image(file))
                    writer.add_image(prompt, pixels, event.step, dataformats="HWC")
            yield event
