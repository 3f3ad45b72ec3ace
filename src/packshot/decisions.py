"""decisions.toml: what Packshot settled for a project by measuring or by looking around, and why.

A measurement differs from one start to the next. What it decided is therefore written down as soon
as it is decided, and read back when the same is asked again, so that a command that was cut short
goes on as it would have. An entry holds as long as what it was decided for (`because`) is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from packshot.errors import ProjectError
from packshot.project import Project
from packshot.utils import files
from packshot.utils.validation import describe

Scalar = bool | int | float | str
Value = Scalar | dict[str, Scalar]


_RENAMED_VALUES = {("storage", "plain"): "full", ("segmenter", "embedded"): "bundled"}
"""What Packshot 0.1 settled, by name and value, as it is called now."""


class Decision(BaseModel):
    """One thing that was settled: the value, the reason in words, and what it was settled for."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    value: Value
    reason: str = Field(max_length=2000)
    because: dict[str, Scalar]


class _Book(RootModel[dict[str, list[Decision]]]):
    """All decisions of a project: by name, each in the order in which it was taken."""


class Settled(NamedTuple):
    """What holds now: its value and reason, and whether it was settled just now."""

    value: Any
    reason: str
    anew: bool


class Decisions:
    """A project's decisions."""

    def __init__(self, project: Project, say: Callable[[str], None] = lambda text: None) -> None:
        """
        Args:
            say: is told what is settled anew, and why.
        """
        self.file: Path = project.decisions_file
        self._say = say

    def settle(
        self,
        name: str,
        because: Mapping[str, Scalar | None],
        decide: Callable[[], tuple[Value, str]],
        *,
        anew: bool = False,
    ) -> Settled:
        """What was decided for just this before, else what `decide` says now (value, reason).

        Args:
            because: what the decision rests on; what is None says nothing.
            anew: decide again whatever was decided before.

        Raises:
            ProjectError: decisions.toml is damaged.
        """
        known = {key: value for key, value in because.items() if value is not None}
        book = self._read()
        taken = book.get(name, [])
        held = next((one for one in taken if one.because == known), None)
        if held and not anew:
            if held is not taken[-1]:  # what holds now stands last
                book[name] = [*(one for one in taken if one is not held), held]
                self._write(book)
            return Settled(held.value, held.reason, False)
        value, reason = decide()
        book = self._read()  # now: deciding may have settled other things
        taken = book.get(name, [])
        if taken and not anew:
            self._tell(name, taken[-1], known, value)
        decided = Decision(value=value, reason=reason, because=known)
        book[name] = [*(one for one in taken if one.because != known), decided]
        self._write(book)
        return Settled(value, reason, True)

    def latest(self, name: str) -> Decision | None:
        """The decision of that name that held last, whatever it was for."""
        return next(reversed(self._read().get(name, [])), None)

    def others(self, name: str, value: Value) -> list[Value]:
        """The values that were once decided, but for one."""
        return [one.value for one in self._read().get(name, []) if one.value != value]

    def _tell(self, name: str, before: Decision, known: Mapping[str, Scalar], value: Value) -> None:
        changed = [
            f"{key.replace('_', ' ')} ({before.because.get(key, 'none')} then, "
            f"{known.get(key, 'none')} now)"
            for key in sorted({*before.because, *known})
            if before.because.get(key) != known.get(key)
        ]
        shown = "" if isinstance(value, dict) else f": {value}"
        self._say(f"{name.replace('_', ' ')} settled anew{shown}; changed: {', '.join(changed)}")

    def _read(self) -> dict[str, list[Decision]]:
        values = files.read_toml(self.file) if self.file.is_file() else {}
        try:
            book = _Book.model_validate(values).root
        except ValidationError as error:
            raise ProjectError(
                f"{self.file}: {describe(error)}. Delete it, and all of it is settled anew."
            ) from error
        return {
            name: [_in_todays_words(name, one) for one in taken] for name, taken in book.items()
        }

    def _write(self, book: Mapping[str, list[Decision]]) -> None:
        document = tomlkit.document()
        document.add(tomlkit.comment("What Packshot settled for this project, and why."))
        document.add(tomlkit.comment("Take an entry out, and it is settled anew."))
        for name, taken in book.items():
            tables = tomlkit.aot()
            for one in taken:
                table = tomlkit.table()
                for key, value in one.model_dump().items():
                    table.add(key, _inline(value) if isinstance(value, dict) else value)
                tables.append(table)
            if taken:
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
