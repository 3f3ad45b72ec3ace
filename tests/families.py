"""Tiny, random checkpoints of each family's own classes: 64 px pictures in milliseconds."""

import json

import torch

from packshot.models.checkpoint import CONFIGS
from packshot.weights.tokenizers import clip_tokenizer

BETAS = {
    "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
    "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1,
}  # fmt: skip


def tiny_vae(**options):
    """A 4-channel autoencoder at a quarter of the side."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 16, 16), latent_channels=4, norm_num_groups=4, sample_size=64,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1, **options,
    )  # fmt: skip


def tiny_unet(context, **options):
    """Two levels on latents of 16 x 16."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=4, block_out_channels=(32, 64),
        layers_per_block=1, cross_attention_dim=context, norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), **{"attention_head_dim": 4, **options},
    )  # fmt: skip


def text_config(width=32, projection=32, **options):
    """Two layers, CLIP's vocabulary."""
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        hidden_size=width, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        vocab_size=49408, projection_dim=projection, bos_token_id=49406, eos_token_id=49407,
        **options,
    )  # fmt: skip


def make_tiny_sd1(folder, *, prediction_type="epsilon", zero_snr=False, width=32, pad=None, **unet):
    """Write a pipeline of Stable Diffusion 1.x."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline
    from transformers import CLIPTextModel

    torch.manual_seed(0)
    denoiser, vae = tiny_unet(width, **unet), tiny_vae()
    text = CLIPTextModel(text_config(width))
    scheduler = DDIMScheduler(
        **BETAS, prediction_type=prediction_type, rescale_betas_zero_snr=zero_snr
    )
    StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=clip_tokenizer(pad), unet=denoiser, scheduler=scheduler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def make_tiny_sd2(folder):
    """Write a pipeline of Stable Diffusion 2.x, told by its context's width."""
    return make_tiny_sd1(
        folder, prediction_type="v_prediction", width=1024, pad="!", use_linear_projection=True,
        attention_head_dim=(4, 8), upcast_attention=True,
    )  # fmt: skip


def make_tiny_sdxl(folder):
    """Write a pipeline of SDXL."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(0)
    unet = tiny_unet(
        32 + 24, use_linear_projection=True, addition_embed_type="text_time",
        addition_time_embed_dim=8, projection_class_embeddings_input_dim=6 * 8 + 20,
        transformer_layers_per_block=(1, 2), attention_head_dim=(4, 8),
    )  # fmt: skip
    StableDiffusionXLPipeline(
        vae=tiny_vae(scaling_factor=0.13025),
        unet=unet,
        text_encoder=CLIPTextModel(text_config()),
        text_encoder_2=CLIPTextModelWithProjection(text_config(24, 20, hidden_act="gelu")),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(pad="!"),
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
        ),
        add_watermarker=False,
    ).save_pretrained(folder)
    return folder


def tiny_t5():
    """A T5 of two layers and a tokenizer that knows letters."""
    from transformers import T5Config, T5EncoderModel, T5TokenizerFast

    letters = [(letter, -3.0) for letter in "abcdefghijklmnopqrstuvwxyz,"]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0), *letters]
    config = T5Config(
        d_model=64, d_kv=8, d_ff=64, num_layers=2, num_heads=4, vocab_size=len(vocabulary)
    )
    return T5EncoderModel(config), T5TokenizerFast(vocab=vocabulary, extra_ids=0)


def make_tiny_sd3(folder):
    """Write a pipeline of Stable Diffusion 3.5, its first block with attention of its own."""
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )
    from transformers import CLIPTextModelWithProjection

    torch.manual_seed(0)
    t5, letters = tiny_t5()
    clip = CLIPTextModelWithProjection(text_config())
    torch.nn.init.eye_(clip.text_projection.weight)  # as published: its text is taken as it is
    StableDiffusion3Pipeline(
        vae=tiny_vae(shift_factor=0.06, scaling_factor=1.5),
        transformer=SD3Transformer2DModel(
            sample_size=16, in_channels=4, out_channels=4, num_layers=2, attention_head_dim=16,
            num_attention_heads=4, joint_attention_dim=64, caption_projection_dim=64,
            pooled_projection_dim=52, pos_embed_max_size=24, dual_attention_layers=(0,),
            qk_norm="rms_norm",
        ),
        text_encoder=clip,
        text_encoder_2=CLIPTextModelWithProjection(text_config(24, 20, hidden_act="gelu")),
        text_encoder_3=t5,
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(pad="!"),
        tokenizer_3=letters,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    ).save_pretrained(folder)  # fmt: skip
    return folder


def make_tiny_flux1(folder):
    """Write a pipeline of FLUX.1, with guidance told and noise that grows with the picture."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
    from transformers import CLIPTextModel

    torch.manual_seed(0)
    t5, letters = tiny_t5()
    FluxPipeline(
        vae=tiny_vae(shift_factor=0.1159, scaling_factor=0.3611),
        transformer=FluxTransformer2DModel(
            in_channels=16, num_layers=2, num_single_layers=2, attention_head_dim=16,
            num_attention_heads=2, joint_attention_dim=64, pooled_projection_dim=32,
            axes_dims_rope=(4, 4, 8), guidance_embeds=True,
        ),
        text_encoder=CLIPTextModel(text_config()),
        text_encoder_2=t5,
        tokenizer=clip_tokenizer(),
        tokenizer_2=letters,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
    ).save_pretrained(folder)  # fmt: skip
    return folder


