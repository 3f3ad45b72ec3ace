"""Families whose single files hold the transformer alone, the rest beside it."""

import json

import numpy as np
import pytest
import torch
from original_layout import laid_out, load, original_transformer, same, save
from safetensors.torch import load_file

from packshot.bases import FAMILIES
from packshot.bases.checkpoint import CONFIGS, judge
from packshot.errors import CheckpointRefused

INSIDE = {
    "ae": "first_stage_model.", "clip_l": "text_encoders.clip_l.transformer.",
    "clip_g": "text_encoders.clip_g.transformer.", "t5xxl_fp16": "text_encoders.t5xxl.transformer.",
    "flux2-vae": "vae.", "qwen_image_vae": "vae.",
    "qwen_3_4b": "text_encoders.qwen3_4b.transformer.",
    "qwen_2.5_vl_7b": "text_encoders.qwen25_7b.transformer.",
}  # fmt: skip


def test_the_parts_in_comfyuis_folders_are_the_checkpoint(
    parts, family, networks, tiny, tmp_path, monkeypatch
):
    last = tiny.tokenizers[max(tiny.tokenizers)]
    monkeypatch.setattr("packshot.tokenizers.t5_tokenizer", lambda: last)
    monkeypatch.setattr("packshot.tokenizers.qwen_tokenizer", lambda thinks: last)
    base = load(laid_out(parts, family, tmp_path))
    same(networks, base)
    assert base.family == family and base.name.startswith(f"my {family}")
    prompts = ["a photo of ohwx car, dusk", ""]
    theirs, ours = tiny.encode_prompts(prompts), base.encode_prompts(prompts)
    assert all(torch.equal(value, ours[name]) for name, value in theirs.items())
    dynamic = family in ("flux1", "flux2", "qwen_image")
    assert bool(base.schedule.config.get("use_dynamic_shifting")) == dynamic
    assert np.array_equal(*(picture(one.pipeline()) for one in (tiny, base)))


def picture(pipeline):
    """Four steps at 64 px; what is not known of a schedule is the same for all."""
    made = pipeline(
        prompt="a car, dusk", num_inference_steps=4, guidance_scale=3.0, height=64, width=64,
        generator=torch.Generator().manual_seed(0), output_type="np",
    )  # fmt: skip
    return np.round(made.images[0] * 255)


@pytest.mark.parametrize("prefix", ["model.diffusion_model.", "diffusion_model.", ""])
def test_one_file_that_holds_everything(parts, family, networks, tmp_path, prefix):
    tensors = {prefix + key: value for key, value in parts.pop(family).items()}
    for name, part in parts.items():
        tensors |= {INSIDE[name] + key: value for key, value in part.items()}
    same(networks, load(save(tensors, tmp_path / "all.safetensors")))


def test_a_missing_part_is_named_with_where_it_was_looked_for(parts, family, tmp_path):
    file = laid_out(parts, family, tmp_path)
    for lost, words in {
        "text_encoders/t5xxl_fp16": "its text encoder t5xxl",
        "text_encoders/clip_l": "clip_l",
        "text_encoders/qwen_3_4b": r"Qwen3 \(such as qwen_3_4b\.safetensors\)",
        "text_encoders/qwen_2.5_vl_7b": r"Qwen2\.5-VL \(qwen_2\.5_vl_7b\.safetensors\)",
        "vae/flux2-vae": "its autoencoder",
        "vae/qwen_image_vae": r"its autoencoder \(qwen_image_vae\.safetensors\)",
    }.items():
        if not (tmp_path / f"{lost}.safetensors").is_file():
            continue
        (tmp_path / f"{lost}.safetensors").unlink()
        with pytest.raises(
            CheckpointRefused, match=rf"lacks .*{words}, and none was found beside it or in .*/clip"
        ):
            load(file)


@pytest.mark.parametrize("family", ["flux1", "sd3"])
def test_the_largest_of_two_that_fit_is_taken_and_strangers_are_passed_over(
    parts, family, tmp_path
):
    file = laid_out(parts, family, tmp_path)
    half = {key: value.half() for key, value in parts["clip_l"].items()}
    save(half, tmp_path / "text_encoders" / "a_clip_l.safetensors")
    (tmp_path / "text_encoders" / "b.safetensors").write_bytes(b"junk")
    save({"a": torch.zeros(2)}, tmp_path / "vae" / "flux_sd3_broken.safetensors")
    chosen = judge(file).weights["text_encoders.clip_l.transformer."]
    assert [one.name for one in chosen] == ["clip_l.safetensors"]


