"""Transformers in their authors' layout, from diffusers' networks: the way back, written anew."""

import re

import torch
from safetensors.torch import save_file

from packshot.models import load_base
from tests.models.ldm_layout import ldm_vae

_TIME = [
    (r"time_text_embed\.timestep_embedder\.linear_1", "time_in.in_layer"),
    (r"time_text_embed\.timestep_embedder\.linear_2", "time_in.out_layer"),
    (r"time_text_embed\.text_embedder\.linear_1", "vector_in.in_layer"),
    (r"time_text_embed\.text_embedder\.linear_2", "vector_in.out_layer"),
    (r"time_text_embed\.guidance_embedder\.linear_1", "guidance_in.in_layer"),
    (r"time_text_embed\.guidance_embedder\.linear_2", "guidance_in.out_layer"),
]
_FLUX = [
    *_TIME,
    (r"^x_embedder", "img_in"),
    (r"^context_embedder", "txt_in"),
    (r"^proj_out", "final_layer.linear"),
    (r"^norm_out\.linear", "final_layer.adaLN_modulation.1"),
    (r"^single_transformer_blocks\.(\d+)\.norm\.linear", r"single_blocks.\1.modulation.lin"),
    (r"^single_transformer_blocks\.(\d+)\.proj_out", r"single_blocks.\1.linear2"),
    (r"^single_transformer_blocks\.(\d+)\.attn\.norm_q\.weight", r"single_blocks.\1.norm.query_norm.scale"),
    (r"^single_transformer_blocks\.(\d+)\.attn\.norm_k\.weight", r"single_blocks.\1.norm.key_norm.scale"),
    (r"^transformer_blocks", "double_blocks"),
    (r"norm1\.linear", "img_mod.lin"),
    (r"norm1_context\.linear", "txt_mod.lin"),
    (r"attn\.norm_q\.weight", "img_attn.norm.query_norm.scale"),
    (r"attn\.norm_k\.weight", "img_attn.norm.key_norm.scale"),
    (r"attn\.norm_added_q\.weight", "txt_attn.norm.query_norm.scale"),
    (r"attn\.norm_added_k\.weight", "txt_attn.norm.key_norm.scale"),
    (r"attn\.to_out\.0", "img_attn.proj"),
    (r"attn\.to_add_out", "txt_attn.proj"),
    (r"ff\.net\.0\.proj", "img_mlp.0"),
    (r"ff\.net\.2", "img_mlp.2"),
    (r"ff_context\.net\.0\.proj", "txt_mlp.0"),
    (r"ff_context\.net\.2", "txt_mlp.2"),
]  # fmt: skip
_SD3 = [
    (r"time_text_embed\.timestep_embedder\.linear_1", "t_embedder.mlp.0"),
    (r"time_text_embed\.timestep_embedder\.linear_2", "t_embedder.mlp.2"),
    (r"time_text_embed\.text_embedder\.linear_1", "y_embedder.mlp.0"),
    (r"time_text_embed\.text_embedder\.linear_2", "y_embedder.mlp.2"),
    (r"^pos_embed\.pos_embed", "pos_embed"),
    (r"^pos_embed\.proj", "x_embedder.proj"),
    (r"^proj_out", "final_layer.linear"),
    (r"^norm_out\.linear", "final_layer.adaLN_modulation.1"),
    (r"^transformer_blocks", "joint_blocks"),
    (r"norm1\.linear", "x_block.adaLN_modulation.1"),
    (r"norm1_context\.linear", "context_block.adaLN_modulation.1"),
    (r"attn\.norm_added_([qk])", r"context_block.attn.ln_\1"),
    (r"\.attn(2?)\.norm_([qk])", r".x_block.attn\1.ln_\2"),
    (r"attn\.to_add_out", "context_block.attn.proj"),
    (r"\.attn(2?)\.to_out\.0", r".x_block.attn\1.proj"),
    (r"ff\.net\.0\.proj", "x_block.mlp.fc1"),
    (r"ff\.net\.2", "x_block.mlp.fc2"),
    (r"ff_context\.net\.0\.proj", "context_block.mlp.fc1"),
    (r"ff_context\.net\.2", "context_block.mlp.fc2"),
]
_FLUX2 = [
    (r"time_guidance_embed\.timestep_embedder\.linear_1", "time_in.in_layer"),
    (r"time_guidance_embed\.timestep_embedder\.linear_2", "time_in.out_layer"),
    (r"modulation(_img|_txt|)\.linear", r"modulation\1.lin"),
    (r"^x_embedder", "img_in"),
    (r"^context_embedder", "txt_in"),
    (r"^proj_out", "final_layer.linear"),
    (r"^norm_out\.linear", "final_layer.adaLN_modulation.1"),
    (r"^single_transformer_blocks\.(\d+)\.attn\.to_qkv_mlp_proj", r"single_blocks.\1.linear1"),
    (r"^single_transformer_blocks\.(\d+)\.attn\.to_out", r"single_blocks.\1.linear2"),
    (r"^single_transformer_blocks\.(\d+)\.attn\.norm_q\.weight", r"single_blocks.\1.norm.query_norm.scale"),
    (r"^single_transformer_blocks\.(\d+)\.attn\.norm_k\.weight", r"single_blocks.\1.norm.key_norm.scale"),
    (r"^transformer_blocks", "double_blocks"),
    (r"attn\.norm_q\.weight", "img_attn.norm.query_norm.scale"),
    (r"attn\.norm_k\.weight", "img_attn.norm.key_norm.scale"),
    (r"attn\.norm_added_q\.weight", "txt_attn.norm.query_norm.scale"),
    (r"attn\.norm_added_k\.weight", "txt_attn.norm.key_norm.scale"),
    (r"attn\.to_out\.0", "img_attn.proj"),
    (r"attn\.to_add_out", "txt_attn.proj"),
    (r"ff\.linear_in", "img_mlp.0"),
    (r"ff\.linear_out", "img_mlp.2"),
    (r"ff_context\.linear_in", "txt_mlp.0"),
    (r"ff_context\.linear_out", "txt_mlp.2"),
]  # fmt: skip
_Z_IMAGE = [
    (r"^all_(x_embedder|final_layer)\.2-1", r"\1"),
    (r"attention\.to_out\.0", "attention.out"),
    (r"attention\.norm_([qk])", r"attention.\1_norm"),
]
_NAMES = {"flux1": _FLUX, "flux2": _FLUX2, "sd3": _SD3, "z_image": _Z_IMAGE, "qwen_image": []}
ARCHITECTURES = {
    "flux1": "flux", "sd3": "sd3", "flux2": "flux", "qwen_image": "qwen_image", "z_image": "lumina2",
}  # fmt: skip
"""Families of which files hold the transformer alone, and what converters to GGUF call them."""
# The first of what is stacked, the others, and the name of all.
_TEXT = (
    r"^transformer_blocks\.(\d+)\.attn\.add_q_proj",
    ["add_q_proj", "add_k_proj", "add_v_proj"],
)
_PICTURE = (r"^transformer_blocks\.(\d+)\.attn(2?)\.to_q", ["to_q", "to_k", "to_v"])
_STACKS = {
    "flux1": [
        (
            r"^single_transformer_blocks\.(\d+)\.attn\.to_q",
            ["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"],
            r"single_blocks.\1.linear1",
        ),
        (*_PICTURE, r"double_blocks.\1.img_attn\2.qkv"),
        (*_TEXT, r"double_blocks.\1.txt_attn.qkv"),
    ],
    "flux2": [
        (*_PICTURE, r"double_blocks.\1.img_attn\2.qkv"),
        (*_TEXT, r"double_blocks.\1.txt_attn.qkv"),
    ],
    "z_image": [(r"^(.*)\.attention\.to_q", ["to_q", "to_k", "to_v"], r"\1.attention.qkv")],
    "qwen_image": [],
    "sd3": [
        (*_PICTURE, r"joint_blocks.\1.x_block.attn\2.qkv"),
        (*_TEXT, r"joint_blocks.\1.context_block.attn.qkv"),
    ],
}


