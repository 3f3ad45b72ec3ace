"""The project folder: the only module that knows its layout."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from packshot.errors import ProjectError
from packshot.provenance.marking import Marking
from packshot.settings import (
    SETTINGS_FILE,
    Choices,
    Settings,
    Subject,
    choices_of,
    edited_text,
    read_settings,
    settings_text,
    with_whole_paths,
)
from packshot.utils import consent, files, locks, pathnames
from packshot.utils.validation import validated


@dataclass(frozen=True)
class Project:
    """An existing project folder. Its paths are properties, built nowhere else."""

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
    def removed_photos_folder(self) -> Path:
        """Photos that were taken out, until they are put back."""
        return self.photos_folder / "removed"

    @property
    def captions_table(self) -> Path:
        """The table of all captions, for review in a spreadsheet or with the captions page."""
        return self.root / "captions.csv"

    @property
    def captions_page(self) -> Path:
        return self.root / "captions.html"

    @property
    def masks_page(self) -> Path:
        """The page for reviewing masks."""
        return self.root / "masks.html"

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
    def class_images_offers_file(self) -> Path:
        """What the online sources offer, as it was listed last."""
        return self.class_images_folder / "offers.jsonl"

    @property
    def given_class_images_folder(self) -> Path:
        """Class images that were given to the project on the studio's page."""
        return self.root / "class_images_given"

    @property
    def class_images_attribution(self) -> Path:
        return self.class_images_folder / "ATTRIBUTION.md"

    @property
    def class_images_downloads_folder(self) -> Path:
        """Downloaded images, accepted or not, and the log of requests."""
        return self.class_images_folder / "downloads"

    @property
    def lock_file(self) -> Path:
        """Locked by the process that writes into the project."""
        return self.root / ".lock"

    @property
    def records_lock_file(self) -> Path:
        """Locked, for a moment, by the process that changes decisions, scores or favourites."""
        return self.root / ".records.lock"

    @property
    def plan_file(self) -> Path:
        """The plan of the next run; a run keeps its own copy."""
        return self.root / "plan.toml"

    @property
    def plan_choices_file(self) -> Path:
        """What each time budget would buy; see `packshot.plan.choices`."""
        return self.root / "plan.choices.json"

    @property
    def decisions_file(self) -> Path:
        """The project's automatic decisions; see `packshot.decisions`."""
        return self.root / "decisions.toml"

    @property
    def receipt_file(self) -> Path:
        """The record of the last complete run; see `packshot.workflow.receipt`."""
        return self.root / "receipt.json"

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
    def scores_file(self) -> Path:
        return self.shots_folder / "scores.json"

    @property
    def favourites_file(self) -> Path:
        """Favourites among the shots; see `packshot.generation.favourites`."""
        return self.shots_folder / "favourites.json"

    @property
    def candidates_folder(self) -> Path:
        """Pictures and scores of the runs' LoRAs; see `packshot.judging.candidate`."""
        return self.root / "candidates"

    @property
    def plates_folder(self) -> Path:
        """Photos that the product is put into; see `packshot.insertion.plates`."""
        return self.root / "plates"

    @property
    def insertions_folder(self) -> Path:
        return self.root / "insertions"

    @property
    def delivery_folder(self) -> Path:
        """What was delivered last: a ZIP, and the shop pictures in it."""
        return self.root / "delivery"

    @property
    def report_file(self) -> Path:
        return self.root / "report.html"

    @property
    def overview_file(self) -> Path:
        return self.root / "overview.png"

    @property
    def lora_file(self) -> Path:
        """The LoRA in kohya's format; the one in diffusers' format is next to it."""
        return self.lora_folder / f"{self.slug}.safetensors"

    @property
    def diffusers_lora_file(self) -> Path:
        return self.lora_folder / f"{self.slug}.diffusers.safetensors"

    @property
    def slug(self) -> str:
        """The subject's name as a file name."""
        return slug_of(self.settings.subject.name)

    @property
    def settings(self) -> Settings:
        """The current settings, read from disk; paths that they name in the project are whole."""
        return read_settings(self.settings_file)

    @property
    def subject(self) -> Subject:
        return self.settings.subject

    @property
    def marking(self) -> Marking:
        """How its pictures say what they are."""
        settings = self.settings
        return Marking(
            settings.provenance, settings.rights, settings.tell_prompt, settings.watermark
        )

    def runs(self) -> list[Path]:
        """Run folders, oldest first."""
        return sorted(path for path in self.runs_folder.glob("*") if (path / "plan.toml").exists())

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from writing into this project while the block runs.

        Raises:
            ProjectError: another process holds it.
        """
        with locks.lock(self.lock_file):
            _remove_left(self.root)
            yield

    @contextlib.contextmanager
    def records_held(self) -> Iterator[None]:
        """Keep others from changing decisions, scores or favourites while the block, a moment, runs.

        Unlike `held` it waits: a run that trains for hours and whoever looks at it both record.
        """
        with locks.await_lock(self.records_lock_file):
            yield

    def refuse_links(self) -> None:
        """Refuse links, pipes and devices wherever Packshot writes in the project, at every level.

        The project's own folder may be a link: that is where the user has put it.

        Raises:
            ProjectError: the settings do not parse.
            UnsafePathError: there is one.
        """
        pathnames.refuse_links(self.settings_file)
        _ = self.settings  # the names of the LoRA's files depend on them
        for name in sorted({path.relative_to(self.root).parts[0] for path in self._paths()}):
            pathnames.refuse_links(self.root / name)

    def _paths(self) -> Iterator[Path]:
        """All paths that are properties of a project."""
        for name, member in vars(Project).items():
            if isinstance(member, property) and member.fget.__annotations__["return"] == "Path":
                yield getattr(self, name)


_remove_left = cache(files.remove_left)
"""Once in a process, of each project: a state of training that a kill left may be gigabytes."""


def slug_of(name: str) -> str:
    """A product's name as a file name, of small letters, digits and hyphens."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"product-{slug}" if pathnames.is_device_name(slug) else slug or "product"


