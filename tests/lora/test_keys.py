"""What other tools call the modules, and how another family's LoRA is told."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from packshot.lora import Lora, LoraWeights, load_lora, save
from packshot.lora.fuse import shape_of
from packshot.lora.keys import (
    diffusers_keys,
    key_aliases,
    kohya_names,
    other_family,
    plain_title,
    told_family,
)
from packshot.models.families.unet_keys import ldm_name


@pytest.fixture
def written(tiny_base, make_lora, tmp_path):
    lora = make_lora("all", text=True)
    save(lora, tmp_path / "k.safetensors", tmp_path / "d.safetensors", tiny_base)
    return lora, tmp_path


def same(lora, back):
    return set(lora.weights) == set(back.weights) and all(
        torch.allclose(back.weights[name].delta(), weights.delta(), atol=1e-6)
        for name, weights in lora.weights.items()
    )


def test_ldm_names_are_read_in_kohyas_files(tiny_base, written):
    lora, folder = written
    called, renamed = kohya_names(tiny_base), {}
    for key, tensor in load_file(folder / "k.safetensors").items():
        flat, _, part = key.partition(".")
        (ours,) = called[flat].names
        if ours.startswith("unet."):
            spelt = ldm_name(tiny_base.denoiser, ours.removeprefix("unet."))
            flat = "lora_unet_" + spelt.replace(".", "_")
        renamed[f"{flat}.{part}"] = tensor
    assert any("input_blocks_3_1_transformer" in key for key in renamed)
    save_file(renamed, folder / "ldm.safetensors")
    assert same(lora, load_lora(folder / "ldm.safetensors", tiny_base))


@pytest.mark.parametrize(
    ("down", "up"),
    [
        ("lora.down.weight", "lora.up.weight"),
        ("lora_A.default.weight", "lora_B.default.weight"),
        ("lora_A.weight", "lora_B.weight"),
    ],
)
@pytest.mark.parametrize("start", ["", "base_model.model."])
def test_diffusers_other_spellings_are_read(tiny_base, make_lora, tmp_path, down, up, start):
    """PEFT's among them, which Packshot wrote for UNets before."""
    lora = make_lora("all", text=True)
    save_file(spelt(lora, start, down, up), tmp_path / "a.safetensors")
    assert same(lora, load_lora(tmp_path / "a.safetensors", tiny_base))


def spelt(lora, start="", down="lora_A.weight", up="lora_B.weight"):
    """Its tensors under its own names, the scale folded into `up`."""
    return {
        f"{start}{name}.{part}": tensor
        for name, weights in lora.weights.items()
        for part, tensor in (
            (down, weights.down),
            (up, weights.up * (weights.alpha / weights.rank)),
        )
    }


@pytest.mark.parametrize(
    ("name", "down"),
    {
        "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q":
            "unet.mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.down.weight",
        "unet.up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_out.0":
            "unet.up_blocks.1.attentions.0.transformer_blocks.0.attn2.processor.to_out_lora.down.weight",
        "unet.mid_block.attentions.0.proj_in": "unet.mid_block.attentions.0.proj_in.lora.down.weight",
        "unet.conv_in": "unet.conv_in.lora.down.weight",
        "text_encoder.encoder.layers.0.mlp.fc1":
            "text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_A.weight",
        "text_encoder_2.text_model.encoder.layers.0.mlp.fc1":
            "text_encoder_2.text_model.encoder.layers.0.mlp.fc1.lora_A.weight",
        "text_encoder_2.encoder.block.0.layer.0.SelfAttention.q":
            "text_encoder_2.encoder.block.0.layer.0.SelfAttention.q.lora_A.weight",
        "transformer.layers.0.attention.to_out.0": "transformer.layers.0.attention.to_out.0.lora_A.weight",
    }.items(),
)  # fmt: skip
def test_diffusers_keys_are_those_that_comfyui_knows_too(name, down):
    up = down.replace("lora_A", "lora_B").replace("lora.down", "lora.up")
    assert diffusers_keys(name) == (down, up)


@pytest.fixture
def z_image(loaded, tiny_checkpoint):
    return loaded(tiny_checkpoint("z_image"))


@pytest.fixture
def z_lora(z_image):
    generator, weights = torch.Generator().manual_seed(0), {}
    for name in (f"transformer.{name}" for name in z_image.lora_targets("all")):
        rows, columns = shape_of(z_image, name)
        down = torch.randn(2, columns, generator=generator)
        weights[name] = LoraWeights(down, torch.randn(rows, 2, generator=generator), 1.0)
    return Lora(weights)


