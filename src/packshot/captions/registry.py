"""Which captioners there are, and where each one's weights come from.

Another package adds its own by an entry point of the group `packshot.captioners`: its name is what
`--captioner` says, its object a function that takes the folder of a model (None if none was named)
and gives a `packshot.captions.Captioner`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import torch

from packshot import files
from packshot.bases import hub
from packshot.bases.base import Base
from packshot.bases.headers import read_config
from packshot.captions.captioner import Captioner
from packshot.captions.clip_interrogator import ClipInterrogator
from packshot.captions.phrases import read_bank
from packshot.captions.plain import Plain
from packshot.captions.pretrained import weight_names
from packshot.errors import CaptionsRefused, CheckpointRefused
from packshot.progress import Progress, silent

GROUP = "packshot.captioners"
AUTO, PLAIN, CLIP = "auto", "plain", "clip"
MODULES = {
    "clip": "packshot.captions.clip_interrogator",
    "blip": "packshot.captions.blip",
    "florence": "packshot.captions.florence",
    "qwen-vl": "packshot.captions.qwen_vl",
    "wd": "packshot.captions.wd_tagger",
}
"""Those that are loaded from a folder; each module has `load(folder, device)`."""
MODEL_TYPES = {
    "clip": "clip", "blip": "blip", "blip-2": "blip", "florence2": "florence",
    "qwen2_vl": "qwen-vl", "qwen2_5_vl": "qwen-vl", "qwen3_vl": "qwen-vl",
}  # fmt: skip
"""The captioner for each `model_type` of a config.json."""
_ONNX = ("model.onnx", "selected_tags.csv")
_SMALL = re.compile(r"[\w-]+\.(json|txt|model|jinja)")
_NEEDED = ({"config.json"}, {"preprocessor_config.json", "processor_config.json"})


def captioner_for(base: Base | None) -> Captioner:
    """The best captioner that works with what the base carries."""
    similarity = base.clip_similarity() if base else None
    return ClipInterrogator(similarity, read_bank(base.path)) if base and similarity else Plain()


def load_captioner(
    kind: str = AUTO,
    model: str | None = None,
    *,
    base: Callable[[], Base] | None = None,
    device: str | None = None,
    progress: Progress = silent,
) -> Captioner:
    """A captioner by its name, or by the kind of its model.

    Args:
        kind: "plain", "clip", "blip", "florence", "qwen-vl", "wd", one of another package's; "auto":
            what the model is, or without one the best that works with the base.
        model: a folder, or OWNER/NAME (also OWNER/NAME@REVISION) on the Hugging Face hub.
        base: loads the base whose own CLIP is used without a model.
        device: where it computes; by default the best that is there.

    Raises:
        CaptionsRefused: there is no such captioner, or it lacks a model.
        CheckpointRefused: the model is of another kind, damaged, or would have to be unpickled.
    """
    added = {point.name: point for point in entry_points(group=GROUP)}
    known = [AUTO, PLAIN, *MODULES, *sorted(added.keys() - {AUTO, PLAIN, *MODULES})]
    if kind not in known:
        raise CaptionsRefused(f"There is no captioner {kind!r}; choose one of {', '.join(known)}.")
    if kind == PLAIN:
        return Plain()
    if model is None and kind in (AUTO, CLIP):
        return _of_base(kind, base)
    folder = None if model is None else model_folder(model, progress)
    if kind == AUTO and folder:
        kind = kind_of(folder)
    if kind not in MODULES:
        return _added(added[kind], folder)
    if folder is None:
        raise CaptionsRefused(
            f"The captioner {kind} needs a model: --model FOLDER, or OWNER/NAME of the hub."
        )
    from packshot.bases import best_device

    loaded: Captioner = import_module(MODULES[kind]).load(
        folder, torch.device(device or best_device())
    )
    return loaded


def _of_base(kind: str, base: Callable[[], Base] | None) -> Captioner:
    captioner = captioner_for(base() if base else None)
    if kind == CLIP and isinstance(captioner, Plain):
        raise CaptionsRefused(
            "The base carries no CLIP with an image tower; name one: --model FOLDER, or OWNER/NAME "
            "of the hub."
        )
    return captioner


def _added(point: EntryPoint, folder: Path | None) -> Captioner:
    """Another package's captioner."""
    try:
        load = point.load()
    except Exception as error:
        raise CaptionsRefused(
            f"The captioner {point.name} ({point.value}) cannot be imported: {error}"
        ) from error
    loaded: Captioner = load(folder)
    return loaded


def kind_of(folder: Path) -> str:
    """Which captioner a folder's files are for.

    Raises:
        CheckpointRefused: none that is known.
    """
    if (folder / "selected_tags.csv").is_file():
        return "wd"
    found = read_config(folder / "config.json").get("model_type")
    if found not in MODEL_TYPES:
        raise CheckpointRefused(
            f"{folder} is of the kind {found!r}; captioners are made of "
            f"{', '.join(MODEL_TYPES)}, and WD taggers ({' and '.join(_ONNX)})."
        )
    return MODEL_TYPES[found]


def model_folder(model: str, progress: Progress = silent) -> Path:
    """The folder of a model that a person names: a path, else a repository of the hub.

    Raises:
        CaptionsRefused: it is neither.
        CheckpointRefused: the repository has nothing of use, or cannot be reached.
    """
    path = Path(model).expanduser()
    if files.exists(path):
        if not path.is_dir():
            raise CaptionsRefused(f"{path} is a file; name the folder that it lies in.")
        return path
    repo = hub.repository(model)
    if repo is None:
        raise CaptionsRefused(
            f"There is no folder {path}, and {model!r} is no OWNER/NAME of the hub."
        )
    mark = ("selected_tags.csv", "config.json")
    return hub.fetched_folder(repo, mark, lambda names: _wanted(model, names), progress)


def _wanted(model: str, names: Sequence[str]) -> list[str]:
    """Of a repository's files those that are loaded, weights last: no pickles, no code."""
    if "selected_tags.csv" in names:
        if _ONNX[0] not in names:
            raise CheckpointRefused(f"{model} is not whole: it has no {_ONNX[0]}.")
        return list(reversed(_ONNX))
    for either in _NEEDED:
        if not either & set(names):
            raise CheckpointRefused(f"{model} is no captioner: it has no {min(either)}.")
    small = sorted(name for name in names if _SMALL.fullmatch(name))
    return [*small, *weight_names(model, names)]
