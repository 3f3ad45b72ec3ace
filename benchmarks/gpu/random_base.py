"""Bases of the published sizes with random weights, drawn where they will lie: nothing is downloaded.

Arithmetic, memory and the order of all work are a published checkpoint's; pictures are noise. With
size "small" a family's networks have a few layers each, to try the benchmark without a GPU.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from packshot.models import registry
from packshot.models.checkpoint import CONFIGS, Checkpoint
from packshot.models.device_memory import weight_memory_budget
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.weight_storage import apply_weight_storage
from packshot.types import WeightStorage
from packshot.utils import files, hashing, reading
from packshot.weights.tokenizers import clip_tokenizer, t5_tokenizer

Size = Literal["full", "small"]
FAMILIES = ("sd1", "sdxl", "flux1")

_UNET: dict[str, Any] = {
    "sample_size": 16, "block_out_channels": [32, 64], "layers_per_block": 1, "norm_num_groups": 8,
    "attention_head_dim": 4, "cross_attention_dim": 32,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
}  # fmt: skip
_VAE: dict[str, Any] = {
    "block_out_channels": [8, 16, 16], "layers_per_block": 1, "norm_num_groups": 4, "sample_size": 64,
    "latent_channels": 4, "down_block_types": ["DownEncoderBlock2D"] * 3,
    "up_block_types": ["UpDecoderBlock2D"] * 3,
}  # fmt: skip
_CLIP: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "projection_dim": 32,
}  # fmt: skip
_SMALL: dict[str, dict[str, dict[str, Any]]] = {
    "sd1": {"unet": _UNET, "vae": _VAE, "text_encoder": _CLIP},
    "sdxl": {
        "unet": _UNET | {
            "cross_attention_dim": 56, "attention_head_dim": [4, 8], "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": 68, "transformer_layers_per_block": [1, 2],
        },
        "vae": _VAE,
        "text_encoder": _CLIP,
        "text_encoder_2": _CLIP | {"hidden_size": 24, "projection_dim": 20},
    },
    "flux1": {
        "transformer": {
            "in_channels": 16, "num_layers": 2, "num_single_layers": 2, "attention_head_dim": 16,
            "num_attention_heads": 4, "joint_attention_dim": 64, "pooled_projection_dim": 32,
            "axes_dims_rope": [4, 4, 8],
        },
        "vae": _VAE,
        "text_encoder": _CLIP,
        "text_encoder_2": {"d_model": 64, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4},
    },
}  # fmt: skip
"""What differs from the published configurations, by family and component."""


def write_configs(family: str, size: Size, folder: Path) -> Checkpoint:
    """Write a family's configurations to `folder`; the checkpoint has these, and no weights."""
    shipped = sorted((CONFIGS / family).glob("*/*.json"))
    smaller = _SMALL[family] if size == "small" else {}
    configs = {file.relative_to(CONFIGS / family): reading.read_json(file) for file in shipped}
    for name, config in configs.items():
        files.write_json(folder / name, config | smaller.get(name.parent.name, {}))
    mark = hashing.fingerprint(["random weights", family, size])
    return Checkpoint(folder, family, "folder", {}, mark, shapes_only=True)


def random_base(
    checkpoint: Checkpoint,
    device: torch.device,
    dtype: torch.dtype,
    storage: WeightStorage = "full",
    seed: int = 0,
) -> DiffusionModel:
    """A base with the checkpoint's shapes and random weights, as `load_base` would place it.

    On the device "meta" it has shapes only.
    """
    from diffusers import AutoencoderKL, UNet2DConditionModel

    spec, main_memory = registry.families()[checkpoint.family], torch.device("cpu")
    base = spec.model(checkpoint, main_memory if device.type == "meta" else device, dtype, storage)
    networks: list[Any] = [base.denoiser, base.vae, *base.text_encoders.values()]
    size = dtype.itemsize * sum(p.numel() for each in networks for p in each.parameters())
    fits = storage != "offload" and size < weight_memory_budget(device)
    torch.manual_seed(seed)
    for network in networks:
        _draw(network, device, dtype, device if fits else main_memory)
        if isinstance(network, AutoencoderKL | UNet2DConditionModel):
            network.to(memory_format=torch.channels_last)  # as loaded ones are
    if fits:
        apply_weight_storage(base.denoiser, storage, device)
    else:
        base._place_on_device()
    for name, encoder in base.text_encoders.items():
        kind, openclip = encoder.config.model_type, name in spec.openclip
        base.tokenizers[name.replace("text_encoder", "tokenizer")] = _tokenizer(kind, openclip)
    return base


@torch.no_grad()
def _draw(network: nn.Module, device: torch.device, dtype: torch.dtype, home: torch.device) -> None:
    """Give a network on the meta device weights that keep signals in bounds.

    They are drawn on `device`, which is faster, and lie in `home`.
    """
    drawn: dict[int, nn.Parameter] = {}  # what has two names stays one tensor
    for module in network.modules():
        for name, given in module._parameters.items():
            if given is None:
                continue
            if id(given) not in drawn:
                value = torch.empty(given.shape, device=device, dtype=dtype)
                if given.ndim > 1:
                    value.normal_(0, given[0].numel() ** -0.5)
                else:
                    value.fill_(0.0 if name == "bias" else 1.0)
                drawn[id(given)] = nn.Parameter(value.to(home), requires_grad=False)
            module._parameters[name] = drawn[id(given)]
    network.to(home)  # its buffers


@lru_cache
def _tokenizer(kind: str, openclip: bool) -> Any:
    return t5_tokenizer() if kind == "t5" else clip_tokenizer(pad="!" if openclip else None)
