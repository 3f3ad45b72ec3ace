"""Inpainting UNets (9 channels): they learn and make pictures as if all were to be painted."""

import json

import numpy as np
import pytest
import torch
from ldm_layout import ldm_tensors
from PIL import Image
from safetensors.torch import save_file
from tests.families import make_tiny_sd1, make_tiny_sdxl

from packshot.bases import load_base
from packshot.shots import ShotSettings, shoot
from packshot.training import Step, train


@pytest.fixture(scope="module", params=["sd1", "sdxl"])
def folder(request, tmp_path_factory):
    """A tiny checkpoint whose UNet takes 9 channels."""
    from diffusers import UNet2DConditionModel

    made = tmp_path_factory.mktemp("inpainting") / request.param
    (make_tiny_sd1 if request.param == "sd1" else make_tiny_sdxl)(made)
    config = json.loads((made / "unet" / "config.json").read_text()) | {"in_channels": 9}
    torch.manual_seed(1)
    UNet2DConditionModel.from_config(config).save_pretrained(made / "unet")
    return made


@pytest.fixture
def tiny_base(folder, loaded):
    return loaded(folder)


def test_the_unet_is_told_the_region_and_the_picture_without_it(tiny_base):
    noisy, times = torch.randn(2, 4, 16, 16), torch.tensor([10, 500])
    told = tiny_base.encode_prompts(["a car", ""])
    seen = []
    hook = tiny_base.unet.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    tiny_base.predict(noisy, times, told)
    region = torch.randn(2, 5, 16, 16)
    tiny_base.predict(noisy, times, told | {"region": region})
    hook.remove()
    grey = tiny_base.encode_images(torch.zeros(1, 3, 64, 64)).expand(2, -1, -1, -1)
    assert torch.equal(seen[0], torch.cat([noisy, torch.ones(2, 1, 16, 16), grey], dim=1))
    assert torch.equal(seen[1], torch.cat([noisy, region], dim=1))


def test_a_shot_is_what_diffusers_inpaints_of_nothing(tiny_base, tmp_path):
    from diffusers import AutoPipelineForInpainting

    settings = ShotSettings(steps=3, width=64, height=64)
    (shot,) = shoot(tiny_base, ["a car"], settings=settings, folder=tmp_path)
    theirs = AutoPipelineForInpainting.from_pretrained(tiny_base.path)
    theirs.scheduler = tiny_base.solver()
    theirs.set_progress_bar_config(disable=True)
    expected = theirs(
        prompt="a car", negative_prompt="", width=64, height=64,
        image=Image.new("RGB", (64, 64), "grey"),
        mask_image=Image.new("L", (64, 64), 255), strength=1.0, num_inference_steps=3,
        guidance_scale=tiny_base.sampler.guidance_scale, generator=torch.Generator().manual_seed(0),
    ).images[0]  # fmt: skip
    difference = np.asarray(Image.open(shot.file)).astype(int) - np.asarray(expected)
    assert np.abs(difference).max() <= 1


def test_it_learns(planned_project, tiny_base):
    steps = [event for event in train(planned_project, tiny_base) if isinstance(event, Step)]
    assert len(steps) == 6
    assert planned_project.lora_file.is_file()


def test_a_single_file_is_told_by_its_first_layer(tiny_base, folder, tmp_path, monkeypatch):
    configs = tmp_path / "configs" / tiny_base.family
    configs.mkdir(parents=True)
    for part in folder.iterdir():
        if part.name != "unet":
            (configs / part.name).symlink_to(part)
    (configs / "unet").mkdir()
    config = json.loads((folder / "unet" / "config.json").read_text()) | {"in_channels": 4}
    (configs / "unet" / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("packshot.bases.checkpoint.CONFIGS", tmp_path / "configs")
    tensors = {k: v.clone().contiguous() for k, v in ldm_tensors(tiny_base).items()}
    save_file(tensors, tmp_path / "inpainting.safetensors")
    base = load_base(tmp_path / "inpainting.safetensors", device="cpu", dtype=torch.float32)
    assert base.inpaints
    assert torch.equal(base.unet.conv_in.weight, tiny_base.unet.conv_in.weight)
