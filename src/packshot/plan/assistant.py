"""The assistant: a LoRA beside the base while another is learnt, and left out of everything else.

A base that was distilled to few steps loses them when it is trained directly. Beside a LoRA that
undoes the distillation (ai-toolkit and SimpleTuner call it training adapter or assistant LoRA), what
is learnt is the product alone, and works without the assistant on the base as it is.
"""

from __future__ import annotations

from pathlib import Path

from packshot.errors import LoraError
from packshot.lora import Lora, load_lora
from packshot.models.diffusion_model import DiffusionModel
from packshot.project import Project, save_choices
from packshot.settings import choices_of
from packshot.utils import hashing

NONE = "none"
_INSTEAD = "Name another: packshot plan --assistant FILE; or none: packshot plan --assistant none."


def assistant_file(project: Project) -> Path | None:
    """The assistant's file, None if the project has none.

    Raises:
        LoraError: there is no such file.
    """
    name = project.settings.assistant
    if name == NONE:
        return None
    if not Path(name).is_file():
        raise LoraError(f"There is no file {name}, the project's assistant. {_INSTEAD}")
    return Path(name)


def assistant_hash(project: Project) -> str:
    """The file's SHA-256, "" if the project has no assistant.

    Raises:
        LoraError: as `assistant_file`.
    """
    file = assistant_file(project)
    return hashing.sha256(file) if file else ""


def load_assistant(project: Project, base: DiffusionModel) -> list[tuple[Lora, float]]:
    """The project's assistant with its weight, as `packshot.lora.fused` takes it; or an empty list.

    Raises:
        LoraError: as `assistant_file` and `read_assistant`.
    """
    file = assistant_file(project)
    return [(read_assistant(file, base), 1.0)] if file else []


def read_assistant(file: Path, base: DiffusionModel) -> Lora:
    """An assistant's file, of any format that `load_lora` reads.

    Raises:
        LoraError: as `load_lora`, or it changes text encoders: prompts are read without it.
    """
    lora = load_lora(file, base)
    root = f"{base.denoiser_root}."
    if others := [name for name in (*lora.weights, *lora.variants) if not name.startswith(root)]:
        raise LoraError(
            f"{file} changes text encoders ({len(others)} modules, such as {others[0]}). An assistant "
            f"may only change the {base.denoiser_root}. {_INSTEAD}"
        )
    return lora


def choose_assistant(project: Project, base: DiffusionModel, name: str) -> None:
    """Make a file the project's assistant, or have none ("none"); packshot.toml keeps its path.

    Raises:
        LoraError: as `read_assistant`.
    """
    if name != NONE:
        read_assistant(Path(name), base)
    save_choices(project, choices_of(assistant=name))
