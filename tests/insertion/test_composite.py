"""What is laid into the crop, and where nothing is."""

from dataclasses import replace

import numpy as np
import pytest

from packshot.insertion.background import Box
from packshot.insertion.composite import composite
from packshot.insertion.photo_camera import PhotoCamera
from packshot.insertion.settings import InsertionSettings
from tests.insertion.scenes import cut_out_of, inserted, scene


@pytest.mark.parametrize("product", ["box", "car"])
def test_nothing_changes_outside_the_zone(product):
    shown = scene("sand")
    made = inserted(shown, product, reflection=0.5)
    assert np.array_equal(made.image[made.changed_mask == 0], shown.image[made.changed_mask == 0])
    changed = (made.image != shown.image).any(axis=2)
    assert 0.95 < changed[made.changed_mask > 0].mean() <= 1, "and the zone is no larger than that"


def test_the_products_pixels_cover_the_ground_as_far_as_its_alpha_says():
    shown = scene("smooth")
    bare, shaded = inserted(shown, "car", shadow_strength=0.0), inserted(shown, "car")
    part, alpha = bare.box.region, bare.alpha
    assert np.array_equal(bare.image[part][alpha == 0], shown.image[part][alpha == 0])
    sure = alpha == 1
    assert np.allclose(bare.image[part][sure], shaded.image[part][sure]), "no shadow on it"
    half = (alpha > 0.3) & (alpha < 0.7)
    seen = (bare.image[part][half] - shown.image[part][half] * (1 - alpha[half][:, None])) / (
        alpha[half][:, None]
    )
    assert (seen >= -0.01).all() and (seen <= 1.01).all(), "the rest is a colour of the product's"


def test_it_stands_on_the_lower_edge_of_its_place_in_its_own_proportions():
    shown = scene("sand")
    made, place = inserted(shown, "bottle"), shown.placement.box
    assert made.box.bottom == place.bottom and made.box.height == place.height
    cut = cut_out_of("bottle")
    assert made.box.width == pytest.approx(made.box.height * cut.aspect, abs=1)
    assert abs(made.box.left + made.box.right - place.left - place.right) <= 1, "in its middle"


def test_a_shadow_is_as_strong_as_it_is_wanted_and_takes_light_only():
    shown = scene("smooth")
    full, half, none = (inserted(shown, shadow_strength=share) for share in (1.0, 0.5, 0.0))
    strong = full.shadow > 0.05
    assert np.allclose(half.shadow[strong], full.shadow[strong] / 2, atol=1e-3)
    assert none.shadow.max() == 0
    product = np.zeros_like(full.changed_mask)
    product[full.box.region] = full.alpha
    ground = product == 0
    assert (full.image[ground] <= shown.image[ground]).all()
    assert full.shadow[full.shadow > 0].min() >= 1.5 / 255, "what 8 bits cannot show is none"


def test_a_long_shadow_fades_before_the_crop_ends_but_not_at_the_plates_own_edge():
    low = {"azimuth": 180.0, "elevation": 10.0, "hardness": 1.0}
    inner, outer = (scene("smooth", box=Box(left, 114, 50, 36), **low) for left in (60, 186))
    assert inner.crop.right < inner.background.width and outer.crop.right == outer.background.width
    assert inserted(inner).shadow[:, -1].max() == 0
    assert inserted(inner).shadow[:, -15].max() > 0.05
    assert inserted(outer).shadow[:, -1].max() > 0.3


def test_a_reflection_shows_below_it():
    shown = scene("smooth")
    dry, wet = (inserted(shown, shadow_strength=0.0, reflection=share) for share in (0.0, 0.8))
    below = Box(wet.box.left + 5, wet.box.bottom, wet.box.width - 10, 4).region
    assert np.array_equal(dry.image[below], shown.image[below])
    assert (wet.image[below] - shown.image[below])[..., 1].mean() < -0.2, "it is red"
    assert (wet.changed_mask[below] == 1).all()


def test_the_grain_is_the_seeds():
    shown = scene("sand")
    one, same, other = (
        composite(shown, cut_out_of(), InsertionSettings(), seed).image for seed in (1, 1, 2)
    )
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def test_its_opacity_is_what_it_hides_of_the_ground():
    """Where it is 1 nothing of the ground is seen, and the rest is light from what lies there."""
    shown = scene("smooth")
    made = inserted(shown, "car", reflection=0.5)
    share = made.opacity[..., None]
    own = made.image - shown.image * (1 - share)
    assert made.opacity[made.changed_mask == 0].max() == 0
    assert (made.opacity[made.box.region][made.alpha == 1] == 1).all()
    assert (made.opacity[made.shadow > 0.1] >= made.shadow[made.shadow > 0.1] - 1e-6).all()
    assert own.min() >= -0.001 and (own <= share + 0.001).all()


def test_shade_does_not_climb_up_beside_what_its_photo_shows_from_the_front():
    """A bottle on a table that is seen from above: the shade at its foot is its photo's."""
    place = Box(100, 60, 60, 90)
    shown = scene("smooth", hardness=0.0, elevation=90.0, box=place)
    steep = replace(shown.ground, horizon=place.bottom - shown.ground.focal)
    shown = replace(shown, ground=steep)

    def highest(degrees):
        cut = replace(cut_out_of("bottle"), camera=PhotoCamera(degrees, 4.0, None, None, "a test"))
        made = composite(shown, cut, InsertionSettings(), 0)
        beside = np.delete(made.shadow, range(made.box.left - 2, made.box.right + 2), axis=1)
        return made.box.bottom - np.flatnonzero(beside.max(axis=1) > 0.1)[0]

    assert highest(15.0) < 0.6 * highest(45.0)
