"""Everything a user can get wrong, as one class tree.

    PackshotError
    ├── ProjectError                  no project here, a project in use, settings that do not parse
    ├── NoUsablePhotosError           no photo of the product could be accepted
    ├── ImageRejectedError            one file that is not an image, is damaged, or is not safe to open
    ├── CaptionError                  an unknown captioner, or captions that cannot be used
    ├── ClassImagesError              class images are missing or unreadable
    ├── DatasetError                  a dataset of another tool's that cannot be read, or not be written there
    ├── ModelLoadError                a base or another network that cannot or must not be loaded
    ├── LoraError                     a LoRA file that does not fit the base, or is not a LoRA
    ├── InsertionError                an invalid placement in a background, or no product to insert
    ├── InvalidPlanError              a plan whose numbers make no sense
    │   ├── TimeBudgetError           a time budget that is too short for training
    │   └── InsufficientMemoryError   not even one image at a time fits the memory
    ├── StaleRunError                 a run cannot resume: its inputs have changed
    ├── ProcessesError                the processes of a training cannot work together
    ├── ProcessLostError              another process of this training has ended
    ├── TrainingDivergedError         a loss or gradient that is not finite
    ├── UnaskedFetchError             a project names what would be fetched, and its user has not agreed
    ├── DiskFullError                 no room for a file
    ├── OverwriteError                a file in the way that Packshot has not written
    ├── WriteError                    a file that cannot be written for another reason
    ├── StudioError                   the studio cannot be opened here
    ├── OutputError                   standard output that takes no more
    └── UnsafePathError               a name that points outside the folder it belongs to

Each message says what is wrong, where, and what to do. The command line prints it and exits with 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

_TOLD = 300
"""Characters of another library's message: some hold whole tables."""


class PackshotError(Exception):
    """Base of all errors that a user can cause and can fix."""


class ProjectError(PackshotError):
    """The project folder is missing, broken, or used by another process."""


class InUseError(ProjectError):
    """Another process is at work in the folder."""


class NoUsablePhotosError(PackshotError):
    """No photo of the product could be accepted."""


class Refusal(str):
    """Why a file is refused, in words; `code` says it in one, for programs.

    Codes: "blurred", "small", "large", "damaged", "duplicate"; "rejected" for all other reasons. "used" is
    a file that is used all the same, with what was left out of it.
    """

    code: str

    def __new__(cls, text: str, code: str = "rejected") -> Self:
        refusal = super().__new__(cls, text)
        refusal.code = code
        return refusal


class ImageRejectedError(PackshotError):
    """One file that is not an image, is damaged, or is not safe to open.

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
    """An unknown captioner, or captions (of a table, of a replacement) that cannot be used."""


class ClassImagesError(PackshotError):
    """Class images are missing or unreadable."""


class CatalogError(PackshotError):
    """A table of products cannot be read, a row of it is none, or a cluster cannot be used."""


class StoreError(CatalogError):
    """An object store cannot be used, or does not answer for long."""


class DatasetError(PackshotError):
    """A dataset in another tool's format cannot be read, or cannot be written where it should be."""


class ModelLoadError(PackshotError):
    """A base or another network is of no known kind, is damaged, or would have to be unpickled."""


class LoraError(PackshotError):
    """The LoRA file is damaged or does not fit the base."""


class DeliveryError(PackshotError):
    """Nothing to deliver, or no such part or format."""


class InsertionError(PackshotError):
    """The placement is outside the background or empty, or there is no product to insert."""


class InvalidPlanError(PackshotError):
    """A plan's numbers are out of range or contradict each other."""


class TimeBudgetError(InvalidPlanError):
    """The time budget is too short for training; the message names the least budget."""


class InsufficientMemoryError(InvalidPlanError):
    """Not even one small image at a time fits the free memory; the message says how much it needs."""


class StaleRunError(PackshotError):
    """What the run depends on (photos, captions, settings, versions) has changed since it began."""


class ProcessesError(PackshotError):
    """The processes of a training cannot work together."""


class ProcessLostError(PackshotError):
    """Another process of this training has ended."""


class TrainingDivergedError(PackshotError):
    """The loss or a gradient is not finite; the optimizer has not stepped on it."""


class UnaskedFetchError(PackshotError):
    """A project names what would be fetched, and its user has neither named it nor agreed.

    Attributes:
        root: the project's folder.
        names: what would be fetched, and by which setting.
    """

    def __init__(self, root: Path, settings: Path, names: Mapping[str, str]) -> None:
        told = ", ".join(f"{name} ({key.replace('_', ' ')})" for name, key in names.items())
        options = " ".join(f"--{key.replace('_', '-')} {name}" for name, key in names.items())
        self.root, self.names = root, names
        self.question = f"{settings} names what is fetched from the network: {told}."
        super().__init__(
            f"{self.question} If you want that, name it yourself ({options}), or answer in a terminal."
        )


class DiskFullError(PackshotError):
    """A file could not be written for lack of room; the earlier file is intact."""


class OverwriteError(PackshotError):
    """A result would replace a file that Packshot has not written, or that was changed since."""


class WriteError(PackshotError):
    """A file could not be written: no right, a read-only drive, a name that it does not take."""


class StudioError(PackshotError):
    """The studio lacks a package, a free port, or a password for other machines."""


class OutputError(PackshotError):
    """What a command has to say could not be written to standard output."""


class CredentialsError(PackshotError):
    """What pictures are signed with cannot be used: certificate, key or command."""


class MachineWarning(UserWarning):
    """What this machine lacks that Packshot can do without."""


class UnsafePathError(PackshotError):
    """A file name leads outside the folder that it must stay in."""


@contextmanager
def as_model_load_error(where: object, fault: str, remedy: str) -> Iterator[None]:
    """Turn whatever a library raises in the block into a `ModelLoadError`.

    Packshot's own errors and out-of-memory errors pass unchanged.

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
    """Another library's error as one short line: its type and message."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:_TOLD]}"