def create_project(
    root: Path, *, name: str, class_noun: str, trigger: str = "ohwx", **chosen: Any
) -> Project:
    """Create a project folder for one product; an existing one with the same settings is opened.

    Args:
        chosen: fields of `packshot.settings.Choices`.

    Raises:
        ProjectError: invalid settings, or the folder has other settings or other files.
    """
    settings = with_whole_paths(_settings(name, class_noun, trigger, choices_of(**chosen)))
    project = Project(root)
    if project.settings_file.exists():
        project.refuse_links()
        if project.settings != settings:
            raise ProjectError(
                f"{root} is a project with other settings. Edit {project.settings_file}, "
                "or name another folder with --project."
            )
        return project
    return _make(project, settings)


def open_or_create_project(
    root: Path, choices: Choices, *, name: str | None, class_noun: str | None, trigger: str | None
) -> tuple[Project, list[str]]:
    """Open or create a project, and save the choices that are set; all others are kept.

    Args:
        choices: only the fields that are set count.
        name, class_noun, trigger: of the product; None for the project's.

    Returns:
        The project, and a description of each changed choice.

    Raises:
        ProjectError: it is another product's, there is none and no class is given, or the folder
            has other files.
    """
    project, choices = Project(root), with_whole_paths(choices)
    if not project.settings_file.exists():
        if class_noun is None:
            raise ProjectError(f"What kind of thing is it? Say so: --class car ({root} is new).")
        return _make(
            project, _settings(name or root.name, class_noun, trigger or "ohwx", choices)
        ), []
    project.refuse_links()
    subject = project.subject
    for key, given in (("name", name), ("class_noun", class_noun), ("trigger", trigger)):
        if given is not None and given != getattr(subject, key):
            raise ProjectError(
                f"{root} is the project of another product: its {key.replace('_', ' ')} is "
                f"{getattr(subject, key)!r}, not {given!r}. Edit {project.settings_file}, or name "
                "another folder with --project."
            )
    return project, save_choices(project, choices)


def save_choices(project: Project, choices: Choices) -> list[str]:
    """Write the fields of `choices` that are set into packshot.toml; all else there is kept.

    Returns:
        A description of each changed choice.
    """
    before = project.settings
    given = with_whole_paths(choices).model_dump(exclude_unset=True)
    consent.agree(project.root, _names(given))
    if "rights" in given:
        given["rights"] = before.rights.model_dump() | given["rights"]
    stands = before.model_dump()
    changed = {key: value for key, value in given.items() if value != stands[key]}
    if not changed:
        return []
    text = project.settings_file.read_text(encoding="utf-8-sig")
    files.write_text(project.settings_file, edited_text(text, changed, before, project.root))
    return [
        f"{key.replace('_', ' ')}: {_shown(value)} ({_shown(getattr(before, key))} before)"
        for key, value in changed.items()
    ]


def open_project(root: Path) -> Project:
    """Open the project in `root`.

    Raises:
        ProjectError: there is none, or its settings do not parse.
        UnsafePathError: as `Project.refuse_links`.
    """
    project = Project(root)
    if not project.settings_file.is_file():
        raise ProjectError(
            f"{root} is no Packshot project (it has no {SETTINGS_FILE}). "
            f"Make one: packshot new {root} --class car"
        )
    project.refuse_links()
    return project


def _settings(name: str, class_noun: str, trigger: str, choices: Choices) -> Settings:
    name = name.encode("utf-8", "replace").decode()  # a folder's, which may be in other bytes
    subject = validated(Subject, ProjectError, name=name, trigger=trigger, class_noun=class_noun)
    return Settings(subject=subject, **choices.model_dump(exclude_unset=True))


def _make(project: Project, settings: Settings) -> Project:
    root = project.root
    if root.is_dir():  # we may have been killed as we wrote the first file
        for part in root.glob(f".{SETTINGS_FILE}.*.part"):
            part.unlink()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise ProjectError(
            f"{root} exists and is not a Packshot project. Name another with --project."
        )
    files.write_text(project.settings_file, settings_text(settings, root))
    consent.agree(project.root, _names(settings.model_dump(exclude={"subject"})))
    return project


def _names(chosen: dict[str, Any]) -> Iterator[str]:
    """Of choices that the user has made, those that may be fetched."""
    for key in ("base", "captioner", "segmenter", "embedder", "class_images"):
        value = chosen.get(key) or ()
        yield from (value,) if isinstance(value, str) else value


def _shown(value: Any) -> str:
    return (", ".join(map(str, value)) if isinstance(value, tuple) else str(value or "")) or "none"
