"""Salient object detection by ONNX files, run by onnxruntime.

U2-Net (arXiv 2005.09007), IS-Net (arXiv 2203.03041) and BiRefNet (arXiv 2401.03407), as rembg
(https://github.com/danielgatis/rembg) offers and stores them; the files are used unchanged, rembg
need not be installed. BiRefNet's own repositories on the hub contain code to be run: only its ONNX
files are used.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image

from packshot.errors import ModelLoadError
from packshot.masks.edges import as_mask, without_islands
from packshot.masks.releases import RELEASED, fetch
from packshot.utils import pathnames
from packshot.utils.progress import Progress, silent
from packshot.weights.onnx_session import OnnxSession, Port, require_onnxruntime

MAX_SIDE = 4096
_HUB_FILE = "onnx/model.onnx"
"""Where repositories for transformers.js, and BRIA's, have it."""
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_FAINT = 0.1
_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


@dataclass(frozen=True)
class Preprocessing:
    """The input normalisation of a kind of network, and the form of its output."""

    side: int
    """Pixels of its square pictures, where the file leaves that open."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    divide_by_max: bool
    """Whether pictures are divided by their brightest value, rather than by 255."""
    min_max_normalised: bool
    """Whether its answer is stretched to [0, 1]: it knows more and less, but no half."""


ARCHITECTURES = {
    "birefnet": Preprocessing(1024, *_IMAGENET, divide_by_max=False, min_max_normalised=False),
    "isnet": Preprocessing(
        1024, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0), divide_by_max=False, min_max_normalised=True
    ),
    "u2net": Preprocessing(320, *_IMAGENET, divide_by_max=True, min_max_normalised=True),
}
# What files are called, by kind. BRIA's RMBG 1.4 is an IS-Net, 2.0 a BiRefNet.
_NAMES = {
    "rmbg-1.4": "isnet", "rmbg": "birefnet", "birefnet": "birefnet", "isnet": "isnet",
    "dis-general": "isnet", "u2net": "u2net", "silueta": "u2net",
}  # fmt: skip
# Of rembg's files those for any thing, the best first. Others know only people or drawings; BRIA's
# may not be used commercially without its licence, so they have to be named.
_GENERAL = (
    "birefnet-general", "birefnet-massive", "birefnet-dis", "birefnet-hrsod",
    "birefnet-general-lite", "isnet-general-use", "u2net", "silueta", "u2netp",
)  # fmt: skip


def rembg_folder() -> Path:
    """rembg's model folder: $U2NET_HOME, else .u2net in $XDG_DATA_HOME or the home folder."""
    usual = Path(os.environ.get("XDG_DATA_HOME") or "~") / ".u2net"
    return pathnames.expand_user(os.environ.get("U2NET_HOME") or usual)


def installed(kind: str | None = None) -> list[Path]:
    """The general models in rembg's folder, the best first; only those of `kind`, if given."""
    paths = [rembg_folder() / f"{name}.onnx" for name in _GENERAL]
    return [p for p in paths if pathnames.is_file(p) and kind in (None, _kind_by_name(p.name))]


class OnnxSegmenter:
    """A `Segmenter` that runs an ONNX file.

    Attributes:
        kind: a name of `ARCHITECTURES`.
        size: (width, height) of the network's input.
    """

    def __init__(self, path: Path, kind: str | None = None, name: str | None = None) -> None:
        """Load a file.

        Args:
            kind: a name of `ARCHITECTURES`; by default by the file's name, else by its input size.
            name: its name as a segmenter; by default the file's.

        Raises:
            ModelLoadError: not an ONNX model from one image to one map, or an unknown kind.
            PackshotError: onnxruntime is not installed.
        """
        require_onnxruntime()
        if not pathnames.is_file(path):
            raise ModelLoadError(
                f"There is no file {path}. Name a model with --segmenter FILE.onnx."
            )
        self.path, self.name = path, name or path.stem
        self._session = OnnxSession(path)
        self._input, size = _picture_input(path, self._session)
        self.kind = kind or _kind_by_name(self.name) or _kind_by_size(path, size)
        self.size = size or (ARCHITECTURES[self.kind].side, ARCHITECTURES[self.kind].side)

    @classmethod
    def load(cls, model: str | None, kind: str | None = None, progress: Progress = silent) -> Self:
        """Load a file, the ONNX file of a hub repository, or a model in rembg's folder.

        A kind that is named and is not in rembg's folder is fetched from rembg's releases.

        Raises:
            ModelLoadError: there is none, it cannot be fetched, or as the class.
            PackshotError: as the class.
        """
        require_onnxruntime()  # told before anything is fetched
        from packshot.weights import hub

        if model is None:
            models = installed(kind)
            if models:
                return cls(models[0], kind)
            if kind in RELEASED:
                return cls(fetch(RELEASED[kind], rembg_folder(), progress), kind)
            raise ModelLoadError(
                f"No ONNX model is in {rembg_folder()}, where rembg keeps them. "
                f"Name one to fetch: --segmenter {next(iter(RELEASED))}; or a file: "
                "--segmenter FILE.onnx."
            )
        repo = None if pathnames.exists(Path(model)) else hub.parse_repo(model)
        if repo is None or model.lower().endswith(".onnx"):
            return cls(Path(model), kind)
        folder = hub.download_files(
            repo, [_HUB_FILE], also=[f"{_HUB_FILE}_data"], progress=progress
        )
        return cls(folder / _HUB_FILE, kind, name=repo.id.rpartition("/")[2])

    def mask(self, picture: Image.Image) -> Image.Image:
        """See `Segmenter.mask`."""
        pixels = preprocess(picture, self.size, ARCHITECTURES[self.kind]).astype(
            _DTYPES[self._input.type]
        )
        answer = self._session.run(pixels)
        probabilities = to_probabilities(
            _one_map(self.path, answer), ARCHITECTURES[self.kind].min_max_normalised
        )
        return as_mask(without_islands(probabilities), picture.size)


