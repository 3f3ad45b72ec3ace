"""Which of a run's LoRAs, at which weight, is the project's, if it is not a run's end at weight 1."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import FiniteFloat, TypeAdapter, ValidationError

from packshot.project import Project
from packshot.utils import files, hashing, pathnames, reading


@dataclass(frozen=True)
class Chosen:
    """What was chosen.

    Attributes:
        step: of a checkpoint that the run kept; None for its end.
        sha256: of the project's LoRA file that was made of it, its weight folded in.
        is_automatic: whether nobody chose it but `packshot run`.
        instead_of: the plan's run, which had ended when a person chose, maybe another; "" if none had.
    """

    run: str
    step: int | None
    weight: FiniteFloat
    sha256: str
    is_automatic: bool = False
    instead_of: str = ""


_RECORD = TypeAdapter(Chosen)


def read_chosen(project: Project) -> Chosen | None:
    """What was chosen last, whether or not it is the project's LoRA now; None if nothing was."""
    try:
        return _RECORD.validate_python(reading.read_json(_file(project)))
    except ValidationError:
        return None


def write_chosen(project: Project, chosen: Chosen) -> None:
    """Keep what was chosen."""
    files.write_json(_file(project), asdict(chosen))


def is_in_place(project: Project, run: str) -> bool:
    """Whether the project's LoRA is what was chosen of this run, or by a person instead of it."""
    told, places = read_chosen(project), (project.lora_file, project.diffusers_lora_file)
    if (
        told is None
        or run not in (told.run, told.instead_of)
        or not all(map(pathnames.is_file, places))
    ):
        return False
    return hashing.known_sha256(project.lora_file) == told.sha256


def _file(project: Project) -> Path:
    return project.candidates_folder / "choice.json"
