"""The project folder: the only module that knows where things lie in it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from packshot import files
from packshot.errors import ProjectError
from packshot.terms import StorageWanted

SETTINGS_FILE = "packshot.toml"


class Subject(BaseModel):
    """The product: what people call it, the token that means it, and what kind of thing it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = Field(min_length=1, max_length=200)
    trigger: str = Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    class_noun: str = Field(min_length=1, max_length=80)

    @property
    def phrase(self) -> str:
        """Trigger and class noun, as they stand in prompts: "ohwx car"."""
        return f"{self.trigger} {self.class_noun}"

    def fill(self, prompt: str) -> str:
        """A prompt with `{subject}` replaced by the phrase."""
        return prompt.replace("{subject}", self.phrase)


class Settings(BaseModel):
    """packshot.toml: the subject, the base (a path, or "pocket") and how to store it, everything's seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    subject: Subject
    base: str = "pocket"
    storage: StorageWanted = "auto"
    seed: int = Field(default=0, ge=0, lt=2**31)

    @field_validator("base")
    @classmethod
    def _not_empty(cls, value: str) -> str:
        if not value.strip():
            raise ValueError('name a checkpoint, or "pocket" for the bundled base')
        return value


@dataclass(frozen=True)
class Project:
    """A project folder that exists. Paths are properties; nothing else builds them."""

    root: Path

    @property
    def settings_file(self) -> Path:
        return self.root / SETTINGS_FILE

    @property
    def photos_folder(self) -> Path:
        return self.root / "photos"

    @property
    def photos_manifest(self) -> Path:
        return self.photos_folder / "manifest.json"

    @property
    def refused_file(self) -> Path:
        return self.photos_folder / "refused.json"

    @property
    def captions_table(self) -> Path:
        """All captions, to be reviewed in a spreadsheet; the page shows them beside the photos."""
        return self.root / "captions.csv"

    @property
    def captions_page(self) -> Path:
        return self.root / "captions.html"

    @property
    def masks_folder(self) -> Path:
        return self.photos_folder / "masks"

    @property
    def class_images_folder(self) -> Path:
        return self.root / "class_images"

    @property
    def class_images_manifest(self) -> Path:
        return self.class_images_folder / "manifest.jsonl"

    @property
    def class_images_refused_file(self) -> Path:
        return self.class_images_folder / "refused.json"

    @property
    def class_images_attribution(self) -> Path:
        return self.class_images_folder / "ATTRIBUTION.md"

    @property
    def class_images_downloads_folder(self) -> Path:
        """Pictures as they came from the network, kept or not, and the ledger of what was asked for."""
        return self.class_images_folder / "downloads"

    @property
    def plan_file(self) -> Path:
        """The plan of the next run; a run keeps its own copy."""
        return self.root / "plan.toml"

    @property
    def runs_folder(self) -> Path:
        return self.root / "runs"

    @property
    def lora_folder(self) -> Path:
        return self.root / "lora"

    @property
    def shots_folder(self) -> Path:
        return self.root / "shots"

    @property
    def insertions_folder(self) -> Path:
        return self.root / "insertions"

    @property
    def report_file(self) -> Path:
        return self.root / "report.html"

    @property
    def overview_file(self) -> Path:
        return self.root / "overview.png"

    @property
    def lora_file(self) -> Path:
        """The LoRA in kohya's format; the diffusers one lies beside it."""
        return self.lora_folder / f"{self.slug}.safetensors"

    @property
    def diffusers_lora_file(self) -> Path:
        return self.lora_folder / f"{self.slug}.diffusers.safetensors"

    @property
    def slug(self) -> str:
        """The subject's name as a file name."""
        return (
            re.sub(r"[^a-z0-9]+", "-", self.settings.subject.name.lower()).strip("-") or "product"
        )

    @property
    def settings(self) -> Settings:
        """The settings as they stand on disk now."""
        values = files.read_toml(self.settings_file)
        try:
            return Settings.model_validate(values)
        except ValidationError as error:
            raise ProjectError(f"{self.settings_file}: {describe(error)}") from error

    @property
    def subject(self) -> Subject:
        return self.settings.subject

    def runs(self) -> list[Path]:
        """Run folders, oldest first."""
        return sorted(path for path in self.runs_folder.glob("*") if (path / "plan.toml").exists())

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from writing into this project while the block runs.

        Raises:
            ProjectError: another process holds it.
        """
        with files.hold(self.root / ".lock"):
            yield


def new(
    root: Path,
    *,
    name: str,
    class_noun: str,
    trigger: str = "ohwx",
    base: str = "pocket",
    storage: StorageWanted = "auto",
    seed: int = 0,
) -> Project:
    """Make a project folder for one product; one that has the same settings is opened.

    Raises:
        ProjectError: the settings make no sense, or the folder has other settings or other files.
    """
    try:
        subject = Subject(name=name, trigger=trigger, class_noun=class_noun)
        settings = Settings(subject=subject, base=base, storage=storage, seed=seed)
    except ValidationError as error:
        raise ProjectError(describe(error)) from error
    project = Project(root)
    if project.settings_file.exists():
        if project.settings != settings:
            raise ProjectError(
                f"{root} is a project with other settings. Edit {project.settings_file}, "
                "or name another folder with --project."
            )
        return project
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise ProjectError(
            f"{root} exists and is not a Packshot project. Name another with --project."
        )
    files.write_text(project.settings_file, _as_toml(settings))
    return project


def open_project(root: Path) -> Project:
    """Open the project in `root`.

    Raises:
        ProjectError: there is none, or its settings do not parse.
    """
    project = Project(root)
    if not project.settings_file.is_file():
        raise ProjectError(
            f"{root} is no Packshot project (it has no {SETTINGS_FILE}). "
            f"Make one: packshot new {root} --class car"
        )
    _ = project.settings
    return project


def _as_toml(settings: Settings) -> str:
    import tomlkit

    document = tomlkit.document()
    document.add("base", tomlkit.item(settings.base))
    document.add("storage", tomlkit.item(settings.storage))
    document.add("seed", tomlkit.item(settings.seed))
    document.add("subject", tomlkit.item(settings.subject.model_dump()))
    return tomlkit.dumps(document)


def describe(error: ValidationError) -> str:
    """A pydantic error in one line that a person can act on."""
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']} (it is {item['input']!r})"
        for item in error.errors()
    )
