"""The rim of cut-outs, against pictures that were composed with a known opacity."""

from __future__ import annotations

import cv2
import numpy as np
import pymatting
import pytest

from packshot.insertion import matting
from packshot.insertion.matting import matte, without_fringe


def composed(side: int = 240) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A picture, its mask (hard), and the product's true colours and opacity."""
    rng = np.random.default_rng(0)
    disc = np.zeros((side, side), np.float32)
    cv2.ellipse(disc, (side // 2, side // 2), (side // 3, side // 4), 20, 0, 360, 1.0, -1)
    opacity = cv2.GaussianBlur(disc, (0, 0), 1.2)
    down = np.mgrid[:side, :side][0][..., None] / side

    def textured(colour, other):
        noise = cv2.GaussianBlur(rng.normal(0, 0.15, (side, side, 1)), (0, 0), 3)[..., None]
        return (np.array(colour) * (1 - down) + np.array(other) * down + noise).clip(0, 1)

    front = textured((0.8, 0.2, 0.2), (0.6, 0.1, 0.3))
    back = textured((0.2, 0.6, 0.3), (0.3, 0.5, 0.7))
    share = opacity[..., None]
    picture = (front * share + back * (1 - share)).astype(np.float32)
    return picture, (opacity > 0.5).astype(np.float32), front.astype(np.float32), opacity


def test_the_rim_is_nearer_to_the_truth_than_a_hard_mask():
    picture, mask, front, truth = composed()
    colours, opacity = matte(picture, mask)
    rim = (truth > 0.02) & (truth < 0.98)
    assert np.abs(opacity - truth)[rim].mean() < 0.5 * np.abs(mask - truth)[rim].mean()
    # What shows on another ground: the colours, as far as they are opaque.
    shown = np.abs(colours * opacity[..., None] - front * truth[..., None])[rim].mean()
    plain = without_fringe(picture, mask)
    assert shown < 0.7 * np.abs(plain * mask[..., None] - front * truth[..., None])[rim].mean()


def test_the_solvers_words_are_not_the_commands(monkeypatch, capfd):
    real = pymatting.ichol

    def talking(*given, **options):
        print("PERFORMANCE WARNING:")
        return real(*given, **options)

    monkeypatch.setattr(pymatting, "ichol", talking)
    picture, mask, _, _ = composed()
    matte(picture, mask)
    assert capfd.readouterr().out == ""


def test_inside_and_outside_stay():
    picture, mask, _, truth = composed()
    colours, opacity = matte(picture, mask)
    assert np.array_equal(opacity[truth > 0.9999], np.ones((truth > 0.9999).sum(), np.float32))
    assert not opacity[truth == 0].any()
    assert np.array_equal(colours[115:125, 115:125], picture[115:125, 115:125])


def test_large_photos_are_computed_small(monkeypatch):
    asked = []
    real = matting._solve
    monkeypatch.setattr(matting, "MOST_PIXELS", 120)
    monkeypatch.setattr(matting, "_solve", lambda c, a, t: asked.append(t.shape) or real(c, a, t))
    picture, mask, _, _ = composed()
    colours, opacity = matte(picture, mask)
    assert asked == [(120, 120)] and colours.shape == picture.shape and opacity.shape == mask.shape


@pytest.mark.parametrize("alpha", [np.ones((80, 80), np.float32), np.ones((6, 6), np.float32)])
def test_without_an_outside_all_stays(alpha):
    colours = np.full((*alpha.shape, 3), 0.4, np.float32)
    found, opacity = matte(colours, alpha)
    assert np.array_equal(found, colours) and np.array_equal(opacity, alpha)


def test_what_cannot_be_solved_has_the_masks_rim(monkeypatch):
    monkeypatch.setattr(matting, "_STEPS", 1)
    picture, mask, _, _ = composed()
    colours, opacity = matte(picture, mask)
    assert np.array_equal(opacity, mask)
    assert np.array_equal(colours, without_fringe(picture, mask))


def test_a_thin_part_whose_colour_is_the_backgrounds_does_not_fade():
    """An antenna before a wall of its own colour: only the mask knows that it is there."""
    mask = np.zeros((600, 300), np.float32)
    mask[300:560, 60:240] = 1
    mask[40:300, 147:153] = 1
    picture = np.full((600, 300, 3), (0.72, 0.6, 0.5), np.float32)
    picture[mask > 0] = (0.8, 0.1, 0.1)
    picture[40:300, 147:153] = (0.73, 0.6, 0.48)
    picture += np.random.default_rng(0).normal(0, 0.01, picture.shape).astype(np.float32)
    _, opacity = matte(picture.clip(0, 1), mask)
    assert opacity[60:290, 149:151].min() > 0.9


def test_between_black_and_black_the_masks_edge_holds_and_is_not_frayed():
    rng = np.random.default_rng(0)
    alpha = np.zeros((160, 240), np.float32)
    alpha[30:110, 40:200] = 1
    colours = np.full((160, 240, 3), 0.5, np.float32)
    colours[100:140] = (0.03, 0.03, 0.05)  # the shade into which its black underside goes on
    colours[30:100, 40:200] = (0.7, 0.1, 0.1)
    colours[100:110, 40:200] = (0.02, 0.02, 0.03)
    noisy = (colours + rng.normal(0, 0.02, colours.shape)).clip(0, 1).astype(np.float32)
    _, opacity = matte(noisy, alpha)
    below = opacity[104:118, 60:180]
    assert np.abs(below - alpha[104:118, 60:180]).mean() < 0.05
    assert np.abs(np.diff(below, axis=1)).max() < 0.2
