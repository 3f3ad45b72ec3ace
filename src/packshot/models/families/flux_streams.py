"""Original and diffusers names of the double and single stream blocks of FLUX.1 and FLUX.2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from packshot.models.key_mapping import KeyMapping, Names

DOUBLE, SINGLE = "transformer_blocks.", "single_transformer_blocks."
"""Prefixes of diffusers' names."""
DOUBLE_ATTENTION: Names = {
    "img_attn.qkv": ["attn.to_q", "attn.to_k", "attn.to_v"],
    "txt_attn.qkv": ["attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"],
    "img_attn.proj": ["attn.to_out.0"],
    "txt_attn.proj": ["attn.to_add_out"],
}
_DOUBLE_NORMS: Names = {
    "img_attn.norm.query_norm": ["attn.norm_q"],
    "img_attn.norm.key_norm": ["attn.norm_k"],
    "txt_attn.norm.query_norm": ["attn.norm_added_q"],
    "txt_attn.norm.key_norm": ["attn.norm_added_k"],
}
_SINGLE_NORMS: Names = {"norm.query_norm": ["attn.norm_q"], "norm.key_norm": ["attn.norm_k"]}
_OTHERS = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "final_layer.linear": "proj_out",
    "final_layer.adaLN_modulation.1": "norm_out.linear",
}


@dataclass(frozen=True)
class Streams:
    """The Linear modules whose names differ between FLUX.1 and FLUX.2.

    Attributes:
        double, single: original names within a block, each with the diffusers names stacked in it.
        others: modules outside the blocks.
    """

    double: Names
    single: Names
    others: Mapping[str, str]

    def layout(self) -> KeyMapping:
        """The mapping from original to diffusers names."""
        return KeyMapping(
            blocks={
                "double_blocks": ("transformer_blocks", {**self.double, **_DOUBLE_NORMS}),
                "single_blocks": ("single_transformer_blocks", {**self.single, **_SINGLE_NORMS}),
            },
            others={**_OTHERS, **self.others},
            scale_shift_swapped=("norm_out.linear",),
        )
