"""Families whose single files hold the transformer alone, the rest beside it."""

import json
import os

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from packshot.errors import ModelLoadError
from packshot.models.checkpoint import CONFIGS, detect_checkpoint
from packshot.models.registry import families
from tests.models.original_layout import laid_out, load, original_transformer, same, save, wan_vae

INSIDE = {
    "ae": "first_stage_model.", "clip_l": "text_encoders.clip_l.transformer.",
    "clip_g": "text_encoders.clip_g.transformer.", "t5xxl_fp16": "text_encoders.t5xxl.transformer.",
    "flux2-vae": "vae.", "qwen_image_vae": "vae.",
    "qwen_3_4b": "text_encoders.qwen3_4b.transformer.",
    "qwen_2.5_vl_7b": "text_encoders.qwen25_7b.transformer.",
}  # fmt: skip


@pytest.mark.slow
def test_the_parts_in_comfyuis_folders_are_the_checkpoint(
    parts, family, networks, tiny, tmp_path, monkeypatch
):
    last = tiny.tokenizers[max(tiny.tokenizers)]
    monkeypatch.setattr("packshot.weights.tokenizers.t5_tokenizer", lambda: last)
    monkeypatch.setattr("packshot.weights.tokenizers.qwen_tokenizer", lambda thinks: last)
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
            ModelLoadError, match=rf"lacks .*{words}, and none was found beside it or in .*/clip"
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
    chosen = detect_checkpoint(file).weights["text_encoders.clip_l.transformer."]
    assert [one.name for one in chosen] == ["clip_l.safetensors"]


@pytest.mark.parametrize("family", ["flux1"])
def test_other_clips_and_t5s_in_comfyuis_folders_are_not_taken_for_the_checkpoints(
    parts, family, networks, tmp_path
):
    """A fine-tune with an image tower, a FLAN-T5, and a Long-CLIP, which reads 248 tokens: all larger."""
    file, folder = laid_out(parts, family, tmp_path), tmp_path / "text_encoders"
    tower = {"vision_model.a": torch.zeros(2**22)}
    save(
        {k: v + 1 for k, v in parts["clip_l"].items()} | tower, folder / "ViT-L-14-TEXT.safetensors"
    )
    save({k: v + 1 for k, v in parts["t5xxl_fp16"].items()} | tower, folder / "flan_t5.safetensors")
    positions = "text_model.embeddings.position_embedding.weight"
    width = parts["clip_l"][positions].shape[1]
    longer = parts["clip_l"] | {positions: torch.zeros(248, width)} | tower
    save(longer, folder / "long_clip_l.safetensors")
    same(networks, load(file))


@pytest.mark.parametrize("family", ["sd3"])
def test_stable_diffusion_3_takes_clips_text_as_it_is_whatever_projection_a_file_has(
    parts, family, networks, tmp_path
):
    """As diffusers' own loader of single files: a CLIP-L from elsewhere brings OpenAI's projection."""
    parts["clip_l"]["text_projection.weight"] = torch.randn(32, 32)
    same(networks, load(laid_out(parts, family, tmp_path)))


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
    # What it learns with is what pictures are made with: its pipeline's default is 512.
    assert base.empty_conditioning(1)["context"].shape[1] == base.prompt_limit[1] == 256
    assert base.sampling(0.0, [""])["max_sequence_length"] == 256


@pytest.mark.slow
@pytest.mark.parametrize("family", ["flux1"])
def test_flux_fill_is_told_by_its_first_layer_and_other_tools_are_refused(parts, family, tmp_path):
    width = parts["flux1"]["img_in.weight"].shape[0]
    parts["flux1"]["img_in.weight"] = torch.ones(width, 16 + 16 + 64)
    base = load(laid_out(parts, family, tmp_path))
    assert base.is_inpainting and base.transformer.x_embedder.weight.shape == (width, 96)
    parts["flux1"]["img_in.weight"] = torch.zeros(width, 32)
    with pytest.raises(ModelLoadError, match=r"takes 32 channels, not 16 or Fill's 96.*Depth"):
        load(laid_out(parts, family, tmp_path))


@pytest.mark.parametrize("family", ["flux1", "sd3"])
def test_a_missing_weight_is_never_random(parts, family, tmp_path):
    for kind, words in (
        ("bias", r"lacks 3 weights"),
        ("weight", r"lacks [36] weights|has no weight"),
    ):
        parts[family].pop(next(key for key in parts[family] if f"attn.qkv.{kind}" in key))
        with pytest.raises(ModelLoadError, match=words):
            load(laid_out(parts, family, tmp_path))
    parts[family].pop(next(key for key in parts[family] if "final_layer.linear.weight" in key))
    with pytest.raises(ModelLoadError, match=r"lacks|has no weight"):
        load(laid_out(parts, family, tmp_path))


