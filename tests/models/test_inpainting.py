"""Inpainting bases (9 channels, FLUX.1 Fill): they learn and make pictures as if all were to be painted."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from packshot.generation.generate import GenerationSettings, generate_images
from packshot.insertion.inpaint import inpaint
from packshot.models import load_base
from packshot.provenance import Marking
from packshot.training import Step, train
from tests.families import make_tiny_flux1, make_tiny_sd1, make_tiny_sdxl
from tests.models.ldm_layout import ldm_tensors

UNETS = pytest.mark.parametrize("folder", ["sd1", "sdxl"], indirect=True)


@pytest.fixture(scope="module", params=["sd1", "sdxl", "flux1"])
def folder(request, tmp_path_factory):
    """A tiny checkpoint that inpaints: a UNet of 9 channels, or FLUX.1 Fill."""
    made = tmp_path_factory.mktemp("inpainting") / request.param
    if request.param == "flux1":
        return make_fill(made)
    from diffusers import UNet2DConditionModel

    (make_tiny_sd1 if request.param == "sd1" else make_tiny_sdxl)(made)
    config = json.loads((made / "unet" / "config.json").read_text()) | {"in_channels": 9}
    torch.manual_seed(1)
    UNet2DConditionModel.from_config(config).save_pretrained(made / "unet")
    return made


def make_fill(folder):
    """Its tokens: 2 x 2 of 4 latents, those of the picture again, a mask of 4 x 4 pixels each."""
    from diffusers import FluxTransformer2DModel

    make_tiny_flux1(folder)
    config = json.loads((folder / "transformer" / "config.json").read_text())
    torch.manual_seed(1)
    told = config | {"in_channels": 16 + 16 + 64, "out_channels": 16}
    FluxTransformer2DModel.from_config(told).save_pretrained(folder / "transformer")
    index = json.loads((folder / "model_index.json").read_text())
    told = json.dumps(index | {"_class_name": "FluxFillPipeline"})
    (folder / "model_index.json").write_text(told)
    return folder


@pytest.fixture
def tiny_base(folder, loaded):
    return loaded(folder)


@UNETS
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


def inpainted_by_diffusers(base):
    """What its own pipeline paints where there is nothing to keep."""
    from diffusers import AutoPipelineForInpainting, DiffusionPipeline

    if base.family == "flux1":
        theirs, negative = DiffusionPipeline.from_pretrained(base.path), {}
    else:
        theirs = AutoPipelineForInpainting.from_pretrained(base.path)
        theirs.scheduler, negative = base.solver(), {"negative_prompt": ""}
    theirs.set_progress_bar_config(disable=True)
    return theirs(
        prompt="a car", **negative, width=64, height=64,
        image=Image.new("RGB", (64, 64), "grey"),
        mask_image=Image.new("L", (64, 64), 255), strength=1.0, num_inference_steps=3,
        guidance_scale=base.sampler.guidance_scale, generator=torch.Generator().manual_seed(0),
    ).images[0]  # fmt: skip


@pytest.mark.slow
def test_a_shot_is_what_diffusers_inpaints_of_nothing(tiny_base, tmp_path):
    settings = GenerationSettings(steps=3, width=64, height=64)
    (shot,) = generate_images(
        tiny_base,
        ["a car"],
        settings=settings,
        folder=tmp_path,
        marking=Marking(has_watermark=False),
    )
    expected = np.asarray(inpainted_by_diffusers(tiny_base))
    assert np.abs(np.asarray(Image.open(shot.file)).astype(int) - expected).max() <= 1


@pytest.mark.slow
def test_insertion_with_nothing_to_keep_is_what_diffusers_inpaints_of_it(tiny_base, monkeypatch):
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution as Posterior

    # Where we take the posterior's mean, they draw from it.
    monkeypatch.setattr(Posterior, "sample", lambda self, generator=None: self.mean)
    crop, everywhere = np.zeros((64, 64, 3), np.float32), np.ones((64, 64), np.float32)
    scale = tiny_base.sampler.guidance_scale
    made = inpaint(tiny_base, crop, everywhere, "a car", seed=0, steps=3, guidance_scale=scale)
    assert np.abs(made * 255 - np.asarray(inpainted_by_diffusers(tiny_base))).max() < 1


@pytest.mark.slow
def test_it_learns(planned_project, tiny_base):
    steps = [event for event in train(planned_project, tiny_base) if isinstance(event, Step)]
    assert len(steps) == 6
    assert planned_project.lora_file.is_file()


@UNETS
def test_a_single_file_is_told_by_its_first_layer(tiny_base, folder, tmp_path, monkeypatch):
    configs = tmp_path / "configs" / tiny_base.family
    configs.mkdir(parents=True)
    for part in folder.iterdir():
        if part.name != "unet":
            (configs / part.name).symlink_to(part)
    (configs / "unet").mkdir()
    config = json.loads((folder / "unet" / "config.json").read_text()) | {"in_channels": 4}
    (configs / "unet" / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("packshot.models.checkpoint.CONFIGS", tmp_path / "configs")
    tensors = {k: v.clone().contiguous() for k, v in ldm_tensors(tiny_base).items()}
    save_file(tensors, tmp_path / "inpainting.safetensors")
    base = load_base(tmp_path / "inpainting.safetensors", device="cpu", dtype=torch.float32)
    assert base.is_inpainting
    assert torch.equal(base.unet.conv_in.weight, tiny_base.unet.conv_in.weight)


@pytest.mark.parametrize("folder", ["flux1"], indirect=True)
def test_fill_sees_what_it_sees_in_diffusers(tiny_base, monkeypatch):
    """Of the same region: the picture without it, and its mask, token by token."""
    from diffusers import FluxFillPipeline
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution as Posterior

    # Where we take the posterior's mean, they draw from it.
    monkeypatch.setattr(Posterior, "sample", lambda self, generator=None: self.mean)
    base = tiny_base
    assert base.is_inpainting and base.family == "flux1"
    seen = {"ours": [], "theirs": []}

    def watched(who):
        return base.transformer.register_forward_pre_hook(
            lambda module, args, kwargs: seen[who].append(kwargs["hidden_states"]), with_kwargs=True
        )

    crop = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)
    strength = np.zeros((64, 64), np.float32)
    strength[16:48, 32:] = 1
    hook = watched("ours")
    made = inpaint(base, crop, strength, "a car", seed=3, steps=2, guidance_scale=30.0)
    hook.remove()
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(3))
    pipeline = base.pipeline()
    assert isinstance(pipeline, FluxFillPipeline)
    hook = watched("theirs")
    pipeline(
        "a car", image=Image.fromarray((crop * 255).round().astype(np.uint8)),
        mask_image=Image.fromarray((strength * 255).astype(np.uint8)), height=64, width=64,
        num_inference_steps=2, guidance_scale=30.0, latents=pipeline._pack_latents(noise, 1, 4, 16, 16),
    )  # fmt: skip
    hook.remove()
    ours, theirs = seen["ours"][0][..., 16:], seen["theirs"][0][..., 16:]
    assert torch.equal(ours[..., 16:], theirs[..., 16:]), "the mask"
    assert torch.allclose(ours[..., :16], theirs[..., :16], atol=0.02), (
        "the picture without the region"
    )
    assert np.abs(made - crop)[16:48, 32:].mean() > 0.05
