"""Transformers in their authors' layout (stacked queries, keys and values), renamed to diffusers'."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from packshot.bases.parts import Configs, Tensors
from packshot.errors import CheckpointRefused

ORIGINAL = "model.diffusion_model."
"""What files that hold more than the transformer put before its keys."""
Names = Mapping[str, Sequence[str]]
"""Original names of modules, and ours of what is stacked in each, in its order."""


@dataclass(frozen=True)
class Layout:
    """How a transformer's original names become diffusers'.

    Attributes:
        blocks: by the original list's name ours, and the names within each block.
        others: modules outside the blocks.
        swapped: those of ours that want scale before shift, where files have shift first.
    """

    blocks: Mapping[str, tuple[str, Names]]
    others: Mapping[str, str]
    swapped: Sequence[str] = ()

    def renamed(self, tensors: Tensors) -> dict[str, Tensor]:
        """A transformer's tensors by diffusers' names; keys that are not known are left out."""
        found: dict[str, Tensor] = {}
        for key, value in tensors.items():
            module, _, kind = key.rpartition(".")
            if module in self.others:
                found[f"{self.others[module]}.{kind}"] = value
            elif key in self.others:
                found[self.others[key]] = value
            elif block := re.fullmatch(r"(\w+)\.(\d+)\.(.+)", module):
                ours, names = self.blocks.get(block[1], ("", {}))
                stacked = names.get(block[3], ())
                weight = tensors.get(f"{module}.weight")
                kind = "weight" if kind == "scale" else kind
                for name, rows in zip(stacked, _rows(value, len(stacked), weight), strict=True):
                    found[f"{ours}.{block[2]}.{name}.{kind}"] = rows
        return {key: self._ordered(key, value) for key, value in found.items()}

    def _ordered(self, key: str, value: Tensor) -> Tensor:
        if key.rpartition(".")[0] not in self.swapped:
            return value
        shift, scale = value.chunk(2)
        return torch.cat([scale, shift])


def _rows(value: Tensor, count: int, weight: Tensor | None) -> Sequence[Tensor]:
    """The modules stacked in a tensor: each as high as wide, the last takes what is left."""
    if count < 2:
        return [value] * count
    if weight is None:
        raise CheckpointRefused("A bias in it has no weight. Copy it again, whole.")
    width = weight.shape[1]
    return value.split([width] * (count - 1) + [len(value) - width * (count - 1)])


def under(tensors: Tensors, *prefixes: str) -> dict[str, Tensor]:
    """The tensors whose keys begin with the first of `prefixes` that any begins with, without it."""
    for prefix in prefixes:
        found = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        if found:
            return found
    return {}


def latent_parts(tensors: Tensors, configs: Configs) -> dict[str, dict[str, Tensor]]:
    """The autoencoder's tensors by diffusers' names, as {"vae": ...}."""
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    own = under(tensors, "first_stage_model.", "vae.")
    original = not any(".down_blocks." in key for key in own)
    return {"vae": convert_ldm_vae_checkpoint(own, configs["vae"]) if original else own}


def layers(tensors: Tensors, blocks: str) -> int:
    """How many blocks of a name there are."""
    numbers = (re.match(rf"{blocks}\.(\d+)\.", key) for key in tensors)
    return 1 + max((int(number[1]) for number in numbers if number), default=-1)
