"""A UNet's original names, against diffusers' own conversion of original files."""

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from torch import nn

from packshot.models.families.unet_keys import ldm_modules

SD1 = {"block_out_channels": (32, 64, 64, 64), "cross_attention_dim": 16, "attention_head_dim": 8}
SDXL = {
    "block_out_channels": (32, 64, 64), "cross_attention_dim": 16, "attention_head_dim": (2, 4, 4),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 3), "use_linear_projection": True,
    "addition_embed_type": "text_time", "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 80,
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "layers"), [(SD1, 1), (SD1, 2), (SDXL, 2)], ids=["sd1-of-1", "sd1", "sdxl"]
)
def test_every_module_is_where_diffusers_puts_the_original_one(config, layers):
    with torch.device("meta"):
        unet = UNet2DConditionModel(**config, layers_per_block=layers)
    named = ldm_modules(unet)
    modules = {n for n, m in unet.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    assert sorted(name for (name,) in named.values()) == sorted(modules)
    numbers = {name: float(number) for number, name in enumerate(named)}
    original = {
        f"model.diffusion_model.{name}.weight": torch.tensor([number])
        for name, number in numbers.items()
    }
    told = {"class_embed_type": None, "addition_embed_type": None, **unet.config}
    # Norms stand between the layers; the conversion looks for some of them.
    for name in list(original):
        for norm in ("0.in_layers.0", "0.out_layers.0", "1.norm"):
            original[".".join(name.split(".")[:4]) + f".{norm}.weight"] = torch.tensor([-1.0])
    original |= {
        f"model.diffusion_model.{name}": torch.tensor([-1.0])
        for name in (
            "out.0.weight", "out.0.bias", "time_embed.0.bias", "time_embed.2.bias", "out.2.bias",
            "input_blocks.0.0.bias", "label_emb.0.0.bias", "label_emb.0.2.bias",
        )
    }  # fmt: skip
    original |= {
        name.replace(".op.weight", ".op.bias").replace(".conv.weight", ".conv.bias"): torch.ones(1)
        for name in original
        if name.endswith((".op.weight", ".conv.weight"))
    }
    found = convert_ldm_unet_checkpoint(original, told)
    wrong = {
        ours: found.get(f"{ours}.weight")
        for name, (ours,) in named.items()
        if found.get(f"{ours}.weight") is None or found[f"{ours}.weight"].item() != numbers[name]
    }
    assert wrong == {}


@pytest.mark.parametrize(
    ("config", "names"),
    [(SD1, {"2.1", "5.2", "8.2"}), (SDXL, {"2.2", "5.2"})],
    ids=["sd1", "sdxl"],
)
def test_upsampling_stands_after_the_attention_where_there_is_some(config, names):
    """As in the published files; diffusers takes either place."""
    with torch.device("meta"):
        named = ldm_modules(UNet2DConditionModel(**config, layers_per_block=2))
    ups = {name for name in named if name.startswith("output") and name.endswith(".conv")}
    assert ups == {f"output_blocks.{name}.conv" for name in names}
