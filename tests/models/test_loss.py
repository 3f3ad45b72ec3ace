"""The loss and the LoRA's gradients against a plain diffusers + peft computation."""

import pytest
import torch

from packshot.models.loss import Batch, per_image_loss


def batch(base, count=3):
    generator = torch.Generator().manual_seed(0)
    channels = base.denoiser.config.in_channels
    shape = (count, channels, base.denoiser.config.sample_size, base.denoiser.config.sample_size)
    return Batch(
        latents=torch.randn(shape, generator=generator),
        noise=torch.randn(shape, generator=generator),
        timesteps=torch.tensor([10, 400, 900][:count]),
        conditioning=base.encode_prompts(["a photo of ohwx car", "a car", ""][:count]),
        masks=torch.ones(count, 1, *shape[-2:]),
        loss_weights=torch.ones(count),
    )


def test_masks_weigh_where_the_loss_is_taken(tiny_base):
    whole = batch(tiny_base, 1)
    half = torch.ones_like(whole.masks)
    half[..., : half.shape[-1] // 2] = 0
    left = per_image_loss(tiny_base, Batch(**{**vars(whole), "masks": 1 - half}), 0.0)
    right = per_image_loss(tiny_base, Batch(**{**vars(whole), "masks": half}), 0.0)
    both = per_image_loss(tiny_base, whole, 0.0)
    assert torch.allclose((left + right) / 2, both, rtol=1e-5)


def test_a_crop_in_which_nothing_counts_has_no_loss_and_spoils_no_other(tiny_base):
    """An empty mask, where the background's weight is 0: its mean would be 0 / 0."""
    whole = batch(tiny_base, 2)
    masks = whole.masks.clone()
    masks[0] = 0
    found = per_image_loss(tiny_base, Batch(**{**vars(whole), "masks": masks}), 5.0)
    assert found[0] == 0 and found[1] == per_image_loss(tiny_base, whole, 5.0)[1]


@pytest.mark.parametrize("scope", ["cross-attention", "attention", "attention+mlp", "all"])
def test_loss_and_gradients_equal_plain_diffusers_and_peft(tiny_base, scope):
    from diffusers import DDPMScheduler
    from peft import LoraConfig

    from packshot.lora import inject_lora

    given, gamma = batch(tiny_base), 5.0
    unet = tiny_base.denoiser
    names = tiny_base.lora_targets(scope)
    with inject_lora(unet, names, rank=4, alpha=2, seed=0) as adapter:
        state = {
            name: torch.randn(value.shape, generator=torch.Generator().manual_seed(len(name))) * 0.1
            for name, value in adapter.state().items()
        }
        adapter.load_state(state)
        ours = per_image_loss(tiny_base, given, gamma).mean()
        ours.backward()
        gradients = {name: p.grad.clone() for name, p in adapter.named_parameters().items()}

    scheduler = DDPMScheduler.from_config(tiny_base.pipeline().scheduler.config)
    unet.add_adapter(LoraConfig(r=4, lora_alpha=2, target_modules=names))
    try:
        theirs_by_name = {
            name.removesuffix(".default.weight")
            .replace(".lora_A", ".down")
            .replace(".lora_B", ".up"): p
            for name, p in unet.named_parameters()
            if "lora_" in name
        }
        assert set(theirs_by_name) == set(state)
        for name, parameter in theirs_by_name.items():
            parameter.data.copy_(state[name])
            parameter.requires_grad_(True)
        noisy = scheduler.add_noise(given.latents, given.noise, given.timesteps)
        prediction = unet(noisy, given.timesteps, given.conditioning["context"]).sample
        alphas = scheduler.alphas_cumprod[given.timesteps]
        snr = alphas / (1 - alphas)
        if tiny_base.schedule.prediction_type == "v_prediction":
            target = scheduler.get_velocity(given.latents, given.noise, given.timesteps)
            weight = torch.minimum(snr, torch.tensor(gamma)) / (snr + 1)
        else:
            target, weight = given.noise, torch.minimum(snr, torch.tensor(gamma)) / snr
        theirs = (((prediction - target) ** 2).mean(dim=(1, 2, 3)) * weight).mean()
        theirs.backward()
        assert torch.allclose(ours, theirs, rtol=1e-4)
        for name, parameter in theirs_by_name.items():
            difference = (gradients[name] - parameter.grad).norm() / parameter.grad.norm()
            assert difference < 1e-4, name
    finally:
        unet.delete_adapters("default")
        unet.requires_grad_(False)
