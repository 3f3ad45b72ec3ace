"""Checkpoints, and loading one safely; see `registry.py` for the families there are."""

from __future__ import annotations

from pathlib import Path

import torch

from packshot.errors import ModelLoadError
from packshot.models import hub, registry
from packshot.models.checkpoint import Checkpoint, detect_checkpoint
from packshot.models.diffusion_model import DiffusionModel
from packshot.types import WeightStorage
from packshot.utils import files
from packshot.utils.progress import Progress, silent
from packshot.weights.hub import parse_repo
from packshot.weights.installed_bases import BUNDLED, installed_base


def load_base(
    name: str | Path,
    *,
    device: str | None = None,
    dtype: torch.dtype | None = None,
    storage: WeightStorage = "full",
    progress: Progress = silent,
) -> DiffusionModel:
    """Load a checkpoint, frozen.

    By default it goes where this machine computes fastest, in bf16 if that is fast there.

    Args:
        name: a base that a package brings ("pocket"), a diffusers folder, a single .safetensors or
            .gguf file, or a repository of the Hugging Face hub, OWNER/NAME or OWNER/NAME@REVISION;
            a folder or file that is there wins over the hub.
        storage: how the denoiser's weights lie in memory.

    Raises:
        ModelLoadError: not there, a pickle, damaged, or of a family that is not known.
        DiskFullError: no room for what the hub sends.
    """
    place = torch.device(device or best_device())
    dtype = dtype or best_dtype(place)
    checkpoint = find_checkpoint(name, half=dtype != torch.float32, progress=progress)
    return registry.families()[checkpoint.family].model(checkpoint, place, dtype, storage)


def find_checkpoint(
    name: str | Path, *, half: bool = False, progress: Progress = silent
) -> Checkpoint:
    """Judge a checkpoint by any of the names that `load_base` takes; the hub's is fetched.

    Raises:
        ModelLoadError, DiskFullError: as `load_base`.
    """
    return detect_checkpoint(checkpoint_path(name, half=half, progress=progress))


def checkpoint_path(name: str | Path, *, half: bool = False, progress: Progress = silent) -> Path:
    """Where a checkpoint lies, by any of the names that `load_base` takes; the hub's is fetched.

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
    repository = None if files.exists(Path(name)) else parse_repo(str(name))
    if repository:
        return hub.download_pipeline(repository, half=half, progress=progress)
    return Path(name)


def has_clip(name: str | Path) -> bool:
    """Whether a checkpoint brings the towers of a CLIP, which see its own pictures.

    Nothing is fetched for it: of the hub's repositories no such towers are taken.
    """
    folder = installed_base(str(name)) or Path(name)
    return files.is_file(folder / "clip" / "config.json")


def best_device() -> str:
    """ "cuda", "mps" or "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def best_dtype(device: torch.device) -> torch.dtype:
    """bf16 where the machine multiplies in it, else fp32; never fp16, whose range training leaves."""
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        # oneDNN also claims bf16 where it only emulates it (AVX-512 without its bf16 part): slower.
        computes = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        fast = device.type == "cpu" and computes
    return torch.bfloat16 if fast else torch.float32
