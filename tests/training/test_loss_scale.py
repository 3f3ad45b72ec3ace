"""The scale of the loss in fp16: PyTorch's own scaler is the reference."""

import random
from itertools import pairwise

import pytest
import torch
from torch import nn

from packshot.lora.layers import LoraLinear
from packshot.training.loss_scale import FIRST, GROWTH_INTERVAL, LossScale


def test_it_goes_as_pytorchs_own():
    """Over steps of which some overflow, as long as it does not fall to 1."""
    weight = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.0)
    theirs = torch.amp.GradScaler("cpu", init_scale=FIRST, growth_interval=GROWTH_INTERVAL)
    ours, draw, seen = LossScale(), random.Random(0), []
    for step in range(5 * GROWTH_INTERVAL):
        overflows = step < 3 or draw.random() < 0.002
        theirs.scale(weight.sum() * (float("inf") if overflows else 1.0)).backward()
        theirs.step(optimizer)
        theirs.update()
        optimizer.zero_grad()
        ours.update(is_finite=not overflows)
        assert ours.value == theirs.get_scale()
        ours = LossScale.of(ours.state())
        seen.append(ours.value)
    changes = [after / before for before, after in pairwise(seen)]
    assert changes.count(0.5) > 2 and changes.count(2.0) > 2


def test_it_counts_what_was_skipped_and_ends_at_1():
    scale = LossScale()
    for count in range(1, 21):
        scale.update(is_finite=False)
        assert scale.skipped == count
    assert scale.value == 1
    scale.update(is_finite=True)
    assert (scale.value, scale.finite, scale.skipped) == (1, 1, 0)


def test_its_state_is_all_of_it():
    scale = LossScale(2.0**40, 199, 3)
    assert LossScale.of(scale.state()) == scale


@pytest.mark.parametrize("scale", [FIRST, 1.0])
def test_gradients_below_fp16s_least_are_learnt(scale):
    """The least number of fp16 is 6e-8; what a layer's output is told here is smaller."""

    def gradient(dtype, scale):
        torch.manual_seed(0)
        frozen = nn.Linear(8, 8).to(dtype).requires_grad_(False)
        layer = LoraLinear(frozen, torch.randn(2, 8), torch.randn(8, 2), 1.0)
        outside = layer(torch.randn(4, 8).to(dtype)).float()
        told = LossScale(scale)
        ((outside * 1e-8).sum() * told.value).backward()
        told.unscale([layer.down, layer.up])
        assert layer.down.grad.dtype == layer.up.grad.dtype == torch.float32
        return layer.down.grad

    expected, found = gradient(torch.float32, 1.0), gradient(torch.float16, scale)
    if scale == 1.0:  # or else nothing was shown
        assert not found.any()
    else:
        assert (found - expected).norm() < 2e-3 * expected.norm()
