"""The bundled segmenter's network."""

import pytest
import torch
from torch.nn import functional as F

from packshot.masks.bundled_network import PIXELS, SegmenterNetwork


@pytest.fixture
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SegmenterNetwork((8, 16)).eval()


@torch.no_grad()
def test_it_is_a_unet_of_two_levels(network):
    """Written out: down, down at half the side, up with what was skipped, one logit a pixel."""
    x = torch.randn(2, 3, PIXELS, PIXELS, generator=torch.Generator().manual_seed(1))
    first = network.down[0](x)
    second = network.down[1](F.max_pool2d(first, 2))
    raised = second.repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = network.out(network.up[0](torch.cat([raised, first], 1)))
    assert expected.shape == (2, 1, PIXELS, PIXELS)
    assert torch.allclose(network(x), expected, atol=1e-6)


@torch.no_grad()
def test_pictures_do_not_see_each_other(network):
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(network(x)[1:2], network(x[1:2]), atol=1e-5)


def test_every_weight_has_a_say(network):
    network(torch.rand(1, 3, 32, 32)).square().mean().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []
