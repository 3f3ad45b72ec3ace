"""What other tools call the modules that a LoRA adapts, and how a LoRA of another family is told.

Ours are dotted diffusers names after their network: "unet.mid_block.…", "text_encoder.encoder.…".
Original files may stack the rows of several of ours in one module (queries, keys and values).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import nn

from packshot.models import registry
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.family_spec import FamilySpec

_ANY_TRANSFORMER = r"^(transformer|lora_transformer)[._]"
_ENCODER_STARTS = {
    "text_encoder": ("lora_te_", "lora_te1_"),
    "text_encoder_2": ("lora_te2_",),
    "text_encoder_3": ("lora_te3_",),
}


def other_family(
    keys: Iterable[str], metadata: Mapping[str, str], own: str
) -> tuple[str, int] | None:
    """Which other family than `own` ("" is none) a file is for, and how many of its keys say so.

    0 of them: its metadata does.
    """
    keys, wanted = list(keys), registry.families().get(own)
    root, title = (wanted.denoiser_root, wanted.lora_title) if wanted else ("", "")
    for told, pattern in _told_by_keys():
        if count := sum(1 for key in keys if re.search(pattern, key)):
            fits = told == title or (pattern == _ANY_TRANSFORMER and root == "transformer")
            return None if fits else (told, count)
    says = metadata.get("ss_base_model_version", "") + metadata.get("modelspec.architecture", "")
    for spec in _unets():
        if any(word in says for word in spec.lora_metadata):
            return None if spec.lora_title == title else (spec.lora_title, 0)
    # LoRAs of a family that metadata tells always say so; one that says something else is another's.
    return (plain_title(), 0) if says and wanted and wanted.lora_metadata else None


def plain_title() -> str:
    """What LoRAs are for whose keys and metadata tell nothing: UNets that have no more than others."""
    return next(spec.lora_title for spec in _unets() if not spec.lora_keys)


def _unets() -> list[FamilySpec]:
    return [spec for spec in registry.families().values() if spec.denoiser_root == "unet"]


def _told_by_keys() -> list[tuple[str, str]]:
    """What LoRAs are for, by patterns of their keys; the first that fits any key decides.

    Transformers' own names stand before UNets', for those share the names of text encoders.
    """
    told: dict[str, list[tuple[str, str]]] = {"transformer": [], "unet": []}
    for spec in registry.families().values():
        if spec.lora_keys:
            told[spec.denoiser_root].append((spec.lora_title, spec.lora_keys))
    some = ", ".join(title for title, _ in told["transformer"])
    generic = (f"a transformer ({some} or the like)", _ANY_TRANSFORMER)
    return [*told["transformer"], generic, *told["unet"]]


def kohya_names(base: DiffusionModel) -> dict[str, list[str]]:
    """Every module as kohya's files call it, with our names of what is stacked in it, in order.

    "unet.mid.to_q" is "lora_unet_mid_to_q"; text encoders read "lora_te_text_model_…". Where kohya's
    trainer works on the original checkpoint, the original names stand in the denoiser's place, and
    text encoders are numbered.
    """
    root = base.denoiser_root
    if base.kohya_uses_original_keys:
        modules = base.original_modules()
    else:
        modules = {name: [name] for name in _adaptable(base.denoiser)}
    names = {
        "lora_unet_" + spelt.replace(".", "_"): [f"{root}.{name}" for name in ours]
        for spelt, ours in modules.items()
    }
    for encoder, network in base.text_encoders.items():
        number = encoder.removeprefix("text_encoder").removeprefix("_") or "1"
        start = f"lora_te{number if base.kohya_uses_original_keys else ''}_text_model_"
        for name in _adaptable(network):
            flat = name.removeprefix("text_model.").replace(".", "_")
            names[start + flat] = [f"{encoder}.{name}"]
    return names


def key_aliases(base: DiffusionModel) -> dict[str, list[str]]:
    """Every spelling of each adaptable module, its dots as underscores, to our names of it."""
    root, names = base.denoiser_root, {}
    for spelt, ours in base.original_modules().items():
        flat = spelt.replace(".", "_")
        for start in ("lora_unet_", "unet_", "diffusion_model_", ""):
            names[start + flat] = [f"{root}.{name}" for name in ours]
    for name in _adaptable(base.denoiser):
        flat = name.replace(".", "_")
        own = ("", f"{root}_", f"lora_{root}_", "lora_unet_", f"base_model_model_{root}_")
        for start in own:
            names[start + flat] = [f"{root}.{name}"]
    for encoder, network in base.text_encoders.items():
        for name in _adaptable(network):
            rest = name.removeprefix("text_model.").replace(".", "_")
            starts = (*_ENCODER_STARTS[encoder], f"{encoder}_", f"base_model_model_{encoder}_")
            for start in starts:
                names[f"{start}text_model_{rest}"] = names[start + rest] = [f"{encoder}.{name}"]
    return names


def _adaptable(network: nn.Module) -> Iterable[str]:
    return (
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    )
