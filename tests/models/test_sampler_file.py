"""A checkpoint's own steps and guidance, over its family's."""

import shutil

import pytest
import torch

from packshot.errors import ModelLoadError, PackshotError
from packshot.models import load_base
from packshot.models.diffusion_model import SamplingDefaults
from packshot.models.registry import families
from packshot.models.sampler_file import sampler_for

FAMILY = SamplingDefaults("DPM++ 2M", 20, 7.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("guidance_scale = 4.0", (20, 4.0)),
        ("steps = 30", (30, 7.0)),
        ("steps = 9\nguidance_scale = 0", (9, 0.0)),
        ("", (20, 7.0)),
    ],
)
def test_what_it_says_overrides_the_familys(tmp_path, text, expected):
    (tmp_path / "sampler.toml").write_text(text)
    found = sampler_for(tmp_path, FAMILY)
    assert (found.steps, found.guidance_scale) == expected and found.name == "DPM++ 2M"


def test_without_one_the_familys_hold_also_for_a_single_file(tmp_path):
    (tmp_path / "a.safetensors").touch()
    for path in (tmp_path, tmp_path / "a.safetensors", tmp_path / "elsewhere"):
        assert sampler_for(path, FAMILY) is FAMILY


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps = 0", r"sampler\.toml: steps = 0: "),
        ("guidance_scale = nan", r"sampler\.toml: guidance_scale = nan: "),
        ('name = "Euler a"', r"sampler\.toml: name = 'Euler a': "),
        ("cfg = 4", r"sampler\.toml: cfg: there is no such setting"),
    ],
)
def test_one_that_makes_no_sense_is_named(tmp_path, text, said):
    (tmp_path / "sampler.toml").write_text(text)
    with pytest.raises(ModelLoadError, match=said):
        sampler_for(tmp_path, FAMILY)


def test_it_chooses_among_the_samplers_of_its_family(tmp_path):
    (tmp_path / "sampler.toml").write_text('name = "DPM++ 2M SDE"')
    assert sampler_for(tmp_path, FAMILY).name == "DPM++ 2M SDE"
    with pytest.raises(ModelLoadError, match=r"sampled with Euler only; delete the line"):
        sampler_for(tmp_path, SamplingDefaults("Euler", 28, 4.0))


def test_one_that_is_no_toml_is_named(tmp_path):
    (tmp_path / "sampler.toml").write_text("steps =")
    with pytest.raises(PackshotError, match=r"sampler\.toml is not valid TOML"):
        sampler_for(tmp_path, FAMILY)


def test_a_base_is_loaded_with_it(tiny_checkpoint, tmp_path):
    folder = shutil.copytree(tiny_checkpoint("sdxl"), tmp_path / "base")

    def loaded():
        return load_base(folder, device="cpu", dtype=torch.float32).sampler

    assert loaded() == SamplingDefaults("DPM++ 2M", 20, 6.0)
    (folder / "sampler.toml").write_text("guidance_scale = 5.0")
    assert loaded() == SamplingDefaults("DPM++ 2M", 20, 5.0)


def test_stable_diffusion_is_guided_as_is_usual():
    scales = {
        name: families()[name].model.sampler.guidance_scale for name in ("sd1", "sd2", "sdxl")
    }
    assert scales == {"sd1": 7.0, "sd2": 7.0, "sdxl": 6.0}
