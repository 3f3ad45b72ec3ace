"""Segment Anything (arXiv 2304.02643) and SAM 2 (arXiv 2408.00714), by transformers' own classes.

The bundled segmenter's guess gives their prompt, a box with points; of the masks that they return
the one with the best predicted score is used.

Images are preprocessed here, because transformers needs torchvision for SAM 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from packshot.errors import ModelLoadError
from packshot.masks.bundled import BundledSegmenter
from packshot.masks.edges import as_mask, without_islands
from packshot.masks.point_prompt import Prompt, prompt_of
from packshot.models import best_device
from packshot.utils import pathnames
from packshot.utils.progress import Progress, silent
from packshot.weights import hub
from packshot.weights.loading import load_weights_into, refusing
from packshot.weights.safetensors_file import read_config, read_safetensors

_CONFIG, _WEIGHTS, _PREPROCESSOR = "config.json", "model.safetensors", "preprocessor_config.json"
_IMAGENET = {"image_mean": (0.485, 0.456, 0.406), "image_std": (0.229, 0.224, 0.225)}
_GUESS_PIXELS = 640
_KNOWN = tuple(
    f"facebook/sam2{version}-hiera-{size}"
    for size in ("large", "base-plus", "small", "tiny")
    for version in (".1", "")
)
# One table of where points lie stands twice in the networks, and in some files once.
_TWIN = (
    "shared_image_embedding.positional_embedding",
    "prompt_encoder.shared_embedding.positional_embedding",
)


@dataclass(frozen=True)
class Fit:
    """How images of one size are resized into a network's square input.

    Attributes:
        side: of the square, in pixels.
        inner: (width, height) of the image in it, from the upper left corner; padded with zeros.
    """

    side: int
    inner: tuple[int, int]


class SamSegmenter:
    """A `Segmenter` by SAM or SAM 2. Computes in fp32."""

    def __init__(self, folder: Path, name: str | None = None, device: str | None = None) -> None:
        """Load a folder as transformers saves it: config.json, model.safetensors.

        Args:
            name: its name as a segmenter; by default the folder's.
            device: by default the GPU, if there is one.

        Raises:
            ModelLoadError: another model, incomplete, or a pickle.
        """
        if not pathnames.is_file(folder / _CONFIG):
            raise ModelLoadError(
                f"{folder} is no SAM 2: name a folder with {_CONFIG} and {_WEIGHTS}, or OWNER/NAME "
                f"on the Hugging Face hub, such as {_KNOWN[-2]}."
            )
        config = read_config(folder / _CONFIG)
        normalised: dict[str, Any] = dict(_IMAGENET)
        if pathnames.is_file(folder / _PREPROCESSOR):
            normalised |= read_config(folder / _PREPROCESSOR)
        self.folder, self.name = folder, name or folder.resolve().name
        self.device = torch.device(device or best_device())
        network: Any = _network(folder, config)
        self._first = config["model_type"] == "sam"
        with refusing(folder / _CONFIG):
            self._network, known = network.to(self.device), network.config
            sizes = known.vision_config if self._first else known.prompt_encoder_config
            self._side = int(sizes.image_size)
        with refusing(folder / _PREPROCESSOR):
            self._mean, self._std = (
                torch.tensor([float(v) for v in normalised[key]]).view(3, 1, 1) for key in _IMAGENET
            )
        self._guess = BundledSegmenter()

    @classmethod
    def load(cls, model: str | None, progress: Progress = silent) -> Self:
        """Load a folder or a hub repository; by default a SAM 2 in the hub's cache.

        Raises:
            ModelLoadError: there is none, or as the class.
        """
        model = model or cached()
        if model is None:
            raise ModelLoadError(
                f"No SAM 2 is in the hub's cache. Name one to fetch: --segmenter {_KNOWN[-2]}; "
                "or a folder of one."
            )
        repo = None if pathnames.exists(Path(model)) else hub.parse_repo(model)
        if repo is None:
            return cls(Path(model))
        folder = hub.download_files(
            repo, [_CONFIG, _WEIGHTS], also=[_PREPROCESSOR], progress=progress
        )
        return cls(folder, name=repo.id.rpartition("/")[2])

    def mask(self, picture: Image.Image) -> Image.Image:
        """See `Segmenter.mask`."""
        small = picture.convert("RGB")
        small.thumbnail((_GUESS_PIXELS, _GUESS_PIXELS), Image.Resampling.LANCZOS)
        prompt = prompt_of(self._guess.probabilities(small))
        if prompt is None:
            return Image.new("L", picture.size)
        return as_mask(without_islands(self.probabilities(picture, prompt)), picture.size)

    @torch.no_grad()
    def probabilities(self, picture: Image.Image, prompt: Prompt) -> np.ndarray:
        """The network's probabilities for a prompt: fp32 [h, w] in [0, 1], at its input's size."""
        fit = fit_of(picture.size, self._side, squeezed=not self._first)
        pixels = preprocess(picture, fit, self._mean, self._std)
        with refusing(self.folder):
            output = self._network(
                pixel_values=pixels.to(self.device), **encode_prompt(prompt, fit, self.device)
            )
            best = int(output.iou_scores[0, 0].argmax())
            logits = output.pred_masks[:, :, best].float()
            full = F.interpolate(logits, (fit.side, fit.side), mode="bilinear", align_corners=False)
        width, height = fit.inner
        probabilities: np.ndarray = full[0, 0, :height, :width].sigmoid().cpu().numpy()
        if not np.isfinite(probabilities).all():
            raise ModelLoadError(f"{self.folder} answers with values that are not finite.")
        return probabilities


def cached() -> str | None:
    """The largest of Meta's SAM 2 models that is complete in the hub's cache, as OWNER/NAME."""
    return next((name for name in _KNOWN if hub.is_cached(name, [_CONFIG, _WEIGHTS])), None)


def fit_of(size: tuple[int, int], side: int, *, squeezed: bool) -> Fit:
    """The fit of an image (width, height): stretched to the square, or in its own proportions."""
    if squeezed:
        return Fit(side, (side, side))
    scale = side / max(size)
    width, height = (max(1, int(length * scale + 0.5)) for length in size)
    return Fit(side, (width, height))


def preprocess(picture: Image.Image, fit: Fit, mean: Tensor, std: Tensor) -> Tensor:
    """The network's input: fp32 [1, 3, side, side]; `mean` and `std` are [3, 1, 1]."""
    small = picture.convert("RGB").resize(fit.inner, Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.asarray(small, dtype=np.float32) / 255).permute(2, 0, 1)
    width, height = fit.inner
    return F.pad((pixels - mean) / std, (0, fit.side - width, 0, fit.side - height))[None]


