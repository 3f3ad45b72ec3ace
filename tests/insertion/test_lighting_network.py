import pytest
import torch

from packshot.insertion.lighting_network import OUTPUTS, PIXELS, SECTORS, LightNetwork, mirrored


@pytest.fixture
def network():
    torch.manual_seed(0)
    return LightNetwork((8, 16)).eval()


def test_sectors_are_mirrored_at_the_camera_s_axis():
    """Azimuth a becomes 180 - a: 0 to 10 degrees becomes 170 to 180, and 270 to 280 is 260 to 270."""
    light = torch.zeros(1, OUTPUTS)
    for sector, other in ((0, 17), (8, 9), (27, 26), (35, 18)):
        light[:] = 0
        light[0, sector] = 1
        assert mirrored(light)[0].nonzero().tolist() == [[other]]
    light[0, SECTORS:] = torch.tensor([1.0, 2.0, 3.0])
    assert mirrored(light)[0, SECTORS:].tolist() == [1, 2, 3], "the rest has no side"


def test_a_mirrored_picture_tells_the_mirrored_light_and_ground(network):
    """Whatever it has learnt."""
    pictures = torch.rand(3, 3, PIXELS, PIXELS) * 2 - 1
    with torch.no_grad():
        own, other = network(pictures), network(pictures.flip(3))
    assert own.light.shape == (3, OUTPUTS)
    assert own.ground.shape == (3, 2, PIXELS // 2, PIXELS // 2)
    assert not torch.allclose(own.light, other.light, atol=1e-4)
    assert torch.allclose(mirrored(own.light), other.light, atol=1e-5)
    assert torch.allclose(own.ground.flip(3), other.ground, atol=1e-5)


def test_a_picture_that_is_its_own_mirror_image_tells_no_side(network):
    half = torch.rand(1, 3, PIXELS, PIXELS // 2)
    with torch.no_grad():
        told = network(torch.cat([half, half.flip(3)], 3)).light
    assert torch.allclose(told, mirrored(told), atol=1e-5)


def test_pictures_do_not_see_each_other(network):
    pictures = torch.rand(4, 3, PIXELS, PIXELS)
    with torch.no_grad():
        together = network(pictures)
        alone = [network(one[None]) for one in pictures]
    assert torch.allclose(together.light, torch.cat([one.light for one in alone]), atol=1e-5)
    assert torch.allclose(together.ground, torch.cat([one.ground for one in alone]), atol=1e-5)
