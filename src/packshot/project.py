"""The project folder: the only module that knows its layout."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from packshot.errors import PackshotError, ProjectError
from packshot.images.encoding import Format
from packshot.provenance.marking import Marking
from packshot.provenance.xmp import Rights
from packshot.types import PLACEHOLDER, WeightStorageChoice
from packshot.utils import consent, durations, files
from packshot.utils.validation import describe, validated

SETTINGS_FILE = "packshot.toml"


class Subject(BaseModel):
    """The product: its name, its trigger token, and its class noun."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = Field(min_length=1, max_length=200)
    trigger: str = Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    class_noun: str = Field(min_length=1, max_length=80)

    @property
    def phrase(self) -> str:
        """Trigger and class noun, as used in prompts: "ohwx car"."""
        return f"{self.trigger} {self.class_noun}"

    def is_named_in(self, text: str) -> bool:
        """Whether a text has the trigger, as a word of its own."""
        return bool(re.search(rf"(?<![\w-]){re.escape(self.trigger)}(?![\w-])", text))

    def fill(self, prompt: str) -> str:
        """A prompt or caption with its placeholders (see `PLACEHOLDER`) replaced."""
        words = {"subject": self.phrase, "class": self.class_noun}
        return PLACEHOLDER.sub(lambda found: words.get(found[1].lower(), self.trigger), prompt)


class Choices(BaseModel):
    """The choices of a project: each is a key of packshot.toml and a command line option."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    base: str = "pocket"
    """The checkpoint: a path, OWNER/NAME of the hub, or "pocket"."""
    weight_storage: WeightStorageChoice = "auto"
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the whole project."""
    time_budget: str | None = None
    """Time for all steps, such as "10m"; None for the whole recipe."""
    early_stopping: bool = True
    """Whether training ends when it is done, before the plan's last step."""
    choose: bool = True
    """Whether a run's most faithful checkpoint and weight becomes the LoRA; False: its end."""
    captioner: str = "auto"
    segmenter: str = "auto"
    """The segmenter that makes the masks; "none" for no masks."""
    embedder: str = "auto"
    """The CLIP for the scores; "none" for no scores."""
    blur: tuple[str, ...] = ()
    class_images: tuple[str, ...] = ("base",)
    """Sources of class images: "base", a folder, or online sources."""
    class_count: int | None = Field(default=None, ge=1)
    class_query: str | None = None
    """The online search query; None for the class noun."""
    class_licences: tuple[str, ...] = ("cc0", "pdm", "by")
    class_min_side: int = Field(default=512, ge=64)
    contact: str | None = None
    """An e-mail address or URL, sent to the sites from which class images are downloaded."""
    prompts: tuple[str, ...] = ()
    """The prompts to generate; empty for default prompts of the class."""
    assistant: str = "none"
    """A LoRA beside the base while the product's is learnt: a file, or "none"."""
    plates: str = "none"
    """Photos that the product is put into: a folder, a table as of `insert`, or "none"."""
    provenance: bool = True
    """Whether pictures say, signed, what they are; see `packshot.provenance`."""
    tell_prompt: bool = False
    """Whether the signed part tells the prompt, too."""
    watermark: bool = True
    """Whether pixels hold an identifier, too; see `packshot.provenance.watermark`."""
    rights: Rights = Rights()
    """Whose the pictures are."""
    images_per_prompt: int = Field(default=2, ge=1, le=64)
    """Number of images of each prompt."""
    image_format: Format = "png"
    """Of generated images."""
    image_quality: int = Field(default=95, ge=1, le=100)
    """Of generated images in JPEG and WebP."""

    @field_validator("base")
    @classmethod
    def _not_empty(cls, value: str) -> str:
        if not value.strip():
            raise ValueError('name a checkpoint, or "pocket" for the bundled base')
        return value

    @field_validator("time_budget")
    @classmethod
    def _a_time(cls, value: str | None) -> str | None:
        try:
            if value is not None and durations.to_seconds(value) <= 0:
                raise ValueError("it must be more than nothing; write it as 90s, 10m or 1h30m")
        except PackshotError as error:
            raise ValueError(str(error)) from error
        return value

    @property
    def time_budget_seconds(self) -> float | None:
        return None if self.time_budget is None else durations.to_seconds(self.time_budget)


ChoicesT = TypeVar("ChoicesT", bound=Choices)


