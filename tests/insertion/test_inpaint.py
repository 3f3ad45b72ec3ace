"""Painting all of a crop is making a picture: diffusers' own pipelines are the reference."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from packshot.errors import InsufficientMemoryError
from packshot.generation.generate import GenerationSettings, generate_images
from packshot.insertion.inpaint import inpaint
from packshot.provenance import Marking
from tests.families import MAKERS, make_tiny_sd1

SIDE, STEPS, GUIDANCE = 64, 4, 3.0
PROMPT = "a photo of ohwx car"
NEAR = 0.25 / 255


def crop(seed=0):
    return np.random.default_rng(seed).random((SIDE, SIDE, 3)).astype(np.float32)


def ours(base, strength, given=None, steps=STEPS, guidance=GUIDANCE):
    return inpaint(
        base, crop() if given is None else given, strength, PROMPT,
        seed=3, steps=steps, guidance_scale=guidance,
    )  # fmt: skip


@pytest.fixture(params=MAKERS)
def tiny_base(request, loaded, tiny_checkpoint):
    return loaded(tiny_checkpoint(request.param))


def theirs(base, pipeline, steps=STEPS, guidance=GUIDANCE, **told):
    """The picture that diffusers makes of the same noise, all of its sampling its own."""
    pipeline.set_progress_bar_config(disable=True)
    scale = "true_cfg_scale" if base.family == "qwen_image" else "guidance_scale"
    told[scale] = guidance
    if base.family not in ("flux1", "flux2"):
        told["negative_prompt"] = ""
    return pipeline(
        prompt=PROMPT, num_inference_steps=steps, width=SIDE, height=SIDE, output_type="np",
        generator=torch.Generator().manual_seed(3), **told,
    ).images[0]  # fmt: skip


def loaded_by_diffusers(base, **scheduler):
    """Its pipeline by diffusers' own loader; with our solver where the folder's is another."""
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(base.path)
    kind = base.solver() if base.denoiser_root == "unet" else pipeline.scheduler
    pipeline.scheduler = type(kind).from_config(kind.config, **scheduler)
    return pipeline


ALL = np.ones((SIDE, SIDE), np.float32)


@pytest.mark.parametrize(("steps", "guidance"), [(4, 20.0), (7, 1.0), (1, 5.0), (4, 0.0)])
def test_all_of_it_is_what_diffusers_makes_of_the_same_noise(tiny_base, steps, guidance):
    expected = theirs(tiny_base, loaded_by_diffusers(tiny_base), steps, guidance)
    found = ours(tiny_base, ALL, steps=steps, guidance=guidance)
    assert found.std() > 0.02
    assert np.abs(found - expected).max() < NEAR


VARIANTS = [
    (
        "qwen_image",
        {"shift_terminal": 0.02, "max_image_seq_len": 8192, "max_shift": 0.9},
    ),  # its own
    ("sd3", {"use_dynamic_shifting": True}),
    ("flux1", {"use_dynamic_shifting": False, "shift": 1.0}),  # schnell's
    ("z_image", {"shift": 6.0}),  # the undistilled one's
    ("z_image", {"use_dynamic_shifting": True}),
]


@pytest.mark.parametrize(("family", "config"), VARIANTS)
def test_so_it_is_of_other_schedules(family, config, loaded, tiny_checkpoint):
    base = loaded(tiny_checkpoint(family))
    plain = ours(base, ALL)
    base.schedule.config = dict(base.schedule.config) | config
    found = ours(base, ALL)
    assert np.abs(found - theirs(base, loaded_by_diffusers(base, **config))).max() < NEAR
    assert np.abs(found - plain).max() > 2 / 255, "or the comparison says nothing"


def test_so_it_is_where_guidance_is_rescaled(loaded, tmp_path):
    from diffusers import StableDiffusionPipeline

    folder = make_tiny_sd1(tmp_path, prediction_type="v_prediction", zero_snr=True)
    base = loaded(folder)
    pipeline = StableDiffusionPipeline.from_pretrained(folder, scheduler=base.solver())
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        PROMPT, negative_prompt="", num_inference_steps=STEPS, guidance_scale=7.0,
        guidance_rescale=0.7, generator=torch.Generator().manual_seed(3), output_type="np",
    ).images[0]  # fmt: skip
    assert np.abs(ours(base, ALL, guidance=7.0) - expected).max() < NEAR


def test_so_it_is_with_fresh_noise_at_every_step(loaded, tiny_checkpoint, monkeypatch):
    base = loaded(tiny_checkpoint("sd1"))
    plain = ours(base, ALL)
    monkeypatch.setattr(base, "sampler", replace(base.sampler, name="DPM++ 2M SDE"))
    found = ours(base, ALL)
    assert np.abs(found - theirs(base, base.pipeline())).max() < NEAR
    assert np.abs(found - plain).max() > 2 / 255, "or the comparison says nothing"


def test_so_it_is_of_a_distilled_klein(loaded, tiny_checkpoint):
    base = loaded(tiny_checkpoint("flux2"))
    base.is_guidance_distilled = True
    assert np.abs(ours(base, ALL) - theirs(base, base.pipeline())).max() < NEAR


@pytest.mark.slow
def test_all_of_it_is_the_shot_of_the_same_seed(tiny_base, tmp_path):
    settings = GenerationSettings(
        seeds=(3,), steps=STEPS, guidance_scale=GUIDANCE, width=SIDE, height=SIDE
    )
    (shot,) = generate_images(
        tiny_base,
        [PROMPT],
        settings=settings,
        folder=tmp_path,
        marking=Marking(has_watermark=False),
    )
    with Image.open(shot.file) as picture:
        assert np.abs(ours(tiny_base, ALL) * 255 - np.asarray(picture)).max() < 1


@pytest.mark.slow
@pytest.mark.parametrize("strength", [0.5, 0.75])
@pytest.mark.parametrize("family", sorted(set(MAKERS) - {"flux2"}))  # klein's has no such pipeline
def test_equal_strength_is_diffusers_image_to_image(
    family, strength, loaded, tiny_checkpoint, monkeypatch
):
    from diffusers import AutoPipelineForImage2Image
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution as Posterior

    # Where we take the posterior's mean, they draw from it.
    monkeypatch.setattr(Posterior, "sample", lambda self, generator=None: self.mean)
    base = loaded(tiny_checkpoint(family))
    pipeline = AutoPipelineForImage2Image.from_pipe(loaded_by_diffusers(base))
    pipeline.register_modules(scheduler=base.solver())
    given = (crop() * 255).round().astype(np.uint8)
    expected = theirs(base, pipeline, image=Image.fromarray(given), strength=strength)
    found = ours(base, ALL * strength, given=(given / 255).astype(np.float32))
    assert np.abs(found - expected).max() < NEAR


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


def test_where_memory_does_not_suffice_it_is_said(loaded, tiny_checkpoint, monkeypatch):
    base = loaded(tiny_checkpoint("sd1"))

    def full(*given, **options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(base.unet, "forward", full)
    with pytest.raises(InsufficientMemoryError, match=r"not enough for 64 x 64 px with"):
        ours(base, np.ones((64, 64), np.float32))
