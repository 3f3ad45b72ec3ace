"""Models that help beside the base (captioners, embedders): of a folder, or of the hub.

What is whole in the hub's cache is used without a question. What would have to be fetched is offered
with its size and licence, and fetched only if the user agrees.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from packshot.errors import DiskFullError, ModelLoadError
from packshot.utils import files
from packshot.utils.progress import Observer, Progress, silent
from packshot.weights import hub
from packshot.weights.shards import weight_names

WD_FILES = ("model.onnx", "selected_tags.csv")
_MARK = ("selected_tags.csv", "config.json")
_SMALL = re.compile(r"[\w-]+\.(json|txt|model|jinja)")
_NEEDED = ({"config.json"}, {"preprocessor_config.json", "processor_config.json"})


@dataclass(frozen=True)
class Helper:
    """A model on the Hugging Face hub: OWNER/NAME and the licence that its page names."""

    name: str
    licence: str


def label(spec: str) -> str:
    """What to call a helper as an author: "Florence-2-base" of its repository, "u2net" of its file."""
    name = re.split(r"[/\\]", spec.rpartition(":")[2].rstrip("/"))[-1]
    return name.removesuffix(".onnx").removesuffix(".safetensors") or spec


def parted(spec: str, kinds: Sequence[str]) -> tuple[str | None, str | None]:
    """A kind and a model of what an option says: a kind's name, a model, or KIND:MODEL.

    A single word that names no file is a kind, if only one that is not known.
    """
    kind, colon, model = spec.partition(":")
    if colon and kind in kinds:
        return kind, model
    is_word = re.fullmatch(r"[\w-]+", spec) is not None and not files.exists(Path(spec))
    return (spec, None) if is_word or spec in kinds else (None, spec)


def model_folder(model: str, progress: Progress = silent) -> Path:
    """The folder of a model that a person names: a path, else a repository of the hub.

    Raises:
        ModelLoadError: it is neither, or the repository has nothing of use or cannot be reached.
    """
    path = Path(model).expanduser()
    if files.exists(path):
        if not path.is_dir():
            raise ModelLoadError(f"{path} is a file; name the folder that it lies in.")
        return path
    repo = hub.parse_repo(model)
    if repo is None:
        raise ModelLoadError(
            f"There is no folder {path}, and {model!r} is no OWNER/NAME of the hub."
        )
    return hub.download_matching(repo, _MARK, partial(_wanted, model), progress)


def is_cached(name: str) -> bool:
    """Whether a model of the hub is whole in its cache; the network is not asked."""
    repo = hub.parse_repo(name)
    return repo is not None and bool(hub.cached_folder(repo, _MARK, partial(_wanted, name)))


def best_helper(
    job: str, known: Sequence[Helper], offered: Sequence[Helper], observer: Observer
) -> tuple[str | None, str]:
    """The first of `known` that is in the hub's cache, else the first of `offered` that can be had.

    Args:
        job: what it is wanted for, as it stands after "to".

    Returns:
        Its OWNER/NAME, None if there is none; and why.

    Raises:
        DiskFullError: the user wants it, and the cache has no room.
    """
    for one in known:
        if is_cached(one.name):
            return one.name, "the best that is in the hub's cache"
    why = ""
    for one in offered:
        try:
            size = hub.bytes_to_fetch(one.name, partial(_wanted, one.name))
            asked = f"{one.name} ({size / 1e6:,.0f} MB, {one.licence})"
            if not observer.agrees(f"To {job}, fetch {asked} from the Hugging Face hub?"):
                return None, f"{asked} was not to be fetched"
            model_folder(one.name, observer.progress)
            return one.name, "fetched from the hub, as was agreed to"
        except DiskFullError:
            raise
        except ModelLoadError as error:
            reason = type(error.__cause__).__name__ if error.__cause__ else str(error).rstrip(".")
            why = why or f"{one.name} is not in the hub's cache and cannot be fetched ({reason})"
    return None, why


def _wanted(model: str, names: Sequence[str]) -> list[str]:
    """Of a repository's files those that are loaded, weights last: no pickles, no code."""
    if "selected_tags.csv" in names:
        if WD_FILES[0] not in names:
            raise ModelLoadError(f"{model} is not whole: it has no {WD_FILES[0]}.")
        return list(reversed(WD_FILES))
    for either in _NEEDED:
        if not either & set(names):
            raise ModelLoadError(f"{model} is no such model: it has no {min(either)}.")
    small = sorted(name for name in names if _SMALL.fullmatch(name))
    return [*small, *weight_names(model, names)]