def test_z_images_kohya_file_keeps_queries_keys_and_values_apart(z_image, z_lora, tmp_path):
    """And its names' dots: otherwise either ComfyUI or diffusers would not know them."""
    save(z_lora, tmp_path / "k.safetensors", tmp_path / "d.safetensors", z_image)
    inside = (
        "attention.to_q", "attention.to_k", "attention.to_v", "attention.to_out.0",
        "feed_forward.w1", "feed_forward.w2", "feed_forward.w3", "adaLN_modulation.0",
    )  # fmt: skip
    blocks = ("layers.0", "layers.1", "noise_refiner.0", "context_refiner.0")
    modules = {f"diffusion_model.{block}.{name}" for block in blocks for name in inside}
    modules.remove("diffusion_model.context_refiner.0.adaLN_modulation.0")  # text has no noise
    parts = ("lora_down.weight", "lora_up.weight", "alpha")
    written = load_file(tmp_path / "k.safetensors")
    assert written.keys() == {f"{module}.{part}" for module in modules for part in parts}
    assert same(z_lora, load_lora(tmp_path / "k.safetensors", z_image))


def test_diffusers_reads_z_images_kohya_file_whole(z_image, z_lora, tmp_path):
    from diffusers import ZImagePipeline

    save(z_lora, tmp_path / "k.safetensors", tmp_path / "d.safetensors", z_image)
    read = ZImagePipeline.lora_state_dict(str(tmp_path), weight_name="k.safetensors")
    assert read.keys() == spelt(z_lora).keys()
    for name, weights in z_lora.weights.items():
        delta = read[f"{name}.lora_B.weight"] @ read[f"{name}.lora_A.weight"]
        assert torch.allclose(delta, weights.delta(), atol=1e-5)


def test_ai_toolkits_names_of_z_image_are_read(z_image, z_lora, tmp_path):
    named = {
        key.replace("transformer.", "diffusion_model.", 1): tensor
        for key, tensor in spelt(z_lora).items()
    }
    save_file(named, tmp_path / "a.safetensors")
    assert same(z_lora, load_lora(tmp_path / "a.safetensors", z_image))


def test_musubis_names_of_z_image_are_read(z_image, z_lora, tmp_path):
    """Packshot wrote these before."""
    named = {}
    for name, weights in z_lora.weights.items():
        flat = name.replace("transformer.", "lora_unet.", 1).replace(".", "_")
        named[f"{flat}.lora_down.weight"], named[f"{flat}.lora_up.weight"] = (
            weights.down,
            weights.up,
        )
        named[f"{flat}.alpha"] = torch.tensor(weights.alpha)
    save_file(named, tmp_path / "a.safetensors")
    assert same(z_lora, load_lora(tmp_path / "a.safetensors", z_image))


def test_z_images_stacked_modules_are_read(z_image, z_lora, tmp_path):
    """As ComfyUI has them, in one matrix: queries, keys and values below each other."""
    tensors, lora = {}, Lora({})
    for block in {name.rpartition(".attention.")[0] for name in z_lora.weights} - {""}:
        called = [f"{block}.attention.to_{letter}" for letter in "qkv"]
        lora.weights.update({name: z_lora.weights[name] for name in called})
        parts = [z_lora.weights[name] for name in called]
        key = "lora_unet_" + block.removeprefix("transformer.").replace(".", "_") + "_attention_qkv"
        tensors[f"{key}.lora_down.weight"] = torch.cat([part.down for part in parts])
        tensors[f"{key}.lora_up.weight"] = torch.block_diag(*(part.up for part in parts))
        tensors[f"{key}.alpha"] = torch.tensor(3.0)  # of rank 6, as 1 of rank 2
    save_file(tensors, tmp_path / "a.safetensors")
    assert same(lora, load_lora(tmp_path / "a.safetensors", z_image))


def test_attention_processors_are_read(tiny_base, make_lora, tmp_path):
    lora = make_lora("cross-attention")
    tensors = {}
    for name, weights in lora.weights.items():
        module, _, layer = name.replace("to_out.0", "to_out").rpartition(".")
        scale = weights.alpha / weights.rank
        tensors[f"{module}.processor.{layer}_lora.down.weight"] = weights.down
        tensors[f"{module}.processor.{layer}_lora.up.weight"] = weights.up * scale
    save_file(tensors, tmp_path / "a.safetensors")
    assert same(lora, load_lora(tmp_path / "a.safetensors", tiny_base))


def test_no_spelling_means_two_modules(tiny_base):
    known = key_aliases(tiny_base)
    for spelt, place in kohya_names(tiny_base).items():
        assert known[spelt] == place
        assert known[place.names[0].replace(".", "_")] == place


