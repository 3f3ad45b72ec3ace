"""The registry of captioners: their names, where their weights come from, and the default.

Other packages add captioners by entry points of the group `packshot.captioners`: the name is the
value of `--captioner`, the object a function from the folder of a model (None if none was named) to
a `packshot.captions.Captioner`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import torch

from packshot.captions.captioner import Captioner
from packshot.captions.clip_interrogator import ClipInterrogator
from packshot.captions.phrases import read_bank
from packshot.captions.plain import Plain
from packshot.decisions import Decisions, Value
from packshot.errors import CaptionError, InsufficientMemoryError, ModelLoadError
from packshot.models.device_memory import attempt, device_name, weight_memory_budget
from packshot.models.diffusion_model import DiffusionModel
from packshot.utils.progress import Observer, Progress, silent
from packshot.weights.helper_models import (
    WD_FILES,
    Helper,
    best_helper,
    cached_bytes,
    label,
    model_folder,
    parted,
)
from packshot.weights.safetensors_file import read_config

GROUP = "packshot.captioners"
AUTO, PLAIN, CLIP, BUNDLED = "auto", "plain", "clip", "bundled"
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
_MIT, _BSD, _APACHE = "MIT", "BSD-3-Clause", "Apache-2.0"
ON_GPUS = (
    Helper("Qwen/Qwen3-VL-8B-Instruct", _APACHE),
    Helper("Qwen/Qwen3-VL-4B-Instruct", _APACHE),
    Helper("Qwen/Qwen2.5-VL-7B-Instruct", _APACHE),
)
"""Asked for view and light they say most, but take minutes a picture without a GPU."""
KNOWN = (
    Helper("florence-community/Florence-2-large-ft", _MIT),
    Helper("florence-community/Florence-2-large", _MIT),
    Helper("florence-community/Florence-2-base-ft", _MIT),
    Helper("florence-community/Florence-2-base", _MIT),
    Helper("Salesforce/blip-image-captioning-large", _BSD),
    Helper("Salesforce/blip-image-captioning-base", _BSD),
)
"""Captioners that are taken where the hub's cache has them, the best first."""
OFFERED = (KNOWN[3], KNOWN[5])
"""Those that are small enough to be offered."""
ADVICE = f"Close other programs, or name a smaller captioner: packshot caption --captioner {OFFERED[0].name}"
"""Where memory gave out."""


def settle_captioner(
    choice: str, base: str, own_clip: bool, decisions: Decisions, observer: Observer
) -> str:
    """Decide on a project's captioner, as `captioner_of` takes it; the user is asked at most once.

    Args:
        choice: the project's setting.
        base: the name of its base.
        own_clip: whether the base contains a CLIP.
    """

    def choose() -> tuple[Value, str]:
        if choice != AUTO:
            return choice, "as chosen"
        if own_clip:
            return CLIP, "the base's own CLIP knows the words that it was trained on"
        known = (*filter(_fits_gpu, ON_GPUS), *KNOWN) if torch.cuda.is_available() else KNOWN
        helper, why = best_helper("caption your photos", known, OFFERED, observer)
        return (helper, why) if helper else (BUNDLED, f"no other is available: {why}")

    because = {"captioner": choice, "base": base}
    latest = decisions.latest("captioner")
    again = observer.insists and latest is not None and latest.value == BUNDLED
    settled = decisions.settle("captioner", because, choose, anew=again)
    if settled.is_new and settled.value == BUNDLED:
        observer.say(
            f"captions by the bundled CLIP, trained on renderings of ten kinds of place only: "
            f"read them (packshot caption --review). {settled.reason[:1].upper()}{settled.reason[1:]}. "
            f"A better one: --captioner {OFFERED[0].name}"
        )
    return str(settled.value)


def _fits_gpu(helper: Helper) -> bool:
    """Whether a model of the hub's cache, if it is there, leaves a GPU room to compute."""
    return cached_bytes(helper.name) <= weight_memory_budget(torch.device("cuda"))


