import pytest
import torch

from packshot.insertion.lighting_network import PIXELS, LightNetwork


@pytest.fixture
def network():
    torch.manual_seed(0)
    return LightNetwork((8, 16)).eval()


def test_a_mirrored_picture_tells_the_mirrored_light(network):
    """Whatever it has learnt: right becomes left, away, up and sun stay."""
    pictures = torch.rand(3, 3, PIXELS, PIXELS) * 2 - 1
    with torch.no_grad():
        own, mirrored = network(pictures), network(pictures.flip(3))
    assert own.shape == (3, 4) and own[:, 0].abs().min() > 1e-4
    assert torch.allclose(mirrored, own * torch.tensor([-1.0, 1, 1, 1]), atol=1e-6)


def test_a_picture_that_is_its_own_mirror_image_tells_no_side(network):
    half = torch.rand(1, 3, PIXELS, PIXELS // 2)
    with torch.no_grad():
        told = network(torch.cat([half, half.flip(3)], 3))
    assert told[0, 0].abs() < 1e-6
    assert told[0, 1:].abs().min() > 1e-6


def test_pictures_do_not_see_each_other(network):
    pictures = torch.rand(4, 3, PIXELS, PIXELS)
    with torch.no_grad():
        together = network(pictures)
        alone = torch.cat([network(one[None]) for one in pictures])
    assert torch.allclose(together, alone, atol=1e-5)