def preprocess(picture: Image.Image, size: tuple[int, int], kind: Preprocessing) -> np.ndarray:
    """The network's input: fp32 [1, 3, height, width], resized and normalised."""
    small = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    values = np.asarray(small, dtype=np.float32)
    values = values / (max(float(values.max()), 1e-6) if kind.divide_by_max else 255)
    mean, std = (np.array(triple, dtype=np.float32) for triple in (kind.mean, kind.std))
    normal: np.ndarray = (values - mean) / std
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None])


def to_probabilities(answer: np.ndarray, stretched: bool) -> np.ndarray:
    """A network's map [h, w] as probabilities in [0, 1]; values beyond that range are logits."""
    if answer.min() < -1e-3 or answer.max() > 1 + 1e-3:
        answer = 1 / (1 + np.exp(-answer.clip(-60, 60)))
    least, most = float(answer.min()), float(answer.max())
    # Where nothing stands out, stretching would make a product of noise.
    if stretched and most > _FAINT and most > least:
        answer = (answer - least) / (most - least)
    return answer.clip(0, 1)


def _one_map(path: Path, array: np.ndarray) -> np.ndarray:
    """The fp32 map [h, w] of [1, 1, h, w], [1, h, w] or [h, w]."""
    if array.ndim < 2 or array.size == 0 or array.size != array.shape[-2] * array.shape[-1]:
        raise ModelLoadError(
            f"{path} answers with {list(array.shape)}, not with one map of the product; "
            "it is a model for something else."
        )
    values = array.reshape(array.shape[-2:]).astype(np.float32)
    if not np.isfinite(values).all():
        raise ModelLoadError(
            f"{path} answers with values that are not finite; use it in full precision (fp32)."
        )
    return values


def _picture_input(path: Path, session: OnnxSession) -> tuple[Port, tuple[int, int] | None]:
    """A model's only input, and its (width, height) if the file has it."""
    inputs = session.inputs
    description = ", ".join(f"{each.name} {each.type} {each.shape}" for each in inputs)
    shape = inputs[0].shape if len(inputs) == 1 else []
    if len(shape) != 4 or (shape[1] not in (3, None) and not isinstance(shape[1], str)):
        raise ModelLoadError(
            f"{path} takes {description or 'nothing'}, not one image [1, 3, height, width]; "
            "it is a model for something else."
        )
    if inputs[0].type not in _DTYPES or not session.outputs:
        raise ModelLoadError(f"{path} takes {description}; inputs in fp32 or fp16 are supported.")
    height, width = shape[2:]
    if not (isinstance(height, int) and isinstance(width, int)):
        return inputs[0], None
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise ModelLoadError(
            f"{path} takes images of {width} x {height} px; more than {MAX_SIDE} are not supported."
        )
    return inputs[0], (width, height)


def _kind_by_name(name: str) -> str | None:
    plain = name.lower().replace("_", "-")
    return next((kind for part, kind in _NAMES.items() if part in plain), None)


def _kind_by_size(path: Path, size: tuple[int, int] | None) -> str:
    if size and max(size) <= ARCHITECTURES["u2net"].side:
        return "u2net"
    raise ModelLoadError(
        f"{path}: neither name nor size tell its preprocessing. Name its kind: "
        f"--segmenter KIND:{path.name}, of the kinds {', '.join(ARCHITECTURES)}."
    )
