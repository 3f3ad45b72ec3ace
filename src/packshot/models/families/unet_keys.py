"""Original (LDM) names of a UNet's modules."""

from __future__ import annotations

from typing import Any

from torch import nn

_RESIDUAL = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
_ENDS = {
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
}  # fmt: skip


def ldm_name(unet: Any, name: str) -> str:
    """The original (LDM) name of a diffusers UNet's module.

    "down_blocks.0.attentions.1.proj_in" is "input_blocks.2.1.proj_in" where a block has 2 layers.
    """
    if name in _ENDS:
        return _ENDS[name]
    side, _, rest = name.partition(".")
    if side == "mid_block":
        kind, at, inner = rest.split(".", 2)
        place = "middle_block.1" if kind == "attentions" else f"middle_block.{2 * int(at)}"
        return f"{place}.{_RESIDUAL.get(inner, inner)}"
    block, kind, at, inner = rest.split(".", 3)
    layers = unet.config.layers_per_block
    first = int(block) * (layers + 1)
    if kind == "downsamplers":
        return f"input_blocks.{first + layers + 1}.0.op"
    if kind == "upsamplers":
        # It stands after the attention where its block has one.
        attends = hasattr(unet.get_submodule(f"{side}.{block}"), "attentions")
        return f"output_blocks.{first + layers}.{2 if attends else 1}.conv"
    number = first + int(at) + (1 if side == "down_blocks" else 0)
    place = f"{'input' if side == 'down_blocks' else 'output'}_blocks.{number}"
    return f"{place}.1.{inner}" if kind == "attentions" else f"{place}.0.{_RESIDUAL[inner]}"


def ldm_modules(unet: nn.Module) -> dict[str, list[str]]:
    """The Linear and Conv2d modules of a UNet by their original names."""
    return {
        ldm_name(unet, name): [name]
        for name, module in unet.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    }
