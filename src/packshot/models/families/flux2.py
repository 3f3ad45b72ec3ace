"""FLUX.2 klein (https://github.com/black-forest-labs/flux2): double and single streams, Qwen3 encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from packshot.models.checkpoint import Checkpoint
from packshot.models.companions import QWEN3, autoencoder, qwen3
from packshot.models.components import Configs, Tensors
from packshot.models.conditioning import Conditioning
from packshot.models.diffusion_model import SamplingDefaults
from packshot.models.families.flux_streams import DOUBLE, DOUBLE_ATTENTION, SINGLE, Streams
from packshot.models.family_spec import FamilySpec, Relative
from packshot.models.key_mapping import (
    KeyMapping,
    count_blocks,
    fitted_qwen3,
    latent_parts,
    strip_prefix,
    transformer_tensors,
)
from packshot.models.noise_schedules import FlowMatchSchedule
from packshot.models.transformer_model import (
    ATTENTION,
    LARGE_RECIPE,
    Scopes,
    TransformerModel,
    as_turn,
    chat_tokens,
)
from packshot.weights.safetensors_file import read_config

_DISTILLED_SHIFT = 3.16
"""What klein was trained with at 1024 px."""
LAYERS = (9, 18, 27)
"""Text encoder layers whose hidden states are concatenated as the prompt embedding."""
TOKENS = 512
_FUSED = ("attn.to_qkv_mlp_proj", "attn.to_out")  # single blocks: attention and MLP in one matrix
_MLP = ("ff.linear_in", "ff.linear_out", "ff_context.linear_in", "ff_context.linear_out")
_SCOPES: Scopes = {
    "cross-attention": (ATTENTION, (DOUBLE,)),  # where text and picture meet first
    "attention": (ATTENTION + _FUSED, (DOUBLE, SINGLE)),
    "attention+mlp": (ATTENTION + _FUSED + _MLP, (DOUBLE, SINGLE)),
    "all": (ATTENTION + _FUSED + _MLP, (DOUBLE, SINGLE)),
}
_STREAMS = Streams(
    double={
        **DOUBLE_ATTENTION,
        "img_mlp.0": ["ff.linear_in"],
        "img_mlp.2": ["ff.linear_out"],
        "txt_mlp.0": ["ff_context.linear_in"],
        "txt_mlp.2": ["ff_context.linear_out"],
    },
    single={"linear1": ["attn.to_qkv_mlp_proj"], "linear2": ["attn.to_out"]},
    others={
        "time_in.in_layer": "time_guidance_embed.timestep_embedder.linear_1",
        "time_in.out_layer": "time_guidance_embed.timestep_embedder.linear_2",
        "double_stream_modulation_img.lin": "double_stream_modulation_img.linear",
        "double_stream_modulation_txt.lin": "double_stream_modulation_txt.linear",
        "single_stream_modulation.lin": "single_stream_modulation.linear",
    },
)
_BESIDE = {"transformer": "(?!)", "vae": "(?!)", "text_encoder": r"lm_head\."}


class Flux2Klein(TransformerModel):
    """A FLUX.2 klein checkpoint (base or distilled).

    Latents are the VAE's in squares of 2 x 2, [B, 128, H/16, W/16], each channel normalised by the
    mean and deviation in the VAE's batch norm.
    """

    scopes = _SCOPES
    token_side = 1
    extra_keys = _BESIDE

    def __init__(self, checkpoint: Checkpoint, device: torch.device, *how: Any) -> None:
        super().__init__(checkpoint, device, *how)
        if checkpoint.layout == "folder":
            index = read_config(checkpoint.path / "model_index.json")
            self.is_guidance_distilled = bool(index.get("is_distilled"))
        else:
            self.is_guidance_distilled = (
                "base" not in self.name.lower()
            )  # nothing in the file tells
        self.is_step_distilled = self.is_guidance_distilled
        if self.is_step_distilled:  # its few steps never come where fine print is decided
            self.schedule = FlowMatchSchedule(
                self.schedule.config, patch=self.token_side, training_shift=_DISTILLED_SHIFT
            )
        self.sampler = (
            SamplingDefaults("Euler", 4, 1.0)
            if self.is_guidance_distilled
            else SamplingDefaults("Euler", 28, 4.0)
        )

    @staticmethod
    def convert_state_dict(tensors: Tensors, configs: Configs) -> dict[str, dict[str, Tensor]]:
        return {
            "transformer": _STREAMS.layout().convert(transformer_tensors(tensors)),
            **latent_parts(tensors, configs),
            "text_encoder": strip_prefix(tensors, *QWEN3),
        }

    @staticmethod
    def infer_configs(tensors: Tensors, configs: Configs) -> Configs:
        """The sizes of klein 4B or 9B, and of its text encoder."""
        own, config = transformer_tensors(tensors), configs["transformer"]
        sizes = {
            "num_layers": count_blocks(own, "double_blocks"),
            "num_single_layers": count_blocks(own, "single_blocks"),
            "num_attention_heads": own["img_in.weight"].shape[0] // config["attention_head_dim"],
            "joint_attention_dim": own["txt_in.weight"].shape[1],
        }
        reader = fitted_qwen3(strip_prefix(tensors, *QWEN3), configs["text_encoder"])
        return configs | {"transformer": config | sizes, "text_encoder": reader}

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the channels, where these latents are: the VAE may be elsewhere."""
        norm, shape = self.vae.bn, (1, -1, 1, 1)
        variance = norm.running_var.view(shape) + self.vae.config.batch_norm_eps
        return norm.running_mean.view(shape).to(like), variance.sqrt().to(like)

    @torch.no_grad()
    def encode_images(self, pixels: Tensor) -> Tensor:
        place = self.vae_place
        latents = self.vae.encode(pixels.to(place, self.dtype)).latent_dist.mean.to(self.device)
        mean, spread = self._statistics(latents)
        return (torch.pixel_unshuffle(latents, 2) - mean) / spread

    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        latents = latents.to(self.device, self.dtype)
        mean, spread = self._statistics(latents)
        latents = latents * spread + mean
        pixels: Tensor = self.vae.decode(torch.pixel_shuffle(latents, 2)).sample.clamp(-1, 1)
        return pixels

    @torch.no_grad()
    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """{"context": [B, 512, 3 x width]}: three layers' hidden states, padding included."""
        ids, mask = chat_tokens(self.tokenizers["tokenizer"], prompts, TOKENS, thinking=False)
        output = self.text_encoders["text_encoder"](
            input_ids=ids.to(self.device),
            attention_mask=mask.to(self.device),
            output_hidden_states=True,
            use_cache=False,
        )
        return {"context": torch.cat([output.hidden_states[layer] for layer in LAYERS], dim=-1)}

    @property
    def prompt_limit(self) -> tuple[str, int]:
        return "tokenizer", TOKENS

    def prompt_in_template(self, prompt: str) -> str:
        return as_turn(self.tokenizers["tokenizer"], prompt, thinking=False)

    def empty_conditioning(self, count: int) -> Conditioning:
        return {"context": self.zeros(count, TOKENS, self.transformer.config.joint_attention_dim)}

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        height, width = noisy.shape[-2:]
        context = conditioning["context"].to(self.dtype)
        output = self.transformer(
            hidden_states=noisy.flatten(2).transpose(1, 2),
            encoder_hidden_states=context,
            timestep=timesteps / 1000,
            img_ids=_positions(height, width, 1).to(self.device),
            txt_ids=_positions(1, 1, context.shape[1]).to(self.device),
            return_dict=False,
        )[0]
        predicted: Tensor = output.transpose(1, 2).unflatten(2, (height, width))
        return predicted

    def key_mapping(self) -> KeyMapping:
        return _STREAMS.layout()

    def counting_guidance(self, guidance_scale: float) -> float:
        """Distilled checkpoints use 1."""
        return 1.0 if self.is_guidance_distilled else guidance_scale

    def sampling(self, guidance_scale: float, negative_prompts: list[str]) -> dict[str, Any]:
        """No negative prompt."""
        return {"guidance_scale": self.counting_guidance(guidance_scale)}

    def resolution_shift(self, config: Mapping[str, Any], steps: int, tokens: int) -> float:
        """Of the number of steps too, by what its makers found; the configuration does not count."""
        from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu

        return compute_empirical_mu(tokens, steps)

    def pipeline(self) -> Any:
        """`Flux2KleinPipeline` with Euler steps."""
        from diffusers import Flux2KleinPipeline

        return self.build_pipeline(Flux2KleinPipeline, is_distilled=self.is_guidance_distilled)


