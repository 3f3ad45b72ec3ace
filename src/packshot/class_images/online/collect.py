"""Downloading class images from online sources."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packshot.class_images.class_image import ClassImage
from packshot.class_images.collect import store_class_images
from packshot.class_images.online.api_search import Source
from packshot.class_images.online.candidate import Candidate
from packshot.class_images.online.commons import Commons
from packshot.class_images.online.download import Fetcher, check_contact
from packshot.class_images.online.download_queue import DownloadQueue
from packshot.class_images.online.filter import ClassCheck, ClipCheck, ImageFilter
from packshot.class_images.online.img2dataset import Img2Dataset, is_output
from packshot.class_images.online.licences import FREE, UNTOLD, check_licences
from packshot.class_images.online.offers import write_offers
from packshot.class_images.online.openverse import Openverse
from packshot.class_images.online.request_log import Fetched, RequestLog
from packshot.class_images.online.url_list import UrlList
from packshot.errors import ClassImagesError
from packshot.photos import manifest
from packshot.project import Project
from packshot.utils import pathnames
from packshot.utils.progress import Progress, silent
from packshot.utils.text import with_article

if TYPE_CHECKING:
    from packshot.models.embedder import ClipSimilarity

MIN_SIDE = 512
REPOSITORIES = ("openverse", "commons")


@dataclass(frozen=True)
class ClassImageResult:
    """The collected class images, the refused ones with the reasons, and notes for the user."""

    images: list[ClassImage]
    refused: dict[str, str]
    notes: list[str]


def download_class_images(
    project: Project,
    sources: Sequence[str],
    *,
    count: int,
    words: str | None = None,
    licences: Sequence[str] = FREE,
    min_side: int = MIN_SIDE,
    contact: str | None = None,
    openverse_token: str | None = None,
    clip: ClipSimilarity | None = None,
    progress: Progress = silent,
) -> ClassImageResult:
    """Download `count` images of the class, from one source after the other.

    A killed or stopped call resumes without repeating requests. Collecting again replaces the list;
    downloads are kept in class_images/downloads/, so that a larger count only adds.

    Args:
        sources: "openverse", "commons", a file of URLs, or a folder by img2dataset.
        words: the search query; by default the class noun.
        licences: codes, such as "cc0", "by"; images of lists without a licence are accepted, too.
        min_side: least pixels of the shorter side.
        contact: an e-mail address or URL, required by the sites that are asked.
        openverse_token: of an application registered there, for more requests a day.
        clip: a CLIP trained on photographs, to leave out images of other things.

    Raises:
        ClassImagesError: an unknown source, no usable image, or an API's rate limit is used up; the
            images found until then are listed.
        ProjectError: another process works on the project.
        DiskFullError: no room; the earlier list is intact.
    """
    noun = project.subject.class_noun
    named, codes, fetcher = _asked(project, sources, words, licences, contact, openverse_token)
    check = ClipCheck(clip, noun) if clip else None
    gathered = download_from(
        project, named, fetcher, count, codes, min_side=min_side, check=check, progress=progress
    )
    if not check:
        gathered.notes.append(
            f"no CLIP is at hand (--embedder), so what is no {noun} was not sorted out"
        )
    return gathered


def list_offers(
    project: Project,
    sources: Sequence[str],
    *,
    count: int,
    words: str | None = None,
    licences: Sequence[str] = FREE,
    min_side: int = MIN_SIDE,
    contact: str | None = None,
    openverse_token: str | None = None,
) -> list[Candidate]:
    """What `download_class_images` would ask for, with authors and licences, before any of it is fetched.

    Written to class_images/offers.jsonl, too. The sources' pages are remembered: downloading asks for
    them no more.

    Raises:
        ClassImagesError: an unknown source, nothing that fits, or a rate limit is used up.
        ProjectError: another process works on the project.
    """
    named, codes, fetcher = _asked(project, sources, words, licences, contact, openverse_token)
    return offers_from(project, named, fetcher, count, codes, min_side=min_side)


def offers_from(
    project: Project,
    sources: Sequence[Source],
    fetcher: Fetcher,
    count: int,
    licences: Collection[str],
    *,
    min_side: int = MIN_SIDE,
) -> list[Candidate]:
    """As `list_offers`, with given sources and fetcher."""
    with project.held():
        ledger = RequestLog(project.class_images_downloads_folder, fetcher.clock.now())
        sieve = ImageFilter(manifest.read(project).photos, min_side, None, ledger)
        collector = DownloadQueue(fetcher, ledger, sieve, licences, min_side)
        offers = collector.offers(sources, count)
        if not offers:
            why = f" ({collector.stopped})" if collector.stopped else ""
            raise ClassImagesError(
                f"Nothing that fits was found{why}. Search for something else (--class-query), or allow "
                "more licences (--class-licences)."
            )
        write_offers(project, offers)
        return offers


def _asked(
    project: Project,
    sources: Sequence[str],
    words: str | None,
    licences: Sequence[str],
    contact: str | None,
    token: str | None,
) -> tuple[list[Source], tuple[str, ...], Fetcher]:
    """The sources by their names, the licences' codes, and who asks."""
    codes, noun = check_licences(licences), project.subject.class_noun
    named = [_source(name, words or noun, codes, token) for name in sources]
    if not all(isinstance(source, Img2Dataset) for source in named):
        contact = check_contact(contact)
    return named, codes, Fetcher(contact or "")


