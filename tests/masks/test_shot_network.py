"""The bundled segmenter's network that learned from shots."""

import pytest
import torch
from torch.nn import functional as F

from packshot.masks.shot_network import PIXELS, ShotNetwork


@pytest.fixture
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ShotNetwork((16, 32)).eval()


def block(module, x):
    x = module.first(x)
    return x + module.second(x)


@torch.no_grad()
def test_it_is_a_unet_of_two_levels_and_a_step_at_full_size(network):
    """Written out: down from half the side, up with what was skipped, and once more with the picture."""
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    halved = torch.stack([x[:, c, i::2, j::2] for c in range(3) for i in (0, 1) for j in (0, 1)], 1)
    first = block(network.down[0], halved)
    second = block(network.down[1], F.max_pool2d(first, 2))
    whole = torch.cat([second.mean((2, 3)), second.amax((2, 3))], 1)
    scale, shift = network.context.told(F.silu(network.context.hidden(whole))).chunk(2, 1)
    second = second * (1 + scale[..., None, None]) + shift[..., None, None]
    raised = second.repeat_interleave(2, 2).repeat_interleave(2, 3)
    last = block(network.up[0], torch.cat([raised, first], 1))
    fine = torch.zeros(2, 4, 64, 64)
    for c in range(4):
        for i in (0, 1):
            for j in (0, 1):
                fine[:, c, i::2, j::2] = last[:, 4 * c + 2 * i + j]
    expected = network.out(network.fine(torch.cat([fine, x], 1)))
    assert expected.shape == (2, 1, 64, 64)
    assert torch.allclose(network(x), expected, atol=1e-5)


@torch.no_grad()
def test_pictures_do_not_see_each_other(network):
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(network(x)[1:2], network(x[1:2]), atol=1e-5)


def test_every_weight_has_a_say(network):
    network(torch.rand(1, 3, 32, 32)).square().mean().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_its_own_side_fits_its_levels():
    network = ShotNetwork()
    assert PIXELS % 2 ** len(network.widths) == 0
    assert sum(p.numel() for p in network.parameters()) < 1.6e6, "about 3 MB in fp16"
