"""Files as each trainer writes them, for each family: read as they are meant, written as others read.

Names are to the letter of the trainers' sources, not made by Packshot's own tables. The table of
docs/using-the-lora.md has a line for each `PRODUCERS`, and "yes" where there is a test.
"""

import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from packshot.errors import LoraError
from packshot.lora import fused, load_lora, write_lora
from packshot.lora.files import try_writing
from packshot.lora.fuse import shape_of
from packshot.lora.info import read_info
from packshot.models import registry

UNET = [
    "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
    "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0",
    "mid_block.attentions.0.proj_in",
    "down_blocks.0.resnets.0.conv1",
    "time_embedding.linear_1",
]
JOINT = "transformer_blocks.0.attn."
DIFFUSERS = {
    "sd1": UNET,
    "sd2": UNET,
    "sdxl": UNET,
    "sd3": [f"{JOINT}to_q", f"{JOINT}to_v", "transformer_blocks.1.norm1_context.linear",
            "transformer_blocks.0.ff.net.0.proj", "norm_out.linear", "pos_embed.proj"],
    "flux1": [f"{JOINT}to_q", f"{JOINT}add_k_proj", "single_transformer_blocks.1.attn.to_v",
              "single_transformer_blocks.1.proj_mlp", "norm_out.linear", "x_embedder"],
    "flux2": [f"{JOINT}to_q", f"{JOINT}to_add_out", "norm_out.linear",
              "single_transformer_blocks.0.attn.to_qkv_mlp_proj", "single_stream_modulation.linear"],
    "qwen_image": [f"{JOINT}to_q", "transformer_blocks.1.img_mlp.net.2",
                   "transformer_blocks.1.txt_mod.1", "img_in"],
    "z_image": ["layers.0.attention.to_q", "layers.1.attention.to_out.0",
                "noise_refiner.0.feed_forward.w2", "layers.0.adaLN_modulation.0"],
}  # fmt: skip
"""Modules by diffusers' names."""


def each(start, *names):
    return tuple(start + name for name in names)


QKV = each(JOINT, "to_q", "to_k", "to_v")
ADDED = each(JOINT, "add_q_proj", "add_k_proj", "add_v_proj")
LDM = {
    "input_blocks.3.1.transformer_blocks.0.attn1.to_q": (UNET[0],),
    "middle_block.1.transformer_blocks.0.attn2.to_out.0": (UNET[1],),
    "middle_block.1.proj_in": (UNET[2],),
    "input_blocks.1.0.in_layers.2": (UNET[3],),
    "time_embed.0": (UNET[4],),
}
ORIGINAL = {
    "sd1": LDM,
    "sd2": LDM,
    "sdxl": LDM,
    "sd3": {
        "joint_blocks.0.x_block.attn.qkv": QKV,
        "joint_blocks.0.context_block.attn.qkv": ADDED,
        "joint_blocks.0.context_block.mlp.fc1": ("transformer_blocks.0.ff_context.net.0.proj",),
        "joint_blocks.0.x_block.adaLN_modulation.1": ("transformer_blocks.0.norm1.linear",),
        "joint_blocks.1.context_block.adaLN_modulation.1": ("transformer_blocks.1.norm1_context.linear",),
        "final_layer.adaLN_modulation.1": ("norm_out.linear",),
        "final_layer.linear": ("proj_out",),
        "x_embedder.proj": ("pos_embed.proj",),
        "y_embedder.mlp.0": ("time_text_embed.text_embedder.linear_1",),
    },
    "flux1": {
        "double_blocks.0.img_attn.qkv": QKV,
        "double_blocks.0.txt_attn.qkv": ADDED,
        "double_blocks.1.txt_mlp.2": ("transformer_blocks.1.ff_context.net.2",),
        "single_blocks.1.linear1": each(
            "single_transformer_blocks.1.", "attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"
        ),
        "single_blocks.1.modulation.lin": ("single_transformer_blocks.1.norm.linear",),
        "img_in": ("x_embedder",),
        "txt_in": ("context_embedder",),
        "time_in.in_layer": ("time_text_embed.timestep_embedder.linear_1",),
        "vector_in.out_layer": ("time_text_embed.text_embedder.linear_2",),
        "guidance_in.in_layer": ("time_text_embed.guidance_embedder.linear_1",),
        "final_layer.linear": ("proj_out",),
        "final_layer.adaLN_modulation.1": ("norm_out.linear",),
    },
    "flux2": {
        "double_blocks.0.img_attn.qkv": QKV,
        "double_blocks.0.img_mlp.0": ("transformer_blocks.0.ff.linear_in",),
        "single_blocks.0.linear1": ("single_transformer_blocks.0.attn.to_qkv_mlp_proj",),
        "single_blocks.0.linear2": ("single_transformer_blocks.0.attn.to_out",),
        "double_stream_modulation_img.lin": ("double_stream_modulation_img.linear",),
        "time_in.out_layer": ("time_guidance_embed.timestep_embedder.linear_2",),
        "img_in": ("x_embedder",),
        "final_layer.adaLN_modulation.1": ("norm_out.linear",),
    },
    "qwen_image": {name: (name,) for name in DIFFUSERS["qwen_image"]},
    "z_image": {
        "layers.0.attention.qkv": each("layers.0.attention.", "to_q", "to_k", "to_v"),
        "layers.1.attention.out": ("layers.1.attention.to_out.0",),
        "context_refiner.0.feed_forward.w1": ("context_refiner.0.feed_forward.w1",),
        "x_embedder": ("all_x_embedder.2-1",),
        "final_layer.linear": ("all_final_layer.2-1.linear",),
    },
}  # fmt: skip
"""The authors' (for Z-Image ComfyUI's) names of modules, with diffusers' of what is stacked there."""
SWAPPED = {"final_layer.adaLN_modulation.1", "joint_blocks.1.context_block.adaLN_modulation.1"}
"""Of those, the modules that make shift and scale, where diffusers' make scale and shift."""
CLIP, T5 = "encoder.layers.0.self_attn.q_proj", "encoder.block.0.layer.0.SelfAttention.q"
READERS = {
    "sd1": {"text_encoder": CLIP},
    "sd2": {"text_encoder": CLIP},
    "sdxl": {"text_encoder": CLIP, "text_encoder_2": CLIP},
    "sd3": {"text_encoder": CLIP, "text_encoder_2": CLIP, "text_encoder_3": T5},
    "flux1": {"text_encoder": CLIP, "text_encoder_2": T5},
}
UNETS, TRANSFORMERS = ("sd1", "sd2", "sdxl"), ("sd3", "flux1", "flux2", "qwen_image", "z_image")
KOHYA, AB = ("lora_down.weight", "lora_up.weight", "alpha"), ("lora_A.weight", "lora_B.weight")
DEFAULT = ("lora_A.default.weight", "lora_B.default.weight")


