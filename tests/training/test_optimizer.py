"""How far the optimizer's first step goes."""

import pytest
from safetensors.torch import load_file

from packshot.training import train
from tests.projects import edit


def test_text_encoders_learn_at_their_own_rate(planned_project, tiny_base):
    """The first step of Adam is as long as its rate, whatever the gradient."""
    ups = ("lora.up.weight", "lora_B.weight")
    for rate in (1e-3, 1e-4):
        edit(
            planned_project, sample_every_n_steps=0, steps=1, lr_warmup_steps=0, weight_decay=0.0,
            learning_rate=1e-2, lr_scheduler="constant", text_encoder_rank=2,
            text_encoder_learning_rate=rate,
        )  # fmt: skip
        list(train(planned_project, tiny_base))
        moved = load_file(planned_project.diffusers_lora_file)
        most_of = {key: value.abs().max() for key, value in moved.items() if key.endswith(ups)}
        assert {key.partition(".")[0] for key in most_of} == {"unet", "text_encoder"}
        for key, most in most_of.items():
            expected = rate if key.startswith("text_encoder.") else 1e-2
            assert most == pytest.approx(expected, rel=0.01), key
