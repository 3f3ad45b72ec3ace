"""The report: findings with a mark each, and a verdict; as text and for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any, Literal

Mark = Literal["ok", "note", "problem"]
"""ok; note: works, but somebody may want to know; problem: must be mended."""
Part = Literal["packages", "machine", "device", "base", "trial"]

_NAME_WIDTH, _WIDTH = 16, 100


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    about: str
    text: str
    mark: Mark = "ok"
    advice: str = ""
    """What to do; empty where there is nothing to do."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """The same for programs, in bytes and seconds."""
    part: Part = "packages"


@dataclass(frozen=True)
class DoctorReport:
    """What was found, and what it comes to."""

    findings: tuple[Finding, ...]
    verdict: str
    """"Ready: …", "Works, but …: …" or "Will not work: …"."""

    @property
    def is_ready(self) -> bool:
        """Whether nothing must be mended."""
        return not any(finding.mark == "problem" for finding in self.findings)

    def text(self) -> str:
        """The report as lines for a terminal or a bug report."""
        lines: list[str] = []
        part = ""
        for finding in self.findings:
            if finding.part != part:
                part = finding.part
                lines.append(part.capitalize())
            lines += _lines(finding)
        return "\n".join([*lines, "", *textwrap.wrap(self.verdict, _WIDTH, **_WHOLE_WORDS)])

    def as_json(self) -> dict[str, Any]:
        """The report for programs."""
        return {
            "packshot": version("packshot"),
            "ready": self.is_ready,
            "verdict": self.verdict,
            "findings": [asdict(finding) for finding in self.findings],
        }


_WHOLE_WORDS: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
"""Commands and addresses stay as they are to be copied."""


def _lines(finding: Finding) -> list[str]:
    indent = " " * (11 + _NAME_WIDTH)
    head = f"  {finding.mark:<8} {finding.about:<{_NAME_WIDTH}}"
    lines = textwrap.wrap(
        finding.text, _WIDTH, initial_indent=head, subsequent_indent=indent, **_WHOLE_WORDS
    )
    if finding.advice:
        lines += textwrap.wrap(
            finding.advice, _WIDTH, initial_indent=f"{indent}-> ",
            subsequent_indent=f"{indent}   ", **_WHOLE_WORDS,
        )  # fmt: skip
    return lines


def gigabytes(size: float) -> str:
    """Bytes as "12.3 GB" or "57 MB", of 10^9 and 10^6 as `packshot memory` has them."""
    return f"{size / 1e9:.1f} GB" if size >= 9.5e8 else f"{size / 1e6:.0f} MB"


def seconds_text(seconds: float) -> str:
    """Short times: "0.12 s", "14 s"."""
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
