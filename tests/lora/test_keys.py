"""What other tools call the modules, and how another family's LoRA is told."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from packshot.lora import load_lora, save
from packshot.lora.keys import key_aliases, kohya_names, other_family, plain_title
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
        (ours,) = called[flat]
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
def test_diffusers_older_spellings_are_read(tiny_base, written, down, up, start):
    lora, folder = written
    renamed = {
        start + key.replace("lora_A.weight", down).replace("lora_B.weight", up): tensor
        for key, tensor in load_file(folder / "d.safetensors").items()
    }
    save_file(renamed, folder / "old.safetensors")
    assert same(lora, load_lora(folder / "old.safetensors", tiny_base))


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
    for spelt, ours in kohya_names(tiny_base).items():
        assert known[spelt] == ours
        assert known[ours[0].replace(".", "_")] == ours


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


def test_where_no_family_is_wanted_any_is_named():
    key = FAMILIES["a transformer"][0]
    assert other_family([key], {}, "")[0].startswith("a transformer (Stable Diffusion 3, FLUX")
    assert other_family([key], {}, "qwen_image") is None
    assert other_family(["lora_unet_a.alpha"], {"ss_base_model_version": "sd_v1"}, "") is None
    assert plain_title() == "Stable Diffusion 1.x or 2.x"


def test_sdxl_is_told_by_its_metadata_and_sd1_is_not_foreign(tiny_base):
    assert other_family(["a"], {"ss_base_model_version": "sdxl_base_v1-0"}, "sd1") == ("SDXL", 0)
    assert (
        other_family(["a"], {"modelspec.architecture": "stable-diffusion-v1/lora"}, "sd1") is None
    )
    keys = [f"{name}.alpha" for name in kohya_names(tiny_base)]
    assert other_family(keys, {"ss_base_model_version": "sd_v1"}, "sd1") is None
