"""Painting all of a crop is making a picture: diffusers' own pipelines are the reference."""

import numpy as np
import pytest
import torch

from packshot.insertion.inpaint import inpaint

SIDE, STEPS, GUIDANCE = 64, 4, 3.0
PROMPT = "a photo of ohwx car"


def crop(seed=0):
    return np.random.default_rng(seed).random((SIDE, SIDE, 3)).astype(np.float32)


def ours(base, strength, seed=3, given=None):
    return inpaint(
        base, crop() if given is None else given, strength, PROMPT,
        seed=seed, steps=STEPS, guidance_scale=GUIDANCE,
    )  # fmt: skip


@pytest.fixture(params=["sd1", "sdxl", "flux1"])
def tiny_base(request, loaded, tiny_checkpoint):
    return loaded(tiny_checkpoint(request.param))


def test_all_of_it_is_what_diffusers_makes_of_the_same_noise(tiny_base):
    from diffusers import DDIMScheduler

    pipeline = tiny_base.pipeline()
    shape = tiny_base.encode_images(torch.zeros(1, 3, SIDE, SIDE)).shape
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    told = {"prompt": PROMPT, "num_inference_steps": STEPS, "guidance_scale": GUIDANCE}
    if tiny_base.family == "flux1":
        told["latents"] = pipeline._pack_latents(noise, *shape)
    else:
        pipeline.scheduler = DDIMScheduler.from_config(
            pipeline.scheduler.config,
            timestep_spacing="trailing",
            set_alpha_to_one=True,
            clip_sample=False,
        )
        told |= {"latents": noise, "negative_prompt": ""}
    theirs = pipeline(**told, width=SIDE, height=SIDE, output_type="np").images[0]
    found = ours(tiny_base, np.ones((SIDE, SIDE), np.float32))
    assert found.std() > 0.02
    assert np.abs(found - theirs).max() < 2 / 255


def test_nothing_of_it_is_the_crop_through_the_autoencoder(tiny_base):
    found = ours(tiny_base, np.zeros((SIDE, SIDE), np.float32))
    pixels = torch.from_numpy(crop() * 2 - 1).permute(2, 0, 1)[None]
    kept = tiny_base.decode_latents(tiny_base.encode_images(pixels))[0].permute(1, 2, 0)
    assert np.abs(found - (kept.numpy() + 1) / 2).max() < 1e-4


def latents_of(base, strength):
    """What is decoded at last."""
    seen = []
    decode = base.decode_latents
    base.decode_latents = lambda latents: seen.append(latents.clone()) or decode(latents)
    try:
        ours(base, strength)
    finally:
        del base.decode_latents
    return seen[0]


def test_what_is_not_allowed_keeps_its_latents_and_more_strength_moves_more(tiny_base):
    strength = np.zeros((SIDE, SIDE), np.float32)
    strength[:, 16:32], strength[:, 32:48], strength[:, 48:] = 0.3, 0.6, 1.0
    pixels = torch.from_numpy(crop() * 2 - 1).permute(2, 0, 1)[None]
    known, made = tiny_base.encode_images(pixels), latents_of(tiny_base, strength)
    moved = (made - known).abs().mean(dim=(0, 1, 2))
    quarter = known.shape[-1] // 4
    shares = [float(moved[i * quarter : (i + 1) * quarter].mean()) for i in range(4)]
    assert shares[0] == 0
    assert 0 < shares[1] < shares[3]
    assert shares[2] > 0


def test_a_size_that_does_not_fit_is_refused(tiny_base):
    from packshot.errors import PackshotError

    odd = np.zeros((63, 64, 3), np.float32)
    with pytest.raises(PackshotError, match="63 pixels do not fit"):
        ours(tiny_base, np.ones((63, 64), np.float32), given=odd)