def captioner_of(
    spec: str, *, base: Callable[[], DiffusionModel] | None = None, progress: Progress = silent
) -> Captioner:
    """The captioner of an option's value: a name, a model, or NAME:MODEL.

    Args:
        spec: the value; "bundled" is the CLIP of the bundled base.
        base: loads the base, if its own CLIP is used.

    Raises:
        CaptionError, ModelLoadError: as `load_captioner`.
    """
    if spec == BUNDLED:
        return _bundled()
    added = [point.name for point in entry_points(group=GROUP)]
    kind, model = parted(spec, [AUTO, PLAIN, *MODULES, *added])
    loaded = load_captioner(kind or AUTO, model, base=base, progress=progress)
    if model:
        loaded.name = label(model)
    return loaded


def _bundled() -> Captioner:
    """The bundled base's CLIP with its own phrases; the plain captioner if it is not installed."""
    from packshot.models import load_base

    try:
        captioner = captioner_for(load_base("pocket", device="cpu", dtype=torch.float32))
    except ModelLoadError:
        return Plain()
    captioner.name = BUNDLED
    return captioner


def captioner_for(base: DiffusionModel | None) -> Captioner:
    """The best captioner that works with the base alone: its CLIP, else the plain one."""
    similarity = base.clip_similarity() if base else None
    return ClipInterrogator(similarity, read_bank(base.path)) if base and similarity else Plain()


def load_captioner(
    kind: str = AUTO,
    model: str | None = None,
    *,
    base: Callable[[], DiffusionModel] | None = None,
    device: str | None = None,
    progress: Progress = silent,
) -> Captioner:
    """Load a captioner by its name, or by the kind of its model.

    Args:
        kind: "plain", "clip", "blip", "florence", "qwen-vl", "wd", or another package's; "auto" is
            the model's kind, or without a model the best that works with the base.
        model: a folder, or OWNER/NAME (also OWNER/NAME@REVISION) on the Hugging Face hub.
        base: loads the base, whose own CLIP is used without a model.
        device: by default the best device of this machine.

    Raises:
        CaptionError: there is no such captioner, or it needs a model.
        ModelLoadError: the model is of another kind, damaged, or a pickle.
        InsufficientMemoryError: the device does not hold it.
    """
    added = {point.name: point for point in entry_points(group=GROUP)}
    known = [AUTO, PLAIN, *MODULES, *sorted(added.keys() - {AUTO, PLAIN, *MODULES})]
    if kind not in known:
        raise CaptionError(f"There is no captioner {kind!r}; choose one of {', '.join(known)}.")
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
        raise CaptionError(
            f"The captioner {kind} needs a model: --captioner FOLDER, or OWNER/NAME of the hub."
        )
    from packshot.models import best_device

    place = torch.device(device or best_device())
    load = partial(import_module(MODULES[kind]).load, folder, place)
    loaded: Captioner | None = attempt(place, load)
    if loaded is None:
        raise InsufficientMemoryError(
            f"The memory of {device_name(place)} does not hold the captioner {model}. {ADVICE}"
        )
    return loaded


def _of_base(kind: str, base: Callable[[], DiffusionModel] | None) -> Captioner:
    captioner = captioner_for(base() if base else None)
    if kind == CLIP and isinstance(captioner, Plain):
        raise CaptionError(
            "The base carries no CLIP with an image tower; name one: --captioner FOLDER, or "
            "OWNER/NAME of the hub."
        )
    return captioner


def _added(point: EntryPoint, folder: Path | None) -> Captioner:
    """Another package's captioner."""
    try:
        load = point.load()
    except Exception as error:
        raise CaptionError(
            f"The captioner {point.name} ({point.value}) cannot be imported: {error}"
        ) from error
    loaded: Captioner = load(folder)
    return loaded


def kind_of(folder: Path) -> str:
    """The kind of captioner that a folder's files are for.

    Raises:
        ModelLoadError: an unknown kind.
    """
    if (folder / "selected_tags.csv").is_file():
        return "wd"
    kind = read_config(folder / "config.json").get("model_type")
    if kind not in MODEL_TYPES:
        raise ModelLoadError(
            f"{folder} is of the kind {kind!r}; captioners are made of "
            f"{', '.join(MODEL_TYPES)}, and WD taggers ({' and '.join(WD_FILES)})."
        )
    return MODEL_TYPES[kind]
