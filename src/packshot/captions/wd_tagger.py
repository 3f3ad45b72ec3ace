"""The WD taggers (SmilingWolf's, version 3 and before) as captioners: tags, through ONNX Runtime.

They were trained on drawings and their tags, and work well enough on photographs of people and
places; they have no tags for anything else.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packshot.captions.trigger import tags_with_trigger
from packshot.errors import ModelLoadError
from packshot.settings import Subject
from packshot.weights.onnx_session import OnnxSession

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

MODEL, TAGS = "model.onnx", "selected_tags.csv"
THRESHOLD = 0.35
"""Least probability of a tag that is said: what its author proposes."""
GENERAL = "0"
"""The category of what is to be seen; 4 are names of characters, 9 ratings."""
MAX_SIDE = 4096
_MOST_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Tag:
    """One output of the network."""

    name: str
    category: str


class WdTagger:
    """Tags whose probability reaches the threshold, the most probable first."""

    name, batch = "wd", 1

    def __init__(
        self, session: OnnxSession, tags: Sequence[Tag], folder: Path, threshold: float = THRESHOLD
    ) -> None:
        self._session, self._tags, self.threshold = session, tags, threshold
        self._side = _side(session, len(tags), folder)

    def caption(self, pictures: Iterable[Image.Image], subject: Subject) -> list[str]:
        """One line per image, such as "ohwx car, outdoors, snow, tree"."""
        return [tags_with_trigger(self.tags(picture), subject) for picture in pictures]

    def tags(self, picture: Image.Image) -> list[str]:
        """The general tags of an image, the most probable first."""
        likely = self._session.run(prepared(picture, self._side)[None])[0]
        chosen = sorted(
            (float(-probability), index)
            for index, probability in enumerate(likely)
            if probability >= self.threshold and self._tags[index].category == GENERAL
        )
        return [_worded(self._tags[index].name) for _, index in chosen]


def prepared(picture: Image.Image, side: int) -> np.ndarray:
    """The taggers' input: [side, side, 3], BGR, floats from 0 to 255.

    The image is padded with white to a square, then resized.
    """
    import numpy as np
    from PIL import Image

    picture, longer = picture.convert("RGB"), max(picture.size)
    square = Image.new("RGB", (longer, longer), "white")
    square.paste(picture, ((longer - picture.width) // 2, (longer - picture.height) // 2))
    if longer != side:
        square = square.resize((side, side), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(square, dtype=np.float32)[:, :, ::-1])


def _worded(name: str) -> str:
    """A tag in words. Tags as short as "^_^" are emoticons and unchanged."""
    return name.replace("_", " ") if len(name) > 3 else name


def read_tags(path: Path) -> list[Tag]:
    """The network's outputs in order, from selected_tags.csv.

    Raises:
        ModelLoadError: the table is missing or has another format.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("it is far too large")
        text = path.read_text(encoding="utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text), strict=True))
        tags = [Tag(row["name"].strip(), row["category"].strip()) for row in rows]
    except KeyError as error:
        raise ModelLoadError(
            f"{path} has no column {error}; a WD tagger's has tag_id,name,category,count."
        ) from error
    except (OSError, ValueError, csv.Error, AttributeError) as error:
        raise ModelLoadError(
            f"{path} is no table of a WD tagger's tags ({error}). Copy it again, from where "
            f"{MODEL} is from."
        ) from error
    if not tags or not all(tag.name for tag in tags):
        raise ModelLoadError(f"{path} lists tags without a name, or none. Copy it again.")
    return tags


def _side(session: OnnxSession, count: int, folder: Path) -> int:
    """The side of the network's input in pixels.

    Raises:
        ModelLoadError: its inputs or outputs are not those of a WD tagger.
    """
    inputs, outputs = session.inputs, session.outputs
    shape = inputs[0].shape if len(inputs) == 1 else None
    if shape is None or len(shape) != 4 or shape[3] != 3 or shape[1] != shape[2]:
        raise ModelLoadError(
            f"{folder / MODEL} takes {[each.shape for each in inputs]}, a WD tagger one image of "
            "[batch, side, side, 3]. Name the folder of a WD tagger."
        )
    outputs_size = outputs[0].shape[-1] if outputs and outputs[0].shape else None
    if outputs_size != count or not isinstance(shape[1], int):
        raise ModelLoadError(
            f"{folder / MODEL} gives {outputs_size} numbers for an image of {shape[1]} pixels, {TAGS} lists "
            f"{count} tags: they are not of the same tagger. Copy both again."
        )
    if not 0 < shape[1] <= MAX_SIDE:
        raise ModelLoadError(
            f"{folder / MODEL} takes images of {shape[1]} px; more than {MAX_SIDE} are not supported."
        )
    return shape[1]


def load(folder: Path, device: torch.device) -> WdTagger:
    """A WD tagger of a folder: model.onnx and selected_tags.csv.

    Raises:
        ModelLoadError: not a WD tagger, or damaged.
        PackshotError: ONNX Runtime is not installed.
    """
    tags = read_tags(folder / TAGS)
    return WdTagger(OnnxSession(folder / MODEL, cuda=device.type == "cuda"), tags, folder)