@dataclass(frozen=True)
class Format:
    """How a trainer spells modules."""

    start: str
    """Before the denoiser's names; after a dot, and where it is empty, they keep theirs."""
    endings: tuple[str, ...] = KOHYA
    original: bool = False
    """Whether names are the authors'."""
    readers: tuple[str, ...] = ()
    """What stands before the names in the text encoders, in order; empty: it trains none."""


def dotted(family):
    return Format("unet." if family in UNETS else "transformer.", AB, False, PEFT_READERS)


PEFT_READERS = tuple(f"text_encoder{n}." for n in ("", "_2", "_3"))
TE, TES = ("lora_te_text_model_",), ("lora_te1_text_model_", "lora_te2_text_model_", "lora_te3_")
TO_T5 = ("lora_te1_text_model_", "lora_te3_")
COMFY = tuple(f"text_encoders.clip_{n}.transformer.text_model." for n in "lg")
COMFY_T5 = "text_encoders.t5xxl.transformer."
PRODUCERS = {
    "sd-scripts": {
        "sd1": Format("lora_unet_", readers=TE),
        "sd2": Format("lora_unet_", readers=TE),
        "sdxl": Format("lora_unet_", original=True, readers=TES),
        "sd3": Format("lora_unet_", original=True, readers=TES),
        "flux1": Format("lora_unet_", original=True, readers=TO_T5),
    },
    "musubi-tuner": {
        "flux1": Format("lora_unet_", original=True),
        "flux2": Format("lora_unet_", original=True),
        "qwen_image": Format("lora_unet_"),
        "z_image": Format("lora_unet_"),
    },
    "OneTrainer (legacy)": {
        "sd1": Format("lora_unet_", readers=TE),
        "sd2": Format("lora_unet_", readers=TE),
        "sdxl": Format("lora_unet_", readers=TES),
        "sd3": Format("lora_transformer_", readers=TES),
        "flux1": Format("lora_transformer_", readers=("lora_te1_text_model_", "lora_te2_")),
        **dict.fromkeys(("flux2", "qwen_image", "z_image"), Format("transformer.")),
    },
    "OneTrainer (ComfyUI)": {
        "sd1": Format("diffusion_model.", (*AB, "alpha"), True, COMFY),
        "sdxl": Format("diffusion_model.", (*AB, "alpha"), True, COMFY),
        "sd3": Format("diffusion_model.", (*AB, "alpha"), True, (*COMFY, COMFY_T5)),
        "flux1": Format("diffusion_model.", (*AB, "alpha"), True, (COMFY[0], COMFY_T5)),
        **dict.fromkeys(TRANSFORMERS[2:], Format("diffusion_model.", (*AB, "alpha"), True)),
    },
    "OneTrainer (original)": {
        f: Format("", (*AB, "alpha"), True) for f in (*UNETS, *TRANSFORMERS)
    },
    "ai-toolkit": {
        "sd1": Format("lora_unet_", readers=TE),
        "sdxl": Format("lora_unet_", original=True, readers=TES),
        "sd3": Format("transformer.", AB),
        "flux1": Format("transformer.", AB),
        "flux2": Format("diffusion_model.", AB, True),
        "qwen_image": Format("diffusion_model.", AB),
        "z_image": Format("diffusion_model.", AB),
    },
    "SimpleTuner, diffusers": {f: dotted(f) for f in (*UNETS, *TRANSFORMERS)},
    "diffusers 0.21": {
        f: Format("unet.", ("lora.down.weight", "lora.up.weight"), False, PEFT_READERS)
        for f in UNETS
    },
    "PEFT": {f: Format("base_model.model.", AB) for f in (*UNETS, *TRANSFORMERS)},
    "DiffSynth-Studio": {
        f: Format("", DEFAULT) for f in ("sdxl", "flux1", "flux2", "qwen_image", "z_image")
    },
    "XLabs": {"flux1": Format("", ("down.weight", "up.weight"))},
    "ComfyUI, without biases": {
        f: Format("diffusion_model.", KOHYA, original=True) for f in (*UNETS, *TRANSFORMERS)
    },
}  # fmt: skip
DIFFSYNTH = {
    "blocks.0.attn.a_to_qkv": QKV,
    "blocks.1.ff_b.2": ("transformer_blocks.1.ff_context.net.2",),
    "single_blocks.1.to_qkv_mlp": ORIGINAL["flux1"]["single_blocks.1.linear1"],
    "single_blocks.0.proj_out": ("single_transformer_blocks.0.proj_out",),
}
XLABS = {
    "double_blocks.0.processor.qkv_lora1": QKV,
    "double_blocks.0.processor.qkv_lora2": ADDED,
    "double_blocks.1.processor.proj_lora1": ("transformer_blocks.1.attn.to_out.0",),
    "double_blocks.1.processor.proj_lora2": ("transformer_blocks.1.attn.to_add_out",),
    "single_blocks.0.processor.qkv_lora": each(
        "single_transformer_blocks.0.attn.", "to_q", "to_k", "to_v"
    ),
    "single_blocks.1.processor.proj_lora": ("single_transformer_blocks.1.proj_out",),
}
ALPHA, RANK = 5.0, 2


