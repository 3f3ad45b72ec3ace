"""The registry of segmenters: Packshot's own, and those of other packages.

Other packages add segmenters by entry points of the group `packshot.segmenters`: a `Loader` each.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from packshot.decisions import Decisions, Value
from packshot.errors import PackshotError
from packshot.masks import Segmenter
from packshot.utils import pathnames
from packshot.utils.progress import Progress, silent
from packshot.weights.helper_models import parted

GROUP = "packshot.segmenters"
AUTO = "auto"

Loader = Callable[[str | None, Progress], Segmenter]
"""From --model (a file, a folder, a repository of the hub; or none) to a segmenter."""


def _bundled(model: str | None, progress: Progress) -> Segmenter:
    from packshot.masks.bundled import BundledSegmenter

    return BundledSegmenter(Path(model) if model else None)


def _salient(kind: str | None) -> Loader:
    def load(model: str | None, progress: Progress) -> Segmenter:
        from packshot.masks.onnx_segmenter import OnnxSegmenter

        return OnnxSegmenter.load(model, kind, progress)

    return load


def _sam(model: str | None, progress: Progress) -> Segmenter:
    from packshot.masks.sam import SamSegmenter

    return SamSegmenter.load(model, progress)


LOADERS: dict[str, Loader] = {
    "bundled": _bundled,
    "onnx": _salient(None),
    "birefnet": _salient("birefnet"),
    "isnet": _salient("isnet"),
    "u2net": _salient("u2net"),
    "sam2": _sam,
}


def load_segmenter(
    name: str = AUTO, model: str | None = None, progress: Progress = silent
) -> Segmenter:
    """Load the segmenter of that name, with weights from `model`.

    "auto" is the kind of `model`; without a model it is the best available: a network in rembg's
    folder, if onnxruntime is installed, else a complete SAM 2 in the hub's cache, else the bundled
    segmenter. Only a named model is downloaded.

    Args:
        name: "auto", one of `LOADERS`, or another package's.
        model: a file, a folder, or OWNER/NAME on the Hugging Face hub.

    Raises:
        PackshotError: there is no such segmenter, or a required package is not installed.
        ModelLoadError: `model` is of another kind, or a pickle.
    """
    if name == AUTO:
        return (
            LOADERS[kind_of(model)](model, progress)
            if model
            else segmenter_of(best_found(), progress)
        )
    if name in LOADERS:
        return LOADERS[name](model, progress)
    offered = {point.name: point for point in entry_points(group=GROUP)}
    if name not in offered:
        known = ", ".join([AUTO, *LOADERS, *sorted(offered.keys() - LOADERS.keys())])
        raise PackshotError(f"There is no segmenter {name!r}; choose of {known}.")
    return _foreign(offered[name])(model, progress)


def kind_of(model: str) -> str:
    """The name of the segmenter for a model, by the model's name; nothing is read."""
    if pathnames.is_file(Path(model)) and not model.lower().endswith(".safetensors"):
        return "onnx"
    if pathnames.exists(Path(model)):
        return "sam2"
    return "sam2" if "sam" in model.lower() and not model.lower().endswith(".onnx") else "onnx"


def best_found() -> str:
    """The default, as `segmenter_of` takes it: the best one available."""
    from packshot.masks import onnx_segmenter, sam

    if find_spec("onnxruntime") and (models := onnx_segmenter.installed()):
        return f"onnx:{models[0]}"
    cached = sam.cached()
    return f"sam2:{cached}" if cached else "bundled"


def segmenter_of(spec: str, progress: Progress = silent) -> Segmenter:
    """The segmenter of an option's value: a name, a model, or NAME:MODEL.

    Raises:
        PackshotError, ModelLoadError: as `load_segmenter`.
    """
    added = [point.name for point in entry_points(group=GROUP)]
    name, model = parted(spec, [AUTO, *LOADERS, *added])
    return load_segmenter(name or AUTO, model, progress)


def fetch_notice(spec: str) -> str | None:
    """What `segmenter_of` would fetch for a kind's bare name, with its licence; None if nothing."""
    from packshot.masks import onnx_segmenter, releases

    known = releases.RELEASED.get(spec)
    return known.notice if known and not onnx_segmenter.installed(spec) else None


def settle_segmenter(choice: str, decisions: Decisions) -> str:
    """Decide on a project's segmenter, as `segmenter_of` takes it."""

    def choose() -> tuple[Value, str]:
        if choice != AUTO:
            return choice, "as chosen"
        return best_found(), "the best that was at hand"

    return str(decisions.settle("segmenter", {"segmenter": choice}, choose).value)


def _foreign(point: EntryPoint) -> Loader:
    try:
        loader: Loader = point.load()
    except Exception as error:  # whatever another package's import raises
        raise PackshotError(
            f"The segmenter {point.name!r} ({point.value}) cannot be loaded: "
            f"{type(error).__name__}: {error}. Install its package again, or choose another."
        ) from error
    return loader
