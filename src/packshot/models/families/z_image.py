"""Z-Image (arXiv 2511.22699): one stream for text and image, Qwen3 as text encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from packshot.models.checkpoint import Checkpoint
from packshot.models.companions import QWEN3, autoencoder, qwen3
from packshot.models.components import Configs, Tensors
from packshot.models.conditioning import Conditioning, join_conditionings
from packshot.models.diffusion_model import SamplingDefaults, is_called_few_step
from packshot.models.family_spec import FamilySpec
from packshot.models.key_mapping import (
    KeyMapping,
    count_blocks,
    fitted_qwen3,
    latent_parts,
    strip_prefix,
    transformer_tensors,
)
from packshot.models.transformer_model import Scopes, TransformerModel, as_turn, chat_tokens

TOKENS = 512
_LAYERS = ("layers.",)
_BLOCKS = ("layers.", "noise_refiner.", "context_refiner.")
_ATTENTION = ("attention.to_q", "attention.to_k", "attention.to_v", "attention.to_out.0")
_MLP = ("feed_forward.w1", "feed_forward.w2", "feed_forward.w3")
_MODULATION = ("adaLN_modulation.0",)
_SCOPES: Scopes = {
    "cross-attention": (_ATTENTION, _LAYERS),  # where text and picture are together
    "attention": (_ATTENTION, _BLOCKS),
    "attention+mlp": (_ATTENTION + _MLP, _BLOCKS),
    "all": (_ATTENTION + _MLP + _MODULATION, _BLOCKS),
}
# ComfyUI's names within a block where they are others, and ours of what is stacked in each.
_NAMES = {
    "attention.qkv": ["attention.to_q", "attention.to_k", "attention.to_v"],
    "attention.out": ["attention.to_out.0"],
    "attention.q_norm": ["attention.norm_q"],
    "attention.k_norm": ["attention.norm_k"],
}
_LAYOUT = KeyMapping(
    blocks={block.removesuffix("."): (block.removesuffix("."), _NAMES) for block in _BLOCKS},
    others={
        "x_embedder": "all_x_embedder.2-1",
        "final_layer.linear": "all_final_layer.2-1.linear",
        "final_layer.adaLN_modulation.1": "all_final_layer.2-1.adaLN_modulation.1",
    },
)
# Nothing is computed with the norm that the makers' own layout ends with.
_BESIDE = {"transformer": r"norm_final\.", "vae": "(?!)", "text_encoder": r"lm_head\."}


class ZImage(TransformerModel):
    """A Z-Image checkpoint (Turbo or undistilled)."""

    scopes = _SCOPES
    unguided_scale = 0.0
    extra_keys = _BESIDE
    # Its scheduler's 6 (Turbo: 3) is for making pictures only: it was trained with FLUX's, about 3.2.
    training_shift = 1.8

    def __init__(self, checkpoint: Checkpoint, device: torch.device, *how: Any) -> None:
        super().__init__(checkpoint, device, *how)
        # Turbo's scheduler shifts by 3, the other's by 6; of a single file only the name tells.
        told = checkpoint.layout == "folder" and float(self.schedule.config.get("shift", 6)) < 5
        self.is_step_distilled = told or is_called_few_step(self.name)
        self.sampler = (
            SamplingDefaults("Euler", 8, 0.0)
            if self.is_step_distilled
            else SamplingDefaults("Euler", 28, 4.0)
        )

    @staticmethod
    def convert_state_dict(tensors: Tensors, configs: Configs) -> dict[str, dict[str, Tensor]]:
        return {
            "transformer": _LAYOUT.convert(transformer_tensors(tensors)),
            **latent_parts(tensors, configs),
            "text_encoder": strip_prefix(tensors, *QWEN3),
        }

    @staticmethod
    def infer_configs(tensors: Tensors, configs: Configs) -> Configs:
        own, config = transformer_tensors(tensors), configs["transformer"]
        width, read = own["cap_embedder.1.weight"].shape
        heads = width // sum(config["axes_dims"])
        sizes = {
            "dim": width,
            "n_heads": heads,
            "n_kv_heads": heads,
            "n_layers": count_blocks(own, "layers"),
            "n_refiner_layers": count_blocks(own, "noise_refiner"),
            "cap_feat_dim": read,
        }
        reader = fitted_qwen3(strip_prefix(tensors, *QWEN3), configs["text_encoder"])
        return configs | {"transformer": config | sizes, "text_encoder": reader}

    @torch.no_grad()
    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """{"context": [B, tokens, width]}: the penultimate hidden states; a mask if some are shorter."""
        ids, mask = chat_tokens(self.tokenizers["tokenizer"], prompts, TOKENS, thinking=True)
        states = self.text_encoders["text_encoder"](
            input_ids=ids.to(self.device),
            attention_mask=mask.to(self.device),
            output_hidden_states=True,
            use_cache=False,
        ).hidden_states[-2]
        each = [state[keep] for state, keep in zip(states, mask.bool(), strict=True)]
        return join_conditionings([{"context": state[None]} for state in each])

    @property
    def prompt_limit(self) -> tuple[str, int]:
        return "tokenizer", TOKENS

    def prompt_in_template(self, prompt: str) -> str:
        return as_turn(self.tokenizers["tokenizer"], prompt, thinking=True)

    def empty_conditioning(self, count: int) -> Conditioning:
        """Without a mask: all have one length."""
        return {"context": self.zeros(count, TOKENS, self.transformer.config.cap_feat_dim)}

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """Its time runs from noise to image and it predicts image - noise: we use the opposite sign."""
        context = conditioning["context"].to(self.dtype)
        lengths = [context.shape[1]] * len(context)
        if "mask" in conditioning:
            lengths = conditioning["mask"].sum(dim=1).int().tolist()
        predicted = self.transformer(
            list(noisy[:, :, None]),
            1 - timesteps / 1000,
            [prompt[:length] for prompt, length in zip(context, lengths, strict=True)],
            return_dict=False,
        )[0]
        return -torch.stack(predicted)[:, :, 0]

    def key_mapping(self) -> KeyMapping:
        return _LAYOUT

    def guide(self, conditional: Tensor, unconditional: Tensor, guidance_scale: float) -> Tensor:
        """Counted from the conditional prediction: a scale of 0 is without guidance."""
        return conditional + guidance_scale * (conditional - unconditional)

    def pipeline(self) -> Any:
        """`ZImagePipeline` with Euler steps."""
        from diffusers import ZImagePipeline

        return self.build_pipeline(ZImagePipeline)


def _schedule_hints(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """The file does not tell Turbo, whose noise is shifted less."""
    return {"shift": 3.0 if "turbo" in path.stem.lower() else 6.0}


SPEC = FamilySpec(
    name="z_image",
    title="Z-Image",
    model=ZImage,
    components=("transformer", "vae", "text_encoder"),
    denoiser_class="ZImageTransformer2DModel",
    pipelines=("ZImagePipeline",),
    signature=("cap_pad_token",),
    companions=(
        autoencoder(r"(.*[-_.])?ae|.*flux.*|.*z_?image.*"),
        qwen3("cap_embedder.1.weight", 1),
    ),
    schedule_hints=_schedule_hints,
    recipe={"rank": 32, "exposures": {"5": 800, "15": 1500, "40": 3000}},
    kohya_base="z_image",
    architecture="Z-Image/lora",
    kohya_uses_original_keys=False,  # diffusers' names are the original ones
    # With lora_unet_, ComfyUI knows only stacked names, and diffusers only those that are apart.
    # Both know names that keep their dots, whatever the factors are called.
    kohya_prefix="diffusion_model.",
    lora_title="Z-Image",
    lora_keys=r"(^|[._])(layers|noise_refiner|context_refiner)[._]\d+[._]"
    r"(attention[._]|feed_forward[._]|adaLN_modulation[._])",
    lora_metadata=("z-image", "z_image", "zimage"),
)

SPECS = (SPEC,)
