"""Repositories of the Hugging Face hub: files of one, in the user's hub cache.

What is whole in the cache is taken from there, without a question to the network, so that a
project's models stay what they were when their repositories move on.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packshot.errors import DiskFullError, ModelLoadError, as_model_load_error
from packshot.utils.progress import Progress, silent

_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_NAME = re.compile(rf"({_PART}/{_PART})(?:@({_PART}(?:/{_PART})*))?")
_FILES = (".safetensors", ".gguf", ".ckpt", ".bin", ".pt", ".pth")


@dataclass(frozen=True)
class Repository:
    """A repository of models and one of its revisions (a branch, a tag or a commit)."""

    id: str
    revision: str = "main"

    def __str__(self) -> str:
        return self.id if self.revision == "main" else f"{self.id}@{self.revision}"


def parse_repo(name: str) -> Repository | None:
    """OWNER/NAME or OWNER/NAME@REVISION as a repository; None if `name` is no such thing."""
    found = _NAME.fullmatch(name)
    if not found or name.lower().endswith(_FILES):
        return None
    return Repository(found[1], found[2] or "main")


def download_files(
    repo: Repository,
    needed: Sequence[str],
    *,
    also: Sequence[str] = (),
    progress: Progress = silent,
) -> Path:
    """The folder of a repository in the hub's cache, with these files of it and no others.

    Args:
        also: fetched where there are such.

    Raises:
        ModelLoadError, DiskFullError: as of `download_matching`.
    """

    def choose(names: Sequence[str]) -> list[str]:
        if lost := [name for name in needed if name not in names]:
            raise ModelLoadError(f"{repo} on the hub has no {lost[0]}, which is needed here.")
        # The needed ones last: where they are, all is.
        return [*(name for name in also if name in names), *needed]

    return download_matching(repo, needed, choose, progress)


def is_cached(name: str, needed: Sequence[str]) -> bool:
    """Whether these files of OWNER/NAME are in the hub's cache; the network is not asked."""
    from huggingface_hub import try_to_load_from_cache

    repo = parse_repo(name)
    return repo is not None and all(
        isinstance(try_to_load_from_cache(repo.id, file, revision=repo.revision), str)
        for file in needed
    )


def download_each(
    repo: Repository,
    folder: Path,
    names: Sequence[str],
    sizes: Mapping[str, int],
    progress: Progress,
    before_each: Callable[[str], None] = lambda name: None,
) -> None:
    """Fetch files of the commit that `folder` is named after, one after the other."""
    from huggingface_hub import hf_hub_download

    got, whole = 0, sum(sizes[name] for name in names)

    def report(count: int) -> None:
        nonlocal got
        got += count
        progress("MB fetched", got // 10**6, whole // 10**6)

    for name in names:
        before_each(name)
        before = got
        hf_hub_download(repo.id, name, revision=folder.name, tqdm_class=_meter(report))
        report(before + sizes[name] - got)  # what was there already


def download_matching(
    repo: Repository,
    mark: Sequence[str],
    choose: Callable[[Sequence[str]], list[str]],
    progress: Progress = silent,
) -> Path:
    """The folder of one network in the hub's cache, with the files that are chosen of its repository.

    As of `fetched`: whole in the cache, it is taken from there; files come whole or not at all.

    Args:
        mark: files of which it has one, if it is such a network.
        choose: of the repository's names those wanted, weights last; refuses what is not whole.

    Raises:
        ModelLoadError: no such repository, gated, or no network; or as of `choose`.
        DiskFullError: the cache has no room.
    """
    from huggingface_hub import hf_hub_download

    with hub_errors_explained(repo):
        if folder := cached_folder(repo, mark, choose):
            return folder
        sizes = file_sizes(repo)
        names = choose(list(sizes))
        # By the first the cache learns what the revision is now.
        folder = _root(hf_hub_download(repo.id, names[0], revision=repo.revision), names[0])
        download_each(repo, folder, names, sizes, progress)
        return folder


def cached_folder(
    repo: Repository, mark: Sequence[str], choose: Callable[[Sequence[str]], list[str]]
) -> Path | None:
    """The folder of a network that is whole in the hub's cache, as of `download_matching`."""
    from huggingface_hub import try_to_load_from_cache

    for name in mark:
        found = try_to_load_from_cache(repo.id, name, revision=repo.revision)
        if isinstance(found, str):
            folder = _root(found, name)
            present = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
            with suppress(ModelLoadError):
                choose(present)
                return folder
    return None


def bytes_to_fetch(name: str, choose: Callable[[Sequence[str]], list[str]]) -> int:
    """How much would be fetched of OWNER/NAME; only its list of files is asked for.

    Raises:
        ModelLoadError: as of `download_matching`.
    """
    repo = parse_repo(name)
    if repo is None:
        raise ModelLoadError(f"{name!r} is no OWNER/NAME of the hub.")
    with hub_errors_explained(repo):
        sizes = file_sizes(repo)
        return sum(sizes[file] for file in choose(list(sizes)))


def file_sizes(repo: Repository) -> dict[str, int]:
    """The files of a repository on the hub, with their bytes."""
    from huggingface_hub import HfApi

    listed = HfApi().model_info(repo.id, revision=repo.revision, files_metadata=True).siblings
    return {file.rfilename: file.size or 0 for file in listed or []}


def _root(path: str, name: str) -> Path:
    """The folder that a repository's file lies in under its name."""
    return Path(path).parents[name.count("/")]


def _meter(report: Callable[[int], None]) -> type[Any]:
    """What the hub's library takes for a progress bar; it shows nothing and reports bytes."""
    from tqdm import tqdm

    class Meter(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options | {"disable": True})

        def update(self, n: float | None = 1) -> None:
            report(int(n or 0))

        def update_transfer(self, n: float | None = 1) -> None:
            """Bytes on the wire, where they are fewer than what they become on the disk."""

        def set_transfer_postfix_str(self, *args: Any, **options: Any) -> None:
            pass

    return Meter


@contextmanager
def hub_errors_explained(repo: Repository) -> Iterator[None]:
    """Whatever the hub, its library or the network do, in words."""
    from huggingface_hub import constants, errors

    hub, cache = constants.ENDPOINT, constants.HF_HUB_CACHE
    fault = f"is no path here, is not whole in the cache {cache}, and cannot be fetched from {hub}"
    remedy = "Run the same command again with a network; files that are whole are kept."
    with as_model_load_error(repo, fault, remedy):
        try:
            yield
        except errors.GatedRepoError as error:
            raise ModelLoadError(
                f"{repo} is gated: agree to its terms at {hub}/{repo.id}, then log in with a token "
                "of your account: hf auth login."
            ) from error
        except errors.RevisionNotFoundError as error:
            raise ModelLoadError(f"{repo.id} on {hub} has no revision {repo.revision}.") from error
        except errors.RepositoryNotFoundError as error:
            raise ModelLoadError(
                f"There is no checkpoint at {repo}: no file or folder of that name here, and no "
                f"such repository on {hub}. If it is a private one, log in: hf auth login."
            ) from error
        except errors.LocalEntryNotFoundError as error:
            # What kept it from the network says more.
            raise (error.__cause__ or error) from None
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise DiskFullError(
                f"No room for {repo} in {cache}. Free some space and run the same command again, or "
                "set HF_HUB_CACHE to a folder on another disk."
            ) from error