def _positions(rows: int, columns: int, tokens: int) -> Tensor:
    """Position ids, [rows * columns * tokens, 4]: 0, row, column, index in the text."""
    axes = (torch.arange(count) for count in (1, rows, columns, tokens))
    return torch.cartesian_prod(*axes)


SPEC = FamilySpec(
    name="flux2",
    title="FLUX.2 klein",
    model=Flux2Klein,
    components=("transformer", "vae", "text_encoder"),
    denoiser_class="Flux2Transformer2DModel",
    vae_class="AutoencoderKLFlux2",
    pipelines=("Flux2Klein",),
    signature=("double_stream_modulation_img.",),
    # Klein is not told guidance, and dev is read by another text encoder.
    relatives=(Relative("FLUX.2 dev", ("double_stream_modulation_img.", "guidance_in.")),),
    companions=(autoencoder(""), qwen3("txt_in.weight", 3)),
    # It learns fast: PEFT's comparison measures no more likeness after 200 exposures.
    recipe={**LARGE_RECIPE, "rank": 32, "exposures": {"5": 500, "15": 1000, "40": 1600}},
    kohya_base="flux2",
    architecture="Flux.2-klein/lora",
    kohya_uses_original_keys=True,
    lora_title="FLUX",
    lora_metadata=("flux",),
)

SPECS = (SPEC,)
