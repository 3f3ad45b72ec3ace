"""All examinations in order; what one raises becomes a line of the report."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from packshot.doctor.device import device_findings
from packshot.doctor.machine import machine_findings
from packshot.doctor.packages import package_findings
from packshot.doctor.privacy import plain_name, without_names
from packshot.doctor.report import DoctorReport, Finding, Part, gigabytes, seconds_text
from packshot.errors import PackshotError, reason_of
from packshot.utils.durations import in_words
from packshot.utils.progress import Progress, silent

if TYPE_CHECKING:
    from packshot.doctor.base import Choice

SLOW_RUN = 6 * 3600.0
"""Seconds of a usual run; what takes longer is slow."""
_IN_LIBRARIES = "pip install --force-reinstall torch, or see docs/install.md"


def examine(base: str | None = None, progress: Progress = silent) -> DoctorReport:
    """Examine this machine, and a base on it: is everything there, and does it work?

    Without a base nothing is loaded. A base is loaded, learns for two steps and makes a picture of
    few steps; of a family's name ("sdxl") the needs alone are told. Nothing is raised: what goes wrong
    is in the report, which names no folder, user or machine.

    Args:
        base: as `load_base` takes it, or a family's name.
    """
    return _Examination(base, progress).report()


class _Examination:
    """The findings so far."""

    def __init__(self, base: str | None, progress: Progress) -> None:
        self.base, self.progress = base, progress
        self.findings: list[Finding] = []
        self.stage = ""
        self.choice: Choice | None = None

    def report(self) -> DoctorReport:
        self._collect("packages", package_findings)
        self._collect("machine", machine_findings)
        goes_on = self._imports() and self._collect("device", device_findings)
        if self.base and goes_on and self._collect("base", self._base):
            self._collect("trial", self._trial)
        return DoctorReport(tuple(self.findings), self._plain(self._verdict()))

    def _plain(self, text: str) -> str:
        return without_names(text, self.base)

    def _add(self, part: Part, finding: Finding) -> None:
        self.findings.append(
            replace(
                finding,
                part=part,
                text=self._plain(finding.text),
                advice=self._plain(finding.advice),
            )
        )

    def _collect(self, part: Part, find: Callable[[], Iterable[Finding]]) -> bool:
        """Add what is found; whether it came to its end."""
        self.stage = part
        try:
            for finding in find():
                self._add(part, finding)
            return True
        except Exception as error:
            self._add(part, self._explained(error))
            return False

    def _imports(self) -> bool:
        """Whether the large libraries can be imported; what each says of it, if not."""
        self.progress("libraries", 0, 1)

        def find() -> Iterable[Finding]:
            import diffusers  # noqa: F401
            import torch  # noqa: F401
            import transformers  # noqa: F401

            import packshot.models
            import packshot.plan

            packshot.models.registry.families()
            return []

        try:
            find()
        except Exception as error:
            advice = f"Install it anew: {_IN_LIBRARIES}"
            self._add("device", Finding("libraries", reason_of(error), "problem", advice))
            return False
        self.progress("libraries", 1, 1)
        return True

    def _base(self) -> Iterable[Finding]:
        from packshot.doctor.base import base_findings, choose

        assert self.base
        yield Finding("base", plain_name(self.base))
        self.choice = choose(self.base, self._told)
        yield from base_findings(self.choice)

    def _trial(self) -> Iterable[Finding]:
        from packshot.doctor.trial import try_base

        assert self.base and self.choice
        if not self.choice.has_files:
            return
        yield from try_base(self.base, self.choice, self._told)

    def _told(self, what: str, done: int, total: int) -> None:
        self.stage = what
        self.progress(what, done, total)

    def _explained(self, error: Exception) -> Finding:
        """An error as a finding: what a user can do, or where it was raised."""
        if isinstance(error, PackshotError):
            return Finding(self.stage, str(error), "problem")
        if _is_out_of_memory(error):
            return Finding(self.stage, "out of memory", "problem", self._less_memory())
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if "packshot" in Path(frame.filename).parts]
        at = f", at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
        advice = "This may be a bug in Packshot: please report it with these lines."
        return Finding(self.stage, f"{reason_of(error)}{at}", "problem", advice)

    def _less_memory(self) -> str:
        if self.choice is None:
            return "Close other programs and try again."
        used = self.choice.way
        smaller = [w.storage for w in self.choice.estimate.ways if w.bytes < used.bytes]
        if self.choice.device.type != "cuda":
            return f"{gigabytes(used.bytes)} were predicted. Close other programs, or take a smaller base."
        others = [storage for storage in dict.fromkeys(smaller) if storage != used.storage]
        ways = f" --weight-storage {others[0]} with packshot run;" if others else ""
        return f"Close other programs (nvidia-smi names them);{ways} smaller pictures; or a smaller base."

    def _verdict(self) -> str:
        problems = [finding for finding in self.findings if finding.mark == "problem"]
        failed = [
            p
            for p in problems
            if p.part in ("base", "trial") or p.about in ("libraries", "kernels", "computing")
        ]
        name = plain_name(self.base) if self.base else "Packshot"
        if failed:
            told = failed[0].about == "base"  # which names it itself
            return f"Will not work: {'' if told else f'{name}, because '}{_because(failed[0])}"
        if problems:
            unused = " slow" if problems[0].about == "GPU" else " something must be mended"
            return f"Works, but{unused}: {_because(problems[0])}"
        if self.choice:
            return self._time(name, self.choice)
        if any(
            finding.about == "GPU" and finding.text.startswith("none") for finding in self.findings
        ):
            return "Works, but slow: no GPU is used, so only the bundled base is practical (--base pocket)."
        return "Ready: packages, machine and GPU are in order. Next: packshot doctor --base BASE."

    def _time(self, name: str, choice: Choice) -> str:
        from packshot.doctor.base import USUAL_PHOTOS

        measured = [f.numbers["seconds"] for f in self.findings if f.about == "training step"]
        seconds = measured[0] if measured else choice.step_seconds
        whole = in_words(seconds * choice.pictures)
        run = (
            f"a run on {USUAL_PHOTOS} photos goes through {choice.pictures} pictures of "
            f"{choice.estimate.pixels} px, {seconds_text(seconds)} each"
            f"{'' if measured else ' at least'}: about {whole}"
        )
        if seconds * choice.pictures <= SLOW_RUN:
            return f"Ready: {name}; {run}."
        others = [] if choice.device.type == "cuda" else ["a GPU"]
        others.append("a smaller base")
        if seconds * choice.pictures * choice.recipe.least_exposures_share < SLOW_RUN:
            others.append("a time budget (--time-budget 6h)")
        return f"Works, but slow: {name}; {run}. Take {' or '.join(others)}."


def _because(finding: Finding) -> str:
    about = "" if finding.about == "base" else f"{finding.about}: "
    return f"{about}{finding.text.rstrip('.')}. {finding.advice}".strip()


def _is_out_of_memory(error: Exception) -> bool:
    from packshot.models.device_memory import is_out_of_memory

    return is_out_of_memory(error)
