"""LoRA files: read by diffusers as by us, from any tool, and refused with words."""

import json
import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from packshot.errors import LoraError
from packshot.lora import fused, inject_lora, load_lora, save

PROMPT = "a photo of ohwx car"


def picture(base):
    generator = torch.Generator().manual_seed(0)
    made = base.pipeline()(
        PROMPT, num_inference_steps=4, guidance_scale=3.0, generator=generator, height=64, width=64,
        output_type="np",
    )  # fmt: skip
    return np.round(made.images[0] * 255)


@pytest.fixture
def saved(tiny_base, make_lora, tmp_path):
    def write(scope="all", **options):
        lora = make_lora(scope, **options)
        kohya, peft = tmp_path / "k.safetensors", tmp_path / "d.safetensors"
        save(lora, kohya, peft, tiny_base)
        return lora, kohya, peft

    return write


# Not kohya with text: diffusers 0.42 loses kohya's text encoder keys under transformers 5.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "text"), [("kohya", False), ("diffusers", False), ("diffusers", True)]
)
def test_diffusers_makes_the_same_picture_from_either_file(tiny_base, saved, kind, text):
    lora, kohya, peft = saved(text=text)
    plain = picture(tiny_base)
    with fused(tiny_base, [(lora, 1.0)]):
        ours = picture(tiny_base)
    assert np.abs(ours - plain).max() > 8, "the LoRA must be seen, or the comparison says nothing"
    pipeline = tiny_base.pipeline()
    file = kohya if kind == "kohya" else peft
    pipeline.load_lora_weights(str(file.parent), weight_name=file.name)
    try:
        theirs = pipeline(
            PROMPT, num_inference_steps=4, guidance_scale=3.0, height=64, width=64,
            output_type="np", generator=torch.Generator().manual_seed(0),
        ).images[0]  # fmt: skip
        assert np.abs(np.round(theirs * 255) - ours).max() <= 2
    finally:
        pipeline.unload_lora_weights()
        tiny_base.denoiser.requires_grad_(False)


@pytest.mark.parametrize("alpha", [1.0, 2.0, 5.0])
def test_both_files_come_back_as_the_same_lora(tiny_base, saved, alpha):
    lora, *written = saved(text=True, alpha=alpha)
    for file in written:
        back = load_lora(file, tiny_base)
        assert set(back.weights) == set(lora.weights)
        for name, weights in lora.weights.items():
            assert torch.allclose(back.weights[name].delta(), weights.delta(), atol=1e-6)
    tensors = load_file(written[0])
    assert all(tensors[key] == 2 for key in tensors if key.endswith("alpha")), "alpha = rank"
    assert any(
        key.startswith("lora_te_text_model_encoder_layers_0_self_attn_q_proj") for key in tensors
    )


def test_what_was_trained_is_what_is_read(tiny_base, tmp_path):
    names = tiny_base.lora_targets("all")
    with inject_lora(tiny_base.denoiser, names, rank=2, alpha=4, seed=0) as adapter:
        adapter.load_state({n: torch.randn_like(v) * 0.1 for n, v in adapter.state().items()})
        live = picture(tiny_base)
        lora = adapter.to_lora("unet", {})
    save(lora, tmp_path / "k.safetensors", tmp_path / "d.safetensors", tiny_base)
    with fused(tiny_base, [(load_lora(tmp_path / "k.safetensors", tiny_base), 1.0)]):
        assert np.abs(picture(tiny_base) - live).max() <= 2


def test_a_file_of_sd_scripts_matches_all_192_modules(shared_files):
    from types import SimpleNamespace

    from diffusers import UNet2DConditionModel

    from packshot.models.families.stable_diffusion import lora_target_names
    from packshot.models.families.unet_keys import ldm_modules

    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768)
    base = SimpleNamespace(
        denoiser=unet, denoiser_root="unet", text_encoders={}, name="sd15", family="sd1",
        original_modules=lambda: ldm_modules(unet), other_modules=dict, swapped_modules=tuple,
    )  # fmt: skip
    lora = load_lora(shared_files / "interop" / "sd_scripts_sd15_rank8.safetensors", base)
    assert len(lora.weights) == 192
    assert set(lora.weights) == {f"unet.{n}" for n in lora_target_names(unet, "attention+mlp")}
    assert (
        {w.rank for w in lora.weights.values()}
        == {8}
        == {int(w.alpha) for w in lora.weights.values()}
    )


