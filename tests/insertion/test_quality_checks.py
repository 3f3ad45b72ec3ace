"""Each check against a fault that a person would refuse, and against insertions that hold."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from packshot.insertion import quality_checks, shadows
from packshot.insertion.background import Box
from packshot.insertion.composite import composite
from packshot.insertion.insert import _checked
from packshot.insertion.lighting import Light
from packshot.insertion.settings import InsertionSettings
from tests.insertion.scenes import background, cut_out_of, inserted, scene


class Likeness:
    """Stands in for CLIP: where which colours are, as a unit vector."""

    name = "drawn"

    def embed_images(self, pixels):
        small = torch.nn.functional.adaptive_avg_pool2d(pixels, 8).flatten(1)
        return torch.nn.functional.normalize(small, dim=1)


def judged(shown, made, photos=None):
    """The checks by name; the photos are, if none are given, three of the product."""
    cuts = photos or [made.cut or cut_out_of("box"), *photos_of("box", 2)]
    return {check.name: check for check in _checked(shown, made, cuts, Likeness())}


def photos_of(product, count):
    """The product again, in somewhat other light."""
    cut = cut_out_of(product)
    return [
        replace(cut, colours=(cut.colours * (0.9 + 0.1 * number)).clip(0, 1))
        for number in range(count)
    ]


def failed(shown, made, photos=None):
    return {name for name, check in judged(shown, made, photos).items() if not check.passed}


GOOD = {
    "box on sand": ("sand", "box", {}),
    "car on tiles, hard light": ("tiles", "car", {"hardness": 1.0, "azimuth": 330.0, "width": 300}),
    "bottle on gravel, light from behind": ("gravel", "bottle", {"azimuth": 90.0}),
    "car, light from the camera": ("smooth", "car", {"azimuth": 270.0, "elevation": 50.0}),
    "box at night, overcast, small": ("night", "box", {"hardness": 0.0, "width": 160}),
    "bottle, low sun": ("smooth", "bottle", {"hardness": 1.0, "azimuth": 150.0, "elevation": 25.0}),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_was_composed_well_passes_every_check(name):
    ground, product, told = GOOD[name]
    shown = scene(ground, **told)
    made = inserted(shown, product)
    assert not failed(shown, made, [made.cut, *photos_of(product, 2)])


def test_what_was_painted_well_passes_every_check():
    shown = scene("sand")
    assert not failed(shown, painted(inserted(shown)))


def painted(made):
    """As if a base had painted it."""
    return replace(made, cut=None)


def repainted(shown, made, colours):
    """The product in other colours on the same ground."""
    ground = shadows.darkened(shown.image, made.shadow)
    share = made.alpha[..., None]
    part = made.box.region
    ground[part] = ground[part] * (1 - share) + np.clip(colours, 0, 1) * share
    return replace(made, image=ground)


def patched(shown, made, level):
    """The ground about it lighter by so much, in a rectangle, as of a patch that was pasted."""
    zone, product = np.zeros_like(made.changed_mask), np.zeros_like(made.changed_mask)
    box, reach = made.box, made.box.height // 4
    zone[box.top - reach : box.bottom + reach, box.left - reach : box.right + reach] = 1
    product[box.region] = made.alpha
    colours = made.image + level * (zone * (1 - product))[..., None]
    return replace(made, image=colours.clip(0, 1), changed_mask=np.maximum(made.changed_mask, zone))


def with_shadow_cut_off(shown, made):
    """Its shadow ends in a line a few pixels beside it."""
    colours, taken, zone = made.image.copy(), made.shadow.copy(), made.changed_mask.copy()
    end = made.box.right + made.box.width // 8
    colours[:, end:], taken[:, end:], zone[:, end:] = shown.image[:, end:], 0, 0
    return replace(made, image=colours, shadow=taken, changed_mask=zone)


def floating(shown, made, share):
    """Lifted by a share of its height, its shadow left behind."""
    up = replace(made.box, top=made.box.top - round(share * made.box.height))
    product = made.image[made.box.region]
    zone = (made.shadow > 0).astype(np.float32)
    zone[up.region] = np.maximum(zone[up.region], made.alpha > 0)
    return repainted(shown, replace(made, box=up, changed_mask=zone), product)


def lit_from_elsewhere(shown, made, turn):
    azimuth = (shown.light.azimuth_degrees + turn) % 360
    light = Light(azimuth, shown.light.elevation_degrees, shown.light.hardness)
    return composite(replace(shown, light=light), made.cut, InsertionSettings(), 0)


def twice(shown, made, size):
    """Painted half as large, and beside it a second one, `size` times as large as that."""
    alpha, colours = np.zeros_like(made.alpha), made.product.copy()
    height, width = alpha.shape
    for left, share in ((0, 0.48), (width // 2 + 2, 0.48 * size)):
        small = [
            cv2.resize(one, (round(width * share), round(height * share)))
            for one in (made.alpha, made.product)
        ]
        part = slice(height - len(small[0]), height), slice(left, left + small[0].shape[1])
        alpha[part], colours[part] = small
    return repainted(shown, replace(painted(made), alpha=alpha), colours)


def blurred(shown, made, deviation):
    return repainted(shown, made, cv2.GaussianBlur(made.product, (0, 0), deviation))


def bluer_above(shown, made):
    """Its upper half in another hue."""
    colours = made.product.copy()
    colours[: len(colours) // 2] *= np.float32([0.5, 1, 1.8])
    return repainted(shown, made, colours)


FAULTS = {
    "a lighter patch": ("seam", lambda s, m: patched(s, painted(m), 0.06)),
    "a darker patch": ("seam", lambda s, m: patched(s, painted(m), -0.06)),
    "a shadow cut off": ("seam", with_shadow_cut_off),
    "too dark": ("colour", lambda s, m: repainted(s, m, m.product * 0.65)),
    "too light": ("colour", lambda s, m: repainted(s, m, m.product * 1.5)),
    "another hue": ("colour", lambda s, m: repainted(s, m, m.product * np.float32([1, 0.9, 0.6]))),
    "another hue in part": ("colour", bluer_above),
    "a second one": ("count", lambda s, m: twice(s, m, 0.8)),
    "out of focus": ("sharpness", lambda s, m: blurred(s, m, 2.5)),
    "floating": ("contact", lambda s, m: floating(s, m, 0.15)),
    "floating high": ("contact", lambda s, m: floating(s, m, 0.4)),
    "no shadow where it touches": (
        "contact", lambda s, m: composite(s, m.cut, InsertionSettings(shadow_strength=0), 0),
    ),
    "no shadow at all": (
        "shadow direction", lambda s, m: composite(s, m.cut, InsertionSettings(shadow_strength=0), 0),
    ),
    "a shadow on the other side": ("shadow direction", lambda s, m: lit_from_elsewhere(s, m, 180)),
}  # fmt: skip
"""What is wrong, the check that must say so, and how it is made wrong."""
PLACES = [("sand", "box", 240), ("tiles", "car", 300), ("smooth", "bottle", 300)]


@pytest.mark.parametrize("ground,product,width", PLACES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_caught_by_its_check(fault, ground, product, width):
    name, spoil = FAULTS[fault]
    shown = scene(ground, width, hardness=0.3)
    assert name in failed(shown, spoil(shown, inserted(shown, product)))


SLIGHT = {
    "seam": lambda s, m: patched(s, painted(m), 1.5 / 255),
    "colour": lambda s, m: repainted(s, m, m.product * 1.08),
    "count": lambda s, m: twice(s, m, 0.3),
    "sharpness": lambda s, m: blurred(s, m, 0.7),
    "contact": lambda s, m: composite(s, m.cut, InsertionSettings(shadow_strength=0.7), 0),
    "shadow direction": lambda s, m: lit_from_elsewhere(s, m, 12),
}
"""So little of it that no one would refuse it."""


@pytest.mark.parametrize("ground,product,width", PLACES)
@pytest.mark.parametrize("name", SLIGHT)
def test_so_little_of_it_passes(name, ground, product, width):
    shown = scene(ground, width, hardness=0.3)
    assert name not in failed(shown, SLIGHT[name](shown, inserted(shown, product)))


@pytest.mark.parametrize("fault", ["too dark", "a second one", "out of focus", "floating"])
def test_no_other_check_refuses_for_it(fault):
    name, spoil = FAULTS[fault]
    shown = scene("sand", hardness=0.3)
    assert failed(shown, spoil(shown, inserted(shown))) - {"identity"} == {name}


def test_another_product_is_no_likeness_of_the_photos():
    shown = scene("sand")
    box, bottle = (inserted(shown, product) for product in ("box", "bottle"))
    assert "identity" not in failed(shown, box, photos_of("box", 3))
    assert "identity" in failed(shown, bottle, photos_of("box", 3))
    assert "identity" in failed(shown, box, photos_of("bottle", 3))


def test_a_short_cut_in_a_long_rim_is_a_seam():
    """However small its share of the rim."""
    zone = np.zeros((300, 300), np.float32)
    zone[20:280, 20:280] = 1
    before = np.full((300, 300, 3), 0.5, np.float32)
    after = before.copy()
    after[20:60, 20:40] -= 0.05
    product = np.zeros_like(zone)
    assert quality_checks.seam_visibility(before, before, zone, product, 0).value == 0
    assert not quality_checks.seam_visibility(before, after, zone, product, 0).passed
    # The middle of a side changes by 0.05, which is so many times what is overlooked.
    after = before.copy()
    after[20:280, 20:280] -= 0.05
    assert quality_checks.seam_visibility(before, after, zone, product, 0).value == pytest.approx(
        0.05 * 85, rel=1e-3
    )


def test_a_step_between_product_and_plate_is_none():
    product = np.zeros((100, 100), np.float32)
    product[30:70, 30:70] = 1
    before = np.full((100, 100, 3), 0.5, np.float32)
    after = np.where(product[..., None] > 0, np.float32(0.1), before)
    assert quality_checks.seam_visibility(before, after, product, product, 0).passed


def test_each_value_outside_the_zone_counts():
    before, zone = background("sand", 160), np.zeros((40, 50), np.float32)
    zone[10:30, 10:40] = 1

    def counted(*places):
        pixels = before.pixels.copy()
        for row, column in places:
            pixels[row, column, 1] ^= 1
        return quality_checks.background_unchanged(
            before, replace(before, pixels=pixels), zone, 20, 30
        )

    assert counted().passed
    assert counted((30, 40), (49, 69)).value == 0, "inside, at its corners"
    assert counted((29, 40)).value == 1, "just above"
    assert counted((0, 0), (119, 159), (49, 70), (35, 45)).value == 3
    assert not counted((29, 40)).passed


def test_another_size_depth_or_profile_is_not_the_background():
    before, zone = background("sand", 160), np.zeros((40, 50), np.float32)
    for other in (
        replace(before, pixels=before.pixels[:-1]),
        replace(before, pixels=before.pixels.astype(np.uint16)),
        replace(before, profile=b"another"),
    ):
        assert not quality_checks.background_unchanged(before, other, zone, 0, 0).passed


def test_colours_that_moved_are_measured_as_scikit_image_does():
    """Of an even product: CIEDE2000 itself."""
    from skimage.color import deltaE_ciede2000, rgb2lab

    own, other = np.float32([0.6, 0.2, 0.2]), np.float32([0.6, 0.25, 0.3])
    alpha = np.ones((30, 30), np.float32)
    even = [np.broadcast_to(one, (30, 30, 3)) for one in (other, own)]
    wanted = deltaE_ciede2000(rgb2lab(own), rgb2lab(other), kL=2)
    assert quality_checks.colour(even[0], alpha, even[1]).value == pytest.approx(
        float(wanted), rel=1e-3
    )
    assert quality_checks.colour(even[0], 0 * alpha, even[1]).passed, "there is nothing to compare"


def test_on_the_plates_lower_edge_no_contact_is_asked_for():
    product = np.zeros((60, 60), np.float32)
    product[20:, 20:40] = 1
    grey = np.full((60, 60, 3), 0.5, np.float32)
    assert quality_checks.contact(grey, grey, product).passed


def test_what_hangs_over_its_shadow_floats_though_a_corner_touches_it():
    """The shade reaches up to its foot at the left only; beside that lit ground is seen below it."""
    before = np.full((300, 300, 3), 0.6, np.float32)
    product = np.zeros((300, 300), np.float32)
    product[100:200, 100:200] = 1
    after = before.copy()
    after[200:212, 100:200] *= 0.4
    assert quality_checks.contact(before, after, product).passed
    after[200:206, 115:200] = 0.6
    assert not quality_checks.contact(before, after, product).passed


def test_a_foot_over_an_edge_is_told():
    """Pale rock to the left, dark water to the right; and a shadow's edge, which is no edge of the ground."""
    rock, water = (0.7, 0.66, 0.6), (0.12, 0.2, 0.15)
    scene = np.empty((200, 300, 3), np.float32)
    scene[:, :160], scene[:, 160:] = rock, water
    on_rock, over_edge = Box(20, 40, 100, 120), Box(110, 40, 120, 120)
    assert quality_checks.ground(scene, on_rock).value == pytest.approx(0, abs=0.01)
    assert not quality_checks.ground(scene, over_edge).passed
    scene[:, 160:] = np.array(rock) * 0.75
    assert quality_checks.ground(scene, over_edge).passed
    assert quality_checks.ground(scene, Box(100, 40, 2, 120)).passed