def noise(*shape):
    generator = torch.Generator().manual_seed(sum(shape) + 7 * len(shape))
    return torch.randn(shape, generator=generator) * 0.3


def spelt_modules(producer, family):
    """What a file calls modules, with our names of what is stacked in each."""
    format, root = PRODUCERS[producer][family], "unet" if family in UNETS else "transformer"
    modules = {name: (name,) for name in DIFFUSERS[family]}
    if producer == "DiffSynth-Studio" and family == "flux1":
        modules = DIFFSYNTH
    if producer == "XLabs":
        modules = XLABS
    if format.original:
        modules = ORIGINAL[family]
    keeps_dots = not format.start or format.start.endswith(".")
    spelt = {
        format.start + (name if keeps_dots else name.replace(".", "_")): (
            [f"{root}.{n}" for n in ours],
            format.original and name in SWAPPED,
        )
        for name, ours in modules.items()
    }
    for start, (encoder, name) in zip(
        format.readers, READERS.get(family, {}).items(), strict=False
    ):
        if start.endswith("."):
            called = name if name == T5 or "text_model" in start else f"text_model.{name}"
        else:
            called = name.replace(".", "_")
        spelt[start + called] = ([f"{encoder}.{name}"], False)
    return spelt


def written_by(producer, family, base):
    """The tensors of a file, and by our names what it means."""
    tensors, meant = {}, {}
    down_ending, up_ending, *alpha = PRODUCERS[producer][family].endings
    for spelt, (ours, swapped) in spelt_modules(producer, family).items():
        names = [of(base, name) for name in ours]
        shapes = [shape_of(base, name) for name in names]
        down = noise(RANK, *shapes[0][1:])
        up = noise(sum(s[0] for s in shapes), RANK, *(1 for _ in shapes[0][2:]))
        keys = f"{spelt}.{down_ending}", f"{spelt}.{up_ending}"
        if producer == "diffusers 0.21":
            keys = tuple(of_old_diffusers(key) for key in keys)
        tensors |= dict(zip(keys, (down, up), strict=True))
        if alpha:
            tensors[f"{spelt}.alpha"] = torch.tensor(ALPHA)
        scale = ALPHA / RANK if alpha else 1.0
        rows = (scale * up.flatten(1) @ down.flatten(1)).split([s[0] for s in shapes])
        if swapped:
            shift, scale_rows = rows[0].chunk(2)
            rows = [torch.cat([scale_rows, shift])]
        meant |= dict(zip(names, rows, strict=True))
    return tensors, meant


def of(base, name):
    """A module's name in this transformers, which may have no "text_model."."""
    network, _, inner = name.partition(".")
    there = dict(base.text_encoders[network].named_modules()) if network in READERS["sd3"] else None
    return name if there is None or inner in there else f"{network}.text_model.{inner}"


