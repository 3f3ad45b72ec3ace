"""What a user chooses for a project, and packshot.toml: its words, and the paths that it names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from packshot.errors import PackshotError, ProjectError
from packshot.images.encoding import Format
from packshot.provenance.xmp import Rights
from packshot.types import PLACEHOLDER, WeightStorageChoice
from packshot.utils import durations, pathnames, reading
from packshot.utils.validation import describe, validated

SETTINGS_FILE = "packshot.toml"
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


def choices_of(**given: Any) -> Choices:
    """Choices from keyword arguments; None means not set.

    Raises:
        ProjectError: an invalid value; the message names it.
    """
    known = {key: value for key, value in given.items() if value is not None}
    return validated(Choices, ProjectError, **known)


def read_settings(file: Path) -> Settings:
    """A project's settings; paths that they name in the project's folder are whole.

    Raises:
        ProjectError: they do not parse, or make no sense.
    """
    values = _in_todays_words(reading.read_toml(file))
    try:
        return _mapped(Settings.model_validate(values), partial(_from_project, file.parent))
    except ValidationError as error:
        raise ProjectError(f"{file}: {describe(error)}") from error


def _in_todays_words(values: dict[str, Any]) -> dict[str, Any]:
    """Settings under today's names, so that projects of Packshot 0.1 still open."""
    now = {_RENAMED.get(key, key): value for key, value in values.items()}
    if "blur" in now:
        now["blur"] = ["license-plates" if kind == "plates" else kind for kind in now["blur"]]
    for (key, before), value in _RENAMED_VALUES.items():
        if now.get(key) == before:
            now[key] = value
    return now


def settings_text(settings: Settings, root: Path) -> str:
    """The text of packshot.toml for a new project in the folder `root`."""
    import tomlkit

    document = tomlkit.document()
    chosen = settings.model_dump(exclude={"subject"})
    for key, value in sorted(chosen.items(), key=lambda item: isinstance(item[1], dict)):
        if key in ("base", "weight_storage", "seed") or key in settings.model_fields_set:
            document.add(key, tomlkit.item(_toml(value, root)))
    document.add("subject", tomlkit.item(settings.subject.model_dump()))
    return tomlkit.dumps(document)


def edited_text(text: str, changes: Mapping[str, Any], before: Settings, root: Path) -> str:
    """The text of packshot.toml with changed choices and in today's words; all else in it is kept.

    Args:
        changes: values by key; None takes the key out.
        before: what it says.
        root: the project's folder.
    """
    import tomlkit

    document, changed = tomlkit.parse(text), dict(changes)
    for former in _RENAMED.keys() & document.keys():
        document.pop(former)
        changed.setdefault(_RENAMED[former], getattr(before, _RENAMED[former]))
    for key, value in changed.items():
        if value is None:
            document.pop(key, None)
        elif key in document or isinstance(value, dict):  # tables come last
            document[key] = _toml(value, root)
        else:  # before the subject's table: what follows it would be the subject's
            document = _put_first(document, key, _toml(value, root))
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


def with_whole_paths(choices: ChoicesT) -> ChoicesT:
    """Choices whose paths are named from the folder that we run in, with these whole.

    Raises:
        ProjectError: packshot.toml cannot hold one.
    """
    return _mapped(choices, _from_here)


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
            f"{key.replace('_', ' ')}: the name {pathnames.printable_name(name)} is not in UTF-8, so "
            f"{SETTINGS_FILE} cannot hold it. Rename the file or folder."
        ) from None
    kind, colon, path = _parted(key, name)
    if not _is_path(path, Path()):
        return name
    return kind + colon + os.path.abspath(pathnames.expand_user(path))


def _from_project(root: Path, key: str, name: str) -> str:
    """A path that packshot.toml names from the project's folder, whole; any other name as it is."""
    kind, colon, path = _parted(key, name)
    if os.path.isabs(path) or not _is_path(path, root):
        return name
    return kind + colon + os.path.abspath(root / pathnames.expand_user(path))


def _parted(key: str, name: str) -> tuple[str, str, str]:
    """(KIND, ":", MODEL) of a name; ("", "", name) where it has no kind."""
    kind, colon, model = name.partition(":")
    has_kind = key in ("captioner", "segmenter") and colon and len(kind) > 1  # C: is a drive
    return (kind, colon, model) if has_kind and not pathnames.exists(Path(name)) else ("", "", name)


def _is_path(name: str, folder: Path) -> bool:
    """Whether a name means a path, as seen from a folder."""
    if re.match(r"(\.{1,2}|~[^/\\]*)([/\\]|$)", name):
        return True
    is_word = name in _WORDS or not name.strip()
    return not is_word and pathnames.exists(folder / name) and not _is_installed(name)


def _is_installed(name: str) -> bool:
    """Whether an installed package calls something of Packshot's so."""
    from importlib.metadata import entry_points

    return any(point.group.startswith("packshot.") for point in entry_points(name=name))
