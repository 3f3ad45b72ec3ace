"""Segmenters by name: our own, and those that other packages offer.

A package offers one as an entry point of the group `packshot.segmenters`: a `Loader`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from packshot.decisions import Decisions, Value
from packshot.errors import PackshotError
from packshot.masks import Segmenter
from packshot.utils import files
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
    """The segmenter of that name, its weights from `model`.

    "auto" is what fits `model`; without one the best that is found: a network of rembg's in its
    folder, if onnxruntime is installed, or a SAM 2 that is whole in the hub's cache, or else the
    bundled segmenter. Nothing is fetched that was not named.

    Args:
        name: "auto", one of `LOADERS`, or one that another package offers.
        model: a file, a folder, or OWNER/NAME on the Hugging Face hub.

    Raises:
        PackshotError: there is no such segmenter, or a package that it needs is not installed.
        ModelLoadError: `model` is none of its kind, or would have to be unpickled.
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
    """The name of the segmenter that a model is for, by its name and nature; nothing is read."""
    if files.is_file(Path(model)) and not model.lower().endswith(".safetensors"):
        return "onnx"
    if files.exists(Path(model)):
        return "sam2"
    return "sam2" if "sam" in model.lower() and not model.lower().endswith(".onnx") else "onnx"


def best_found() -> str:
    """What is taken unasked, as `segmenter_of` takes it: the best that is at hand."""
    from packshot.masks import onnx_segmenter, sam

    if find_spec("onnxruntime") and (found := onnx_segmenter.installed()):
        return f"onnx:{found[0]}"
    cached = sam.cached()
    return f"sam2:{cached}" if cached else "bundled"


def segmenter_of(spec: str, progress: Progress = silent) -> Segmenter:
    """A segmenter as an option names it: by its name, its model, or NAME:MODEL.

    Raises:
        PackshotError, ModelLoadError: as `load_segmenter`.
    """
    added = [point.name for point in entry_points(group=GROUP)]
    name, model = parted(spec, [AUTO, *LOADERS, *added])
    return load_segmenter(name or AUTO, model, progress)


def settle_segmenter(choice: str, decisions: Decisions) -> str:
    """What finds the product in a project's photos, as `segmenter_of` takes it."""

    def choose() -> tuple[Value, str]:
        if choice != AUTO:
            return choice, "as it was chosen"
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
