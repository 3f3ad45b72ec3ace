"""Finding and loading checkpoints safely; see `registry.py` for the families."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from packshot.errors import ModelLoadError
from packshot.models import hub, registry
from packshot.models.checkpoint import Checkpoint, detect_checkpoint
from packshot.models.device_memory import release_unused
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.precision import best_dtype, takes_half_files
from packshot.models.sampler_file import sampler_for
from packshot.types import WeightStorage
from packshot.utils import pathnames
from packshot.utils.progress import Progress, silent
from packshot.weights.hub import parse_repo
from packshot.weights.installed_bases import BUNDLED, installed_base

_kept: dict[tuple[object, ...], DiffusionModel] | None = None


@contextmanager
def kept_base() -> Iterator[None]:
    """Within the block the base that was loaded last is kept: loading it once more gives the same one.

    For many products on one base, in the whole process. Whoever puts adapters into a base takes them
    out again.
    """
    global _kept
    before, _kept = _kept, {}
    try:
        yield
    finally:
        _kept = before


def set_kept_aside() -> None:
    """Have the base that `kept_base` keeps wait in main memory until it is loaded again.

    Else how the next product's base is stored, and whether its captioner fits, would depend on what a
    product before it has left on the GPU.
    """
    for base in (_kept or {}).values():
        base.leave_device()


def load_base(
    name: str | Path,
    *,
    device: str | None = None,
    dtype: torch.dtype | None = None,
    storage: WeightStorage = "full",
    progress: Progress = silent,
) -> DiffusionModel:
    """Load a checkpoint, frozen.

    By default on this machine's fastest device, and in the precision that is best for it there.

    Args:
        name: a base that a package brings ("pocket"), a diffusers folder, a single .safetensors or
            .gguf file, or a repository of the Hugging Face hub, OWNER/NAME or OWNER/NAME@REVISION;
            an existing folder or file has precedence over the hub.
        storage: precision or offload of the denoiser's weights.

    Raises:
        ModelLoadError: not there, a pickle, damaged, or of an unknown family; or its sampler.toml
            does not parse; or fp16 is asked for, and the family exceeds its range.
        DiskFullError: no room for the download.
    """
    place = torch.device(device or best_device())
    checkpoint = find_checkpoint(name, half=takes_half_files(place, dtype), progress=progress)
    spec = registry.families()[checkpoint.family]
    dtype = dtype or best_dtype(place, spec.name)
    if dtype == torch.float16 and not spec.fits_fp16:
        raise ModelLoadError(
            f"{checkpoint.name} is a {spec.title}, whose numbers exceed what fp16 has: compute in bf16 "
            "or fp32."
        )
    key = (checkpoint.path, checkpoint.content_hash, place, dtype, storage)
    if _kept is not None:
        if key in _kept:
            _kept[key].return_to_device()
            return _kept[key]
        _kept.clear()  # two may not fit the memory
        release_unused(place)  # networks that take turns hold one another
    base = spec.model(checkpoint, place, dtype, storage)
    base.sampler = sampler_for(checkpoint.path, base.sampler)
    if _kept is not None:
        _kept[key] = base
    return base


def find_checkpoint(
    name: str | Path, *, half: bool = False, progress: Progress = silent
) -> Checkpoint:
    """Validate a checkpoint by any name that `load_base` takes, downloading it if necessary.

    Raises:
        ModelLoadError, DiskFullError: as `load_base`.
    """
    return detect_checkpoint(checkpoint_path(name, half=half, progress=progress))


def checkpoint_path(name: str | Path, *, half: bool = False, progress: Progress = silent) -> Path:
    """A checkpoint's path, by any name that `load_base` takes, downloading it if necessary.

    Raises:
        ModelLoadError, DiskFullError: as `load_base`.
    """
    if installed := installed_base(str(name)):
        return installed
    if str(name) == BUNDLED:
        raise ModelLoadError(
            "The bundled base is a package of its own and is not installed: pip install "
            'packshot-pocket, or, in a clone of the project, pip install ./pocket/model ".[demo]"'
        )
    repository = None if pathnames.exists(Path(name)) else parse_repo(str(name))
    if repository:
        return hub.download_pipeline(repository, half=half, progress=progress)
    return Path(name)


def has_clip(name: str | Path) -> bool:
    """Whether a checkpoint contains a whole CLIP (text and image tower).

    Nothing is downloaded: hub repositories count as having none.
    """
    folder = installed_base(str(name)) or Path(name)
    return pathnames.is_file(folder / "clip" / "config.json")


def best_device() -> str:
    """ "cuda", "mps" or "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
