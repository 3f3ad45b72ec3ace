"""The plan: every number of a training run, fixed before it starts, in a file that a person edits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from tomlkit.items import Item

from packshot.errors import InvalidPlanError, PackshotError
from packshot.types import MAX_RANK, Precision, TargetModules, WeightStorage
from packshot.utils import files, hashing, reading
from packshot.utils.validation import describe

_FORMER_NAMES = (
    "batch", "accumulation", "pixels", "targets", "schedule", "warmup_steps", "max_gradient_norm",
    "class_image_share", "class_loss_weight", "caption_dropout", "mask_background_weight", "storage",
    "threads", "sample_every", "checkpoint_every", "predicted", "depends",
)  # fmt: skip
"""What Packshot 0.1 called numbers of a plan."""


class OutdatedPlanError(InvalidPlanError):
    """The plan is in the words of an earlier Packshot."""


class Estimate(BaseModel):
    """What the run will cost on the machine that planned it; it changes nothing in the run."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    seconds: float = Field(ge=0)
    bytes: int = Field(ge=0)
    class_images_seen: int = Field(ge=0)
    seconds_per_step: float = Field(ge=0)


class PlanInputs(BaseModel):
    """Content hashes and versions that the plan was made for. A run with other ones is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    base: str
    photos: str
    captions: str
    class_images: str
    subject: str
    assistant: str = ""
    """"" if there is none."""
    versions: dict[str, str]

    def differences(self, other: PlanInputs) -> list[str]:
        """Names of what differs, versions with both values."""
        names = [
            name.replace("_", " ")
            for name in ("base", "photos", "captions", "class_images", "subject", "assistant")
            if getattr(self, name) != getattr(other, name)
        ]
        return names + [
            f"{package} ({self.versions.get(package)} then, {other.versions.get(package)} now)"
            for package in sorted({*self.versions, *other.versions})
            if self.versions.get(package) != other.versions.get(package)
        ]


class Asked(BaseModel):
    """The request that the plan was made for; it changes nothing in the run."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    time_budget: str
    """The time budget as the user wrote it; "none" for the whole recipe."""
    seed: int = 0
    """The project's."""
    early_stopping: bool = True
    """The project's."""


class Plan(BaseModel):
    """Every number of a run.

    `effective_batch_size` counts the images of one optimizer step, class images included.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    steps: int = Field(ge=1, le=1_000_000)
    effective_batch_size: int = Field(ge=1, le=1024)
    gradient_accumulation_steps: int = Field(default=1, ge=1, le=1024)
    resolution: int = Field(ge=32, le=4096)
    target_modules: TargetModules
    rank: int = Field(ge=1, le=MAX_RANK)
    alpha: float = Field(gt=0, le=4096)
    learning_rate: float = Field(gt=0, le=1)
    text_encoder_rank: int = Field(default=0, ge=0, le=MAX_RANK)
    text_encoder_learning_rate: float = Field(default=5e-5, gt=0, le=1)
    lr_scheduler: Literal["constant", "cosine"] = "cosine"
    lr_warmup_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(default=0.01, ge=0, le=1)
    max_grad_norm: float = Field(default=1.0, gt=0)
    class_image_ratio: float = Field(ge=0, le=0.9)
    prior_loss_weight: float = Field(default=1.0, ge=0, le=10)
    min_snr_gamma: float = Field(default=5.0, ge=0, le=1e6)
    caption_dropout_rate: float = Field(default=0.05, ge=0, le=0.5)
    crops_per_photo: int = Field(default=1, ge=1, le=16)
    unmasked_weight: float = Field(default=0.2, ge=0, le=1)
    gradient_checkpointing: bool = False
    torch_compile: bool = False
    weight_storage: WeightStorage = "full"
    precision: Precision
    cpu_threads: int = Field(default=0, ge=0, le=1024)
    eval_every_n_steps: int = Field(default=0, ge=0)
    early_stopping_window: int = Field(default=10, ge=2, le=10_000)
    early_stopping_variance: float = Field(default=0.0, ge=0, le=1)
    sample_every_n_steps: int = Field(ge=0)
    save_every_n_steps: int = Field(ge=1)
    seed: int = Field(ge=0, lt=2**31)
    estimate: Estimate
    inputs: PlanInputs
    asked: Asked | None = None
    """None for a plan that was requested by `packshot plan`: it holds for any budget."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.effective_batch_size % self.gradient_accumulation_steps:
            raise ValueError(
                f"effective_batch_size {self.effective_batch_size} is not a multiple of "
                f"gradient_accumulation_steps {self.gradient_accumulation_steps}"
            )
        if self.torch_compile and self.weight_storage != "full":
            raise ValueError(
                f"torch_compile is for weight_storage full; with {self.weight_storage} set it to false"
            )
        if self.lr_warmup_steps >= self.steps:
            raise ValueError(
                f"lr_warmup_steps {self.lr_warmup_steps} must be fewer than steps {self.steps}"
            )
        return self

    @property
    def images_at_once(self) -> int:
        """Of a micro-batch."""
        return self.effective_batch_size // self.gradient_accumulation_steps

    def fingerprint(self) -> str:
        """Hash of everything that changes the result (without the estimate)."""
        return hashing.fingerprint(self.model_dump(exclude={"estimate", "asked"}))


