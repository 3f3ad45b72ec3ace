"""A LoRA's change of a weight against torch's own layers."""

import pytest
import torch
from torch.nn import functional as F

from packshot.lora.weights import LoraWeights


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("alpha", [2.0, 1.0, 0.0, -3.0])
def test_of_a_linear_layer_it_is_what_its_two_layers_compute(alpha):
    weights = LoraWeights(drawn(2, 5), drawn(7, 2, seed=1), alpha)
    x = drawn(3, 5, seed=2)
    expected = F.linear(F.linear(x, weights.down), weights.up) * alpha / 2
    assert weights.rank == 2 and weights.delta().shape == (7, 5)
    assert torch.allclose(F.linear(x, weights.delta()), expected, atol=1e-5)


def test_of_a_convolution_it_is_what_its_two_layers_compute():
    weights = LoraWeights(drawn(4, 3, 3, 3), drawn(6, 4, 1, 1, seed=1), 2.0)
    x = drawn(1, 3, 8, 8, seed=2)
    expected = F.conv2d(F.conv2d(x, weights.down, padding=1), weights.up) / 2
    assert weights.delta().shape == (6, 3, 3, 3)
    assert torch.allclose(F.conv2d(x, weights.delta(), padding=1), expected, atol=1e-4)


def test_halves_are_multiplied_in_fp32():
    down, up = drawn(64, 32).half(), drawn(32, 64, seed=1).half()
    delta = LoraWeights(down, up, 64.0).delta()
    assert delta.dtype == torch.float32
    assert torch.allclose(delta, up.float() @ down.float(), atol=1e-6)