CHAT = (
    "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}"
    "{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}"
)
"""What Qwen3's own does with turns of plain text, in its words."""


def letter_tokenizer():
    """Qwen2's, with a token a byte and those of a chat."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2Tokenizer

    vocabulary = {letter: number for number, letter in enumerate(sorted(ByteLevel.alphabet()))}
    made = Qwen2Tokenizer(vocab=vocabulary, merges=[])
    made.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    made.chat_template = CHAT
    return made


QWEN = {
    "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2,
    "vocab_size": 320,
}  # fmt: skip


def make_tiny_flux2(folder):
    """Write a pipeline of FLUX.2 klein; the text encoder has as many layers as are read."""
    from diffusers import (
        AutoencoderKLFlux2,
        FlowMatchEulerDiscreteScheduler,
        Flux2KleinPipeline,
        Flux2Transformer2DModel,
    )
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    vae = AutoencoderKLFlux2(
        block_out_channels=(8, 16, 16), latent_channels=4, norm_num_groups=4, sample_size=64,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
    )  # fmt: skip
    vae.bn.running_mean.uniform_(-1, 1)
    vae.bn.running_var.uniform_(0.5, 2)
    config = Qwen3Config(**QWEN, num_hidden_layers=28, head_dim=8, tie_word_embeddings=True)
    Flux2KleinPipeline(
        vae=vae,
        transformer=Flux2Transformer2DModel(
            in_channels=16, num_layers=2, num_single_layers=2, attention_head_dim=16,
            num_attention_heads=2, joint_attention_dim=96, axes_dims_rope=(4, 4, 4, 4),
            guidance_embeds=False,
        ),
        text_encoder=Qwen3ForCausalLM(config),
        tokenizer=letter_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
    ).save_pretrained(folder)  # fmt: skip
    return folder


def make_tiny_qwen_image(folder):
    """Write a pipeline of Qwen-Image; its text encoder also sees, which nobody asks of it."""
    from diffusers import (
        AutoencoderKLQwenImage,
        FlowMatchEulerDiscreteScheduler,
        QwenImagePipeline,
        QwenImageTransformer2DModel,
    )
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    torch.manual_seed(0)
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e6}
    config = Qwen2_5_VLConfig(
        text_config={**QWEN, "num_hidden_layers": 2, "rope_parameters": rope},
        vision_config={
            "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2,
            "out_hidden_size": 32, "fullatt_block_indexes": [0],
        },
    )  # fmt: skip
    QwenImagePipeline(
        vae=AutoencoderKLQwenImage(
            base_dim=8, z_dim=4, dim_mult=[1, 2, 2], num_res_blocks=1, temperal_downsample=[False] * 2,
            latents_mean=[0.1, -0.2, 0.3, 0.0], latents_std=[0.5, 1.0, 1.5, 2.0],
        ),
        transformer=QwenImageTransformer2DModel(
            in_channels=16, out_channels=4, num_layers=2, attention_head_dim=16,
            num_attention_heads=2, joint_attention_dim=32, axes_dims_rope=(4, 6, 6),
        ),
        text_encoder=Qwen2_5_VLForConditionalGeneration(config),
        tokenizer=letter_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0, use_dynamic_shifting=True),
    ).save_pretrained(folder)  # fmt: skip
    return folder


def make_tiny_z_image(folder):
    """Write a pipeline of Z-Image."""
    from diffusers import FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
    from transformers import Qwen3Config, Qwen3Model

    torch.manual_seed(0)
    ZImagePipeline(
        vae=tiny_vae(shift_factor=0.1159, scaling_factor=0.3611),
        transformer=ZImageTransformer2DModel(
            in_channels=4, dim=64, n_layers=2, n_refiner_layers=1, n_heads=4, n_kv_heads=4,
            cap_feat_dim=32, axes_dims=[4, 6, 6], axes_lens=[640, 64, 64],
        ),
        text_encoder=Qwen3Model(Qwen3Config(**QWEN, num_hidden_layers=3, head_dim=8)),
        tokenizer=letter_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    ).save_pretrained(folder)  # fmt: skip
    return folder


UNETS = {"sd1": make_tiny_sd1, "sd2": make_tiny_sd2, "sdxl": make_tiny_sdxl}
MAKERS = {
    **UNETS,
    "sd3": make_tiny_sd3,
    "flux1": make_tiny_flux1,
    "flux2": make_tiny_flux2,
    "qwen_image": make_tiny_qwen_image,
    "z_image": make_tiny_z_image,
}

PARAMETERS = {
    "sd1": 859_520_964, "sd2": 865_910_724, "sdxl": 2_567_463_684, "sd3": 2_243_171_520,
    "flux1": 11_901_408_320, "flux2": 3_875_544_576, "qwen_image": 20_430_401_088,
    "z_image": 6_154_908_736,
}  # fmt: skip
"""Of the denoiser at its published size: 3.5 medium of Stable Diffusion 3, FLUX.2 klein of 4B."""


PUBLISHED = {
    "sd3": {"dual_attention_layers": [*range(13)], "qk_norm": "rms_norm", "pos_embed_max_size": 384},
    "flux1": {"guidance_embeds": True},
    "flux2": {
        "num_layers": 5, "num_single_layers": 20, "num_attention_heads": 24,
        "joint_attention_dim": 7680, "guidance_embeds": False,
    },
}  # fmt: skip
"""What their denoisers' configurations have beside those that single files are read by."""


def full_size(family):
    """A family's denoiser at its published size, without memory."""
    import diffusers

    kind = {
        "sd3": diffusers.SD3Transformer2DModel, "flux1": diffusers.FluxTransformer2DModel,
        "flux2": diffusers.Flux2Transformer2DModel,
        "qwen_image": diffusers.QwenImageTransformer2DModel,
        "z_image": diffusers.ZImageTransformer2DModel,
    }.get(family, diffusers.UNet2DConditionModel)  # fmt: skip
    part = "unet" if family in UNETS else "transformer"
    shipped = CONFIGS / family / part / "config.json"
    config = json.loads(shipped.read_text()) if shipped.is_file() else {}
    with torch.device("meta"):
        return kind.from_config(config | PUBLISHED.get(family, {}))