class Settings(Choices):
    """packshot.toml: the subject and the choices."""

    subject: Subject


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
        values = _in_todays_words(files.read_toml(self.settings_file))
        try:
            return _mapped(Settings.model_validate(values), partial(_from_project, self.root))
        except ValidationError as error:
            raise ProjectError(f"{self.settings_file}: {describe(error)}") from error

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
        with files.lock(self.lock_file):
            yield

    def refuse_links(self) -> None:
        """Refuse links, pipes and devices wherever Packshot writes in the project, at every level.

        The project's own folder may be a link: that is where the user has put it.

        Raises:
            ProjectError: the settings do not parse.
            UnsafePathError: there is one.
        """
        files.refuse_links(self.settings_file)
        _ = self.settings  # the names of the LoRA's files depend on them
        for name in sorted({path.relative_to(self.root).parts[0] for path in self._paths()}):
            files.refuse_links(self.root / name)

    def _paths(self) -> Iterator[Path]:
        """All paths that are properties of a project."""
        for name, member in vars(Project).items():
            if isinstance(member, property) and member.fget.__annotations__["return"] == "Path":
                yield getattr(self, name)


def slug_of(name: str) -> str:
    """A product's name as a file name, of small letters, digits and hyphens."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"product-{slug}" if files.is_device_name(slug) else slug or "product"


def create_project(
    root: Path, *, name: str, class_noun: str, trigger: str = "ohwx", **chosen: Any
) -> Project:
    """Create a project folder for one product; an existing one with the same settings is opened.

    Args:
        chosen: fields of `Choices`.

    Raises:
        ProjectError: invalid settings, or the folder has other settings or other files.
    """
    settings = _mapped(_settings(name, class_noun, trigger, choices_of(**chosen)), _from_here)
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
    project, choices = Project(root), _mapped(choices, _from_here)
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
    import tomlkit

    before = project.settings
    given = _mapped(choices, _from_here).model_dump(exclude_unset=True)
    consent.agree(project.root, _names(given))
    if "rights" in given:
        given["rights"] = before.rights.model_dump() | given["rights"]
    stands = before.model_dump()
    changed = {key: value for key, value in given.items() if value != stands[key]}
    if not changed:
        return []
    document = tomlkit.parse(project.settings_file.read_text(encoding="utf-8-sig"))
    for former in _RENAMED.keys() & document.keys():
        document.pop(former)
        changed.setdefault(_RENAMED[former], getattr(before, _RENAMED[former]))
    for key, value in changed.items():
        if value is None:
            document.pop(key, None)
        elif key in document or isinstance(value, dict):  # tables come last
            document[key] = _toml(value, project.root)
        else:  # before the subject's table: what follows it would be the subject's
            document = _put_first(document, key, _toml(value, project.root))
    files.write_text(project.settings_file, tomlkit.dumps(document))
    return [
        f"{key.replace('_', ' ')}: {_shown(value)} ({_shown(getattr(before, key))} before)"
        for key, value in changed.items()
        if value != stands[key]
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


def choices_of(**given: Any) -> Choices:
    """Choices from keyword arguments; None means not set.

    Raises:
        ProjectError: an invalid value; the message names it.
    """
    known = {key: value for key, value in given.items() if value is not None}
    return validated(Choices, ProjectError, **known)


_RENAMED = {
    "storage": "weight_storage",
    "budget": "time_budget",
    "seeds": "images_per_prompt",
    "class_words": "class_query",
}
_RENAMED_VALUES = {
    ("weight_storage", "plain"): "full",
    ("segmenter", "embedded"): "bundled",
}


def _in_todays_words(values: dict[str, Any]) -> dict[str, Any]:
    """Settings under today's names, so that projects of Packshot 0.1 still open."""
    now = {_RENAMED.get(key, key): value for key, value in values.items()}
    if "blur" in now:
        now["blur"] = ["license-plates" if kind == "plates" else kind for kind in now["blur"]]
    for (key, before), value in _RENAMED_VALUES.items():
        if now.get(key) == before:
            now[key] = value
    return now


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
    files.write_text(project.settings_file, _as_toml(settings, root))
    consent.agree(project.root, _names(settings.model_dump(exclude={"subject"})))
    return project


def _names(chosen: dict[str, Any]) -> Iterator[str]:
    """Of choices that the user has made, those that may be fetched."""
    for key in ("base", "captioner", "segmenter", "embedder", "class_images"):
        value = chosen.get(key) or ()
        yield from (value,) if isinstance(value, str) else value


