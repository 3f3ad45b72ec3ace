"""A base of shapes alone, against the same checkpoint loaded."""

import pytest
import torch

from packshot.models import registry
from packshot.models.checkpoint import detect_checkpoint
from packshot.models.fake import default_checkpoint, fake_model
from packshot.models.loss import Batch, per_image_loss
from packshot.weights.safetensors_file import read_config


def batch_of(base, size=2):
    """Nothing of it is real inside a sketch; the same calls make it."""
    picture = torch.zeros(1, 3, 64, 64, dtype=base.dtype)
    latents = base.encode_images(picture).float().expand(size, -1, -1, -1)
    times = base.schedule.timesteps_at((torch.arange(size) + 0.5) / size, latents[0, 0].numel())
    ones = torch.ones(size, 1, *latents.shape[-2:])
    return Batch(
        latents,
        torch.zeros_like(latents),
        times,
        base.empty_conditioning(size),
        ones,
        ones[:, 0, 0, 0],
    )


@pytest.mark.slow
def test_shapes_are_those_of_the_loaded_base(tiny_sd1, tiny_base):
    with fake_model(detect_checkpoint(tiny_sd1), torch.bfloat16) as base:
        for ours, theirs in (
            (base.denoiser, tiny_base.denoiser), (base.vae, tiny_base.vae),
            (base.text_encoder, tiny_base.text_encoder),
        ):  # fmt: skip
            weights = dict(ours.named_parameters())
            assert {n: w.shape for n, w in weights.items()} == {
                n: w.shape for n, w in theirs.named_parameters()
            }
            assert {(w.dtype, w.requires_grad) for w in weights.values()} == {
                (torch.bfloat16, False)
            }
        assert base.tokenizers == {}
        sketch = batch_of(base)
        loss = per_image_loss(base, sketch, 5.0)
        assert loss.shape == (2,) and type(loss).__name__ == "FakeTensor"
    real = batch_of(tiny_base)
    assert sketch.latents.shape == real.latents.shape
    assert {n: c.shape for n, c in sketch.conditioning.items()} == {
        n: c.shape for n, c in real.conditioning.items()
    }


def test_afterwards_tensors_are_real_again(tiny_sd1):
    with pytest.raises(ValueError), fake_model(detect_checkpoint(tiny_sd1), torch.float32):
        raise ValueError
    assert type(torch.ones(1)) is torch.Tensor


@pytest.mark.parametrize("family", registry.families())
def test_each_familys_configurations_are_shipped_whole(family):
    checkpoint = default_checkpoint(family)
    assert checkpoint.weights == {} and checkpoint.family == family
    for component in registry.families()[family].components:
        assert read_config(checkpoint.path / component / "config.json")
    assert read_config(checkpoint.path / "scheduler" / "scheduler_config.json")
