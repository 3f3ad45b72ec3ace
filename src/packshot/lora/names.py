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
_TITLES = {"sdxl": "SDXL"}
_RESIDUAL = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
_ENDS = {
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
}  # fmt: skip

_ENCODER_STARTS = {
    "text_encoder": ("lora_te_", "lora_te1_"),
    "text_encoder_2": ("lora_te2_",),
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
            return None if family == _TITLES.get(own) else (family, count)
    says = metadata.get("ss_base_model_version", "") + metadata.get("modelspec.architecture", "")
    if "sdxl" in says or "xl-v1" in says:
        return None if own == "sdxl" else ("SDXL", 0)
    return ("Stable Diffusion 1.x or 2.x", 0) if says and own == "sdxl" else None


def kohya_name(base: Base, name: str) -> str:
    """ "unet.mid.to_q" to "lora_unet_mid_to_q"; text encoders read "lora_te_text_model_…".

    SDXL's files have the original (LDM) names of the UNet, and number the text encoders.
    """
    root, _, rest = name.partition(".")
    numbered = len(base.text_encoders) > 1
    if root == "unet":
        spelt = _ldm_spelling(base, rest) if numbered else rest
        return "lora_unet_" + spelt.replace(".", "_")
    number = {"text_encoder": "1", "text_encoder_2": "2"}[root] if numbered else ""
    return f"lora_te{number}_text_model_" + rest.removeprefix("text_model.").replace(".", "_")


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
        spelt = _ldm_spelling(base, name.removeprefix("unet.")).replace(".", "_")
        names[f"lora_unet_{spelt}"] = names[f"unet_{spelt}"] = names[spelt] = name
        names[f"diffusion_model_{spelt}"] = name
    for root, encoder in base.text_encoders.items():
        starts = _ENCODER_STARTS[root]
        for name in _adaptable(root, encoder):
            rest = name.removeprefix(f"{root}.").removeprefix("text_model.").replace(".", "_")
            for start in (*starts, f"{root}_", f"base_model_model_{root}_"):
                names[f"{start}text_model_{rest}"] = names[start + rest] = name
    return names


def _ldm_spelling(base: Base, name: str) -> str:
    """The original name of a UNet's module, or the name itself where it has none."""
    layers = getattr(getattr(base.denoiser, "config", None), "layers_per_block", None)
    starts = ("down_blocks.", "mid_block.", "up_blocks.", *_ENDS)
    if not isinstance(layers, int) or not name.startswith(starts):
        return name
    spelt = ldm_name(name, layers)
    if "*" not in spelt:
        return spelt
    # An upsampler stands after the attention where its block has one.
    block = base.denoiser.get_submodule(".".join(name.split(".")[:2]))
    return spelt.replace("*", "2" if hasattr(block, "attentions") else "1")


def _adaptable(root: str, network: nn.Module) -> Iterable[str]:
    return (
        f"{root}.{name}"
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    )