SIZES = {
    "flux1": {"transformer": 11_901_408_320, "text_encoder": 123_060_480, "vae": 83_819_683,
              "text_encoder_2": 4_762_310_656},
    "sd3": {"transformer": 2_028_328_000, "text_encoder": 123_650_304, "vae": 83_819_683,
            "text_encoder_2": 694_659_840, "text_encoder_3": 4_762_310_656},
    "flux2": {"transformer": 3_875_544_576, "text_encoder": 4_022_468_096, "vae": 84_046_115},
    "qwen_image": {"transformer": 20_430_401_088, "text_encoder": 7_070_619_136, "vae": 126_892_531},
    "z_image": {"transformer": 6_154_908_736, "text_encoder": 4_022_468_096, "vae": 83_819_683},
}  # fmt: skip
# Of these, what reads is part of what files hold.
READERS = {"qwen3": ("Qwen3Config", "Qwen3Model"),
           "qwen2_5_vl": ("Qwen2_5_VLTextConfig", "Qwen2_5_VLTextModel")}  # fmt: skip


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
                usual = {"t5": "T5Config"}.get(config["model_type"], "CLIPTextConfig")
                made, kind = READERS.get(config["model_type"], (usual, config["architectures"][0]))
                text = getattr(transformers, made).from_dict(config.get("text_config", config))
                networks[part] = getattr(transformers, kind)(text)
    return networks, configs


@pytest.mark.parametrize("name", SIZES)
def test_the_shipped_configurations_have_the_checkpoints_sizes(name):
    """And each of a single file's weights finds its place, as diffusers' converter puts it."""
    from diffusers.loaders import single_file_utils as theirs

    networks, configs = whole(name)
    assert {p: sum(w.numel() for w in n.parameters()) for p, n in networks.items()} == SIZES[name]
    original = original_transformer(name, networks["transformer"])
    family = families()[name].model
    inside = {f"model.diffusion_model.{key}": value for key, value in original.items()}
    if name in ("flux2", "z_image"):
        reader = networks["text_encoder"].state_dict()
        inside |= {f"{INSIDE['qwen_3_4b']}model.{key}": value for key, value in reader.items()}
    fitted = family.infer_configs(inside, configs)
    changed = {k for k, v in fitted["transformer"].items() if v != configs["transformer"].get(k)}
    assert not changed, "the full size is what the shapes say"
    inside["text_encoders.clip_l.transformer.text_model.final_layer_norm.weight"] = torch.empty(768)
    ours = {
        k: v.shape for k, v in family.convert_state_dict(inside, configs)["transformer"].items()
    }
    convert = {
        "flux1": theirs.convert_flux_transformer_checkpoint_to_diffusers,
        "sd3": theirs.convert_sd3_transformer_checkpoint_to_diffusers,
        "flux2": theirs.convert_flux2_transformer_checkpoint_to_diffusers,
        "z_image": theirs.convert_z_image_transformer_checkpoint_to_diffusers,
    }.get(name, dict)  # Qwen-Image's names are diffusers'
    assert ours == {key: value.shape for key, value in convert(dict(original)).items()}
    state = networks["transformer"].state_dict()
    assert ours == {key: value.shape for key, value in state.items()}


def test_kleins_9b_is_told_by_its_shapes():
    """8 double and 24 single blocks of 4,096; Qwen3-8B's states of three layers."""
    configs = whole("flux2")[1]
    shapes = {
        "img_in": (4096, 128), "txt_in": (4096, 3 * 4096),
        **{f"double_blocks.{n}.img_mlp.0": (1, 1) for n in range(8)},
        **{f"single_blocks.{n}.linear1": (1, 1) for n in range(24)},
    }  # fmt: skip
    reader = {
        "embed_tokens": (151936, 4096),
        **{f"layers.{n}.mlp.gate_proj": (12288, 4096) for n in range(36)},
        **{f"layers.0.self_attn.{name}": (rows, 4096) for name, rows in
           (("q_proj", 32 * 128), ("k_proj", 8 * 128), ("q_norm", 128))},
    }  # fmt: skip
    shapes |= {
        f"text_encoders.qwen3_8b.transformer.model.{key}": size for key, size in reader.items()
    }
    given = {f"{key}.weight": torch.empty(size, device="meta") for key, size in shapes.items()}
    fitted = families()["flux2"].model.infer_configs(given, configs)
    told = fitted["transformer"]
    assert (told["num_layers"], told["num_single_layers"]) == (8, 24)
    assert (told["num_attention_heads"], told["joint_attention_dim"]) == (32, 12288)
    told = fitted["text_encoder"]
    assert (told["hidden_size"], told["num_hidden_layers"], told["vocab_size"]) == (
        4096,
        36,
        151936,
    )
    assert (told["num_attention_heads"], told["num_key_value_heads"]) == (32, 8)
    assert told["intermediate_size"] == 12288


