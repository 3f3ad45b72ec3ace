"""LoRA files told by their headers: kind, format, family, networks, ranks."""

import pytest
import torch
from safetensors.torch import save_file

from packshot.errors import LoraError
from packshot.lora.info import read_info


@pytest.fixture
def look(tmp_path):
    """What is told of a file with zeros of these shapes."""

    def call(metadata=None, **shapes):
        tensors = {key: torch.zeros(shape) for key, shape in shapes.items()}
        save_file(tensors, tmp_path / "a.safetensors", metadata)
        return read_info(tmp_path / "a.safetensors")

    return call


def pair(module, rank=4, down="lora_down.weight", up="lora_up.weight", kernel=()):
    return {f"{module}.{down}": (rank, 8, *kernel), f"{module}.{up}": (6, rank, *kernel)}


def test_kohyas(look):
    found = look(
        {"ss_output_name": "duster", "ss_steps": "100", "ss_secret": "x", "modelspec.title": ""},
        **pair("lora_unet_mid_block_to_q"), **pair("lora_unet_mid_block_to_k", 16), **pair("lora_te_a"),
        **{"lora_te_a.alpha": ()},
    )  # fmt: skip
    assert (found.kind, found.format) == ("LoRA", "kohya")
    assert found.family == "Stable Diffusion 1.x or 2.x"
    assert found.modules == 3 and found.ranks == {4: 2, 16: 1}
    assert found.parts == {"denoiser": 2, "text_encoder": 1}
    assert found.values == 2 * 4 * (8 + 6) + 16 * (8 + 6) + 1
    assert found.metadata == {"ss_output_name": "duster", "ss_steps": "100"}


def test_xlabs(look):
    found = look(**pair("single_blocks.0.processor.qkv_lora", down="down.weight", up="up.weight"))
    assert (found.kind, found.format, found.family) == ("LoRA", "XLabs", "FLUX")


def test_diffusers_with_two_text_encoders(look):
    ends = {"down": "lora_A.weight", "up": "lora_B.weight"}
    found = look(
        **pair("unet.mid.to_q", **ends), **pair("text_encoder.a.q_proj", **ends),
        **pair("text_encoder_2.a.q_proj", **ends),
    )  # fmt: skip
    assert found.format == "diffusers"
    assert found.parts == {"denoiser": 1, "text_encoder": 1, "text_encoder_2": 1}


def test_kohyas_numbered_text_encoders(look):
    found = look(**pair("lora_te1_a"), **pair("lora_te2_a"), **pair("lora_te3_a"))
    assert found.parts == {"text_encoder": 1, "text_encoder_2": 1, "text_encoder_3": 1}


def test_t5_is_flux_second_text_encoder_whatever_its_number(look):
    flux = pair("lora_unet_double_blocks_0_img_attn_proj")
    for called in ("lora_te3_encoder_block_0", "text_encoders.t5xxl.transformer.encoder.block.0"):
        found = look(**flux, **pair(called), **pair("text_encoders.clip_l.transformer.a"))
        assert found.family == "FLUX"
        assert found.parts == {"denoiser": 1, "text_encoder": 1, "text_encoder_2": 1}


@pytest.mark.parametrize(
    ("module", "family"),
    [
        ("lora_unet_transformer_blocks_0_img_mlp_net_2", "Qwen-Image"),
        ("diffusion_model.layers.0.attention.to_q", "Z-Image"),
        ("lora_unet_joint_blocks_0_x_block_attn_qkv", "Stable Diffusion 3"),
        ("lora_unet_blocks_0_self_attn_q", "unknown"),
    ],
)
def test_families_are_not_mistaken_for_the_plainest(look, module, family):
    assert look(**pair(module)).family == family


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        ({"hada_w1_a": (4, 2), "hada_w1_b": (2, 4), "hada_w2_a": (4, 2), "hada_w2_b": (2, 4)}, "LoHa"),
        ({"lokr_w1": (2, 2), "lokr_w2": (2, 2)}, "LoKr"),
        ({"lora_down.weight": (2, 8), "lora_up.weight": (6, 2), "dora_scale": (6, 1)}, "DoRA over LoRA"),
        ({"lora_down.weight": (2, 8), "lora_up.weight": (6, 2), "lora_mid.weight": (2, 2, 3, 3)}, "LoCon"),
        ({"oft_blocks": (4, 4)}, "OFT (not read)"),
        ({"diff": (6, 8)}, "full fine-tune's difference (not read)"),
    ],
)  # fmt: skip
def test_other_kinds(look, parts, kind):
    assert look(**{f"lora_unet_a.{part}": shape for part, shape in parts.items()}).kind == kind


def test_what_is_no_lora_is_refused(look, tmp_path):
    with pytest.raises(LoraError, match=r"is no LoRA: it has keys such as 'conv_in\.weight'"):
        look(**{"conv_in.weight": (2, 2)})
    with pytest.raises(LoraError, match="is no LoRA"):
        look()
    (tmp_path / "b.safetensors").write_bytes(b"\x80\x04cos\nsystem\n.")
    with pytest.raises(LoraError, match="pickle"):
        read_info(tmp_path / "b.safetensors")
    with pytest.raises(LoraError, match="There is no file"):
        read_info(tmp_path / "none.safetensors")


def test_a_number_where_a_matrix_should_be_has_no_rank(look):
    found = look(**{"lora_unet_a.lora_down.weight": (), "lora_unet_a.lora_up.weight": (6, 2)})
    assert found.modules == 1 and found.ranks == {}
