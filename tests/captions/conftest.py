"""Tiny captioners, saved once each, and pictures to show them."""

import numpy as np
import pytest
from PIL import Image

from packshot.settings import Subject
from tests.captioners import MAKERS
from tests.captions.reviewed import reviewed  # noqa: F401


@pytest.fixture(scope="session")
def tiny_captioner(tmp_path_factory):
    """Writes a tiny captioner of a kind, once, and gives its folder."""
    made = {}

    def make(kind):
        if kind not in made:
            made[kind] = MAKERS[kind](tmp_path_factory.mktemp("captioners") / kind)
        return made[kind]

    return make


@pytest.fixture(scope="session")
def pictures():
    """Of three shapes and looks."""
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    return [
        Image.fromarray(noise),
        Image.new("RGB", (60, 40), "blue"),
        Image.new("RGB", (60, 80), "white"),
    ]


@pytest.fixture(scope="session")
def car():
    return Subject(name="Dacia Duster", trigger="ohwx", class_noun="car")