def test_an_absent_alpha_means_scale_one(tiny_base, saved):
    _, kohya, _ = saved("attention")
    tensors = {k: v for k, v in load_file(kohya).items() if not k.endswith("alpha")}
    save_file(tensors, kohya)
    assert all(w.alpha == w.rank for w in load_lora(kohya, tiny_base).weights.values())


def assert_refused(file, base, words):
    with pytest.raises(LoraError, match=words):
        load_lora(file, base)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("unpickled!",))


@pytest.mark.parametrize("name", ["a.ckpt", "a.safetensors", "a.SafeTensors", "a.pt"])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_pickle_is_refused_unopened_whatever_its_name(tiny_base, tmp_path, name, protocol):
    (tmp_path / name).write_bytes(pickle.dumps(Bomb(), protocol=protocol))
    assert_refused(tmp_path / name, tiny_base, "is a pickle, which can run code")


def test_a_zipped_pickle_is_refused_unopened(tiny_base, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.safetensors", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb()))
    assert_refused(tmp_path / "a.safetensors", tiny_base, "is a pickle")


def test_missing_text_and_cut_files_are_refused(tiny_base, saved, tmp_path):
    assert_refused(tmp_path / "none.safetensors", tiny_base, "There is no file")
    (tmp_path / "text.safetensors").write_text("I am not a LoRA, whatever they say")
    assert_refused(
        tmp_path / "text.safetensors", tiny_base, "is not a .safetensors file, whatever its name"
    )
    _, kohya, _ = saved("attention")
    whole = kohya.read_bytes()
    for length in (0, 4, 9, 40, len(whole) // 2, len(whole) - 1):
        kohya.write_bytes(whole[:length])
        assert_refused(kohya, tiny_base, "cut short or damaged|is not a .safetensors")


@pytest.mark.parametrize("length", [2**63 - 1, 2**31, 101 * 2**20])
def test_a_boastful_header_is_refused(tiny_base, tmp_path, length):
    (tmp_path / "a.safetensors").write_bytes(length.to_bytes(8, "little") + b"{" + b" " * 64)
    assert_refused(tmp_path / "a.safetensors", tiny_base, "header does not fit")


@pytest.mark.parametrize("offsets", [([0, 8], [4, 12]), ([0, 8], [16, 24]), ([0, 8], [8, 4])])
def test_overlaps_and_holes_are_refused(tiny_base, tmp_path, offsets):
    header = json.dumps(
        {str(i): {"dtype": "F32", "shape": [2], "data_offsets": o} for i, o in enumerate(offsets)}
    ).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(24))
    assert_refused(tmp_path / "a.safetensors", tiny_base, "cut short or damaged")


FOREIGN = {
    "SDXL": ["lora_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_k", "lora_te2_text_model_x"],
    "FLUX": ["lora_unet_double_blocks_0_img_attn_qkv", "transformer.single_transformer_blocks.0.x"],
    "Stable Diffusion 3": ["lora_unet_joint_blocks_0_x_block_attn_qkv"],
}


@pytest.mark.parametrize(("family", "module"), [(f, m) for f, ms in FOREIGN.items() for m in ms])
def test_other_families_are_named(tiny_base, tmp_path, family, module):
    save_file({f"{module}.lora_down.weight": torch.zeros(2, 4)}, tmp_path / "a.safetensors")
    assert_refused(tmp_path / "a.safetensors", tiny_base, f"is a LoRA for {family}.*use it with")


def test_other_shapes_and_keys_are_named(tiny_base, saved):
    _, kohya, _ = saved("attention")
    tensors = load_file(kohya)
    name = next(key for key in tensors if key.endswith("lora_up.weight"))
    save_file(tensors | {name: torch.zeros(7, 2)}, kohya)
    assert_refused(kohya, tiny_base, "does not fit tiny: at unet.*the checkpoint's is")
    save_file({key: value for key, value in tensors.items() if key != name}, kohya)
    assert_refused(kohya, tiny_base, "is incomplete")
    save_file(tensors | {"lora_unet_elsewhere.lora_up.weight": torch.zeros(2)}, kohya)
    assert_refused(kohya, tiny_base, "1 of .* keys mean nothing")
    save_file({"embedding": torch.zeros(2)}, kohya)
    assert_refused(kohya, tiny_base, "is no LoRA for tiny")
    save_file(tensors | {"a.oft_blocks": torch.zeros(2)}, kohya)
    assert_refused(
        kohya, tiny_base, "is an OFT, which is not read here. LoRA, LoCon, LoHa, LoKr and DoRA"
    )
