"""The horizon in pictures of known cameras, and how sure of it one may be."""

import cv2
import numpy as np
import pytest
from benchmarks.horizon_scenes import scene

from packshot.insertion.horizon import GRID, TOLERANCE, Cue, find_horizon, sky
from tests.backgrounds import landscape


@pytest.mark.parametrize("share", [-0.2, 0.3, 0.45, 0.63])
def test_a_tiled_floor_tells_its_horizon(share):
    """Also where it lies above the picture."""
    picture, horizon = np.full((300, 400, 3), 0.8, np.float32), share * 300
    for away in np.geomspace(0.5, 30, 18):
        y = horizon + 160 / away
        cv2.line(picture, (0, round(y)), (400, round(y)), (0.2, 0.2, 0.2), 1, cv2.LINE_AA)
    for across in np.linspace(-14, 14, 29):
        far, near = (200 + across * 4, horizon + 160 / 12), (200 + across * 200, horizon + 666.0)
        ends = [(round(x), round(y)) for x, y in (far, near)]
        cv2.line(picture, *ends, (0.2, 0.2, 0.2), 1, cv2.LINE_AA)
    found = find_horizon(picture)
    assert found.height == pytest.approx(share, abs=0.03)
    assert found.confidence > (0.6 if share > 0 else 0.4) and found.by == "lines"


def test_a_shore_tells_it_too():
    found = find_horizon(landscape().astype(np.float32) / 255)
    shown = landscape().astype(int).sum(axis=2).mean(axis=1)
    shore = np.abs(np.diff(shown)).argmax() / len(shown)
    assert found.height == pytest.approx(shore, abs=0.03) and found.by in ("sky", "rim")


@pytest.mark.parametrize("seed", range(4))
def test_a_camera_that_is_turned_is_known_by_uprights(seed):
    picture, camera = scene("street", seed)
    assert find_horizon(picture).roll == pytest.approx(camera.roll, abs=0.035)


def test_what_tells_nothing_is_a_guess_and_known_as_one():
    pictures = [scene("clutter", seed)[0] for seed in range(6)]
    pictures.append(np.full((200, 300, 3), 0.9, np.float32))
    pictures.append(np.random.default_rng(0).random((200, 300, 3)).astype(np.float32))
    assert max(find_horizon(picture).confidence for picture in pictures) < 0.5


def test_it_is_as_sure_as_it_is_right():
    """Of pictures that nothing was fitted to: drawn rooms and boarded floors."""
    sure, right = [], []
    for kind in ("room", "boards"):
        for seed in range(500, 512):
            picture, camera = scene(kind, seed)
            found = find_horizon(picture)
            sure.append(found.confidence)
            right.append(abs(found.height - camera.horizon / camera.height) <= TOLERANCE)
    sure, right = np.array(sure), np.array(right)
    assert right[sure >= 0.8].mean() >= 0.9 and (sure >= 0.8).sum() >= 3
    assert right.mean() > sure.mean() - 0.1


def test_the_confidence_is_the_mass_near_the_estimate():
    found = find_horizon(scene("tiles", 1)[0])
    near = np.abs(GRID - found.height) <= TOLERANCE + 0.02
    assert found.likely.sum() == pytest.approx(1)
    assert found.confidence <= found.likely[near].sum() + 1e-9


def test_a_cue_that_may_mislead_rules_nothing_out():
    evidence = np.where(np.abs(GRID - 0.3) < 0.05, 50.0, 0.0)
    assert Cue(1.0, 0.2).log(evidence).min() == pytest.approx(np.log(0.2))
    assert np.allclose(Cue(1.0, 0.2).log(np.zeros_like(GRID)), 0), (
        "what says nothing changes nothing"
    )


def test_sky_is_what_is_bright_and_smooth_and_reaches_the_top():
    picture = np.full((400, 640, 3), (0.3, 0.25, 0.2), np.float32)
    picture[:160] = (0.6, 0.7, 0.9)
    bottom, flat, share = sky(picture)
    assert (
        bottom == pytest.approx(0.4, abs=0.03)
        and flat > 0.95
        and share == pytest.approx(0.4, abs=0.04)
    )
    assert sky(picture[::-1].copy()) == (0, 0, 0), "a bright floor is none"
    assert sky(np.full((400, 640, 3), 0.9, np.float32)) == (0, 0, 0), "nor is a studio's white"
