"""Captioners of the transformers library; see `packshot.weights.transformers_network`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from packshot.captions.trigger import with_trigger
from packshot.errors import ModelLoadError
from packshot.settings import Subject
from packshot.weights.loading import refusing
from packshot.weights.safetensors_file import read_config
from packshot.weights.transformers_network import LOCAL, kind_of_network, load_network, quiet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

PIXELS = 1024
"""Longer side of what they are shown, at most: what a caption says is to be seen at that size."""
MAX_TOKENS = 80
"""Of a description; CLIP reads 77 of a caption."""


@dataclass(frozen=True)
class Pretrained:
    """A network with its image processor and tokenizer."""

    network: Any
    image_processor: Any
    tokenizer: Any
    folder: Path

    @property
    def config(self) -> Any:
        return self.network.config

    def placed(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Inputs on the network's device, pixels in its dtype."""
        network = self.network
        return {
            name: value.to(network.device, network.dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
        }

    def words(self, tokens: Tensor) -> str:
        """The text of generated tokens [N]."""
        text: str = self.tokenizer.decode(tokens.tolist(), skip_special_tokens=True)
        return text.strip()


def load_pretrained(folder: Path, networks: Mapping[str, str], device: torch.device) -> Pretrained:
    """Load network, image processor and tokenizer of a folder as transformers saves it.

    Args:
        networks: the class for each `model_type` of config.json.

    Raises:
        ModelLoadError: another model, incomplete, or a pickle.
    """
    import transformers

    kind = kind_of_network(folder, networks)
    _refuse_large_pictures(folder, kind)
    with refusing(folder), quiet():
        processor = transformers.AutoImageProcessor.from_pretrained(
            folder,
            backend="pil",  # the default needs torchvision
            **LOCAL,
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **LOCAL)
    network = load_network(folder, networks, _dtype(device))
    with refusing(folder / "generation_config.json"):
        network.generation_config = _generation(folder, network)
    return Pretrained(network.to(device).eval(), processor, tokenizer, folder)


def _generation(folder: Path, network: Any) -> Any:
    """How a network generates, of what its folder says: which tokens begin and end, what is not repeated.

    How long and how widely is searched is Packshot's to say: a file could make it endless.
    """
    import transformers

    given = network.generation_config.to_dict()
    if (folder / "generation_config.json").is_file():
        given = read_config(folder / "generation_config.json")
    kept = {key: value for key, value in given.items() if _HARMLESS.fullmatch(key)}
    return transformers.GenerationConfig.from_dict(kept)


def _refuse_large_pictures(folder: Path, kind: str) -> None:
    """Refuse a processor that would make pictures of any size of a photo."""
    most = _MOST_PIXELS if kind.startswith("qwen") else _MOST_SIDE
    for name in ("preprocessor_config.json", "processor_config.json"):
        if (folder / name).is_file():
            for number in _numbers(read_config(folder / name)):
                if not abs(number) <= most:
                    raise ModelLoadError(
                        f"{folder / name} says {number:,}, more than any captioner's pictures have. "
                        "Copy it again."
                    )


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _numbers(one)
    elif isinstance(value, int | float):
        yield value


_HARMLESS = re.compile(
    r"\w*_token_id|no_repeat_ngram_size|repetition_penalty|length_penalty|early_stopping"
)
_MOST_SIDE, _MOST_PIXELS = 4_096, 2**24


def _dtype(device: torch.device) -> torch.dtype:
    from packshot.models import best_dtype

    return best_dtype(device) if device.type == "cuda" else torch.float32


class Describing:
    """A captioner with free descriptions, in which the product is replaced by trigger and class noun."""

    name = "describing"
    batch = 1  # each takes seconds, and what is done is kept

    def __init__(self, pretrained: Pretrained) -> None:
        self.pretrained = pretrained

    def caption(self, pictures: Iterable[Image.Image], subject: Subject) -> list[str]:
        """One line per image; see `packshot.captions.trigger`."""
        return [
            with_trigger(self.describe(shrunk(picture), subject), subject) for picture in pictures
        ]

    @torch.no_grad()
    def describe(self, picture: Image.Image, subject: Subject) -> str:
        """The network's description of an image, deterministic: tokens are not sampled."""
        tokens = self.generate(picture, subject)
        return self.pretrained.words(tokens)

    def generate(self, picture: Image.Image, subject: Subject) -> Tensor:
        """Generate tokens [N], without those of the prompt."""
        raise NotImplementedError


def shrunk(picture: Image.Image) -> Image.Image:
    """The image, its longer side at most `PIXELS`."""
    from PIL import Image

    scale = PIXELS / max(picture.size)
    if scale >= 1:
        return picture
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2)