@pytest.mark.parametrize("family", ["sd3", "flux2", "z_image"])
def test_rows_are_where_diffusers_puts_them(parts, family):
    """diffusers splits FLUX.1 at its full width only."""
    from diffusers.loaders import single_file_utils

    name = f"convert_{family}_transformer_checkpoint_to_diffusers"
    theirs = getattr(single_file_utils, name)(dict(parts[family]))
    clip = {"text_encoders.clip_l.transformer.text_model.final_layer_norm.weight": torch.ones(4)}
    ours = families()[family].model.convert_state_dict(parts[family] | clip, {"vae": _ANY_VAE})[
        "transformer"
    ]
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[key], ours[key]) for key in theirs)


def test_wans_autoencoder_is_renamed_as_diffusers_does():
    """At its full size, the only one that diffusers' converter knows."""
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    networks, configs = whole("qwen_image")
    original = wan_vae(networks["vae"])
    expected = {key: value.shape for key, value in networks["vae"].state_dict().items()}
    ours = families()["qwen_image"].model.convert_state_dict(
        {f"vae.{k}": v for k, v in original.items()}, configs
    )["vae"]
    assert {key: value.shape for key, value in ours.items()} == expected
    theirs = convert_wan_vae_to_diffusers(original)
    assert {key: id(value) for key, value in ours.items()} == {
        key: id(value) for key, value in theirs.items()
    }


@pytest.mark.parametrize("family", ["flux2", "qwen_image", "z_image"])
@pytest.mark.parametrize("scale", ["scale_weight", "weight_scale"])
def test_a_transformer_in_eight_bits_is_taken_times_its_scale(
    parts, family, networks, tmp_path, scale
):
    eight = {}
    for key, value in parts[family].items():
        eight[key] = value
        if value.ndim == 2 and "pad_token" not in key:
            most = value.abs().max() / 448
            eight[key] = (value / most).to(torch.float8_e4m3fn)
            eight[key.removesuffix("weight") + scale] = most.reshape(())
            eight[key.removesuffix("weight") + "input_scale"] = torch.ones(())
    parts[family] = eight
    base = load(laid_out(parts, family, tmp_path))
    expected, found = networks["transformer"].state_dict(), base.transformer.state_dict()
    for key, value in expected.items():
        assert (found[key] - value).abs().max() <= 0.04 * value.abs().max(), "e4m3's 3 bits"


@pytest.mark.slow
@pytest.mark.parametrize("family", ["flux2", "qwen_image", "z_image"])
def test_what_is_missing_left_over_or_packed_is_refused_by_name(parts, family, tmp_path):
    def assert_refused(words, name=family, **changes):
        changed = {k: v for k, v in (parts[name] | changes).items() if v is not None}
        with pytest.raises(ModelLoadError, match=words):
            load(laid_out(parts | {name: changed}, family, tmp_path))

    more = {"extra.weight": torch.ones(2)}
    assert_refused(
        r"holds 1 weights that have no place in a \w+Transformer2DModel .*extra\.weight", **more
    )
    vae = next(name for name in parts if name in ("ae", "flux2-vae", "qwen_image_vae"))
    assert_refused(r"no place in a Autoencoder\w+ .*extra\.weight", vae, **more)
    reader = next(
        name for name in parts if name.startswith("qwen_") and name != vae and name != family
    )
    assert_refused(r"no place in a Qwen\w+ .*extra\.weight", reader, **more)
    assert_refused(r"lacks 1 weights, such as norm", reader, **{"model.norm.weight": None})
    key = next(k for k, v in parts[family].items() if v.ndim == 2 and "pad" not in k)
    assert_refused(r"lacks|KeyError|no weight", **{key: None})
    blocks = {key.removesuffix("weight") + "weight_scale": torch.ones(3, 5)}
    assert_refused(r"packed in fewer than 8 bits, or scaled in parts", **blocks)
    assert load(laid_out(parts, family, tmp_path)).family == family, "or none of it says anything"


def test_flux2_dev_is_refused_by_what_it_is(tmp_path):
    names = ("double_stream_modulation_img.lin.weight", "guidance_in.in_layer.weight")
    file = save({name: torch.ones(2, 2) for name in names}, tmp_path / "dev.safetensors")
    with pytest.raises(ModelLoadError, match=r"is FLUX\.2 dev; Packshot knows"):
        detect_checkpoint(file)


def test_names_tell_what_nothing_in_files_does(parts, family, tmp_path):
    """Whether FLUX.2 klein and Z-Image are distilled, and Z-Image's noise."""
    file = laid_out(parts, family, tmp_path)
    if family == "flux2":
        told = [load(file), load(file.rename(file.with_name("flux-2-klein-4b.safetensors")))]
        assert [base.sampler.steps for base in told] == [28, 4]
        assert [base.is_guidance_distilled for base in told] == [False, True]
    if family == "z_image":
        told = [load(file), load(file.rename(file.with_name("z_image_bf16.safetensors")))]
        assert [(base.sampler.steps, base.schedule.shift(9)) for base in told] == [
            (8, 3.0),
            (28, 6.0),
        ]


