"""Downloads from the Hugging Face hub into the user's hub cache.

What is complete in the cache is used without any request, so that a project's models do not change
when their repositories are updated.
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
from packshot.utils import pathnames
from packshot.utils.progress import Progress, silent

_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_NAME = re.compile(rf"({_PART}/{_PART})(?:@({_PART}(?:/{_PART})*))?")
_HASH, _COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")
_FILES = (".safetensors", ".gguf", ".ckpt", ".bin", ".pt", ".pth")


@dataclass(frozen=True)
class Repository:
    """A repository of models and one of its revisions (a branch, a tag or a commit)."""

    id: str
    revision: str = "main"

    def __str__(self) -> str:
        return self.id if self.revision == "main" else f"{self.id}@{self.revision}"


def parse_repo(name: str) -> Repository | None:
    """Parse OWNER/NAME or OWNER/NAME@REVISION; None if `name` has another form."""
    match = _NAME.fullmatch(name)
    if not match or name.lower().endswith(_FILES):
        return None
    return Repository(match[1], match[2] or "main")


def download_files(
    repo: Repository,
    needed: Sequence[str],
    *,
    also: Sequence[str] = (),
    progress: Progress = silent,
) -> Path:
    """Download these files of a repository; returns its folder in the hub's cache.

    Args:
        also: optional files.

    Raises:
        ModelLoadError, DiskFullError: as `download_matching`.
    """

    def choose(names: Sequence[str]) -> list[str]:
        if lost := [name for name in needed if name not in names]:
            raise ModelLoadError(f"{repo} on the hub has no {lost[0]}, which is needed here.")
        # The required files last: if they are there, the download was complete.
        return [*(name for name in also if name in names), *needed]

    return download_matching(repo, needed, choose, progress)


def is_cached(name: str, needed: Sequence[str]) -> bool:
    """Whether these files of OWNER/NAME are in the hub's cache; nothing is requested."""
    from huggingface_hub import try_to_load_from_cache

    repo = parse_repo(name)
    return repo is not None and all(
        isinstance(try_to_load_from_cache(repo.id, file, revision=repo.revision), str)
        for file in needed
    )


def was_fetched(repo: Repository) -> bool:
    """Whether anything of a repository is in the hub's cache; nothing is requested."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = repo_folder_name(repo_id=repo.id, repo_type="model")
    return pathnames.exists(Path(constants.HF_HUB_CACHE) / folder)


def download_file(repo: Repository, name: str, revision: str, **options: Any) -> str:
    """Download one file, with `hf_hub_download`'s options; returns its path in the hub's cache.

    Raises:
        ModelLoadError: the server's answer could not be the hub's; nothing is written.
    """
    from huggingface_hub import get_session, hf_hub_download

    hooks = get_session().event_hooks
    if _refuse_names not in hooks["response"]:
        get_session().event_hooks = {**hooks, "response": [*hooks["response"], _refuse_names]}
    return hf_hub_download(repo.id, name, revision=revision, **options)


def _refuse_names(response: Any) -> None:
    """Refuse an answer by which the hub's library would name files and folders elsewhere.

    It names a file by its ETag and a folder by its commit, as the server tells them; a mirror that
    tells `../../x` would have it write there.
    """
    told = response.headers
    commit, etag = told.get("x-repo-commit"), told.get("x-linked-etag") or told.get("etag") or ""
    if response.request.method != "HEAD" or commit is None:
        return
    if not (_COMMIT.fullmatch(commit) and _HASH.fullmatch(etag.removeprefix("W/").strip('"'))):
        raise ModelLoadError(
            f"{response.request.url.host} answers with {etag!r} of {commit!r}, which are no hashes as the "
            "hub's are; nothing was fetched. Is HF_ENDPOINT a mirror that you trust?"
        )


def download_each(
    repo: Repository,
    folder: Path,
    names: Sequence[str],
    sizes: Mapping[str, int],
    progress: Progress,
    before_each: Callable[[str], None] = lambda name: None,
) -> None:
    """Download files of the commit that `folder` is named after, one after the other."""
    got, whole = 0, sum(sizes[name] for name in names)

    def report(count: int) -> None:
        nonlocal got
        got += count
        progress("MB fetched", got // 10**6, whole // 10**6)

    for name in names:
        before_each(name)
        before = got
        download_file(repo, name, folder.name, tqdm_class=_meter(report))
        report(before + sizes[name] - got)  # what was there already


def download_matching(
    repo: Repository,
    mark: Sequence[str],
    choose: Callable[[Sequence[str]], list[str]],
    progress: Progress = silent,
) -> Path:
    """Download a network's files as `choose` selects them; returns its folder in the hub's cache.

    A complete network in the cache is used without any request; files are complete or absent.

    Args:
        mark: files of which such a network has at least one.
        choose: selects from the repository's file names, weights last; raises if one is missing.

    Raises:
        ModelLoadError: no such repository, gated, or no connection; or as `choose`.
        DiskFullError: the cache has no room.
    """
    with hub_errors_explained(repo):
        if folder := cached_folder(repo, mark, choose):
            return folder
        sizes = file_sizes(repo)
        names = choose(list(sizes))
        # The first download resolves the revision to a commit.
        folder = _root(download_file(repo, names[0], repo.revision), names[0])
        download_each(repo, folder, names, sizes, progress)
        return folder


def cached_folder(
    repo: Repository, mark: Sequence[str], choose: Callable[[Sequence[str]], list[str]]
) -> Path | None:
    """The folder of a network that is complete in the hub's cache, see `download_matching`."""
    from huggingface_hub import try_to_load_from_cache

    for name in mark:
        cached = try_to_load_from_cache(repo.id, name, revision=repo.revision)
        if isinstance(cached, str):
            folder = _root(cached, name)
            present = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
            with suppress(ModelLoadError):
                choose(present)
                return folder
    return None


def bytes_to_fetch(name: str, choose: Callable[[Sequence[str]], list[str]]) -> int:
    """The bytes to download of OWNER/NAME; only its list of files is requested.

    Raises:
        ModelLoadError: as `download_matching`.
    """
    repo = parse_repo(name)
    if repo is None:
        raise ModelLoadError(f"{name!r} is no OWNER/NAME of the hub.")
    with hub_errors_explained(repo):
        sizes = file_sizes(repo)
        return sum(sizes[file] for file in choose(list(sizes)))


def file_sizes(repo: Repository) -> dict[str, int]:
    """The files of a repository on the hub and their sizes in bytes."""
    from huggingface_hub import HfApi

    listed = HfApi().model_info(repo.id, revision=repo.revision, files_metadata=True).siblings
    return {file.rfilename: file.size or 0 for file in listed or []}


def _root(path: str, name: str) -> Path:
    """The repository's folder, from the path of its file `name`."""
    return Path(path).parents[name.count("/")]


def _meter(report: Callable[[int], None]) -> type[Any]:
    """A class that the hub's library uses as a progress bar; it shows nothing and reports bytes."""
    from tqdm import tqdm

    class Meter(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options | {"disable": True})

        def update(self, n: float | None = 1) -> None:
            report(int(n or 0))

        def update_transfer(self, n: float | None = 1) -> None:
            """Ignored: compressed bytes on the wire, fewer than those on the disk."""

        def set_transfer_postfix_str(self, *args: Any, **options: Any) -> None:
            pass

    return Meter


@contextmanager
def hub_errors_explained(repo: Repository) -> Iterator[None]:
    """Turns errors of the hub, its library or the connection into `PackshotError`s that explain."""
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
