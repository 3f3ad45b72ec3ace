import cv2
import numpy as np

from packshot.masks.lost_parts import colour_shares, with_lost_parts

LIKELY = np.full((96, 96), 2, np.float32)
"""All looks like the product in other photos."""


def wheeled():
    """A red box with a black wheel; its mask without that, and what a network found: some ground, too."""
    pixels = np.empty((200, 200, 3), np.float32)
    pixels[:] = 120, 118, 115
    body, wheel = np.zeros((2, 200, 200), np.uint8)
    cv2.rectangle(body, (60, 80), (140, 140), 1, -1)
    cv2.rectangle(wheel, (64, 141), (80, 152), 1, -1)
    pixels[body > 0], pixels[wheel > 0] = (200, 30, 30), (20, 20, 22)
    noisy = (pixels + np.random.default_rng(0).normal(0, 4, pixels.shape)).clip(0, 255)
    found = (body | wheel) > 0
    found[70:80, 100:120] = True
    return noisy.astype(np.uint8), body > 0, wheel > 0, found


def of_other_photos(pixels, body, wheel):
    return colour_shares(pixels, body | wheel)


def test_a_wheel_that_a_network_found_is_added_and_ground_is_not():
    pixels, body, wheel, found = wheeled()
    colours = of_other_photos(pixels, body, wheel)
    done = with_lost_parts(pixels, body, [found], LIKELY, colours)
    assert done[wheel].mean() > 0.9
    assert not (done & ~body & ~wheel).any()


def test_what_does_not_look_like_the_product_or_is_another_thing_is_not_added():
    pixels, body, wheel, found = wheeled()
    colours = of_other_photos(pixels, body, wheel)
    unlike = -LIKELY
    assert np.array_equal(with_lost_parts(pixels, body, [found], unlike, colours), body)
    elsewhere = np.zeros_like(body)
    elsewhere[140:180, 60:160] = True
    assert np.array_equal(with_lost_parts(pixels, body, [elsewhere], LIKELY, colours), body)
