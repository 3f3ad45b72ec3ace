"""Single files in the original layout, loaded without a network."""

import json
from types import SimpleNamespace

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from packshot.errors import ModelLoadError
from packshot.lora.keys import kohya_names
from packshot.models import load_base
from packshot.models.checkpoint import CONFIGS
from packshot.models.families.stable_diffusion import lora_target_names
from packshot.models.families.unet_keys import ldm_modules
from packshot.models.registry import families
from tests.families import UNETS
from tests.models.ldm_layout import ldm_tensors, ldm_unet


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def forbidden(*args, **kwargs):
        raise BaseException("a socket was asked for")

    monkeypatch.setattr("socket.socket.connect", forbidden)


@pytest.fixture(params=UNETS)
def folder(request, tiny_checkpoint):
    return tiny_checkpoint(request.param)


@pytest.fixture
def tiny_base(folder, loaded):
    return loaded(folder)


@pytest.fixture
def single_file(tiny_base, folder, tmp_path, monkeypatch):
    """The tiny checkpoint as one file; the family's configurations are the tiny one's here."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / tiny_base.family).symlink_to(folder)
    monkeypatch.setattr("packshot.models.checkpoint.CONFIGS", tmp_path / "configs")
    file = tmp_path / "tiny.safetensors"
    # Clones: what is loaded is mapped from a file, and pieces of one storage are not saved.
    save_file(
        {key: value.clone().contiguous() for key, value in ldm_tensors(tiny_base).items()}, file
    )
    return file


def load(file):
    return load_base(file, device="cpu", dtype=torch.float32)


@pytest.mark.parametrize("name", ["a.safetensors", "a.SafeTensors", "a.ckpt"])
def test_it_is_the_folders_checkpoint_whatever_its_name(single_file, tiny_base, name):
    base = load(single_file.rename(single_file.with_name(name)))
    assert (base.family, base.name) == (tiny_base.family, "a")
    pairs = [(tiny_base.unet, base.unet), (tiny_base.vae, base.vae)]
    pairs += [(encoder, base.text_encoders[n]) for n, encoder in tiny_base.text_encoders.items()]
    for theirs, ours in pairs:
        expected, found = theirs.state_dict(), ours.state_dict()
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert base.schedule.prediction_type == tiny_base.schedule.prediction_type
    prompts = ["a photo of ohwx car, dusk", ""]
    theirs, ours = tiny_base.encode_prompts(prompts), base.encode_prompts(prompts)
    assert theirs.keys() == ours.keys()
    for name, value in theirs.items():
        assert torch.equal(value, ours[name]), "with the package's own tokenizers"


@pytest.mark.parametrize(
    "start", ["model.diffusion_model.middle", "first_stage_model.decoder", "cond"]
)
def test_a_missing_weight_is_never_random(single_file, start):
    tensors = load_file(single_file.rename(single_file.with_name("whole")))
    name = sorted(key for key in tensors if key.startswith(start))[4]
    save_file({key: value for key, value in tensors.items() if key != name}, single_file)
    with pytest.raises(
        ModelLoadError, match=r"tiny\.safetensors (lacks [13] weights|cannot be loaded)"
    ):
        load(single_file)


SIZES = {
    "sd1": {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480},
    "sd2": {"unet": 865_910_724, "vae": 83_653_863, "text_encoder": 340_387_840},
    "sdxl": {
        "unet": 2_567_463_684, "vae": 83_653_863, "text_encoder": 123_060_480,
        "text_encoder_2": 694_659_840,
    },
}  # fmt: skip


def whole(family):
    """The family's networks of full size, without memory."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    configs = {
        part: json.loads((CONFIGS / family / part / "config.json").read_text())
        for part in SIZES[family]
    }
    encoders = {"text_encoder": CLIPTextModel, "text_encoder_2": CLIPTextModelWithProjection}
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(configs["unet"])
        vae = AutoencoderKL.from_config(configs["vae"])
        text = {
            name: kind(CLIPTextConfig.from_dict(configs[name]))
            for name, kind in encoders.items()
            if name in configs
        }
    return SimpleNamespace(
        family=family, unet=unet, vae=vae, text_encoders=text, denoiser=unet, configs=configs
    )


