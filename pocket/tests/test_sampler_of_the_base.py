"""The bundled base's defaults of sampling, which its figures were measured with."""

from packshot_pocket_model import FOLDER

from packshot.models.families.stable_diffusion import StableDiffusion1
from packshot.models.sampler_file import sampler_for


def test_the_bundled_base_draws_fresh_noise_at_every_step():
    sampler = sampler_for(FOLDER, StableDiffusion1.sampler)
    assert (sampler.name, sampler.steps, sampler.guidance_scale) == ("DPM++ 2M SDE", 30, 4.0)
