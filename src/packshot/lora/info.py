"""Describing a LoRA file by its header: no base is loaded."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from packshot.errors import LoraError
from packshot.lora import variants
from packshot.lora.files import file_of, split_key
from packshot.lora.keys import told_family
from packshot.weights.safetensors_file import shapes

_FORMATS = {
    "XLabs": ("_lora1.", "_lora2.", "qkv_lora.", "proj_lora."),
    "kohya": ("lora_down", "lora_up", "hada_", "lokr_"),
    "diffusers": ("lora_A", "lora_B", "lora.down", "lora.up", "lora_linear_layer"),
}
_SHOWN_METADATA = (
    "modelspec.title", "modelspec.trigger_phrase", "modelspec.architecture", "ss_output_name",
    "ss_base_model_version", "ss_sd_model_name", "ss_steps", "ss_learning_rate", "packshot.made_by",
)  # fmt: skip


@dataclass(frozen=True)
class LoraInfo:
    """A LoRA file in brief."""

    kind: str
    format: str
    family: str
    modules: int
    ranks: dict[int, int]
    """How many modules have each rank."""
    parts: dict[str, int]
    """How many modules each network has."""
    values: int
    metadata: dict[str, str]
    """The entries of its metadata that say what it is for."""


def read_info(file: Path) -> LoraInfo:
    """Describe a LoRA file: kind, format, family, ranks, metadata.

    Raises:
        LoraError: no safetensors file, or none of its keys are a LoRA's.
    """
    file = file_of(file)
    header = shapes(file, LoraError)
    keys = list(header.by_key)
    split = {key: split_key(key) for key in keys}
    modules = {module for module, part in split.values() if part}
    kind = _kind(keys, {part for _, part in split.values()})
    if not modules and not kind:
        raise LoraError(f"{file} is no LoRA: it has keys such as '{next(iter(keys), '')}'.")
    downs = (header.by_key[key] for key, (_, part) in split.items() if part == "down")
    ranks = Counter(shape[0] for shape in downs if shape)  # damaged, it may be a number
    family = told_family(keys, header.metadata) or ("unknown", 0)
    return LoraInfo(
        kind or "LoRA",
        next(
            (name for name, marks in _FORMATS.items() if any(m in k for k in keys for m in marks)),
            "unknown",
        ),
        family[0],
        len(modules),
        dict(sorted(ranks.items())),
        dict(Counter(_part(module, family[0]) for module in modules)),
        sum(_product(shape) for shape in header.by_key.values()),
        {key: header.metadata[key] for key in _SHOWN_METADATA if header.metadata.get(key)},
    )


def _kind(keys: list[str], parts: set[str]) -> str:
    for refused, pattern in variants.REFUSED.items():
        if any(re.search(pattern, key) for key in keys):
            return f"{refused.removeprefix('an ').removeprefix('a ')} (not read)"
    plain = (
        "LoHa" if "hada_w1_a" in parts else "LoKr" if any("lokr" in p for p in parts) else "LoRA"
    )
    plain = "LoCon" if "mid" in parts else plain
    return (
        (f"DoRA over {plain}" if parts & {"dora", "magnitude"} else plain) if parts - {""} else ""
    )


_PARTS = (
    ("lora_te3", "text_encoder_3"), ("lora_te2", "text_encoder_2"), ("lora_te", "text_encoder"),
    ("text_encoders_t5xxl", "text_encoder_3"), ("text_encoders_clip_g", "text_encoder_2"),
    ("text_encoder_3", "text_encoder_3"), ("text_encoder_2", "text_encoder_2"),
    ("text_encoder", "text_encoder"),
)  # fmt: skip


def _part(module: str, family: str) -> str:
    flat = module.removeprefix("base_model.model.").replace(".", "_")
    part = next((part for start, part in _PARTS if flat.startswith(start)), "denoiser")
    # kohya counts T5 as the third everywhere; of FLUX.1 it is the second.
    return "text_encoder_2" if (part, family) == ("text_encoder_3", "FLUX") else part


def _product(shape: list[int]) -> int:
    total = 1
    for side in shape:
        total *= side
    return total
