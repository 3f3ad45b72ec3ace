"""What other tools call the modules that a LoRA adapts, and how a LoRA of another family is told.

Ours are dotted diffusers names after their network: "unet.mid_block.…", "text_encoder.encoder.…".
Original files may stack the rows of several of ours in one module (queries, keys and values).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import nn

from packshot.bases.base import Base

# The first that fits any key decides: denoisers' own names before text encoders shared by families.
_FOREIGN = {
    "Stable Diffusion 3": re.compile(r"joint_blocks|lora_te3_|text_encoder_3\."),
    "FLUX": re.compile(r"(^|[._])(double|single)_(transformer_)?blocks[._]"),
    "a transformer (FLUX, Stable Diffusion 3 or the like)": re.compile(
        r"^(transformer|lora_transformer)[._]"
    ),
    # SD 1.x has one transformer block wherever SDXL has two or ten.
    "SDXL": re.compile(
        r"lora_te2_|text_encoder_2\.|attentions?[._].*transformer_blocks[._][1-9]"
        r"|(input|middle|output)_blocks?[._].*transformer_blocks[._][1-9]"
    ),
}
_TITLES = {"sdxl": "SDXL", "sd3": "Stable Diffusion 3", "flux1": "FLUX", "flux2": "FLUX"}
_ENCODER_STARTS = {
    "text_encoder": ("lora_te_", "lora_te1_"),
    "text_encoder_2": ("lora_te2_",),
    "text_encoder_3": ("lora_te3_",),
}


def foreign_family(
    keys: Iterable[str], metadata: Mapping[str, str], own: str
) -> tuple[str, int] | None:
    """Which other family than `own` a file is for, and how many of its keys say so.

    0 of them: its metadata does.
    """
    keys = list(keys)
    for family, pattern in _FOREIGN.items():
        if count := sum(1 for key in keys if pattern.search(key)):
            generic = own not in ("sd1", "sd2", "sdxl") and family.startswith("a transformer")
            return None if generic or family == _TITLES.get(own) else (family, count)
    says = metadata.get("ss_base_model_version", "") + metadata.get("modelspec.architecture", "")
    if "sdxl" in says or "xl-v1" in says:
        return None if own == "sdxl" else ("SDXL", 0)
    return ("Stable Diffusion 1.x or 2.x", 0) if says and own == "sdxl" else None


def kohya_names(base: Base) -> dict[str, list[str]]:
    """Every module as kohya's files call it, with our names of what is stacked in it, in order.

    "unet.mid.to_q" is "lora_unet_mid_to_q"; text encoders read "lora_te_text_model_…". Where kohya's
    trainer works on the original checkpoint, the original names stand in the denoiser's place, and
    text encoders are numbered.
    """
    root = base.denoiser_root
    if base.kohya_original:
        modules = base.original_modules()
    else:
        modules = {name: [name] for name in _adaptable(base.denoiser)}
    names = {
        "lora_unet_" + spelt.replace(".", "_"): [f"{root}.{name}" for name in ours]
        for spelt, ours in modules.items()
    }
    for encoder, network in base.text_encoders.items():
        number = encoder.removeprefix("text_encoder").removeprefix("_") or "1"
        start = f"lora_te{number if base.kohya_original else ''}_text_model_"
        for name in _adaptable(network):
            flat = name.removeprefix("text_model.").replace(".", "_")
            names[start + flat] = [f"{encoder}.{name}"]
    return names


def spellings(base: Base) -> dict[str, list[str]]:
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
