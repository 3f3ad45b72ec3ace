"""The log of requests and results: one JSON line each, flushed to the disk before work continues.

A killed collection reads it and resumes without repeating requests: pages of an API, downloaded and
permanently failed images, scores, and the times of API requests, because rate limits hold across
runs too.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from packshot.class_images.online.candidate import Candidate
from packshot.utils import in_place, reading


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Asked(_Line):
    """A request is about to be sent to an API."""

    kind: Literal["asked"] = "asked"
    api: str
    at: float


class Answered(_Line):
    """The request was answered, or failed permanently."""

    kind: Literal["answered"] = "answered"
    api: str
    at: float


class Page(_Line):
    """A page of an API's results."""

    kind: Literal["page"] = "page"
    url: str
    candidates: tuple[Candidate, ...]
    more: bool


class Fetched(_Line):
    """A downloaded image; `file` is a name in the folder of downloads."""

    kind: Literal["fetched"] = "fetched"
    url: str
    file: str = Field(pattern=r"^[0-9a-f]{16}\.[a-z]{3,4}$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    look: str = Field(pattern="^[0-9a-f]{64}$")
    """Its perceptual hash."""
    width: int
    height: int


class RejectedUrl(_Line):
    """A URL that failed permanently."""

    kind: Literal["barred"] = "barred"
    url: str
    reason: str


class Scored(_Line):
    """An image's class score, by the CLIP named `judge`."""

    kind: Literal["scored"] = "scored"
    sha256: str
    judge: str
    score: float


Line = Asked | Answered | Page | Fetched | RejectedUrl | Scored
_LINES: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="kind")])


class RequestLog:
    """The lines of `folder`/ledger.jsonl. Thread-safe; one process at a time."""

    def __init__(self, folder: Path, now: float) -> None:
        self.folder = folder
        self.pages: dict[str, Page] = {}
        self.pictures: dict[str, Fetched | RejectedUrl] = {}
        self.scores: dict[tuple[str, str], float] = {}
        self.requests: defaultdict[str, list[float]] = defaultdict(list)
        """When each API answered, and for what it has not answered yet, when that was asked."""
        self._unanswered: set[str] = set()
        self._path = folder / "ledger.jsonl"
        self._writing = threading.Lock()
        self._read(now)

    def _read(self, now: float) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for value in reading.read_json_lines(self._path):
            with suppress(ValidationError):  # damaged: it is found out anew
                self._take(_LINES.validate_python(value))
        for api in self._unanswered:
            # Killed before the answer: the request may have arrived at any time until now.
            self.requests[api][-1] = now
        # Ends a line that a kill has torn, so that the next is not lost with it.
        in_place.append_line(self._path, "")

    def append(self, line: Line) -> None:
        """Append an entry, in memory and on the disk."""
        with self._writing:
            in_place.append_line(self._path, line.model_dump_json(), durable=True)
            self._take(line)

    def _take(self, line: Line) -> None:
        match line:
            case Asked():
                self.requests[line.api].append(line.at)
                self._unanswered.add(line.api)
            case Answered():
                self.requests[line.api][-1:] = [line.at]
                self._unanswered.discard(line.api)
            case Page():
                self.pages[line.url] = line
            case Fetched() | RejectedUrl():
                self.pictures[line.url] = line
            case Scored():
                self.scores[line.sha256, line.judge] = line.score

    def picture(self, url: str) -> Fetched | RejectedUrl | None:
        """The result for an image; None if it must be downloaded (or its file has been deleted)."""
        line = self.pictures.get(url)
        gone = isinstance(line, Fetched) and not (self.folder / line.file).is_file()
        return None if gone else line
