"""Helper models besides the base (captioners, embedders), from a folder or the hub.

A model that is complete in the hub's cache is used without asking. Otherwise the download is offered
with its size and licence, and done only if the user agrees.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from packshot.errors import DiskFullError, ModelLoadError
from packshot.utils import pathnames
from packshot.utils.progress import Observer, Progress, silent
from packshot.weights import hub
from packshot.weights.shards import weight_names

WD_FILES = ("model.onnx", "selected_tags.csv")
_MARK = ("selected_tags.csv", "config.json")
_SMALL = re.compile(r"[\w-]+\.(json|txt|model|jinja)")
_NEEDED = ({"config.json"}, {"preprocessor_config.json", "processor_config.json"})


@dataclass(frozen=True)
class Helper:
    """A model on the Hugging Face hub: OWNER/NAME and the licence on its page."""

    name: str
    licence: str


def label(spec: str) -> str:
    """A helper's short name as an author: its repository's name, or its file's without the ending."""
    name = re.split(r"[/\\]", spec.rpartition(":")[2].rstrip("/"))[-1]
    return name.removesuffix(".onnx").removesuffix(".safetensors") or spec


def parted(spec: str, kinds: Sequence[str]) -> tuple[str | None, str | None]:
    """The (kind, model) of an option's value: a kind's name, a model, or KIND:MODEL.

    A single word that is no file's name is taken as a kind, even an unknown one.
    """
    kind, colon, model = spec.partition(":")
    if colon and kind in kinds:
        return kind, model
    is_word = re.fullmatch(r"[\w-]+", spec) is not None and not pathnames.exists(Path(spec))
    return (spec, None) if is_word or spec in kinds else (None, spec)


def model_folder(model: str, progress: Progress = silent) -> Path:
    """The folder of a model by its name: an existing path, else a repository of the hub.

    Raises:
        ModelLoadError: it is neither, or the repository has no usable files or cannot be reached.
    """
    path = pathnames.expand_user(model)
    if pathnames.exists(path):
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
    """Whether a model of the hub is complete in the hub's cache; nothing is requested."""
    return _cached_folder(name) is not None


def cached_bytes(name: str) -> int:
    """The size of a model's weights in the hub's cache; 0 if it is not there."""
    folder = _cached_folder(name)
    return sum(file.stat().st_size for file in folder.glob("*.safetensors")) if folder else 0


def _cached_folder(name: str) -> Path | None:
    repo = hub.parse_repo(name)
    return hub.cached_folder(repo, _MARK, partial(_wanted, name)) if repo else None


def best_helper(
    job: str, known: Sequence[Helper], offered: Sequence[Helper], observer: Observer
) -> tuple[str | None, str]:
    """The first of `known` that is in the hub's cache, else the first of `offered` that downloads.

    Args:
        job: what the model is for, as it follows "To ..." in the question to the user.

    Returns:
        Its OWNER/NAME, or None; and the reason.

    Raises:
        DiskFullError: the user wants it, and the cache has no room.
    """
    for helper in known:
        if is_cached(helper.name):
            return helper.name, "the best that is in the hub's cache"
    why = ""
    for helper in offered:
        try:
            size = hub.bytes_to_fetch(helper.name, partial(_wanted, helper.name))
            asked = f"{helper.name} ({size / 1e6:,.0f} MB, {helper.licence})"
            if not observer.agrees(f"To {job}, fetch {asked} from the Hugging Face hub?"):
                return None, f"{asked} was not to be fetched"
            model_folder(helper.name, observer.progress)
            return helper.name, "fetched from the hub, as was agreed to"
        except DiskFullError:
            raise
        except ModelLoadError as error:
            reason = type(error.__cause__).__name__ if error.__cause__ else str(error).rstrip(".")
            why = why or f"{helper.name} is not in the hub's cache and cannot be fetched ({reason})"
    return None, why


def _wanted(model: str, names: Sequence[str]) -> list[str]:
    """The files of a repository that are loaded, weights last: no pickles, no code."""
    if "selected_tags.csv" in names:
        if WD_FILES[0] not in names:
            raise ModelLoadError(f"{model} is not whole: it has no {WD_FILES[0]}.")
        return list(reversed(WD_FILES))
    for either in _NEEDED:
        if not either & set(names):
            raise ModelLoadError(f"{model} is no such model: it has no {min(either)}.")
    small = sorted(name for name in names if _SMALL.fullmatch(name))
    return [*small, *weight_names(model, names)]