def of_old_diffusers(key):
    if key.startswith("text_encoder"):
        return key.replace(".lora.", ".lora_linear_layer.")
    for layer in ("to_q", "to_out.0"):
        key = key.replace(f".{layer}.lora.", f".processor.{layer.removesuffix('.0')}_lora.")
    return key


def assert_means(lora, meant):
    assert lora.weights.keys() == meant.keys()
    for name, delta in meant.items():
        assert torch.allclose(lora.weights[name].delta().flatten(1), delta, atol=1e-5), name


@pytest.fixture
def base_of(loaded, tiny_checkpoint):
    return lambda family: loaded(tiny_checkpoint(family))


CELLS = [(producer, family) for producer, families in PRODUCERS.items() for family in families]


@pytest.mark.parametrize(("producer", "family"), CELLS)
def test_reads(base_of, tmp_path, producer, family):
    """And converts it, to both formats and back."""
    base = base_of(family)
    tensors, meant = written_by(producer, family, base)
    save_file(tensors, tmp_path / "a.safetensors")
    lora = load_lora(tmp_path / "a.safetensors", base)
    assert_means(lora, meant)
    for format in ("kohya", "diffusers"):
        write_lora(lora, tmp_path / "b.safetensors", base, format)
        assert_means(load_lora(tmp_path / "b.safetensors", base), meant)


def test_the_documents_table_is_this(request):
    page = (Path(__file__).parents[2] / "docs" / "using-the-lora.md").read_text(encoding="utf-8")
    families = registry.families()
    assert f"| trainer | {' | '.join(spec.title for spec in families.values())} |" in page
    for producer, cells in PRODUCERS.items():
        row = " | ".join("yes" if family in cells else "" for family in families)
        assert f"| {producer} | {row} |" in page


@pytest.mark.parametrize(
    ("family", "scope"),
    itertools.product(DIFFUSERS, ["cross-attention", "attention", "attention+mlp", "all"]),
)
def test_what_can_be_trained_can_be_written(base_of, tmp_path, family, scope):
    base = base_of(family)
    names = [f"{base.denoiser_root}.{name}" for name in base.lora_targets(scope)]
    try_writing(names, {"modelspec.title": "é"}, tmp_path / "a.safetensors", base)
    assert not any(tmp_path.iterdir())


# A part of a stacked module ----------------------------------------------------------------------


@pytest.mark.parametrize("family", ["sd3", "flux1", "flux2", "z_image"])
@pytest.mark.parametrize("letters", ["qv", "k"])
def test_a_part_of_a_stack_has_zero_rows_for_the_rest(base_of, tmp_path, family, letters):
    """What other readers add is then the same; and it comes back at its own rank."""
    base = base_of(family)
    inside = "layers.0.attention." if family == "z_image" else JOINT
    names = [f"transformer.{inside}to_{letter}" for letter in letters]
    tensors = {}
    for name in names:
        rows, columns = shape_of(base, name)
        tensors[f"{name}.lora_A.weight"] = noise(3, columns)
        tensors[f"{name}.lora_B.weight"] = noise(rows, 3) + ord(name[-1])
    save_file(tensors, tmp_path / "a.safetensors")
    lora = load_lora(tmp_path / "a.safetensors", base)
    write_lora(lora, tmp_path / "k.safetensors", base, "kohya")
    back = load_lora(tmp_path / "k.safetensors", base)
    assert back.weights.keys() == set(names)
    assert {each.rank for each in back.weights.values()} == {3}
    if family == "z_image":
        return  # apart there, too
    stem = "joint_blocks_0_x_block_attn_qkv" if family == "sd3" else "double_blocks_0_img_attn_qkv"
    file = load_file(tmp_path / "k.safetensors")
    up, down = (file[f"lora_unet_{stem}.lora_{part}.weight"] for part in ("up", "down"))
    for letter, rows in zip("qkv", (up @ down).chunk(3), strict=True):
        name = f"transformer.{inside}to_{letter}"
        wanted = lora.weights[name].delta() if letter in letters else torch.zeros_like(rows)
        assert torch.allclose(rows, wanted, atol=1e-4)


def test_what_shares_its_down_keeps_its_rank(base_of, tmp_path):
    """As kohya trains a stack: one `down` for queries, keys and values."""
    base = base_of("flux1")
    tensors, _ = written_by("sd-scripts", "flux1", base)
    save_file(tensors, tmp_path / "a.safetensors")
    write_lora(
        load_lora(tmp_path / "a.safetensors", base), tmp_path / "b.safetensors", base, "kohya"
    )
    back = load_file(tmp_path / "b.safetensors")
    assert len(back["lora_unet_single_blocks_1_linear1.lora_down.weight"]) == RANK


