"""How silhouettes lean, and whether their sides are alike, of drawn products."""

import cv2
import numpy as np
import pytest

from packshot.insertion.symmetry import lean_of, one_sided, turned
from tests.insertion.test_photo_camera import can


@pytest.mark.parametrize("roll", [-8, -2, 0, 5])
def test_a_symmetric_outline_tells_how_it_leans(roll):
    assert lean_of(can(15, roll)) == pytest.approx(roll, abs=0.6)


def test_an_outline_without_symmetry_tells_no_lean():
    boot = np.zeros((200, 200), bool)
    boot[:, :60] = boot[140:] = True
    assert lean_of(boot) is None


def test_turning_sets_upright_what_leaned():
    leaning = can(10, 6).astype(np.float32)
    colours = np.repeat(leaning[..., None], 3, axis=2)
    shown, alpha = turned(colours, leaning, -6)
    assert lean_of(alpha > 0.5) == pytest.approx(0, abs=0.6)
    assert shown.shape == (*alpha.shape, 3) and shown.min() >= 0 and shown.max() <= 1
    assert alpha.sum() == pytest.approx(leaning.sum(), rel=0.01), "its size stays"


@pytest.mark.parametrize("roll", [-8, 0, 5])
def test_a_can_has_two_sides_that_are_alike(roll):
    assert one_sided(can(15, roll)) < 0.003


@pytest.mark.parametrize("roll", [-5, 0, 8])
def test_a_bite_and_what_came_along_are_of_one_side(roll):
    silhouette = np.pad(can(15, roll), 60)
    height, width = silhouette.shape
    at, radius = (width - 62, height // 3), width // 12  # near the right side's middle
    disc = cv2.circle(np.zeros((height, width), np.uint8), at, radius, 1, -1) > 0
    bitten, joined = silhouette & ~disc, silhouette | disc
    for changed in (bitten, joined):
        share = (changed ^ silhouette).sum() / changed.sum()
        assert one_sided(changed) == pytest.approx(share, rel=0.25)


def test_what_is_empty_thin_or_dust_has_no_sides():
    dust = np.random.default_rng(0).random((1000, 900)) < 0.02
    line = np.eye(700, dtype=bool)
    for silhouette in (np.zeros((20, 20), bool), line, dust, line[:1, :1]):
        assert one_sided(silhouette) == 0


@pytest.mark.parametrize("margin", [0, 6])
def test_what_is_turned_is_not_continued_where_nothing_is_known(margin):
    """A box that fills all that is known: its corners do not grow into those that the turn has opened."""
    colours, alpha = np.ones((80, 60, 3), np.float32), np.zeros((80, 60), np.float32)
    alpha[margin : 80 - margin, margin : 60 - margin] = 1
    _, opacity = turned(colours, alpha, 10, margin)
    assert opacity.sum() == pytest.approx(alpha.sum(), rel=0.02)
    assert opacity[margin, margin] < 0.5
