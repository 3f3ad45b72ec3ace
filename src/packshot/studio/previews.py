"""Previews of insertions, from the warm process beside the server."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packshot.errors import PackshotError
from packshot.utils import serialization

_PATIENCE = 2.0


class PreviewError(PackshotError):
    """A preview that cannot be made; the message says why."""


@dataclass(frozen=True)
class PreviewPicture:
    """A preview as JPEG, and what it was made of: photo, light, horizon, box, notes."""

    jpeg: bytes
    told: dict[str, Any]


@dataclass
class Previews:
    """The process, started when it is first needed. Methods may be called from any thread."""

    _process: subprocess.Popen[str] | None = None
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _newest: dict[str, int] = field(default_factory=dict)

    def warm(self) -> None:
        """Start the process, so that the first preview need not wait for all of it."""
        if self._turn.acquire(blocking=False):  # else it is at work
            try:
                self._started()
            finally:
                self._turn.release()

    def make(
        self,
        project: Path,
        background: Path,
        *,
        box: str = "",
        mask: Path | None = None,
        settings: dict[str, Any],
        page: str = "",
    ) -> PreviewPicture | None:
        """Make a preview; None if the same page has asked for another one meanwhile.

        Args:
            box, mask: where the product goes, one of them; as `PlacementRequest` takes them.
            settings: fields of `InsertionSettings`.
            page: of several requests that wait, one page's newest is answered.

        Raises:
            PreviewError: there is none with this place and these settings, or the process has died.
        """
        mine = self._newest[page] = self._newest.get(page, 0) + 1
        with self._turn:
            if mine != self._newest[page]:
                return None
            told = self._asked(
                {
                    "project": str(project), "background": str(background), "box": box,
                    "mask": str(mask) if mask else "", "settings": settings,
                }
            )  # fmt: skip
        if "picture" not in told:
            raise PreviewError(str(told.get("fault") or "The preview's process has ended."))
        return PreviewPicture(base64.b64decode(told.pop("picture")), told)

    def close(self) -> None:
        """End the process: it does so itself when there is nothing more to read."""
        process, self._process = self._process, None
        if process and process.stdin:
            with suppress(OSError):
                process.stdin.close()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _asked(self, request: dict[str, Any]) -> dict[str, Any]:
        process = self._started()
        assert process.stdin and process.stdout
        try:
            process.stdin.write(serialization.as_json(request) + "\n")
            process.stdin.flush()
            told = json.loads(process.stdout.readline() or "{}")
        except (OSError, ValueError):
            told = {}
        if not told:
            self.close()
        return dict(told)

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "packshot.studio.preview_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
            )
        return self._process