def download_from(
    project: Project,
    sources: Sequence[Source],
    fetcher: Fetcher,
    count: int,
    licences: Collection[str],
    *,
    min_side: int = MIN_SIDE,
    check: ClassCheck | None = None,
    progress: Progress = silent,
) -> ClassImageResult:
    """As `download_class_images`, with given sources and fetcher."""
    with project.held():
        ledger = RequestLog(project.class_images_downloads_folder, fetcher.clock.now())
        sieve = ImageFilter(manifest.read(project).photos, min_side, check, ledger)
        collector = DownloadQueue(fetcher, ledger, sieve, licences, min_side)
        collector.run(sources, count, progress)
        noun = project.subject.class_noun
        found = (_class_image(noun, ledger.folder, *kept) for kept in collector.kept)
        images = store_class_images(project, found, collector.refused) if collector.kept else []
    return _outcome(collector, images, count)


def _outcome(collector: DownloadQueue, images: list[ClassImage], count: int) -> ClassImageResult:
    if collector.stopped and len(images) < count:
        raise ClassImagesError(
            f"{len(images)} of {count} class images so far: {collector.stopped}. "
            "Run the same command later to resume, or name another source besides."
        )
    if not images:
        reasons = list(collector.refused.items())[:20]
        lines = "".join(f"\n  {url}: {reason}" for url, reason in reasons)
        raise ClassImagesError(f"Nothing that can be used was found.{lines}")
    notes = []
    if len(images) < count:
        notes.append(
            f"there are no more than {len(images)}; search for something else besides "
            "(--class-query), or name another source"
        )
    if untold := sum(image.licence == UNTOLD for image in images):
        notes.append(f"the licence of {untold} is not told; find it out before you train")
    return ClassImageResult(images, collector.refused, notes)


def _class_image(noun: str, folder: Path, candidate: Candidate, fetched: Fetched) -> ClassImage:
    return ClassImage(
        file=pathnames.safe_join(folder, fetched.file),
        sha256=fetched.sha256,
        width=fetched.width,
        height=fetched.height,
        prompt=candidate.prompt or f"a photo of {with_article(noun)}",
        source=candidate.source,
        author=candidate.author,
        licence=candidate.licence,
        title=candidate.title,
        licence_url=candidate.licence_url,
    )


def _source(name: str, words: str, licences: Sequence[str], token: str | None) -> Source:
    if name == "openverse":
        return Openverse(words, licences, token)
    if name == "commons":
        return Commons(words)
    path = Path(name)
    if path.is_dir() and is_output(path):
        return Img2Dataset(path)
    if path.is_file():
        return UrlList(path)
    if path.is_dir():
        raise ClassImagesError(f"{path} is a folder of images; name it without other sources.")
    raise ClassImagesError(
        f"There is no {path}. Name {' or '.join(REPOSITORIES)}, a file of URLs, a folder of "
        "images or one that img2dataset has written."
    )


def plain_folder(sources: Sequence[str]) -> Path | None:
    """The folder, if the only source is a folder of images; then nothing is downloaded."""
    if len(sources) != 1 or not (folder := Path(sources[0])).is_dir():
        return None
    return None if is_output(folder) else folder