def original_transformer(family, network):
    """A transformer's weights by their original names, stacked."""
    state = network.state_dict()
    count = network.config.get("num_layers", 0)
    last = f"transformer_blocks.{count - 1}.norm1_context.linear"
    if family == "qwen_image":
        return dict(state)  # its authors' names
    found = {}
    for key, value in state.items():
        module, _, kind = key.rpartition(".")
        if module == "norm_out.linear" or (family == "sd3" and module == last):
            scale, shift = value.chunk(2)
            value = torch.cat([shift, scale])
        for first, stacked, name in _STACKS[family]:
            if match := re.match(rf"{first}\.{kind}$", key):
                keys = [key.replace(stacked[0], other) for other in stacked]
                found[f"{match.expand(name)}.{kind}"] = torch.cat([state[k] for k in keys])
        if re.search(r"\.to_[qkv]\.|add_[qkv]_proj|proj_mlp", key):
            continue
        for ours, theirs in _NAMES[family]:
            key = re.sub(ours, theirs, key)
        found[key] = value
    return found


def original_parts(family, networks):
    """By the usual names of their files: the transformer, and the parts that lie beside it."""
    if "text_encoder_2" not in networks:
        return _qwen_parts(family, networks)
    parts = {
        family: original_transformer(family, networks["transformer"]),
        "ae": {
            k.removeprefix("first_stage_model."): v for k, v in ldm_vae(networks["vae"]).items()
        },
        "clip_l": _clip(networks["text_encoder"]),
    }
    t5 = "text_encoder_2"
    if family == "sd3":
        parts["clip_g"], t5 = _clip(networks["text_encoder_2"]), "text_encoder_3"
    shared = networks[t5].state_dict()
    parts["t5xxl_fp16"] = {k: v for k, v in shared.items() if k != "encoder.embed_tokens.weight"}
    return parts