def write_plan(plan: Plan, path: Path, reasons: dict[str, str] | None = None) -> None:
    """Write a plan as TOML, each number with its reason as a comment on its line."""
    document = tomlkit.document()
    document.add(
        tomlkit.comment("The plan of a training run. Edit it; `packshot train` checks it.")
    )
    values = plan.model_dump()
    for name, value in values.items():
        if isinstance(value, dict) or value is None:
            continue
        item = tomlkit.item(value)
        if reasons and name in reasons:
            item.comment(reasons[name])
        document.add(name, item)
    for name in ("estimate", "inputs", "asked"):
        if values[name] is not None:
            table: Any = tomlkit.item(values[name])
            document.add(name, table)
    files.write_text(path, tomlkit.dumps(document))


def read_plan(path: Path) -> Plan:
    """Read and check a plan.

    Raises:
        InvalidPlanError: there is none, or a number is out of range; the message names it.
        OutdatedPlanError: an earlier Packshot wrote it.
    """
    if not path.is_file():
        raise InvalidPlanError(f"There is no plan at {path}. Make one: packshot plan")
    values = reading.read_toml(path)
    if former := [name for name in _FORMER_NAMES if name in values]:
        some = ", ".join(former[:2]) + ", …" * (len(former) > 2)
        raise OutdatedPlanError(
            f"{path}: written by an earlier Packshot ({some} have other names now). "
            "Write it anew: packshot plan"
        )
    try:
        return Plan.model_validate(values)
    except ValidationError as error:
        raise InvalidPlanError(f"{path}: {describe(error)}") from error


def edit_plan(path: Path, changes: Mapping[str, str]) -> Plan:
    """Change numbers of a plan file; its comments, and all else, stay.

    Args:
        changes: values by key, as they would be typed into the file, strings without quotes.

    Raises:
        InvalidPlanError: there is no plan, no such number, or the new plan makes no sense; the file is
            unchanged.
    """
    before = read_plan(path)
    document = tomlkit.parse(path.read_text(encoding="utf-8-sig"))
    for name, text in changes.items():
        value = before.model_dump().get(name)
        if not isinstance(value, (bool, int, float, str)):
            raise InvalidPlanError(f"{path}: there is no number {name!r} to change.")
        item = tomlkit.item(_typed(name, text.strip(), value))
        if name in document and isinstance(former := document.item(name), Item):
            item.trivia.comment_ws = former.trivia.comment_ws
            item.trivia.comment = former.trivia.comment
        document[name] = item
    try:
        plan = Plan.model_validate(document.unwrap())
    except ValidationError as error:
        raise InvalidPlanError(describe(error)) from error
    files.write_text(path, tomlkit.dumps(document))
    return plan


def _typed(name: str, text: str, value: bool | int | float | str) -> bool | int | float | str:
    """A number as it is typed, in the type of the one that stands."""
    if isinstance(value, str):
        return text
    if isinstance(value, bool):
        return text.lower() in ("true", "1", "on", "yes")
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise InvalidPlanError(f"{name}: {text!r} is no number.")


def read_current_plan(path: Path) -> Plan | None:
    """As `read_plan`; None where there is no plan, or one in an earlier Packshot's words.

    Raises:
        InvalidPlanError: a number is out of range.
    """
    try:
        return read_plan(path) if path.is_file() else None
    except OutdatedPlanError:
        return None


def read_plan_if_valid(path: Path) -> Plan | None:
    """As `read_plan`; None where there is no plan, or one that makes no sense."""
    try:
        return read_plan(path)
    except PackshotError:
        return None


def read_reasons(path: Path) -> dict[str, str]:
    """The comment on each number's line of a plan file."""
    lines = tomlkit.parse(path.read_text(encoding="utf-8-sig")).body
    comments = {key.key: item.trivia.comment for key, item in lines if key}
    return {name: text.lstrip("# ") for name, text in comments.items() if text}
