"""Prediction drift against what it is: the relative change of the prediction, and nothing else."""

from pathlib import Path

import pytest
import torch

from packshot.class_images import list_class_images
from packshot.errors import InsufficientMemoryError
from packshot.judging.drift import EXAMPLES, class_examples, prediction_drift
from packshot.lora import fused, load_lora


@pytest.fixture
def examples(ready_project, tiny_base):
    return class_examples(tiny_base, list_class_images(ready_project), "car")


def test_without_a_lora_nothing_drifts_and_more_weight_drifts_more(
    examples, tiny_base, make_assistant
):
    lora = load_lora(Path(make_assistant()), tiny_base)
    assert prediction_drift(tiny_base, [], examples) == [0.0] * EXAMPLES
    half, whole = (prediction_drift(tiny_base, [(lora, weight)], examples) for weight in (0.5, 1.0))
    assert all(0 < less < more for less, more in zip(half, whole, strict=True))


def test_it_is_the_norm_of_the_change_over_that_of_the_prediction(
    examples, tiny_base, make_assistant
):
    lora = load_lora(Path(make_assistant()), tiny_base)
    assert sorted(int(time) // 125 for time in examples.timesteps) == list(range(8))
    conditioning = tiny_base.encode_prompts([examples.prompts[3]])
    given = examples.noisy[3].to(tiny_base.dtype), examples.timesteps[3], conditioning
    with torch.no_grad():
        off = tiny_base.denoiser(given[0], given[1], given[2]["context"]).sample
        with fused(tiny_base, [(lora, 1.0)]):
            on = tiny_base.denoiser(given[0], given[1], given[2]["context"]).sample
    expected = ((on - off).square().sum() / off.square().sum()).sqrt()
    assert prediction_drift(tiny_base, [(lora, 1.0)], examples)[3] == pytest.approx(
        float(expected), rel=1e-4
    )


def test_without_class_images_it_is_of_noise(tiny_base, make_assistant):
    examples = class_examples(tiny_base, [], "car")
    assert examples.prompts == ["a photo of a car"] * EXAMPLES
    assert min(int(time) for time in examples.timesteps) > 850
    lora = load_lora(Path(make_assistant()), tiny_base)
    assert min(prediction_drift(tiny_base, [(lora, 1.0)], examples)) > 0


def test_where_a_picture_does_not_fit_the_vae_works_in_tiles(
    ready_project, tiny_base, examples, monkeypatch
):
    """As where latents are encoded for training, and pictures decoded: no run ends after its training."""
    encode = tiny_base.encode_images

    def full(pixels):
        if not tiny_base.vae.use_tiling:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(pixels)

    monkeypatch.setattr(tiny_base, "encode_images", full)
    again = class_examples(tiny_base, list_class_images(ready_project), "car")
    assert all(map(torch.equal, again.noisy, examples.noisy))


def test_where_networks_do_not_fit_together_they_take_turns_or_it_is_said(
    tiny_base, examples, monkeypatch
):
    predict, turns = tiny_base.predict, []

    def full(*given):
        if not turns:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return predict(*given)

    monkeypatch.setattr(tiny_base, "predict", full)
    with pytest.raises(InsufficientMemoryError, match="not enough for a picture of 64 x 64 px"):
        prediction_drift(tiny_base, [], examples)
    monkeypatch.setattr(tiny_base, "take_turns", lambda: turns.append(1) or True)
    assert prediction_drift(tiny_base, [], examples) == [0.0] * EXAMPLES
