"""The family's arithmetic against diffusers' own."""

import pytest
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel

from packshot.bases import load_base
from packshot.bases.sd1 import lora_target_names


@pytest.fixture(params=["tiny_base", "velocity_base"])
def base(request):
    return request.getfixturevalue(request.param)


def test_noise_and_targets_are_the_schedulers(base):
    scheduler = DDPMScheduler.from_config(base.pipeline().scheduler.config)
    latents, noise = torch.randn(2, 4, 4, 8, 8).unbind()
    times = torch.tensor([0, 10, 500, 999])
    assert torch.allclose(
        base.add_noise(latents, noise, times), scheduler.add_noise(latents, noise, times), atol=1e-6
    )
    velocity = scheduler.get_velocity(latents, noise, times)
    expected = velocity if base.prediction_type == "v_prediction" else noise
    assert torch.allclose(base.target(latents, noise, times), expected, atol=1e-6)
    assert torch.isfinite(base.snr(times)).all()


def test_zero_terminal_snr_is_kept(velocity_base):
    assert velocity_base.snr(torch.tensor([999])).item() == 0


def test_the_pipeline_makes_finite_pictures(base):
    picture = base.pipeline()("a car", num_inference_steps=3, output_type="pt", height=64, width=64)
    assert picture.images.shape == (1, 3, 64, 64) and picture.images.isfinite().all()


def test_sizes_come_from_the_configuration(tiny_base):
    assert (tiny_base.native_pixels, tiny_base.pixel_multiple) == (64, 8)


def test_images_and_latents_have_the_pipelines_scale(tiny_base):
    pixels = torch.rand(1, 3, 64, 64) * 2 - 1
    latents = tiny_base.encode_images(pixels)
    expected = tiny_base.vae.encode(pixels).latent_dist.mode() * tiny_base.vae.config.scaling_factor
    assert torch.allclose(latents, expected)
    assert tiny_base.decode_latents(latents).shape == pixels.shape


def test_prompts_are_what_the_pipeline_encodes(tiny_base):
    context = tiny_base.encode_prompts(["a photo of ohwx car"])["context"]
    expected, _ = tiny_base.pipeline().encode_prompt("a photo of ohwx car", "cpu", 1, False)
    assert torch.allclose(context, expected, atol=1e-6)


def test_scopes_grow_and_match_kohyas_count_on_sd15():
    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768)
    counts = [
        len(lora_target_names(unet, scope))
        for scope in ("cross-attention", "attention", "attention+mlp", "all")
    ]
    assert counts[:3] == [64, 128, 192] and counts[3] > 192


def test_a_half_precision_only_folder_loads(tiny_sd1, tmp_path):
    import shutil

    folder = tmp_path / "half"
    shutil.copytree(tiny_sd1, folder)
    for file in folder.glob("*/*.safetensors"):
        file.rename(file.with_suffix(".fp16.safetensors"))
    assert load_base(folder, device="cpu", dtype=torch.float32).content_hash
