"""Captions as other trainers' data loaders take them from a text.

sd-scripts (library/train_util.py, `process_caption`) makes some choices anew at every step: a line, an
alternative, an order of tags. A photo has one caption here, so each choice is made once: the first.
OneTrainer and SimpleTuner take any line; ai-toolkit joins the lines.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field

from packshot.images import sidecars
from packshot.types import PLACEHOLDER

SEPARATOR = "|||"
"""sd-scripts' usual `keep_tokens_separator`; without one in the options, it is no word either."""
LINES = "more than one line: the first is read, the others are left out"
EMPTY = "an empty first line, where sd-scripts stops: the first line with words is read"
JOINED = "more than one line: joined by commas, as ai-toolkit does"
ALTERNATIVES = "alternatives, {a|b}: the first of each is read"
LITERAL = "{a|b} read as it stands, as by sd-scripts without enable_wildcard"
ORDER = "parts to be shuffled: read in their order, with commas between"

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")
_ALTERNATIVES = re.compile(r"\{[^{}]*\|[^{}]*\}")
_LINE_END = re.compile(r"\r\n|\r|\n")
_AI_TOOLKIT = re.compile(r"\[(?:trigger|name)\]")
_SHOWN = 3


@dataclass
class Remarks:
    """What was made of which captions, for notes."""

    names: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, kind: str, name: str) -> None:
        self.names[kind].append(name)

    def notes(self) -> list[str]:
        """A note for each kind of remark, with the first names."""
        return [
            f"{len(names)} captions ({_few(names)}) have {kind}"
            if len(names) > 1
            else f"the caption of {names[0]} has {kind}"
            for kind, names in self.names.items()
        ]


@dataclass(frozen=True)
class Syntax:
    """How a data set's captions are to be read."""

    has_wildcards: bool | None = None
    """sd-scripts' enable_wildcard; None if nothing says it: then `{a|b}` is taken for one."""
    separator: str = ", "
    keep_tokens_separator: str | None = None
    secondary_separator: str | None = None
    prefix: str = ""
    suffix: str = ""
    joins_lines: bool | None = None
    """None if nothing says it: then by ai-toolkit's placeholders (`[trigger]`) in the text."""

    def read(self, text: str, name: str, remarks: Remarks) -> str:
        """One caption of a text, in one line; what that leaves out is remarked under `name`."""
        lines = [line for line in map(sidecars.one_line, _LINE_END.split(text)) if line]
        if not lines:
            return ""
        joins = self.joins_lines
        joins = bool(_AI_TOOLKIT.search(text)) if joins is None else joins
        if not joins and not text.splitlines()[0].strip():
            remarks.add(EMPTY, name)
        if len(lines) > 1:
            remarks.add(JOINED if joins else LINES, name)
        caption = ", ".join(line.strip(" ,") for line in lines) if joins else lines[0]
        caption = " ".join(part for part in (self.prefix, caption, self.suffix) if part)
        return self._in_order(self._without_alternatives(caption, name, remarks), name, remarks)

    def _without_alternatives(self, caption: str, name: str, remarks: Remarks) -> str:
        has_some = _ALTERNATIVES.search(caption) is not None
        if has_some:
            remarks.add(LITERAL if self.has_wildcards is False else ALTERNATIVES, name)
        is_wild = has_some if self.has_wildcards is None else self.has_wildcards
        return _BRACES.sub(_first, caption) if is_wild else caption

    def _in_order(self, caption: str, name: str, remarks: Remarks) -> str:
        parts = caption.split(self.keep_tokens_separator or SEPARATOR)
        if len(parts) > 1:
            remarks.add(ORDER, name)
            edges = f" {self.separator.strip()}"
            caption = self.separator.join(part.strip(edges) for part in parts if part.strip(edges))
        if self.secondary_separator:
            caption = caption.replace(self.secondary_separator, self.separator)
        return sidecars.one_line(caption)


def _first(braces: re.Match[str]) -> str:
    if braces[1] is None:
        return braces[0][0]
    return braces[0] if PLACEHOLDER.fullmatch(braces[0]) else braces[1].split("|")[0]


def _few(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
