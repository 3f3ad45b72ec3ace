"""Single files in the original layout, loaded without a network."""

import json

import pytest
import torch
from ldm_layout import ldm_tensors, ldm_text, ldm_unet, ldm_vae
from safetensors.torch import load_file, save_file

from packshot.bases import load_base
from packshot.bases.sd1 import CONFIGS, _from_ldm
from packshot.errors import CheckpointRefused


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def forbidden(*args, **kwargs):
        raise BaseException("a socket was asked for")

    monkeypatch.setattr("socket.socket.connect", forbidden)


@pytest.fixture
def single_file(tiny_base, tiny_sd1, tmp_path, monkeypatch):
    """The tiny checkpoint as one file; the family's configurations are the tiny one's here."""
    from packshot.bases import sd1

    monkeypatch.setattr(sd1, "CONFIGS", tiny_sd1)
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
    assert (base.family, base.name) == ("sd1", "a")
    for part in ("unet", "vae", "text_encoder"):
        expected, found = getattr(tiny_base, part).state_dict(), getattr(base, part).state_dict()
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected)
    prompts = ["a photo of ohwx car, dusk"]
    theirs, ours = tiny_base.encode_prompts(prompts), base.encode_prompts(prompts)
    assert torch.equal(theirs["context"], ours["context"]), "with the package's own tokenizer"


@pytest.mark.parametrize(
    "start", ["model.diffusion_model.middle", "first_stage_model.decoder", "cond_stage_model"]
)
def test_a_missing_weight_is_never_random(single_file, start):
    tensors = load_file(single_file.rename(single_file.with_name("whole")))
    name = sorted(key for key in tensors if key.startswith(start))[4]
    save_file({key: value for key, value in tensors.items() if key != name}, single_file)
    with pytest.raises(
        CheckpointRefused, match=r"tiny\.safetensors (lacks 1 weights|cannot be loaded)"
    ):
        load(single_file)


def test_the_shipped_configurations_are_stable_diffusion_15s():
    """Of its exact sizes; and each of a single file's weights finds its place (no memory used)."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    parts = ("unet", "vae", "text_encoder")
    configs = {p: json.loads((CONFIGS / p / "config.json").read_text()) for p in parts}
    with torch.device("meta"):
        networks = {
            "unet": UNet2DConditionModel.from_config(configs["unet"]),
            "vae": AutoencoderKL.from_config(configs["vae"]),
            "text_encoder": CLIPTextModel(CLIPTextConfig.from_dict(configs["text_encoder"])),
        }
    sizes = {p: sum(w.numel() for w in network.parameters()) for p, network in networks.items()}
    assert sizes == {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480}
    ldm = ldm_unet(networks["unet"]) | ldm_vae(networks["vae"]) | ldm_text(networks["text_encoder"])
    back = _from_ldm(ldm, configs)
    back["text_encoder"] = {
        k.removeprefix("text_model."): v for k, v in back["text_encoder"].items()
    }
    for part, network in networks.items():
        expected = {key: value.shape for key, value in network.state_dict().items()}
        assert {key: value.shape for key, value in back[part].items()} == expected


def test_names_that_files_of_sd_15_have():
    """A few of its keys, as they stand in the checkpoint's files."""
    from diffusers import UNet2DConditionModel

    config = json.loads((CONFIGS / "unet" / "config.json").read_text())
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