@pytest.mark.parametrize("family", ["flux1", "sd3"])
def test_eight_bit_weights_are_taken_times_their_scale(parts, family, networks, tmp_path):
    eight = {}
    for key, value in parts["t5xxl_fp16"].items():
        if value.ndim == 2:
            scale = value.abs().max() / 448
            eight[key] = (value / scale).to(torch.float8_e4m3fn)
            eight[key.removesuffix("weight") + "scale_weight"] = scale.reshape(())
        else:
            eight[key] = value
    parts["t5xxl_fp16"] = eight | {"scaled_fp8": torch.zeros(0, dtype=torch.float8_e4m3fn)}
    base = load(laid_out(parts, family, tmp_path))
    name = "text_encoder_2" if family == "flux1" else "text_encoder_3"
    expected, found = networks[name].state_dict(), base.text_encoders[name].state_dict()
    for key, value in expected.items():
        error = (found[key] - value).abs().max() / value.abs().max()
        assert error < 0.04, "e4m3's 3 bits of mantissa"


@pytest.mark.parametrize("family", ["flux1"])
def test_schnell_is_told_by_its_lack_of_guidance(parts, family, tmp_path):
    parts["flux1"] = {k: v for k, v in parts["flux1"].items() if not k.startswith("guidance_in")}
    base = load(laid_out(parts, family, tmp_path))
    assert not base.transformer.config.guidance_embeds
    assert (base.sampler.steps, base.schedule.shift(1024)) == (4, 1.0)


@pytest.mark.parametrize("family", ["flux1"])
def test_flux_fill_is_refused_by_what_it_is(parts, family, tmp_path):
    wide = torch.zeros(parts["flux1"]["img_in.weight"].shape[0], 384)
    parts["flux1"]["img_in.weight"] = wide
    with pytest.raises(CheckpointRefused, match=r"takes 384 channels.*Fill"):
        load(laid_out(parts, family, tmp_path))


@pytest.mark.parametrize("family", ["flux1", "sd3"])
def test_a_missing_weight_is_never_random(parts, family, tmp_path):
    for kind, words in (
        ("bias", r"lacks 3 weights"),
        ("weight", r"lacks [36] weights|has no weight"),
    ):
        parts[family].pop(next(key for key in parts[family] if f"attn.qkv.{kind}" in key))
        with pytest.raises(CheckpointRefused, match=words):
            load(laid_out(parts, family, tmp_path))
    parts[family].pop(next(key for key in parts[family] if "final_layer.linear.weight" in key))
    with pytest.raises(CheckpointRefused, match=r"lacks|has no weight"):
        load(laid_out(parts, family, tmp_path))


SIZES = {
    "flux1": {"transformer": 11_901_408_320, "text_encoder": 123_060_480, "vae": 83_819_683,
              "text_encoder_2": 4_762_310_656},
    "sd3": {"transformer": 2_028_328_000, "text_encoder": 123_650_304, "vae": 83_819_683,
            "text_encoder_2": 694_659_840, "text_encoder_3": 4_762_310_656},
}  # fmt: skip


def whole(family):
    """The family's networks of full size, without memory."""
    import diffusers
    import transformers

    networks, configs = {}, {}
    for part in SIZES[family]:
        config = configs[part] = json.loads((CONFIGS / family / part / "config.json").read_text())
        with torch.device("meta"):
            if kind := config.get("_class_name"):
                networks[part] = getattr(diffusers, kind).from_config(config)
            else:
                kind = config["architectures"][0]
                made = {"t5": "T5Config"}.get(config["model_type"], "CLIPTextConfig")
                text = getattr(transformers, made).from_dict(config)
                networks[part] = getattr(transformers, kind)(text)
    return networks, configs


