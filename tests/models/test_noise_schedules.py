"""Noise, targets and timesteps against diffusers' own schedulers and training utilities."""

import json
import math
from pathlib import Path

import pytest
import torch
from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler
from diffusers.training_utils import compute_density_for_timestep_sampling

from packshot.errors import ModelLoadError
from packshot.models.noise_schedules import DDPMSchedule, FlowMatchSchedule, min_snr_weight

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
FLUX = {
    "use_dynamic_shifting": True, "base_image_seq_len": 256, "max_image_seq_len": 4096,
    "base_shift": 0.5, "max_shift": 1.15,
}  # fmt: skip
SHARES = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000


def diffusion(tmp_path, **options):
    return DDPMSchedule({**BETAS, **options}, tmp_path, torch.device("cpu"))


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_noise_and_targets_are_the_schedulers(prediction_type, tmp_path):
    ours = diffusion(tmp_path, prediction_type=prediction_type)
    theirs = DDPMScheduler(**BETAS)
    latents, noise = torch.randn(2, 4, 4, 8, 8).unbind()
    times = torch.tensor([0, 10, 500, 999])
    expected = theirs.add_noise(latents, noise, times)
    assert torch.allclose(ours.add_noise(latents, noise, times), expected, atol=1e-6)
    velocity = theirs.get_velocity(latents, noise, times)
    expected = velocity if prediction_type == "v_prediction" else noise
    assert torch.allclose(ours.training_target(latents, noise, times), expected, atol=1e-6)
    assert torch.isfinite(ours.snr(times)).all() and not ours.zero_terminal_snr


def test_zero_terminal_snr_is_kept(tmp_path):
    schedule = diffusion(tmp_path, rescale_betas_zero_snr=True)
    assert schedule.snr(torch.tensor([999])).item() == 0 and schedule.zero_terminal_snr


def test_diffusion_times_are_uniform_integers(tmp_path):
    times = diffusion(tmp_path).timesteps_at(SHARES, 256)
    assert torch.bincount(times, minlength=1000).unique().tolist() == [4]


def test_another_target_is_refused(tmp_path):
    with pytest.raises(ModelLoadError, match="sample"):
        diffusion(tmp_path, prediction_type="sample")


def test_min_snr_is_the_papers_weight():
    snr = torch.tensor([0.0, 0.1, 5.0, 100.0])
    assert torch.allclose(min_snr_weight(snr, 5.0, "epsilon"), torch.tensor([1, 1, 1, 0.05]))
    expected = torch.tensor([0, 0.1 / 1.1, 5 / 6, 5 / 101])
    assert torch.allclose(min_snr_weight(snr, 5.0, "v_prediction"), expected)
    assert torch.equal(min_snr_weight(snr, 0.0, "epsilon"), torch.ones(4))


def test_flow_is_the_schedulers_line():
    schedule, theirs = FlowMatchSchedule({"shift": 3.0}), FlowMatchEulerDiscreteScheduler(shift=3.0)
    latents, noise = torch.randn(2, 3, 4, 8, 8).unbind()
    times = theirs.timesteps[[0, 500, 999]]
    expected = theirs.scale_noise(latents, times, noise)
    assert torch.allclose(schedule.add_noise(latents, noise, times), expected, atol=1e-5)
    # Euler's step along the target from the noised latents ends in the picture.
    sigma = (times / 1000).view(-1, 1, 1, 1)
    back = schedule.add_noise(latents, noise, times) - sigma * schedule.training_target(
        latents, noise, times
    )
    assert torch.allclose(back, latents, atol=1e-5)
    assert torch.equal(schedule.loss_weight(times, 5.0), torch.ones(3))


def test_flow_times_have_diffusers_density():
    """diffusers' training scripts draw logit-normal shares of a schedule that is shifted already."""
    torch.manual_seed(0)
    drawn = compute_density_for_timestep_sampling("logit_normal", 100_000, 0.0, 1.0)
    sigmas = FlowMatchEulerDiscreteScheduler(shift=3.0).sigmas.flip(0)  # rising, from 0
    theirs = sigmas[(drawn * 1000).long()] * 1000
    ours = FlowMatchSchedule({"shift": 3.0}, training_shift=3.0).timesteps_at(SHARES, 256)
    for share in (0.05, 0.25, 0.5, 0.75, 0.95):
        assert ours.quantile(share).item() == pytest.approx(theirs.quantile(share).item(), abs=6)


@pytest.mark.parametrize(("side", "mu"), [(32, 0.5), (128, 1.15)])
def test_dynamic_shift_grows_with_the_picture(side, mu):
    assert FlowMatchSchedule(FLUX).shift(side * side) == pytest.approx(math.exp(mu))


def test_the_documents_table_of_noise_levels_is_ours():
    """Shares of the steps below sigma .5 and .25 at 1024 px, by each family's own schedule."""
    from packshot.models import registry
    from packshot.models.checkpoint import CONFIGS

    text = (Path(__file__).parents[2] / "docs" / "plan.md").read_text(encoding="utf-8")
    told = {
        row.split("|")[1].strip(): row.split("|")[2]
        for row in text.splitlines()
        if "/" in row and row[:1] == "|"
    }
    called = {
        "sd3": "SD 3 / 3.5",
        "flux1": "FLUX.1 dev",
        "flux2": "FLUX.2 klein",
        "qwen_image": "Qwen-Image",
        "z_image": "Z-Image",
    }
    for family, name in called.items():
        config = json.loads((CONFIGS / family / "scheduler" / "scheduler_config.json").read_text())
        model = registry.families()[family].model
        schedule = FlowMatchSchedule(
            config, patch=model.token_side, training_shift=model.training_shift
        )
        tokens = 4096
        quantiles = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
        sigmas = schedule.timesteps_at(quantiles, tokens * model.token_side**2) / 1000
        shares = [100 * float((sigmas < level).double().mean()) for level in (0.5, 0.25)]
        assert [float(part) for part in told[name].split("/")] == pytest.approx(shares, abs=0.06), (
            name
        )
