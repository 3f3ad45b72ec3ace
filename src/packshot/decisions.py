"""decisions.toml: a project's automatic decisions (by measurements, installed models) and their reasons.

Measurements differ from one start to the next. Each decision is therefore recorded at once and reused
later, so that an interrupted command resumes exactly. A decision is valid as long as its inputs
(`because`) are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from packshot.errors import ProjectError
from packshot.project import Project
from packshot.utils import files, reading
from packshot.utils.validation import describe

Scalar = bool | int | float | str
Value = Scalar | dict[str, Scalar]


SPEEDS = ("threads", "shot_seconds", "step_cost", "photo_seconds", "choosing")
"""Decisions by how fast this machine was as they were made, by which a time budget may be refused."""
_RENAMED_VALUES = {("storage", "plain"): "full", ("segmenter", "embedded"): "bundled"}
"""What Packshot 0.1 settled, by name and value, as it is called now."""


class Decision(BaseModel):
    """One decision: the value, the reason in words, and the inputs for which it is valid."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    value: Value
    reason: str = Field(max_length=2000)
    because: dict[str, Scalar]


class _Book(RootModel[dict[str, list[Decision]]]):
    """All decisions of a project by name, the current one last."""


class Settled(NamedTuple):
    """The valid decision: its value and reason, and whether it was made just now."""

    value: Any
    reason: str
    is_new: bool


class Decisions:
    """A project's decisions."""

    def __init__(self, project: Project, say: Callable[[str], None] = lambda text: None) -> None:
        """
        Args:
            say: is called with a message if a decision changes.
        """
        self.file: Path = project.decisions_file
        self._project = project
        self._say = say

    def settle(
        self,
        name: str,
        because: Mapping[str, Scalar | None],
        decide: Callable[[], tuple[Value, str]],
        *,
        anew: bool = False,
    ) -> Settled:
        """The recorded decision for these inputs, else the (value, reason) of `decide()`, recorded.

        Args:
            because: the inputs of the decision; None values are left out.
            anew: decide again even if there is a valid decision.

        Raises:
            ProjectError: decisions.toml is damaged.
        """
        known = {key: value for key, value in because.items() if value is not None}
        entries = self._read().get(name, [])
        held = next((each for each in entries if each.because == known), None)
        if held and not anew:
            if held is not entries[-1]:  # the current decision is the last one
                self._record(name, held)
            return Settled(held.value, held.reason, False)
        value, reason = decide()
        before = self._record(name, Decision(value=value, reason=reason, because=known))
        if before and not anew:
            self._tell(name, before, known, value)
        return Settled(value, reason, True)

    def forget(self, *names: str) -> None:
        """Drop all decisions of these names: each is made again when it is asked for."""
        with self._project.records_held():
            book = self._read()
            kept = {name: entries for name, entries in book.items() if name not in names}
            if kept != book:
                self._write(kept)

    def latest(self, name: str) -> Decision | None:
        """The current decision of that name, for whichever inputs; None if there is none."""
        return next(reversed(self._read().get(name, [])), None)

    def others(self, name: str, value: Value) -> list[Value]:
        """All recorded values of that name except `value`."""
        return [entry.value for entry in self._read().get(name, []) if entry.value != value]

    def _record(self, name: str, decision: Decision) -> Decision | None:
        """Make a decision the current one of its name, beside all that others have recorded meanwhile.

        Returns:
            The current one of before.
        """
        with self._project.records_held():
            book = self._read()
            entries = book.get(name, [])
            others = [each for each in entries if each.because != decision.because]
            self._write(book | {name: [*others, decision]})
        return entries[-1] if entries else None

    def _tell(self, name: str, before: Decision, known: Mapping[str, Scalar], value: Value) -> None:
        changed = [
            f"{key.replace('_', ' ')} ({before.because.get(key, 'none')} then, "
            f"{known.get(key, 'none')} now)"
            for key in sorted({*before.because, *known})
            if before.because.get(key) != known.get(key)
        ]
        shown = "" if isinstance(value, dict) else f": {value}"
        self._say(f"{name.replace('_', ' ')} decided again{shown}; changed: {', '.join(changed)}")

    def _read(self) -> dict[str, list[Decision]]:
        values = reading.read_toml(self.file) if self.file.is_file() else {}
        try:
            book = _Book.model_validate(values).root
        except ValidationError as error:
            raise ProjectError(
                f"{self.file}: {describe(error)}. Delete the file, and everything is decided again."
            ) from error
        return {
            name: [_in_todays_words(name, one) for one in taken] for name, taken in book.items()
        }

    def _write(self, book: Mapping[str, list[Decision]]) -> None:
        document = tomlkit.document()
        document.add(
            tomlkit.comment("Packshot's automatic decisions for this project, and the reasons.")
        )
        document.add(tomlkit.comment("Delete an entry to have it decided again."))
        for name, entries in book.items():
            tables = tomlkit.aot()
            for entry in entries:
                table = tomlkit.table()
                for key, value in entry.model_dump().items():
                    table.add(key, _inline(value) if isinstance(value, dict) else value)
                tables.append(table)
            if entries:
                document.add(name, tables)
        files.write_text(self.file, tomlkit.dumps(document))


def _in_todays_words(name: str, decision: Decision) -> Decision:
    before = decision.value
    now = _RENAMED_VALUES.get((name, before)) if isinstance(before, str) else None
    return decision.model_copy(update={"value": now}) if now else decision


def _inline(values: Mapping[str, Any]) -> Any:
    table = tomlkit.inline_table()
    table.update(values)
    return table