@pytest.mark.parametrize("name", SIZES)
def test_the_shipped_configurations_have_the_checkpoints_sizes(name):
    """And each of a single file's weights finds its place, as diffusers' converter puts it."""
    from diffusers.loaders import single_file_utils as theirs

    networks, configs = whole(name)
    assert {p: sum(w.numel() for w in n.parameters()) for p, n in networks.items()} == SIZES[name]
    original = original_transformer(name, networks["transformer"])
    family = FAMILIES[name]
    inside = {f"model.diffusion_model.{key}": value for key, value in original.items()}
    fitted = family.fitted(inside, configs)
    changed = {k for k, v in fitted["transformer"].items() if v != configs["transformer"].get(k)}
    assert not changed, "the full size is what the shapes say"
    inside["text_encoders.clip_l.transformer.text_model.final_layer_norm.weight"] = torch.empty(768)
    ours = {k: v.shape for k, v in family.split(inside, configs)["transformer"].items()}
    convert = {"flux1": theirs.convert_flux_transformer_checkpoint_to_diffusers,
               "sd3": theirs.convert_sd3_transformer_checkpoint_to_diffusers}[name]  # fmt: skip
    assert ours == {key: value.shape for key, value in convert(dict(original)).items()}
    state = networks["transformer"].state_dict()
    assert ours == {key: value.shape for key, value in state.items()}


def test_sd3s_rows_are_where_diffusers_puts_them(parts, family):
    if family != "sd3":
        pytest.skip("diffusers splits FLUX.1 at its full width only")
    from diffusers.loaders.single_file_utils import convert_sd3_transformer_checkpoint_to_diffusers

    theirs = convert_sd3_transformer_checkpoint_to_diffusers(dict(parts["sd3"]))
    clip = {"text_encoders.clip_l.transformer.text_model.final_layer_norm.weight": torch.ones(4)}
    ours = FAMILIES["sd3"].split(parts["sd3"] | clip, {"vae": _ANY_VAE})["transformer"]
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[key], ours[key]) for key in theirs)


_ANY_VAE = {"down_block_types": [""], "up_block_types": [""], "layers_per_block": 1}


def test_names_that_published_files_have():
    """A few of their keys, as they stand in the published files."""
    flux = original_transformer("flux1", whole("flux1")[0]["transformer"])
    assert flux["double_blocks.18.img_attn.qkv.weight"].shape == (9216, 3072)
    assert flux["double_blocks.0.txt_attn.norm.key_norm.scale"].shape == (128,)
    assert flux["single_blocks.37.linear1.weight"].shape == (21504, 3072)
    assert flux["single_blocks.0.linear2.bias"].shape == (3072,)
    assert flux["final_layer.adaLN_modulation.1.weight"].shape == (6144, 3072)
    assert len(flux) == 780
    sd3 = original_transformer("sd3", whole("sd3")[0]["transformer"])
    assert sd3["joint_blocks.23.context_block.adaLN_modulation.1.bias"].shape == (3072,)
    assert sd3["joint_blocks.0.x_block.mlp.fc1.weight"].shape == (6144, 1536)
    assert sd3["pos_embed"].shape == (1, 36864, 1536)


def test_an_autoencoder_by_the_files_name_wins(single_sd1):
    file, other = single_sd1
    save({k: v + 1 for k, v in other.items()}, file.with_name("tiny.vae.safetensors"))
    base = load(file)
    weight = base.vae.state_dict()["decoder.conv_in.weight"]
    assert torch.equal(weight, other["decoder.conv_in.weight"] + 1)
    file.with_name("tiny.vae.safetensors").unlink()
    tensors = load_file(file)
    save(
        {k: v for k, v in tensors.items() if "first_stage" not in k},
        file.with_name("bare.safetensors"),
    )
    with pytest.raises(
        CheckpointRefused, match=r"lacks its autoencoder.*named bare\.vae\.safetensors"
    ):
        load(file.with_name("bare.safetensors"))


@pytest.fixture
def single_sd1(tiny_checkpoint, loaded, tmp_path, monkeypatch):
    """A tiny Stable Diffusion 1 as one file, and its autoencoder's weights."""
    from ldm_layout import ldm_tensors

    base = loaded(tiny_checkpoint("sd1"))
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "sd1").symlink_to(tiny_checkpoint("sd1"))
    monkeypatch.setattr("packshot.bases.checkpoint.CONFIGS", tmp_path / "configs")
    tensors = ldm_tensors(base)
    start = "first_stage_model."
    vae = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
    return save(tensors, tmp_path / "tiny.safetensors"), vae
