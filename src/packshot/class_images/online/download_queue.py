"""Downloading candidates concurrently and filtering them in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Lock

from packshot.class_images.online.api_search import Source, asking
from packshot.class_images.online.candidate import Candidate
from packshot.class_images.online.download import WORKERS, Fetcher
from packshot.class_images.online.filter import ImageFilter
from packshot.class_images.online.http_responses import PermanentHttpError, RetryLaterError
from packshot.class_images.online.licences import UNTOLD, licence_code
from packshot.class_images.online.request_log import Fetched, RejectedUrl, RequestLog
from packshot.errors import ClassImagesError, ImageRejectedError, Refusal
from packshot.images import quality
from packshot.images.loading import read_picture
from packshot.utils import files, hashing
from packshot.utils.progress import Progress

_AHEAD = 2 * WORKERS
_SUFFIXES = {
    "JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "HEIF": ".heic", "AVIF": ".avif",
}  # fmt: skip


@dataclass
class DownloadQueue:
    """Downloads and filters the candidates of the sources until enough are kept.

    Downloads are concurrent, but images are filtered in the candidates' order, so that the result
    does not depend on which download finished first.
    """

    fetcher: Fetcher
    ledger: RequestLog
    sieve: ImageFilter
    licences: Collection[str]
    min_side: int
    kept: list[tuple[Candidate, Fetched]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    stopped: RetryLaterError | None = None
    """Why there were no more candidates, if an API has to be left alone."""
    _decoding: Lock = field(default_factory=Lock)

    def run(self, sources: Sequence[Source], count: int, progress: Progress) -> None:
        """Download and filter until `count` images are kept or the sources are exhausted."""
        candidates = self._wanted(sources)
        coming: deque[tuple[Candidate, Future[Fetched]]] = deque()
        pool = ThreadPoolExecutor(WORKERS)
        progress("class images", 0, count)
        try:
            while len(self.kept) < count:
                # No more under way than are still wanted: none is asked for in vain.
                while len(coming) < min(_AHEAD, count - len(self.kept)):
                    if (candidate := next(candidates, None)) is None:
                        break
                    coming.append((candidate, pool.submit(self._fetched, candidate)))
                if not coming:
                    break
                self._settle(*coming.popleft())
                progress("class images", len(self.kept), count)
        finally:
            self.fetcher.close()
            pool.shutdown(cancel_futures=True)

    def offers(self, sources: Sequence[Source], count: int) -> list[Candidate]:
        """The first `count` candidates that fit by their metadata; none is downloaded."""
        try:
            return list(islice(self._wanted(sources), count))
        finally:
            self.fetcher.close()

    def _wanted(self, sources: Sequence[Source]) -> Iterator[Candidate]:
        """The candidates of all sources, each URL once, without those rejected by their metadata."""
        seen = set()
        for source in sources:
            try:
                for candidate in source.candidates(asking(source, self.fetcher, self.ledger)):
                    if isinstance(candidate, RejectedUrl):
                        self.refused[candidate.url] = candidate.reason
                        continue
                    if candidate.url in seen:
                        continue
                    seen.add(candidate.url)
                    if reason := self._unfit(candidate):
                        self.refused[candidate.url] = reason
                    else:
                        yield candidate
            except RetryLaterError as error:
                self.stopped = error

    def _unfit(self, candidate: Candidate) -> str | None:
        code = licence_code(candidate.licence, candidate.licence_url)
        if candidate.licence != UNTOLD and code not in self.licences:
            return f"is under {candidate.licence}, which --class-licences does not name"
        width, height = candidate.width, candidate.height
        if width and height and min(width, height) < self.min_side:
            said = f"is only {width} x {height} px; its shorter side must have {self.min_side}"
            return Refusal(said, "small")
        return None

    def _settle(self, candidate: Candidate, coming: Future[Fetched]) -> None:
        try:
            fetched = coming.result()
            self.sieve.check(fetched)
            self.kept.append((candidate, fetched))
        except ImageRejectedError as error:
            self.refused[candidate.url] = error.reason
        except RetryLaterError as error:
            self.refused[candidate.url] = f"did not come; run this again to ask again ({error})"
        except ClassImagesError as error:  # its file can no longer be read
            self.refused[candidate.url] = str(error)
        except MemoryError:
            self.refused[candidate.url] = Refusal("needs more memory than there is", "large")

    def _fetched(self, candidate: Candidate) -> Fetched:
        """The image, downloaded unless the log has its result. Runs in a thread."""
        line = self.ledger.picture(candidate.url)
        if line is None:
            line = self._asked_for(candidate)
            self.ledger.append(line)
        if isinstance(line, RejectedUrl):
            raise ImageRejectedError(candidate.url, line.reason)
        return line

    def _asked_for(self, candidate: Candidate) -> Fetched | RejectedUrl:
        try:
            if candidate.stored:
                return self._saved(candidate.url, candidate.stored.read())
            return self.fetcher.picture(candidate.url, partial(self._saved, candidate.url))
        except ImageRejectedError as error:
            return RejectedUrl(url=candidate.url, reason=error.reason)
        except PermanentHttpError as error:
            return RejectedUrl(url=candidate.url, reason=str(error))

    def _saved(self, url: str, data: bytes) -> Fetched:
        with self._decoding:  # eight of 64 megapixels at a time would take gigabytes
            picture = read_picture(Path(url), data=data)
            look = quality.perceptual_hash(picture.image)
        sha256 = hashing.sha256_of(data)
        name = sha256[:16] + _SUFFIXES[picture.format]
        files.write_bytes(self.ledger.folder / name, data)
        width, height = picture.image.size
        return Fetched(url=url, file=name, sha256=sha256, look=look, width=width, height=height)
