"""What other tools call the modules that a LoRA adapts, and how a LoRA of another family is told.

Ours are dotted diffusers names after their network: "unet.mid_block.…", "text_encoder.encoder.…".
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
_RESIDUAL = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
_ENDS = {
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
}  # fmt: skip


def foreign_family(keys: Iterable[str], metadata: Mapping[str, str]) -> tuple[str, int] | None:
    """Which other family a file is for, and how many of its keys say so (0: its metadata does)."""
    keys = list(keys)
    for family, pattern in _FOREIGN.items():
        if count := sum(1 for key in keys if pattern.search(key)):
            return family, count
    says = metadata.get("ss_base_model_version", "") + metadata.get("modelspec.architecture", "")
    return ("SDXL", 0) if "sdxl" in says or "xl-v1" in says else None


def kohya_name(name: str) -> str:
    """ "unet.mid.to_q" to "lora_unet_mid_to_q"; text encoders read "lora_te_text_model_…"."""
    root, _, rest = name.partition(".")
    if root == "unet":
        return "lora_unet_" + rest.replace(".", "_")
    return "lora_te_text_model_" + rest.removeprefix("text_model.").replace(".", "_")


def ldm_name(name: str, layers: int) -> str:
    """A diffusers UNet's module in the original (LDM) naming; `layers` is its layers a block.

    "down_blocks.0.attentions.1.proj_in" is "input_blocks.2.1.proj_in" where layers = 2.
    """
    if name in _ENDS:
        return _ENDS[name]
    side, _, rest = name.partition(".")
    if side == "mid_block":
        kind, at, inner = rest.split(".", 2)
        place = "middle_block.1" if kind == "attentions" else f"middle_block.{2 * int(at)}"
        return f"{place}.{_RESIDUAL.get(inner, inner)}"
    block, kind, at, inner = rest.split(".", 3)
    first = int(block) * (layers + 1)
    if kind == "downsamplers":
        return f"input_blocks.{first + layers + 1}.0.op"
    if kind == "upsamplers":
        return f"output_blocks.{first + layers}.*.conv"
    number = first + int(at) + (1 if side == "down_blocks" else 0)
    place = f"{'input' if side == 'down_blocks' else 'output'}_blocks.{number}"
    return f"{place}.1.{inner}" if kind == "attentions" else f"{place}.0.{_RESIDUAL[inner]}"


def spellings(base: Base) -> dict[str, str]:
    """Every spelling of each adaptable module, its dots as underscores, to our name of it."""
    names = {}
    for name in _adaptable("unet", base.denoiser):
        flat = name.replace(".", "_")
        names[flat] = names[f"lora_{flat}"] = names[flat.removeprefix("unet_")] = name
        names[f"base_model_model_{flat}"] = name
        for spelt in _ldm_spellings(base, name.removeprefix("unet.")):
            names[f"lora_unet_{spelt}"] = names[f"unet_{spelt}"] = names[spelt] = name
    for root, encoder in base.text_encoders.items():
        for name in _adaptable(root, encoder):
            rest = name.removeprefix(f"{root}.").removeprefix("text_model.").replace(".", "_")
            for start in ("lora_te_", "lora_te1_", f"{root}_", f"base_model_model_{root}_"):
                names[f"{start}text_model_{rest}"] = names[start + rest] = name
    return names


def _ldm_spellings(base: Base, name: str) -> list[str]:
    layers = getattr(getattr(base.denoiser, "config", None), "layers_per_block", None)
    starts = ("down_blocks.", "mid_block.", "up_blocks.", *_ENDS)
    if not isinstance(layers, int) or not name.startswith(starts):
        return []
    spelt = ldm_name(name, layers).replace(".", "_")
    # An upsampler stands after the attention where its block has one.
    return [spelt.replace("*", place) for place in "12"] if "*" in spelt else [spelt]


def _adaptable(root: str, network: nn.Module) -> Iterable[str]:
    return (
        f"{root}.{name}"
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    )