FAMILIES = {
    "SDXL": [
        "lora_unet_down_blocks_1_attentions_0_transformer_blocks_1_attn1_to_k.alpha",
        "unet.mid_block.attentions.0.transformer_blocks.9.attn2.to_v.lora_A.weight",
        "lora_unet_middle_block_1_transformer_blocks_5_ff_net_2.alpha",
    ],
    "FLUX": [
        "diffusion_model.double_blocks.0.img_attn.qkv.lora_A.weight",
        "transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight",
    ],
    "Stable Diffusion 3": [
        "lora_unet_joint_blocks_0_x_block_attn_qkv.alpha",
        "diffusion_model.joint_blocks.0.context_block.attn.qkv.lora_A.weight",
    ],
    "a transformer": ["transformer.transformer_blocks.0.attn.to_q.lora_A.weight"],
}


@pytest.mark.parametrize(("family", "key"), [(f, k) for f, keys in FAMILIES.items() for k in keys])
def test_families_are_told_by_their_keys(family, key):
    found, count = other_family(
        [key, "lora_te2_text_model_x.alpha"][: 1 + (family != "FLUX")], {}, "sd1"
    )
    assert found.startswith(family) and count >= 1


UNET = "lora_unet_down_blocks_0_attentions_0_proj_in.alpha"
TOLD = {
    "Qwen-Image": [
        ["lora_unet_transformer_blocks_0_img_mlp_net_2.alpha"],
        ["diffusion_model.transformer_blocks.59.attn.to_q.lora_A.weight"],
        ["transformer_blocks.0.txt_mod.1.lora_A.default.weight"],
    ],
    "Z-Image": [
        ["diffusion_model.layers.0.attention.to_q.lora_A.weight"],
        ["lora_unet_noise_refiner_0_feed_forward_w1.alpha"],
        ["transformer.layers.29.adaLN_modulation.0.lora_down.weight"],
    ],
    "a transformer (Stable Diffusion 3, FLUX": [
        ["lora_unet_transformer_blocks_0_attn_to_q.alpha"],
        ["transformer_blocks.0.attn.to_q.lora_A.default.weight"],
        ["lora_transformer_transformer_blocks_0_attn_to_q.alpha"],
    ],
    "FLUX": [["lora_te3_encoder_block_0_layer_0_SelfAttention_q.alpha", "lora_unet_img_in.alpha",
              "lora_unet_guidance_in_in_layer.alpha"]],
    "Stable Diffusion 1.x or 2.x": [[UNET]],
}  # fmt: skip


@pytest.mark.parametrize(
    ("title", "keys"), [(t, keys) for t, each in TOLD.items() for keys in each]
)
def test_what_a_file_is_for_is_told_by_its_keys(title, keys):
    found, count = told_family(keys, {})
    assert found.startswith(title) and count == 1


@pytest.mark.parametrize(
    ("says", "title"),
    [
        ({"ss_base_model_version": "qwen_image"}, "Qwen-Image"),
        ({"modelspec.architecture": "Z-Image/lora"}, "Z-Image"),
        ({"ss_base_model_version": "sd3"}, "Stable Diffusion 3"),
        ({"ss_base_model_version": "flux1"}, "FLUX"),
    ],
)
def test_where_keys_are_many_families_metadata_tells(says, title):
    assert told_family(TOLD["a transformer (Stable Diffusion 3, FLUX"][0], says) == (title, 0)


def test_text_encoders_alone_are_of_no_family():
    keys = ["lora_te1_text_model_encoder_layers_0_self_attn_q_proj.alpha"]
    assert told_family(keys, {}) is None
    assert told_family(keys, {"ss_base_model_version": "sd_v1"}) == (plain_title(), 0)
    assert other_family(keys, {}, "flux1") is None


def test_where_no_family_is_wanted_any_is_named():
    key = FAMILIES["a transformer"][0]
    assert other_family([key], {}, "qwen_image") is None
    assert told_family([UNET], {"ss_base_model_version": "sd_v1"}) == (plain_title(), 0)
    assert plain_title() == "Stable Diffusion 1.x or 2.x"
    assert other_family([UNET], {}, "sdxl") is None, "names are SDXL's, too"
    assert other_family([UNET], {"ss_base_model_version": "sd_v1"}, "sdxl") == (plain_title(), 0)
    assert other_family([UNET], {}, "flux1") == (plain_title(), 1)


def test_sdxl_is_told_by_its_metadata_and_sd1_is_not_foreign(tiny_base):
    assert other_family(["a"], {"ss_base_model_version": "sdxl_base_v1-0"}, "sd1") == ("SDXL", 0)
    assert (
        other_family(["a"], {"modelspec.architecture": "stable-diffusion-v1/lora"}, "sd1") is None
    )
    keys = [f"{name}.alpha" for name in kohya_names(tiny_base)]
    assert other_family(keys, {"ss_base_model_version": "sd_v1"}, "sd1") is None