def encode_prompt(prompt: Prompt, fit: Fit, device: torch.device) -> dict[str, Tensor]:
    """A prompt in the square's pixels: points [1, 1, N, 2], all foreground, and a box [1, 1, 4]."""
    inner = torch.tensor(fit.inner, dtype=torch.float32)
    points = torch.from_numpy(prompt.points) * inner
    box = torch.from_numpy(prompt.box).view(2, 2) * inner
    return {
        "input_points": points[None, None].to(device),
        "input_labels": torch.ones(1, 1, len(points), dtype=torch.int64, device=device),
        "input_boxes": box.view(1, 1, 4).to(device),
    }


def _network(folder: Path, config: Mapping[str, Any]) -> nn.Module:
    """SAM 2's network for single images, also from video checkpoints; or the first SAM's."""
    from transformers import Sam2Config, Sam2Model, SamConfig, SamModel

    kinds = {"sam2": (Sam2Config, Sam2Model), "sam": (SamConfig, SamModel)}
    kinds["sam2_video"] = kinds["sam2"]
    kind = config.get("model_type")
    if kind not in kinds:
        raise ModelLoadError(
            f"{folder} is of the kind {kind!r}; Packshot runs SAM 2 and SAM as transformers saves them "
            f"({', '.join(kinds)}). Of BiRefNet name an ONNX file."
        )
    tensors = read_safetensors(folder / _WEIGHTS)[0]
    for one, other in (_TWIN, _TWIN[::-1]):
        if one in tensors:
            tensors.setdefault(other, tensors[one])
    make_config, make = kinds[kind]
    wanted = {"vision_config", "prompt_encoder_config", "mask_decoder_config"}
    given = {key: value for key, value in config.items() if key in wanted}
    return load_weights_into(
        lambda: make(make_config.from_dict(given)), tensors, folder, torch.float32
    )
