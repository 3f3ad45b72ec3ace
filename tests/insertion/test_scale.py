import math
import re

import pytest

from packshot.errors import InsertionError
from packshot.insertion.camera import Camera
from packshot.insertion.plate_camera import PlateCamera
from packshot.insertion.scale import STANDING_METRES, camera_height_by, scale_of
from tests.insertion.test_camera import HEIGHT, WIDTH, looking, seen


def plate(pitch=15, distance=None, focal=900.0):
    return PlateCamera(Camera(WIDTH, HEIGHT, focal, math.radians(pitch)), 1.0, "as given", distance)


@pytest.mark.parametrize("case", [(0, 0, 900.0), (25, 5, 700.0), (8, -4, 1500.0)])
def test_something_of_known_size_tells_the_cameras_height(case):
    """Through a camera 0.4 m over a table: a can of 0.12 m, and 0.3 m between two plates."""
    over = 0.4
    points = {
        "foot": (0.1, -over, 1.6), "top": (0.1, -over + 0.12, 1.6),
        "left": (-0.15, -over, 1.4), "right": (0.15, -over, 1.4),
    }  # fmt: skip
    at = {name: seen(point, *case) for name, point in points.items()}
    for first, last, metres in (
        ("foot", "top", 0.12),
        ("top", "foot", 0.12),
        ("left", "right", 0.3),
    ):
        numbers = ",".join(f"{n:.3f}" for n in (*at[first], *at[last]))
        found = camera_height_by(looking(*case), f"{numbers}={metres}")
        assert found == pytest.approx(over, rel=0.01)


@pytest.mark.parametrize("known,words", {
    "": "tells no size", "1,2,3,4": "tells no size", "1,2,3,4=x": "tells no size",
    "10,400,10,300=0": "tells no size", "10,400,10,401=0.1": "tells no size",
    "400,20,400,10=0.12": "lies above the horizon at",
}.items())  # fmt: skip
def test_what_tells_no_size_is_refused(known, words):
    with pytest.raises(InsertionError, match=re.escape(words)):
        scale_of(plate(), "can", known=known)


@pytest.mark.parametrize("given", [{"tall": 0.0}, {"tall": math.inf}, {"camera_height": -1.0}])
def test_heights_are_metres(given):
    with pytest.raises(InsertionError, match=r"is no height in metres, such as 0\.12"):
        scale_of(plate(), "can", **given)


def test_the_cameras_height_is_told_once():
    with pytest.raises(InsertionError, match="Both --known and --camera-height say how high"):
        scale_of(plate(), "can", camera_height=0.4, known="120,420,120,300=0.12")


def test_what_is_taken_for_granted_is_said():
    usual = scale_of(plate(), "beer can")
    assert usual.product == 0.13 and len(usual.notes) == 2
    assert "taken to be 0.13 m tall, as a beer can usually is (--tall)" in usual.notes[0]
    assert "as in a close-up" in usual.notes[1] and "--known" in usual.notes[1]
    assert "for want of a height of a gizmo" in scale_of(plate(), "gizmo").notes[0]
    assert "of an umbra" in scale_of(plate(), "umbra").notes[0]
    assert not scale_of(plate(), "can", tall=0.2, camera_height=0.5).notes


def test_a_close_up_is_no_street():
    """Things of any size on a table fill the same part of a close-up; a car is seen standing."""
    close = [scale_of(plate(), "x", tall=tall).relative for tall in (0.05, 0.12, 0.4)]
    assert close == pytest.approx([close[0]] * 3)
    assert scale_of(plate(), "x", tall=0.12).camera < 0.6
    assert scale_of(plate(), "car").camera == STANDING_METRES
    level = scale_of(plate(pitch=2), "x", tall=0.12).camera
    assert level < scale_of(plate(), "x", tall=0.12).camera, "who looks along the table is low"


def test_the_focus_tells_how_high_the_camera_is():
    """Focused in the picture's middle at 2 m, 30 degrees down: 1 m over the ground."""
    looks = plate(pitch=30, distance=2.0, focal=1e5)
    found = scale_of(looks, "can", tall=0.12)
    assert (
        found.camera == pytest.approx(1.0, rel=0.01)
        and "as its focus at 2 m says" in found.notes[0]
    )
