"""Everything a user can get wrong, as one class tree.

    PackshotError
    ├── ProjectError                  no project here, a project in use, settings that do not parse
    ├── NoUsablePhotosError           no photo of the product could be accepted
    ├── ImageRejectedError            one file that is no picture, is damaged, or is not safe to open
    ├── CaptionError                  a captioner that is not there, or captions that cannot be taken
    ├── ClassImagesError              class images are missing or unreadable
    ├── DatasetError                  a dataset of another tool's that cannot be read, or not be written there
    ├── ModelLoadError                a base or another network that cannot or must not be loaded
    ├── LoraError                     a LoRA file that does not fit the base, or is not a LoRA
    ├── InsertionError                a place in a background that is none, or nothing to put there
    ├── InvalidPlanError              a plan whose numbers make no sense
    │   ├── TimeBudgetError           a time budget in which nothing can be learnt
    │   └── InsufficientMemoryError   not even one picture at a time fits the memory
    ├── StaleRunError                 a run cannot go on: what it depends on is not what it was
    ├── TrainingDivergedError         a loss or gradient that is not finite
    ├── DiskFullError                 no room for a file
    └── UnsafePathError               a name that points outside the folder it belongs to

Each message says what is wrong, where, and what to do. The command line prints it and exits with 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

_TOLD = 300
"""Characters of another library's message: some hold whole tables."""


class PackshotError(Exception):
    """Base of all errors that a user can cause and can mend."""


class ProjectError(PackshotError):
    """The project folder is missing, broken, or used by another process."""


class NoUsablePhotosError(PackshotError):
    """No photo of the product could be accepted."""


class Refusal(str):
    """Why a file is refused, in words; `code` says it in one, for programs.

    Codes: "blurred", "small", "large", "damaged", "duplicate"; "rejected" for all other reasons.
    """

    code: str

    def __new__(cls, text: str, code: str = "rejected") -> Self:
        refusal = super().__new__(cls, text)
        refusal.code = code
        return refusal


class ImageRejectedError(PackshotError):
    """One file that is no picture, is damaged, or is not safe to open.

    Args:
        reason: why, without the file's name; a `Refusal` keeps its code.
        code: see `Refusal`.
    """

    def __init__(self, name: str, reason: str, code: str = "rejected") -> None:
        super().__init__(f"{name}: {reason}")
        self.reason = reason if isinstance(reason, Refusal) else Refusal(reason, code)

    @property
    def code(self) -> str:
        """The reason in one word; see `Refusal`."""
        return self.reason.code


class CaptionError(PackshotError):
    """A captioner that is not there, or captions (a table's, a replacement's) that cannot be taken."""


class ClassImagesError(PackshotError):
    """Class images are missing or unreadable."""


class DatasetError(PackshotError):
    """A dataset in another tool's format cannot be read, or cannot be written where it should be."""


class ModelLoadError(PackshotError):
    """A base or another network is of no known kind, is damaged, or would have to be unpickled."""


class LoraError(PackshotError):
    """The LoRA file is damaged or does not fit the base."""


class InsertionError(PackshotError):
    """The place for the product is outside the background or empty, or there is nothing to put there."""


class InvalidPlanError(PackshotError):
    """A plan's numbers are out of range or contradict each other."""


class TimeBudgetError(InvalidPlanError):
    """Nothing can be learnt in the time given; the message names the least budget."""


class InsufficientMemoryError(InvalidPlanError):
    """Not even one small picture at a time fits the memory that is free; the message says how much."""


class StaleRunError(PackshotError):
    """What the run depends on (photos, captions, settings, versions) has changed since it began."""


class TrainingDivergedError(PackshotError):
    """The loss or a gradient is not finite; the optimizer has not stepped on it."""


class DiskFullError(PackshotError):
    """A file could not be written for lack of room; what stood before is intact."""


class UnsafePathError(PackshotError):
    """A file name leads outside the folder that it must stay in."""


@contextmanager
def as_model_load_error(where: object, fault: str, remedy: str) -> Iterator[None]:
    """Make whatever a library raises in the block one `ModelLoadError`.

    Errors that are ours, and a lack of memory, pass as they are.

    Args:
        where: the file, folder or repository that the message begins with.
        fault: what is wrong with it; the library's own reason follows.
        remedy: what to do, as a sentence.
    """
    try:
        yield
    except (PackshotError, MemoryError):
        raise
    except Exception as error:
        raise ModelLoadError(f"{where} {fault} ({reason_of(error)}). {remedy}") from error


def reason_of(error: BaseException) -> str:
    """Another library's error as its kind and message, in one line that is not too long."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:_TOLD]}"
