"""Checkpoints in the original (LDM) layout, from networks of diffusers and transformers."""

import re

import torch

from packshot.models.families.unet_keys import ldm_name

_VAE = [
    (r"(encoder)\.down_blocks\.(\d+)\.resnets\.", r"\1.down.\2.block."),
    (r"(encoder)\.down_blocks\.(\d+)\.downsamplers\.0", r"\1.down.\2.downsample"),
    (r"(decoder)\.up_blocks\.(\d+)\.resnets\.", r"\1.up.\2.block."),
    (r"(decoder)\.up_blocks\.(\d+)\.upsamplers\.0", r"\1.up.\2.upsample"),
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
    (r"mid_block\.attentions\.0\.to_", "mid.attn_1."),
    (r"conv_shortcut", "nin_shortcut"),
    (r"conv_norm_out", "norm_out"),
]


def ldm_unet(unet):
    """The UNet's weights by their original names."""
    return {
        f"model.diffusion_model.{ldm_name(unet, module)}.{kind}": value
        for (module, _, kind), value in (
            (key.rpartition("."), value) for key, value in unet.state_dict().items()
        )
    }


def ldm_vae(vae):
    """The autoencoder's: decoder levels counted from the other end, attention as 1 x 1 filters."""
    last, tensors = len(vae.config.block_out_channels) - 1, {}
    for key, value in vae.state_dict().items():
        spelt = key
        for ours, theirs in _VAE:
            spelt = re.sub(ours, theirs, spelt)
        spelt = re.sub(r"(?<=decoder\.up\.)\d+", lambda m: str(last - int(m[0])), spelt)
        linear = "attn_1" in spelt and value.ndim == 2
        tensors[f"first_stage_model.{spelt}"] = value[..., None, None] if linear else value
    return tensors


def ldm_text(encoder, prefix="cond_stage_model.transformer."):
    """OpenAI's CLIP, as transformers names it."""
    return {
        f"{prefix}text_model.{key.removeprefix('text_model.')}": value
        for key, value in encoder.state_dict().items()
    }


_OPENCLIP = [
    (r"^embeddings\.token_embedding\.weight", "token_embedding.weight"),
    (r"^embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"^final_layer_norm", "ln_final"),
    (r"^encoder\.layers", "transformer.resblocks"),
    (r"layer_norm([12])", r"ln_\1"),
    (r"mlp\.fc1", "mlp.c_fc"),
    (r"mlp\.fc2", "mlp.c_proj"),
    (r"self_attn\.out_proj", "attn.out_proj"),
]


def openclip_text(encoder, prefix):
    """OpenCLIP's names: queries, keys and values fused, the projection transposed."""
    tensors, given = {}, {}
    for key, value in encoder.state_dict().items():
        given[key.removeprefix("text_model.")] = value
    for key, value in given.items():
        if key == "text_projection.weight":
            tensors[f"{prefix}text_projection"] = value.T
        elif "q_proj" in key:
            three = [given[key.replace("q_proj", f"{part}_proj")] for part in "qkv"]
            block = re.sub(r"^encoder\.layers\.(\d+).*", r"transformer.resblocks.\1", key)
            kind = key.rpartition(".")[2]
            tensors[f"{prefix}{block}.attn.in_proj_{kind}"] = torch.cat(three)
        elif "k_proj" not in key and "v_proj" not in key:
            for ours, theirs in _OPENCLIP:
                key = re.sub(ours, theirs, key)
            tensors[prefix + key] = value
    return tensors


def ldm_tensors(base):
    """A whole checkpoint's weights as its family's single files have them."""
    encoders = base.text_encoders
    if base.family == "sd2":
        text = openclip_text(encoders["text_encoder"], "cond_stage_model.model.")
    elif base.family == "sdxl":
        text = ldm_text(encoders["text_encoder"], "conditioner.embedders.0.transformer.")
        text |= openclip_text(encoders["text_encoder_2"], "conditioner.embedders.1.model.")
    else:
        text = ldm_text(encoders["text_encoder"])
    return {**ldm_unet(base.unet), **ldm_vae(base.vae), **text}