def _qwen_parts(family, networks):
    vae, reader = networks["vae"], networks["text_encoder"].state_dict()
    text = {f"model.{key}": value for key, value in reader.items()}
    text["lm_head.weight"] = torch.ones(2, 2)  # of no use here
    transformer = original_transformer(family, networks["transformer"])
    if family == "qwen_image":
        text["visual.blocks.0.norm1.weight"] = torch.ones(2)
        return {family: transformer, "qwen_image_vae": wan_vae(vae), "qwen_2.5_vl_7b": text}
    latents = {k.removeprefix("first_stage_model."): v for k, v in ldm_vae(vae).items()}
    if family == "z_image":
        return {family: transformer, "ae": latents, "qwen_3_4b": text}
    for name in ("quant_conv", "post_quant_conv"):
        inside = "encoder" if name == "quant_conv" else "decoder"
        for kind in ("weight", "bias"):
            latents[f"{inside}.{name}.{kind}"] = latents.pop(f"{name}.{kind}")
    latents |= {key: value for key, value in vae.state_dict().items() if key.startswith("bn.")}
    return {family: transformer, "flux2-vae": latents, "qwen_3_4b": text}


_WAN = [
    (r"^quant_conv", "conv1"),
    (r"^post_quant_conv", "conv2"),
    (r"\.norm_out\.", ".head.0."),
    (r"\.conv_out\.", ".head.2."),
    (r"\.mid_block\.resnets\.0\.", ".middle.0."),
    (r"\.mid_block\.attentions\.0\.", ".middle.1."),
    (r"\.mid_block\.resnets\.1\.", ".middle.2."),
    (r"\.conv1\.", ".residual.2."),
    (r"\.conv2\.", ".residual.6."),
    (r"\.norm1\.", ".residual.0."),
    (r"\.norm2\.", ".residual.3."),
    (r"\.conv_shortcut\.", ".shortcut."),
    (r"\.conv_in\.", ".conv1."),
    (r"\.down_blocks\.", ".downsamples."),
]


def wan_vae(vae):
    """The weights of Qwen-Image's autoencoder by the names that Wan's have."""
    found, row = {}, vae.config.num_res_blocks + 2
    for key, value in vae.state_dict().items():
        for ours, theirs in _WAN:
            key = re.sub(ours, theirs, key)
        if up := re.match(r"decoder\.up_blocks\.(\d+)\.(resnets\.(\d+)|upsamplers\.0)", key):
            place = row * int(up[1]) + (row - 1 if up[3] is None else int(up[3]))
            key = f"decoder.upsamples.{place}{key[up.end() :]}"
        found[key] = value
    return found


def _clip(encoder):
    return {
        key if key.startswith(("text_model.", "text_projection.")) else f"text_model.{key}": value
        for key, value in encoder.state_dict().items()
    }


def save(tensors, file):
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.clone().contiguous() for key, value in tensors.items()}, file)
    return file


def laid_out(parts, family, folder):
    """As ComfyUI's users have it: transformers, autoencoders and encoders in folders of their own."""
    kind = {"flux2": " base", "z_image": " turbo"}.get(family, "")
    places = {
        family: f"diffusion_models/my {family}{kind}",
        "ae": "vae/sd3_vae" if family == "sd3" else "vae/ae",
        "flux2-vae": "vae/flux2-vae",
        "qwen_image_vae": "vae/qwen_image_vae",
    }
    for name, tensors in parts.items():
        save(tensors, folder / f"{places.get(name, f'text_encoders/{name}')}.safetensors")
    return folder / f"{places[family]}.safetensors"


def load(file):
    return load_base(file, device="cpu", dtype=torch.float32)


def same(networks, base):
    found = {"transformer": base.transformer, "vae": base.vae, **base.text_encoders}
    for name, network in networks.items():
        expected, ours = network.state_dict(), found[name].state_dict()
        assert expected.keys() == ours.keys()
        assert all(torch.equal(expected[key], ours[key]) for key in expected), name
