"""Gaps that a mask took along, on drawn pictures whose gaps are known."""

import cv2
import numpy as np
import pytest

from packshot.insertion.gaps import without_gaps

SIDE = 400


def clock(ground=0.96):
    """A yellow disc with a white dial and two bells over it, on even ground; and its true mask."""
    body = np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(body, (200, 240), 120, 1, -1)
    dial = np.zeros_like(body)
    cv2.circle(dial, (200, 240), 90, 1, -1)
    for x in (130, 270):
        cv2.circle(body, (x, 96), 44, 1, -1)
    picture = np.full((SIDE, SIDE, 3), ground, np.float32)
    picture[body > 0] = (0.9, 0.75, 0.05)
    picture[dial > 0] = ground
    return cv2.GaussianBlur(picture, (0, 0), 0.8), body > 0


def closed(body, width=51):
    """A mask that took along what lies between the parts."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    return cv2.morphologyEx(body.astype(np.uint8), cv2.MORPH_CLOSE, disc) > 0


def test_gaps_are_taken_out_and_the_product_stays():
    picture, body = clock()
    mask = closed(body).astype(np.float32)
    gaps = (mask > 0) & ~body
    assert gaps.sum() > 1000, "there is something to take out"
    left = without_gaps(picture, mask) > 0.5
    assert (left & gaps).sum() < 0.4 * gaps.sum(), "but for their narrow ends"
    assert (left & body).sum() > 0.998 * body.sum(), "its white dial, too"


@pytest.mark.parametrize("ground", [0.96, 0.4])
def test_a_mask_without_gaps_is_given_back(ground):
    picture, body = clock(ground)
    mask = body.astype(np.float32)
    assert without_gaps(picture, mask) is mask


def test_a_white_label_that_reaches_the_edge_is_no_gap():
    picture, body = clock()
    label = np.zeros_like(body)
    label[200:260, 70:150] = True
    picture[label & body] = 0.96
    mask = body.astype(np.float32)
    assert without_gaps(picture, mask) is mask


def test_what_goes_on_behind_an_edge_stays():
    """The same gaps in another colour than the ground's are parts."""
    picture, body = clock()
    mask = closed(body)
    picture[mask & ~body] = (0.5, 0.2, 0.2)
    mask = mask.astype(np.float32)
    assert without_gaps(picture, mask) is mask


def test_in_the_dark_no_edge_tells():
    picture, body = clock()
    mask = closed(body).astype(np.float32)
    assert without_gaps(picture * 0.08, mask) is mask


def test_an_empty_mask_stays():
    mask = np.zeros((20, 30), np.float32)
    assert without_gaps(np.ones((20, 30, 3), np.float32), mask) is mask
