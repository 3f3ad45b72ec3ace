"""What a network is shown, from a first guess: the largest part's box, and points well within it."""

from __future__ import annotations

import numpy as np
import pytest

from packshot.masks.point_prompt import prompt_of


def test_the_box_is_around_the_largest_part():
    shares = np.zeros((100, 200), np.float32)
    shares[40:80, 50:150] = 0.9
    shares[5:10, 5:10] = 1.0
    shares[90:, :] = 0.4
    prompt = prompt_of(shares)
    assert prompt.box == pytest.approx([0.25 - 0.015, 0.4 - 0.012, 0.75 + 0.015, 0.8 + 0.012])


def test_points_lie_within_and_apart_the_surest_first():
    shares = np.zeros((100, 200), np.float32)
    shares[30:70, 20:180] = 0.6
    shares[30:70, 100:140] = 1.0
    points = prompt_of(shares).points * [200, 100]
    assert points.shape == (3, 2)
    assert 100 <= points[0, 0] <= 140 and 45 <= points[0, 1] <= 55
    assert ((points > [22, 32]) & (points < [178, 68])).all()
    gaps = np.linalg.norm(points[:, None] - points[None], axis=-1)[np.triu_indices(3, 1)]
    assert gaps.min() > 15


def test_a_ring_has_no_point_in_its_hole():
    down, across = np.mgrid[:80, :80] - 40
    radius = np.hypot(down, across)
    shares = ((radius < 35) & (radius > 20)).astype(np.float32)
    for x, y in prompt_of(shares).points * 80:
        assert 20 < np.hypot(x - 40, y - 40) < 35


def test_a_product_that_the_edge_cuts():
    shares = np.zeros((50, 50), np.float32)
    shares[:, :20] = 1
    prompt = prompt_of(shares)
    assert prompt.box == pytest.approx([0, 0, 0.4 + 0.012, 1])
    assert 0.1 < prompt.points[0, 0] < 0.3


def test_of_one_pixel_and_of_nothing():
    shares = np.zeros((9, 9), np.float32)
    assert prompt_of(shares) is None
    shares[4, 4] = 1
    assert prompt_of(shares).points == pytest.approx(np.array([[0.5, 0.5]]))