@pytest.mark.parametrize("family", ["qwen_image"])
def test_wans_own_autoencoder_is_not_taken_for_qwens(parts, family, tmp_path):
    parts["other"] = parts.pop("qwen_image_vae")
    file = laid_out(parts, family, tmp_path)
    save(parts["other"], tmp_path / "vae" / "wan_2.1_vae.safetensors")
    with pytest.raises(ModelLoadError, match=r"lacks its autoencoder \(qwen_image_vae"):
        load(file)


@pytest.mark.parametrize("family", ["flux2"])
def test_a_language_model_of_the_same_width_is_not_taken_for_qwen3(parts, family, tmp_path):
    reader = {k: v for k, v in parts["qwen_3_4b"].items() if "_norm." not in k}
    file = laid_out(parts | {"qwen_3_4b": reader}, family, tmp_path)
    with pytest.raises(ModelLoadError, match=r"lacks its text encoder Qwen3"):
        load(file)


_ANY_VAE = {"down_block_types": [""], "up_block_types": [""], "layers_per_block": 1}


@pytest.mark.slow
def test_names_that_published_files_have():
    """A few of their keys, as they stand in the published files."""
    flux = original_transformer("flux1", whole("flux1")[0]["transformer"])
    assert flux["double_blocks.18.img_attn.qkv.weight"].shape == (9216, 3072)
    assert flux["double_blocks.0.txt_attn.norm.key_norm.scale"].shape == (128,)
    assert flux["single_blocks.37.linear1.weight"].shape == (21504, 3072)
    assert flux["single_blocks.0.linear2.bias"].shape == (3072,)
    assert flux["final_layer.adaLN_modulation.1.weight"].shape == (6144, 3072)
    assert len(flux) == 780
    klein = original_transformer("flux2", whole("flux2")[0]["transformer"])
    assert klein["double_blocks.4.img_attn.qkv.weight"].shape == (9216, 3072)
    assert klein["double_stream_modulation_txt.lin.weight"].shape == (18432, 3072)
    assert klein["single_blocks.19.linear1.weight"].shape == (27648, 3072)
    assert klein["single_blocks.0.norm.query_norm.scale"].shape == (128,)
    z_image = original_transformer("z_image", whole("z_image")[0]["transformer"])
    assert z_image["layers.29.attention.qkv.weight"].shape == (11520, 3840)
    assert z_image["noise_refiner.1.attention.k_norm.weight"].shape == (128,)
    assert z_image["context_refiner.0.attention.out.weight"].shape == (3840, 3840)
    assert z_image["x_embedder.weight"].shape == (3840, 64)
    assert z_image["final_layer.adaLN_modulation.1.weight"].shape == (3840, 256)
    vae = wan_vae(whole("qwen_image")[0]["vae"])
    assert vae["decoder.upsamples.4.shortcut.weight"].shape == (384, 192, 1, 1, 1)
    assert vae["decoder.head.2.weight"].shape == (3, 96, 3, 3, 3)
    sd3 = original_transformer("sd3", whole("sd3")[0]["transformer"])
    assert sd3["joint_blocks.23.context_block.adaLN_modulation.1.bias"].shape == (3072,)
    assert sd3["joint_blocks.0.x_block.mlp.fc1.weight"].shape == (6144, 1536)
    assert sd3["pos_embed"].shape == (1, 36864, 1536)


def test_a_file_of_as_long_a_name_as_may_be_has_its_own_autoencoder(single_sd1):
    file, _ = single_sd1
    longest = file.with_name("n" * 243 + ".safetensors")
    os.link(file, longest)
    assert detect_checkpoint(longest).weights == {"": [longest]}
    longest.unlink()


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
        ModelLoadError, match=r"lacks its autoencoder.*named bare\.vae\.safetensors"
    ):
        load(file.with_name("bare.safetensors"))


@pytest.fixture
def single_sd1(tiny_checkpoint, loaded, tmp_path, monkeypatch):
    """A tiny Stable Diffusion 1 as one file, and its autoencoder's weights."""
    from tests.models.ldm_layout import ldm_tensors

    base = loaded(tiny_checkpoint("sd1"))
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "sd1").symlink_to(tiny_checkpoint("sd1"))
    monkeypatch.setattr("packshot.models.checkpoint.CONFIGS", tmp_path / "configs")
    tensors = ldm_tensors(base)
    start = "first_stage_model."
    vae = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
    return save(tensors, tmp_path / "tiny.safetensors"), vae
