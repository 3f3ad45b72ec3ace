"""The plainest captioner: trigger and class noun, nothing else."""

from __future__ import annotations

from torch import Tensor

from packshot.project import Subject


class Plain:
    """For bases that carry no image tower; people's own side-car captions do better."""

    def caption(self, pixels: Tensor, subject: Subject) -> list[str]:
        """The same line for each picture."""
        return [f"a photo of {subject.phrase}"] * len(pixels)
