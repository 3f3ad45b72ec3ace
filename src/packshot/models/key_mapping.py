"""Renaming tensors from the authors' layout (stacked queries, keys, values) to diffusers'."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from packshot.errors import ModelLoadError
from packshot.models.components import Configs, Tensors

ORIGINAL = ("model.diffusion_model.", "diffusion_model.")
"""Key prefixes of the transformer in all-in-one files, and in some that hold only it."""
_COMPANIONS = ("first_stage_model.", "vae.", "text_encoders.")
"""Key prefixes of the other components."""
Names = Mapping[str, Sequence[str]]
"""Original names of modules, each with the diffusers names of what is stacked in it, in order."""


@dataclass(frozen=True)
class KeyMapping:
    """How a transformer's original names become diffusers'.

    Attributes:
        blocks: original list name to diffusers' list name and the names within each block.
        others: modules outside the blocks.
        scale_shift_swapped: diffusers modules with scale before shift, where files have shift first.
    """

    blocks: Mapping[str, tuple[str, Names]]
    others: Mapping[str, str]
    scale_shift_swapped: Sequence[str] = ()

    def convert(self, tensors: Tensors) -> dict[str, Tensor]:
        """A transformer's tensors under diffusers' names; unknown keys are kept."""
        renamed: dict[str, Tensor] = {}
        for key, value in tensors.items():
            module, _, kind = key.rpartition(".")
            if module in self.others:
                renamed[f"{self.others[module]}.{kind}"] = value
            elif key in self.others:
                renamed[self.others[key]] = value
            elif stacked := self._modules(module):
                weight = tensors.get(f"{module}.weight")
                kind = "weight" if kind == "scale" else kind
                for name, rows in zip(stacked, _rows(value, len(stacked), weight), strict=True):
                    renamed[f"{name}.{kind}"] = rows
            else:
                renamed[key] = value
        return {key: self._ordered(key, value) for key, value in renamed.items()}

    def modules(self, network: nn.Module) -> dict[str, list[str]]:
        """`DiffusionModel.original_modules` of a transformer; one named alike is there as it is."""
        found = self.renamed_modules(network)
        known = {name for names in found.values() for name in names}
        return found | {name: [name] for name in adaptable(network) if name not in known}

    def renamed_modules(self, network: nn.Module) -> dict[str, list[str]]:
        """Those of its modules that have other names here."""
        there = set(adaptable(network))
        found = {}
        for spelt, (ours, names) in self.blocks.items():
            inside = (name.split(".")[1] for name in there if name.startswith(f"{ours}."))
            for number in sorted(set(inside), key=int):
                for inner, stacked in names.items():
                    modules = [f"{ours}.{number}.{name}" for name in stacked]
                    if there.issuperset(modules):  # not in every block is all of it
                        found[f"{spelt}.{number}.{inner}"] = modules
        return found | {spelt: [ours] for spelt, ours in self.others.items() if ours in there}

    def _modules(self, module: str) -> list[str]:
        """The diffusers names of what is stacked in a block's module; none if it is unknown."""
        block = re.fullmatch(r"(\w+)\.(\d+)\.(.+)", module)
        if not block or block[1] not in self.blocks:
            return []
        ours, names = self.blocks[block[1]]
        return [f"{ours}.{block[2]}.{name}" for name in names.get(block[3], ())]

    def _ordered(self, key: str, value: Tensor) -> Tensor:
        if key.rpartition(".")[0] not in self.scale_shift_swapped:
            return value
        shift, scale = value.chunk(2)
        return torch.cat([scale, shift])


def _rows(value: Tensor, count: int, weight: Tensor | None) -> Sequence[Tensor]:
    """The modules stacked in a tensor: each is square, the last has the remaining rows."""
    if count < 2:
        return [value] * count
    if weight is None:
        raise ModelLoadError("A bias in it has no weight. Copy it again, whole.")
    width = weight.shape[1]
    return value.split([width] * (count - 1) + [len(value) - width * (count - 1)])


def adaptable(network: nn.Module) -> list[str]:
    """The names of a network's Linear and Conv2d modules, which LoRAs adapt."""
    return [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    ]


def strip_prefix(tensors: Tensors, *prefixes: str) -> dict[str, Tensor]:
    """The tensors under the first of `prefixes` that occurs, the prefix removed from their keys."""
    for prefix in prefixes:
        own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        if own:
            return own
    return {}


def transformer_tensors(tensors: Tensors) -> dict[str, Tensor]:
    """The transformer's tensors under their original names, any key prefix removed."""
    return strip_prefix(tensors, *ORIGINAL) or {
        key: value for key, value in tensors.items() if not key.startswith(_COMPANIONS)
    }


def latent_parts(tensors: Tensors, configs: Configs) -> dict[str, dict[str, Tensor]]:
    """The VAE's tensors under diffusers' names, as {"vae": ...}; unknown keys are kept."""
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    own = strip_prefix(tensors, *_COMPANIONS[:2])
    if any(".down_blocks." in key for key in own):
        return {"vae": own}
    # FLUX.2's has these inside encoder and decoder.
    own = {re.sub(r"^(en|de)coder\.(?=(post_)?quant_conv\.)", "", k): v for k, v in own.items()}
    renamed = convert_ldm_vae_checkpoint(own, configs["vae"])
    used = {value.data_ptr() for value in renamed.values()}
    return {"vae": renamed | {k: v for k, v in own.items() if v.data_ptr() not in used}}


def fitted_qwen3(own: Tensors, config: dict[str, Any]) -> dict[str, Any]:
    """A Qwen3's configuration with the sizes of its file's tensors."""
    first = "model.layers.0"
    heads = {
        name: own[f"{first}.self_attn.{name}.weight"].shape[0]
        for name in ("q_proj", "k_proj", "q_norm")
    }
    rows, width = own["model.embed_tokens.weight"].shape
    sizes = {
        "vocab_size": rows,
        "hidden_size": width,
        "intermediate_size": own[f"{first}.mlp.gate_proj.weight"].shape[0],
        "num_hidden_layers": count_blocks(own, r"model\.layers"),
        "num_attention_heads": heads["q_proj"] // heads["q_norm"],
        "num_key_value_heads": heads["k_proj"] // heads["q_norm"],
        "head_dim": heads["q_norm"],
        "layer_types": None,  # all alike
    }
    return config | sizes


def count_blocks(tensors: Tensors, blocks: str) -> int:
    """The number of blocks whose name matches the regex `blocks`."""
    numbers = (re.match(rf"{blocks}\.(\d+)\.", key) for key in tensors)
    return 1 + max((int(number[1]) for number in numbers if number), default=-1)