def _as_toml(settings: Settings, root: Path) -> str:
    import tomlkit

    document = tomlkit.document()
    chosen = settings.model_dump(exclude={"subject"})
    for key, value in sorted(chosen.items(), key=lambda item: isinstance(item[1], dict)):
        if key in ("base", "weight_storage", "seed") or key in settings.model_fields_set:
            document.add(key, tomlkit.item(_toml(value, root)))
    document.add("subject", tomlkit.item(settings.subject.model_dump()))
    return tomlkit.dumps(document)


def _put_first(document: Any, key: str, value: Any) -> Any:
    import tomlkit

    line = tomlkit.document()
    line.add(key, tomlkit.item(value))
    return tomlkit.parse(tomlkit.dumps(line) + tomlkit.dumps(document))


def _toml(value: Any, root: Path) -> Any:
    """A choice as packshot.toml has it: what lies in the project is named from there."""
    if isinstance(value, tuple):
        return [_toml(item, root) for item in value]
    if not (isinstance(value, str) and os.path.isabs(value)):
        return value
    for folder in (root.absolute(), root.resolve()):
        if Path(value).is_relative_to(folder):
            return f"{_HERE}{Path(value).relative_to(folder).as_posix()}"
    return value


_PATHS = ("base", "captioner", "segmenter", "embedder", "class_images", "assistant", "plates")
"""Choices that may be paths."""
_HERE = "./"
"""How packshot.toml begins a path in the project; no repository of the hub is named so."""
_WORDS = frozenset(
    (
        "auto", "none", "base", "pocket", "bundled", "plain", "clip", "blip", "florence", "qwen-vl", "wd",
        "onnx", "sam2", "birefnet", "isnet", "u2net", "openverse", "commons",
    )
)  # fmt: skip
"""What choices call by one word; a folder of such a name is written with its path: ./clip."""


def _mapped(choices: ChoicesT, change: Callable[[str, str], str]) -> ChoicesT:
    """Choices whose names that may be paths are changed, by (key, name)."""
    changed = {}
    for key in _PATHS:
        value = getattr(choices, key)
        is_one = isinstance(value, str)
        now = change(key, value) if is_one else tuple(change(key, name) for name in value)
        if now != value:
            changed[key] = now
    return choices.model_copy(update=changed) if changed else choices


def _from_here(key: str, name: str) -> str:
    """A path that is named from the folder that we run in, whole; any other name as it is.

    Raises:
        ProjectError: packshot.toml cannot hold it.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ProjectError(
            f"{key.replace('_', ' ')}: the name {files.printable_name(name)} is not in UTF-8, so "
            f"{SETTINGS_FILE} cannot hold it. Rename the file or folder."
        ) from None
    kind, colon, path = _parted(key, name)
    if not _is_path(path, Path()):
        return name
    return kind + colon + os.path.abspath(files.expand_user(path))


def _from_project(root: Path, key: str, name: str) -> str:
    """A path that packshot.toml names from the project's folder, whole; any other name as it is."""
    kind, colon, path = _parted(key, name)
    if os.path.isabs(path) or not _is_path(path, root):
        return name
    return kind + colon + os.path.abspath(root / files.expand_user(path))


def _parted(key: str, name: str) -> tuple[str, str, str]:
    """(KIND, ":", MODEL) of a name; ("", "", name) where it has no kind."""
    kind, colon, model = name.partition(":")
    has_kind = key in ("captioner", "segmenter") and colon and len(kind) > 1  # C: is a drive
    return (kind, colon, model) if has_kind and not files.exists(Path(name)) else ("", "", name)


def _is_path(name: str, folder: Path) -> bool:
    """Whether a name means a path, as seen from a folder."""
    if re.match(r"(\.{1,2}|~[^/\\]*)([/\\]|$)", name):
        return True
    is_word = name in _WORDS or not name.strip()
    return not is_word and files.exists(folder / name) and not _is_installed(name)


def _is_installed(name: str) -> bool:
    """Whether an installed package calls something of Packshot's so."""
    from importlib.metadata import entry_points

    return any(point.group.startswith("packshot.") for point in entry_points(name=name))


def _shown(value: Any) -> str:
    return (", ".join(map(str, value)) if isinstance(value, tuple) else str(value or "")) or "none"
