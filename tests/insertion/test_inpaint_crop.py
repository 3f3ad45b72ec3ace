"""What a base is shown of a crop, and how what it paints comes back."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from packshot.insertion import inpaint_crop
from packshot.insertion.background import Box
from packshot.insertion.inpaint_crop import InpaintCrop
from packshot.insertion.settings import InsertionSettings
from packshot.settings import Subject

SUBJECT = Subject(name="Cup", trigger="ohwx", class_noun="mug")
BASE = SimpleNamespace(
    native_pixels=64, pixel_multiple=8, sampler=SimpleNamespace(steps=7, guidance_scale=2.5)
)


@pytest.mark.parametrize(
    "box,shape,wanted",
    [
        (Box(100, 100, 40, 20), (400, 600), Box(82, 72, 76, 76)),  # 40 x 1.9, square, its middle
        (Box(0, 0, 40, 20), (400, 600), Box(0, 0, 76, 76)),
        (Box(560, 380, 40, 20), (400, 600), Box(524, 324, 76, 76)),
        (Box(10, 5, 100, 30), (60, 120), Box(0, 0, 120, 60)),  # no larger than the crop
    ],
)
def test_it_is_the_box_and_almost_as_much_again_inside_the_crop(box, shape, wanted):
    assert InpaintCrop.around(box, shape, BASE).box == wanted


@pytest.mark.parametrize("shape", [(400, 600), (60, 200), (300, 40)])
def test_its_size_is_the_bases_pixels_in_its_own_shape(shape):
    made = InpaintCrop.around(
        Box(5, 5, 30, 30) if shape[1] > 40 else Box(2, 2, 36, 200), shape, BASE
    )
    width, height = made.size
    assert width % 8 == 0 and height % 8 == 0
    assert width * height == pytest.approx(64 * 64, rel=0.2)
    assert width / height == pytest.approx(made.box.width / made.box.height, rel=0.25)


@pytest.fixture
def asked(monkeypatch):
    """What the base is asked; it paints its crop a half lighter."""
    seen = {}

    def paint(base, crop, strength, prompt, **options):
        seen.update(crop=crop, strength=strength, prompt=prompt, **options)
        return crop + 0.5

    monkeypatch.setattr(inpaint_crop, "inpaint", paint)
    return seen


def paint(made, colours, strength, **settings):
    return made.painted(BASE, colours, strength, SUBJECT, InsertionSettings(**settings), 3)


def test_the_base_sees_its_part_at_its_size_and_it_comes_back_at_the_crops(asked):
    colours = np.random.default_rng(0).random((100, 120, 3)).astype(np.float32) * 0.4
    colours = cv2.GaussianBlur(colours, (0, 0), 4)
    strength = np.zeros((100, 120), np.float32)
    strength[30:60, 40:90] = 1
    made = InpaintCrop(Box(20, 10, 80, 80), (64, 64))
    out = paint(made, colours, strength)
    part = colours[10:90, 20:100]
    assert asked["crop"].shape == (64, 64, 3) and asked["strength"].shape == (64, 64)
    assert asked["crop"].mean() == pytest.approx(part.mean(), rel=1e-3)
    assert asked["strength"].mean() == pytest.approx(30 * 50 / 80**2, rel=1e-3)
    assert out.shape == part.shape and np.abs(out - part - 0.5).max() < 0.01
    assert paint(made, np.ones_like(colours), strength).max() == 1, "no lighter than white"


def test_a_small_place_is_shown_smooth_and_what_is_painted_comes_back_without_moire(
    asked, monkeypatch
):
    """A small background, of which the base sees an enlargement."""
    wave = 0.5 + 0.3 * np.sin(2 * np.pi * (np.arange(24) + 0.5) / 12)
    colours = np.broadcast_to(wave[None, :, None], (24, 24, 3)).astype(np.float32)
    made = InpaintCrop(Box(0, 0, 24, 24), (64, 64))
    paint(made, colours, np.ones((24, 24), np.float32))
    finer = 0.5 + 0.3 * np.sin(2 * np.pi * (np.arange(64) + 0.5) / 32)
    assert np.abs(asked["crop"][32, 4:-4, 0] - finer[4:-4]).max() < 0.02
    chequer = np.indices((64, 64)).sum(axis=0) % 2
    fine = np.repeat(chequer[..., None], 3, axis=2).astype(np.float32)
    monkeypatch.setattr(inpaint_crop, "inpaint", lambda *_, **__: fine)
    assert np.abs(paint(made, colours, np.ones((24, 24), np.float32)) - 0.5).max() < 0.1


def test_settings_win_over_the_bases_own_and_none_leaves_them(asked):
    colours, strength = np.zeros((64, 64, 3), np.float32), np.zeros((64, 64), np.float32)
    made = InpaintCrop(Box(0, 0, 64, 64), (64, 64))
    paint(made, colours, strength)
    assert (asked["steps"], asked["guidance_scale"], asked["seed"]) == (7, 2.5, 3)
    assert asked["prompt"] == "a photo of ohwx mug"
    paint(made, colours, strength, steps=1, guidance_scale=0.0, view="rear", prompt="{subject}!")
    assert (asked["steps"], asked["guidance_scale"]) == (1, 0.0), "nought is a value too"
    assert asked["prompt"] == "ohwx mug!, seen from the rear"