@pytest.mark.parametrize("family", SIZES)
def test_the_shipped_configurations_have_the_checkpoints_sizes(family):
    """And each of a single file's weights finds its place (no memory used)."""
    base = whole(family)
    networks = {"unet": base.unet, "vae": base.vae, **base.text_encoders}
    sizes = {p: sum(w.numel() for w in network.parameters()) for p, network in networks.items()}
    assert sizes == SIZES[family]
    back = families()[family].model.convert_state_dict(ldm_tensors(base), base.configs)
    back["text_encoder"] = {
        key.removeprefix("text_model."): value for key, value in back["text_encoder"].items()
    }
    for part, network in networks.items():
        expected = {key: value.shape for key, value in network.state_dict().items()}
        assert {key: value.shape for key, value in back[part].items()} == expected


@pytest.mark.parametrize(("family", "modules"), [("sd1", 192), ("sd2", 192), ("sdxl", 722)])
def test_loras_have_as_many_modules_as_sd_scripts_makes(family, modules):
    base = whole(family)
    names = lora_target_names(base.unet, "attention+mlp")
    assert len(names) == modules
    base.denoiser_root, base.kohya_prefix = "unet", "lora_unet_"
    base.kohya_uses_original_keys = families()[family].kohya_uses_original_keys
    base.original_modules = lambda: ldm_modules(base.unet)
    base.swapped_modules = tuple
    ours = {name: spelt for spelt, place in kohya_names(base).items() for name in place.names}
    spelt = {ours[f"unet.{name}"] for name in names}
    assert len(spelt) == modules
    if family == "sdxl":
        assert "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_k" in spelt
        assert "lora_unet_middle_block_1_transformer_blocks_9_ff_net_0_proj" in spelt
        assert "lora_unet_output_blocks_5_1_proj_out" in spelt


def test_names_that_files_of_sd_15_have():
    """A few of its keys, as they stand in the checkpoint's files."""
    from diffusers import UNet2DConditionModel

    config = json.loads((CONFIGS / "sd1" / "unet" / "config.json").read_text())
    with torch.device("meta"):
        names = ldm_unet(UNet2DConditionModel.from_config(config))
    assert {
        f"model.diffusion_model.{name}"
        for name in (
            "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
            "input_blocks.3.0.op.weight",
            "input_blocks.4.0.skip_connection.weight",
            "middle_block.2.out_layers.3.weight",
            "output_blocks.2.1.conv.weight",
            "output_blocks.5.2.conv.weight",
            "output_blocks.11.1.proj_out.weight",
            "out.2.bias",
            "time_embed.2.weight",
        )
    } <= names.keys()


@pytest.mark.parametrize("folder", ["sd2"], indirect=True)
def test_what_a_silent_file_of_stable_diffusion_2_predicts_is_asked_of_its_unet(
    single_file, tiny_base, monkeypatch
):
    """As published: "base" predicts noise at 512 px, the others velocity at 768."""
    native = tiny_base.native_pixels
    base = load(single_file)
    assert (base.schedule.prediction_type, base.native_pixels) == ("v_prediction", native)

    def repeat(unet, given, *_, **__):
        return (given[:, :4],)

    monkeypatch.setattr(UNet2DConditionModel, "forward", repeat)
    base = load(single_file)
    assert base.schedule.prediction_type == "epsilon" == base.solver().config.prediction_type
    assert base.native_pixels == pytest.approx(native * 512 / 768, abs=base.pixel_multiple / 2)
    single_file.with_suffix(".yaml").write_text("parameterization: v")
    assert load(single_file).schedule.prediction_type == "v_prediction", "what is said counts"