def test_a_stack_and_a_part_of_it_in_one_file_are_refused(base_of, tmp_path):
    base = base_of("flux1")
    tensors, _ = written_by("sd-scripts", "flux1", base)
    more, _ = written_by("ai-toolkit", "flux1", base)
    save_file(tensors | more, tmp_path / "a.safetensors")
    with pytest.raises(LoraError, match="has two LoRAs for transformer"):
        load_lora(tmp_path / "a.safetensors", base)


# PEFT's settings ---------------------------------------------------------------------------------

SETTINGS = {
    "alpha": ({"r": RANK, "lora_alpha": 16}, 16 / RANK),
    "rank-stabilised": ({"r": RANK, "lora_alpha": 16, "use_rslora": True}, 16 / math.sqrt(RANK)),
    "a pattern": ({"r": 8, "lora_alpha": 8, "alpha_pattern": {"attn1.to_q": 6},
                   "rank_pattern": {"attn1.to_q": 2}}, None),
    "an anchored pattern": ({"r": 2, "lora_alpha": 8, "alpha_pattern": {f"^{UNET[0]}": 6}}, None),
    "a regular expression": ({"r": 2, "lora_alpha": 8, "alpha_pattern": {r".*attn\d\.to_q": 6}}, None),
    "none of the scale": ({"target_modules": ["to_q"]}, 1.0),
}  # fmt: skip


