"""A checkpoint's networks, tokenizers and scheduler, from a folder or single file, never downloaded."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from packshot.errors import ModelLoadError
from packshot.models import registry
from packshot.models.checkpoint import Checkpoint
from packshot.models.precision import vae_dtype
from packshot.weights.loading import (
    empty_network,
    load_weights_into,
    read_shapes,
    read_tensors,
    refusing,
)
from packshot.weights.safetensors_file import read_config

if TYPE_CHECKING:
    from packshot.models.diffusion_model import DiffusionModel

Tensors = Mapping[str, Tensor]
Configs = dict[str, dict[str, Any]]
"""By component."""


@dataclass(frozen=True)
class Components:
    """The parts of a pipeline, by the components' names."""

    networks: dict[str, Any]
    tokenizers: dict[str, Any]
    schedule: dict[str, Any]


def load_components(
    checkpoint: Checkpoint, family: DiffusionModel, dtype: torch.dtype
) -> Components:
    """Every component of a checkpoint, frozen, on the CPU; no tokenizers of a fake model.

    All are in `dtype`, but a VAE that it is too narrow for (see `vae_dtype`).

    Raises:
        ModelLoadError: weights are missing or do not fit, or a configuration cannot be read.
    """
    path, whole = checkpoint.path, checkpoint.layout == "single file"
    folder = checkpoint.configs
    configs = {n: read_config(folder / n / "config.json") for n in checkpoint.components}
    with refusing(path):
        tensors: Mapping[str, Tensors] = {}
        if whole:
            read = read_shapes if checkpoint.shapes_only else read_tensors
            given = {
                start + key: value
                for start, weights in checkpoint.weights.items()
                for key, value in read(weights).items()
            }
            configs = family.infer_configs(given, configs) if given else configs
            if not checkpoint.shapes_only:
                tensors = family.convert_state_dict(given, configs)
        elif not checkpoint.shapes_only:
            tensors = {n: read_tensors(checkpoint.weights[n]) for n in checkpoint.components}
    from diffusers import AutoencoderKL, AutoencoderKLFlux2, UNet2DConditionModel

    networks: dict[str, Any] = {}
    for name in checkpoint.components:
        where = path if whole else path / name
        make, renamed = _architecture(configs[name], where)
        if checkpoint.shapes_only:
            networks[name] = empty_network(make, where)
            continue
        extra_keys = family.extra_keys.get(name) if whole else None
        own = vae_dtype(configs[name], dtype) if name == "vae" else dtype
        networks[name] = load_weights_into(make, renamed(tensors[name]), where, own, extra_keys)
        if isinstance(networks[name], AutoencoderKL | AutoencoderKLFlux2 | UNet2DConditionModel):
            networks[name].to(
                memory_format=torch.channels_last
            )  # the fastest layout for convolutions
    encoders = [name for name in checkpoint.components if name.startswith("text_encoder")]
    tokenizers = {
        name.replace("text_encoder", "tokenizer"): _tokenizer(checkpoint, name, configs[name])
        for name in encoders
        if not checkpoint.shapes_only
    }
    schedule = read_config(folder / "scheduler" / "scheduler_config.json")
    return Components(networks, tokenizers, schedule)


def _architecture(
    config: dict[str, Any], where: Path
) -> tuple[Callable[[], nn.Module], Callable[[Tensors], Tensors]]:
    """The constructor of a configuration's network, and a function that renames files' tensors.

    Only the classes that are known here are constructed.
    """
    import diffusers
    import transformers

    kind = str(config.get("_class_name") or (config.get("architectures") or [""])[0])
    if kind in registry.diffusers_classes():
        make = partial(getattr(diffusers, kind).from_config, config)
        return make, lambda tensors: {
            _VAE_ATTENTION.sub(_new_name, key): value for key, value in tensors.items()
        }
    if kind not in _TRANSFORMERS:
        raise ModelLoadError(
            f"{where}: its configuration names a '{kind}', which is not known here."
        )
    model, configuration, prefix = _TRANSFORMERS[kind]

    def renamed(found: Tensors) -> Tensors:
        tensors = {re.sub(f"^({prefix})", "", key): value for key, value in found.items()}
        if kind == "T5EncoderModel":
            # The same matrix by two names; files hold it once.
            tensors = {"encoder.embed_tokens.weight": tensors["shared.weight"], **tensors}
        return tensors

    with refusing(where):
        text = getattr(transformers, configuration).from_dict(config.get("text_config", config))
    return partial(getattr(transformers, model), text), renamed


# By a file's architecture: what is made of it (of language models what reads, not what answers or
# sees), its configuration, and what files put before the names that transformers 5 gives.
_TRANSFORMERS = {
    "CLIPTextModel": ("CLIPTextModel", "CLIPTextConfig", r"text_model\."),
    "CLIPTextModelWithProjection": ("CLIPTextModelWithProjection", "CLIPTextConfig", ""),
    "T5EncoderModel": ("T5EncoderModel", "T5Config", ""),
    "Qwen3Model": ("Qwen3Model", "Qwen3Config", r"model\."),
    "Qwen3ForCausalLM": ("Qwen3Model", "Qwen3Config", r"model\."),
    "Qwen2_5_VLForConditionalGeneration": (
        "Qwen2_5_VLTextModel", "Qwen2_5_VLTextConfig", r"model\.(language_model\.)?",
    ),
}  # fmt: skip


def _tokenizer(checkpoint: Checkpoint, encoder: str, config: dict[str, Any]) -> Any:
    from transformers import CLIPTokenizer, Qwen2Tokenizer, T5TokenizerFast

    from packshot.weights.tokenizers import CHAT, clip_tokenizer, qwen_tokenizer, t5_tokenizer

    if checkpoint.layout == "single file":
        if config["model_type"] == "t5":
            return t5_tokenizer()
        if config["model_type"].startswith("qwen"):
            return qwen_tokenizer(thinks=config["model_type"] == "qwen3")
        # OpenCLIP's text towers were trained with its vocabulary padded with token 0, "!".
        openclip = encoder in registry.families()[checkpoint.family].openclip
        return clip_tokenizer(pad="!" if openclip else None)
    folder = checkpoint.path / encoder.replace("text_encoder", "tokenizer")
    if not folder.is_dir():
        raise ModelLoadError(
            f"{checkpoint.path} has no folder '{folder.name}'. Copy it again, whole."
        )
    with refusing(folder):
        kind = str(config.get("model_type"))
        if kind == "t5":
            return T5TokenizerFast.from_pretrained(folder, local_files_only=True)
        if kind.startswith("qwen"):
            tokenizer = Qwen2Tokenizer.from_pretrained(folder, local_files_only=True)
            tokenizer.chat_template = CHAT  # a checkpoint's own is a program: one can run for ever
            return tokenizer
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)


# Autoencoders saved before diffusers 0.17, SD 1.5's own among them, name these otherwise.
_VAE_ATTENTION = re.compile(r"(?<=mid_block\.attentions\.0\.)(query|key|value|proj_attn)(?=\.)")
_NEW_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def _new_name(found: re.Match[str]) -> str:
    return _NEW_NAMES[found[0]]
