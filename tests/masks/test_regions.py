"""Regions: how alike they are, and cutting them where colours change."""

from __future__ import annotations

import numpy as np

from packshot.masks.regions import cut_by_colours, cut_edge, grown, overlap, resized


def square(first: int, last: int, side: int = 60) -> np.ndarray:
    region = np.zeros((side, side), bool)
    region[first:last, first:last] = True
    return region


def painted(region: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    colours = np.where(region[..., None], (200, 40, 40), (40, 120, 60))
    return (colours + rng.integers(-12, 13, colours.shape)).astype(np.uint8)


def test_overlap_is_intersection_over_union() -> None:
    assert overlap(square(0, 20), square(10, 30)) == 100 / 700
    assert overlap(square(0, 20), square(0, 20)) == 1
    assert overlap(square(0, 0), square(0, 0)) == 0


def test_growing_and_shrinking_go_on_beyond_the_images_edge() -> None:
    assert np.array_equal(np.argwhere(grown(square(20, 40), 3)).min(axis=0), [17, 17])
    assert np.array_equal(np.argwhere(grown(square(20, 40), -3)).max(axis=0), [36, 36])
    assert grown(square(0, 60), -5).all()


def test_resizing_keeps_the_place() -> None:
    assert np.array_equal(resized(square(20, 40), (120, 120)), square(40, 80, 120))


def test_a_wrong_edge_moves_to_where_the_colours_change() -> None:
    truth = square(20, 40)
    assert overlap(truth, square(18, 42)) < 0.7
    assert overlap(truth, cut_edge(painted(truth), square(18, 42), 0.2, rounds=3)) > 0.98


def test_what_is_sure_and_what_is_impossible_stay() -> None:
    truth = square(20, 40)
    sure, possible = square(10, 12), ~square(38, 40)
    cut = cut_by_colours(painted(truth), truth, sure, possible, rounds=2)
    assert cut is not None and cut[sure].all() and not cut[~possible].any()
    assert cut[22:36, 22:36].all()


def test_without_an_outside_there_is_nothing_to_decide_by() -> None:
    every = np.ones((20, 20), bool)
    assert cut_by_colours(painted(every), every, every, every, rounds=1) is None
    assert np.array_equal(cut_edge(painted(every), every, 0.1, rounds=1), every)