@pytest.mark.parametrize("case", SETTINGS)
@pytest.mark.parametrize("place", ["header", "beside"])
def test_pefts_settings_count(base_of, tmp_path, case, place):
    base, (settings, scale) = base_of("sd1"), SETTINGS[case]
    producer = "SimpleTuner, diffusers" if place == "header" else "PEFT"
    tensors, meant = written_by(producer, "sd1", base)
    metadata, file = None, tmp_path / "adapter_model.safetensors"
    if place == "header":
        own = {f"{root}.{k}": v for root in ("unet", "text_encoder") for k, v in settings.items()}
        metadata = {"lora_adapter_metadata": json.dumps(own)}
    else:
        (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    save_file(tensors, file, metadata)
    usual = scale if scale is not None else settings["lora_alpha"] / RANK
    for name, delta in meant.items():
        delta *= 6 / RANK if scale is None and name == f"unet.{UNET[0]}" else usual
    lora = load_lora(file, base)
    assert_means(lora, meant)
    for format in ("kohya", "diffusers"):
        write_lora(lora, tmp_path / "b" / "c.safetensors", base, format)
        assert_means(load_lora(tmp_path / "b" / "c.safetensors", base), meant)


def test_what_an_older_packshot_copied_into_a_merged_file_does_not_count(base_of, tmp_path):
    base = base_of("sd1")
    tensors, meant = written_by("SimpleTuner, diffusers", "sd1", base)
    told = {
        "lora_adapter_metadata": '{"unet.lora_alpha": 16, "unet.r": 2}',
        "packshot.made_by": "merge",
    }
    save_file(tensors, tmp_path / "a.safetensors", told)
    assert_means(load_lora(tmp_path / "a.safetensors", base), meant)


HOSTILE = {
    "is no JSON": "{",
    "is no JSON object": "[1]",
    "is no number": json.dumps({"lora_alpha": "many"}),
    "alpha, alpha_pattern or r is no number": json.dumps({"lora_alpha": 1, "r": 0}),
    "or r is no number": '{"lora_alpha": NaN}',
    "r is no number: copy": f'{{"lora_alpha": 1{"0" * 400}}}',
    "which is not read here": json.dumps({"lora_alpha": 1, "alpha_pattern": {"(a+)+b": 1}}),
    r"has '\(', which is not": json.dumps({"lora_alpha": 1, "alpha_pattern": {"(": 1}}),
    "begun with pissa_niter_4, which changes": json.dumps(
        {"lora_alpha": 1, "init_lora_weights": "pissa_niter_4"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("words", HOSTILE)
def test_settings_without_sense_are_refused(base_of, tmp_path, words):
    base = base_of("sd1")
    tensors, _ = written_by("PEFT", "sd1", base)
    save_file(tensors, tmp_path / "a.safetensors", {"lora_adapter_metadata": HOSTILE[words]})
    with pytest.raises(LoraError, match=words):
        load_lora(tmp_path / "a.safetensors", base)


def test_a_written_file_says_only_what_is_true_of_it(base_of, tmp_path):
    from safetensors import safe_open

    base = base_of("sd1")
    tensors, _ = written_by("SimpleTuner, diffusers", "sd1", base)
    source = {
        "lora_adapter_metadata": json.dumps({"unet.lora_alpha": 7, "unet.r": 2}),
        "ss_network_alpha": "1", "ss_network_dim": "128", "ss_network_args": '{"algo": "lokr"}',
        "ss_network_module": "lycoris.kohya", "sshs_legacy_hash": "a", "sshs_model_hash": "b",
        "modelspec.hash_sha256": "c", "ss_steps": "90", "modelspec.title": "t",
    }  # fmt: skip
    save_file(tensors, tmp_path / "a.safetensors", source)
    write_lora(load_lora(tmp_path / "a.safetensors", base), tmp_path / "b.safetensors", base)
    with safe_open(tmp_path / "b.safetensors", "pt") as file:
        told = file.metadata()
    assert told.pop("sshs_model_hash") not in ("a", "b")
    assert told == {
        "ss_v2": "False", "ss_base_model_version": "sd_v1", "ss_steps": "90", "modelspec.title": "t",
        "modelspec.architecture": "stable-diffusion-v1/lora", "ss_network_module": "networks.lora",
        "ss_network_dim": "2", "ss_network_alpha": "2", "ss_network_args": '{"conv_dim": 2, "conv_alpha": 2}',
    }  # fmt: skip


def test_other_ranks_in_other_modules_are_told_to_diffusers(base_of, tmp_path):
    """Without that, older versions of it take the commonest rank for every alpha."""
    from safetensors import safe_open

    base = base_of("sd1")
    tensors, _ = written_by("sd-scripts", "sd1", base)
    key = "lora_unet_mid_block_attentions_0_proj_in"
    for part, dim in (("lora_down.weight", 0), ("lora_up.weight", 1)):
        tensors[f"{key}.{part}"] = torch.cat([tensors[f"{key}.{part}"]] * 3, dim)
    save_file(tensors, tmp_path / "a.safetensors")
    lora = load_lora(tmp_path / "a.safetensors", base)
    write_lora(lora, tmp_path / "b.safetensors", base, "diffusers")
    with safe_open(tmp_path / "b.safetensors", "pt") as file:
        told = json.loads(file.metadata()["lora_adapter_metadata"])
    assert told["unet.rank_pattern"] == told["unet.alpha_pattern"] == {f"^{UNET[2]}": 3 * RANK}
    assert told["unet.r"] == told["unet.lora_alpha"] == told["text_encoder.r"] == RANK
    assert sorted(told["unet.target_modules"]) == sorted(UNET)
    assert told["text_encoder.target_modules"] == [CLIP]
    assert told["text_encoder.alpha_pattern"] == {}
    write_lora(lora, tmp_path / "c.safetensors", base, "kohya")
    with safe_open(tmp_path / "c.safetensors", "pt") as file:
        assert "lora_adapter_metadata" not in file.metadata()
        assert file.metadata()["ss_network_dim"] == "Dynamic"


def picture(pipeline):
    """Values from 0 to 255."""
    made = pipeline(
        prompt="a photo of ohwx car", num_inference_steps=3, guidance_scale=3.0, height=64, width=64,
        output_type="np", generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    return torch.from_numpy(made.images[0]) * 255


DIFFUSERS_READS = [
    *(("SimpleTuner, diffusers", f) for f in ("sd1", "sdxl", "sd3", "flux1", "flux2", "z_image")),
    ("sd-scripts", "sd1"), ("diffusers 0.21", "sd1"), ("ai-toolkit", "flux1"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("producer", "family", "case"),
    [(*cell, "none of the scale") for cell in DIFFUSERS_READS]
    + [(*cell, "rank-stabilised") for cell in DIFFUSERS_READS[:6]],
)
def test_the_picture_is_diffusers_own(base_of, tmp_path, producer, family, case):
    """Of the file as it came, and of the one that is written of it."""
    base, other = base_of(family), base_of(family)
    tensors, _ = written_by(producer, family, base)
    # diffusers loses kohya's text encoders under transformers 5, and T5 always.
    tensors = {k: v for k, v in tensors.items() if "_te_" not in k and T5 not in k}
    metadata = {}
    for root in {key.partition(".")[0] for key in tensors}:
        targets = sorted({of_module(key) for key in tensors if key.startswith(f"{root}.")})
        settings = SETTINGS[case][0] | {"target_modules": targets}
        metadata |= {f"{root}.{key}": value for key, value in settings.items()}
    told = {"lora_adapter_metadata": json.dumps(metadata)} if SETTINGS[case][1] != 1.0 else None
    save_file(tensors, tmp_path / "a.safetensors", told)
    plain = picture(base.pipeline())
    lora = load_lora(tmp_path / "a.safetensors", base)
    with fused(base, [(lora, 1.0)]):
        ours = picture(base.pipeline())
    assert (ours - plain).abs().max() > 4, "the LoRA must be seen"
    write_lora(lora, tmp_path / "b.safetensors", base, "diffusers")
    for name in ("a.safetensors", "b.safetensors"):
        pipeline = other.pipeline()
        pipeline.load_lora_weights(str(tmp_path), weight_name=name)
        assert (picture(pipeline) - ours).abs().max() <= 2
        pipeline.unload_lora_weights()


def of_module(key):
    """A module's name within its network, as transformers 5 has it."""
    return key.partition(".")[2].partition(".lora_")[0].removeprefix("text_model.")


# Single keys -------------------------------------------------------------------------------------

ATTENTION = "mid_block.attentions.0.transformer_blocks.0.attn2.to_q"
SPELLINGS = {
    "another adapter": (f"unet.{ATTENTION}", ("lora_A.my_adapter.weight", "lora_B.my_adapter.weight")),
    "no .weight": (f"unet.{ATTENTION}", ("lora_A", "lora_B")),
    "no processor": (
        f"unet.{ATTENTION.removesuffix('.to_q')}", ("to_q_lora.down.weight", "to_q_lora.up.weight")
    ),
    "LyCORIS by SimpleTuner": (f"lycoris_{ATTENTION.replace('.', '_')}", KOHYA),
    "PEFT within the root": (f"unet.base_model.model.{ATTENTION}", AB),
    "PEFT around the root": (f"base_model.model.unet.{ATTENTION}", AB),
    "compiled, by sd-scripts": (f"lora_unet__orig_mod_{ATTENTION.replace('.', '_')}", KOHYA),
    "compiled": (f"unet._orig_mod.{ATTENTION}", AB),
    "a compiled layer": (f"unet.{ATTENTION}._orig_mod", AB),
    "several GPUs": (f"module.unet.{ATTENTION}", AB),
    "a checkpoint's prefix": ("model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_q", AB),
}  # fmt: skip


@pytest.mark.parametrize("case", SPELLINGS)
@pytest.mark.parametrize(
    "alpha", [torch.tensor(5), torch.tensor([5.0]), torch.tensor(5, dtype=torch.int32)]
)
def test_other_spellings(base_of, tmp_path, case, alpha):  # fmt: skip
    base, (spelt, endings) = base_of("sd1"), SPELLINGS[case]
    rows, columns = shape_of(base, f"unet.{ATTENTION}")
    down, up = noise(RANK, columns), noise(rows, RANK)
    module = f"{spelt}.to_q" if case == "no processor" else spelt
    tensors = {f"{spelt}.{endings[0]}": down, f"{spelt}.{endings[1]}": up, f"{module}.alpha": alpha}
    save_file(tensors, tmp_path / "a.safetensors")
    lora = load_lora(tmp_path / "a.safetensors", base)
    assert_means(lora, {f"unet.{ATTENTION}": 5 / RANK * up @ down})


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (f"unet.{ATTENTION}.lora_B.bias", "is a LoRA that changes biases, too, which is not read"),
        (f"unet.{ATTENTION}.lora_B.default.bias", "is a LoRA that changes biases"),
        ("diffusion_model.double_blocks.0.img_attn.norm.key_norm.scale", "that changes norms, too"),
    ],
)
def test_what_a_lora_changes_besides_weights_is_named(base_of, tmp_path, key, words):
    """PEFT's lora_bias, and FLUX.1's own LoRAs for depth and edges."""
    base = base_of("sd1")
    tensors, _ = written_by("SimpleTuner, diffusers", "sd1", base)
    save_file(tensors | {key: noise(4)}, tmp_path / "a.safetensors")
    with pytest.raises(LoraError, match=words):
        load_lora(tmp_path / "a.safetensors", base)
    assert "(not read)" in read_info(tmp_path / "a.safetensors").kind


@pytest.mark.parametrize("part", ["lora_A.weight", "lora_B.weight"])
@pytest.mark.parametrize("value", [torch.tensor(1.0), torch.zeros(0, 64), torch.zeros(2, 3, 4)])
@pytest.mark.parametrize("told", [None, {"lora_adapter_metadata": '{"unet.lora_alpha": 1e300}'}])
def test_factors_of_odd_shapes_are_refused(base_of, tmp_path, part, value, told):
    base = base_of("sd1")
    tensors, _ = written_by("SimpleTuner, diffusers", "sd1", base)
    save_file(tensors | {f"unet.{UNET[0]}.{part}": value}, tmp_path / "a.safetensors", told)
    with pytest.raises(LoraError, match=r"does not fit|no finite"):
        load_lora(tmp_path / "a.safetensors", base)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16])
def test_narrow_numbers_are_read_and_written(base_of, tmp_path, dtype):
    base = base_of("flux1")
    tensors, _ = written_by("sd-scripts", "flux1", base)
    narrow = {key: value.to(dtype) if value.ndim else value for key, value in tensors.items()}
    save_file(narrow, tmp_path / "a.safetensors")
    wide = {key: value.float() for key, value in narrow.items()}
    save_file(wide, tmp_path / "b.safetensors")
    narrow, wide = (load_lora(tmp_path / f"{n}.safetensors", base).weights for n in "ab")
    assert narrow.keys() == wide.keys()
    assert all(torch.equal(narrow[name].delta(), wide[name].delta()) for name in wide)


@pytest.mark.parametrize(
    "odd",
    [torch.zeros([1] * 70), torch.zeros(2, 32, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)],
)
def test_what_pytorch_cannot_compute_with_is_refused(base_of, tmp_path, odd):
    """More dimensions than it counts to, and numbers of four bits."""
    base = base_of("sd1")
    tensors, _ = written_by("SimpleTuner, diffusers", "sd1", base)
    save_file(tensors | {f"unet.{UNET[0]}.lora_A.weight": odd}, tmp_path / "a.safetensors")
    with pytest.raises(LoraError, match="no finite numbers"):
        load_lora(tmp_path / "a.safetensors", base)


def test_two_kinds_of_lora_for_one_module_are_refused(base_of, tmp_path):
    base = base_of("sd1")
    tensors, _ = written_by("sd-scripts", "sd1", base)
    module = next(key for key in tensors if key.endswith("lora_down.weight")).partition(".")[0]
    file = tmp_path / "a.safetensors"
    save_file(tensors | {f"{module}.lokr_w1": torch.ones(1, 1)}, file)
    with pytest.raises(LoraError, match="of two kinds"):
        load_lora(file, base)


@pytest.mark.parametrize("name", ["pytorch_lora_weights.safetensors", "adapter_model.safetensors"])
def test_a_folder_as_diffusers_and_peft_save_it(base_of, tmp_path, name):
    base = base_of("sd1")
    tensors, meant = written_by("SimpleTuner, diffusers", "sd1", base)
    save_file(tensors, tmp_path / name)
    assert_means(load_lora(tmp_path, base), meant)
    assert read_info(tmp_path).modules == len(meant)
    (tmp_path / name).unlink()
    with pytest.raises(LoraError):
        load_lora(tmp_path, base)


@pytest.mark.parametrize("alpha", [torch.tensor(True), torch.tensor(math.nan), torch.zeros(2)])
def test_an_alpha_that_is_none_is_refused(base_of, tmp_path, alpha):
    base = base_of("sd1")
    tensors, _ = written_by("sd-scripts", "sd1", base)
    key = next(key for key in tensors if key.endswith("alpha"))
    save_file(tensors | {key: alpha}, tmp_path / "a.safetensors")
    with pytest.raises(LoraError, match="no finite numbers"):
        load_lora(tmp_path / "a.safetensors", base)


@pytest.mark.parametrize("shape", [(), (1, 1)])
@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_pointwise_convolutions_and_linear_layers_are_written_as_they_are(
    base_of, tmp_path, family, shape
):
    """Whichever of both they were written as before: this `proj_in` is one in SD 1, one in SDXL."""
    base, name = base_of(family), "unet.mid_block.attentions.0.proj_in"
    rows, columns = shape_of(base, name)[:2]
    down, up = noise(RANK, columns), noise(rows, RANK)
    tensors = {
        "lora_unet_middle_block_1_proj_in.lora_down.weight": down.reshape(RANK, columns, *shape),
        "lora_unet_middle_block_1_proj_in.lora_up.weight": up.reshape(rows, RANK, *shape),
    }
    save_file(tensors, tmp_path / "a.safetensors")
    lora = load_lora(tmp_path / "a.safetensors", base)
    assert_means(lora, {name: up @ down})
    assert (
        lora.weights[name].down.ndim == lora.weights[name].up.ndim == (4 if family == "sd1" else 2)
    )


@pytest.mark.parametrize("ending", ["dora_scale", "magnitude", "lora_magnitude_vector.weight"])
@pytest.mark.parametrize("producer", ["ai-toolkit", "OneTrainer (original)", "PEFT"])
def test_dora_of_any_trainer(base_of, tmp_path, ending, producer):
    """By outputs; m (W + D) / |W + D| for each row."""
    base = base_of("flux1")
    tensors, meant = written_by(producer, "flux1", base)
    spelt, (names, swapped) = list(spelt_modules(producer, "flux1").items())[-1]
    rows = sum(shape_of(base, name)[0] for name in names)
    save_file(tensors | {f"{spelt}.{ending}": noise(rows) + 2}, tmp_path / "a.safetensors")
    lora = load_lora(tmp_path / "a.safetensors", base)
    (name,) = names
    assert lora.variants.keys() == {name} and lora.weights.keys() == meant.keys() - {name}
    inner = name.removeprefix("transformer.")
    frozen = base.denoiser.get_submodule(inner).weight.data
    moved = frozen + meant[name]
    magnitude = noise(rows) + 2
    if swapped:
        magnitude = torch.cat(magnitude.chunk(2)[::-1])
    wanted = magnitude[:, None] * moved / moved.norm(dim=1, keepdim=True) - frozen
    assert torch.allclose(lora.variants[name].delta(frozen), wanted, atol=1e-4)


def test_embeddings_trained_along_are_left_out_and_named(base_of, tmp_path):
    base = base_of("sd1")
    tensors, meant = written_by("OneTrainer (legacy)", "sd1", base)
    more = {"bundle_emb.<ohwx>.clip_l": torch.ones(1, 32)}
    save_file(tensors | more, tmp_path / "a.safetensors")
    lora = load_lora(tmp_path / "a.safetensors", base)
    assert_means(lora, meant)
    assert lora.left_out == tuple(more)
