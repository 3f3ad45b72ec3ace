"""The photo's camera against drawn products of known geometry, and the phone's own level."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from packshot.images.loading import read_picture
from packshot.insertion.background import Box
from packshot.insertion.photo_camera import camera_of_photo, foot_ellipse, joined
from packshot.photos.photo_set import Photo
from tests.insertion.test_camera import HEIGHT, WIDTH, seen


def can(elevation, roll=0.0, wide=0.5, tall=0.9, rounded=0.0):
    """The silhouette of a can whose foot's middle is seen in the picture's middle.

    The edge of its foot is rounded by that radius.
    """
    case = (elevation, roll, 2400.0)
    steep, far = math.radians(elevation), 8.0
    around = np.linspace(0, 2 * math.pi, 400)
    ground, away = -far * math.sin(steep), far * math.cos(steep)
    turns = np.linspace(0, math.pi / 2, 12) if rounded else [0.0]
    rims = [(wide - rounded * (1 - math.sin(t)), rounded * (1 - math.cos(t))) for t in turns]
    points = [
        seen((half * math.cos(a), ground + up, away + half * math.sin(a)), *case)
        for half, up in (*rims, (wide, tall)) for a in around
    ]  # fmt: skip
    hull = cv2.convexHull(np.round(points).astype(np.int32))
    drawn = cv2.fillConvexPoly(np.zeros((HEIGHT, WIDTH), np.uint8), hull, 1) > 0
    rows, columns = (np.flatnonzero(drawn.any(axis=axis)) for axis in (1, 0))
    return drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


@pytest.mark.parametrize("elevation", [0, 5, 12, 25, 40, 55])
def test_a_round_foot_tells_how_steeply_it_is_seen(elevation):
    found, spread = foot_ellipse(can(elevation))
    assert abs(found - elevation) < min(2 * spread, 5.0)


@pytest.mark.parametrize("elevation", [0, 12, 25, 40])
def test_a_rounded_foot_looks_a_little_steeper(elevation):
    found, spread = foot_ellipse(can(elevation, rounded=0.08))
    assert -1 < found - elevation < 5 < spread + 1


def test_a_box_seen_over_its_corner_has_no_round_foot():
    corner = np.array([[0, 0], [200, 0], [200, 150], [100, 200], [0, 150]], np.int32)
    assert foot_ellipse(cv2.fillConvexPoly(np.zeros((201, 201), np.uint8), corner, 1) > 0) is None
    assert foot_ellipse(np.ones((10, 10), bool)) is None


def test_estimates_count_by_how_sure_they_are():
    mean, spread = joined([(10, 3), (20, 3)])
    assert mean == pytest.approx(15) and spread > 3, "they contradict each other"
    assert joined([(10, 2), (11, 20)])[0] == pytest.approx(10, abs=0.1)
    assert joined([(10, 2), (10, 2)])[1] == pytest.approx(math.sqrt(2))


@pytest.fixture
def photo(tmp_path):
    file = tmp_path / "can.png"
    cv2.imwrite(str(file), np.full((300, 400, 3), 128, np.uint8))
    return Photo(file, "0", 400, 300, None, None, file.name, "")


def test_the_foot_and_the_captions_words_tell(photo):
    inside = can(30).astype(np.float32)
    place = Box(100, 50, inside.shape[1], inside.shape[0])
    plain = camera_of_photo(photo, place, inside, is_round=False)
    round_one = camera_of_photo(photo, place, inside, is_round=True)
    assert abs(round_one.elevation - 30) < 5 and round_one.spread < 6 < plain.spread
    assert round_one.by == "the ellipse of its foot" and round_one.yaw is None
    above = replace(photo, caption="a photo of a can, top-down, seen from the side")
    told = camera_of_photo(above, place, inside, is_round=False)
    assert told.elevation > plain.elevation + 20 and told.yaw == 90 and told.by == "the caption"


def test_a_phones_level_agrees_with_the_foot_that_it_sees(shared_files, tmp_path):
    """A glass of wax on a rock; its outline, traced by eye, and the phone's accelerometer."""
    picture = read_picture(shared_files / "photos" / "candle" / "00.jpg")
    top, foot = [(822, 760), (1010, 738), (1210, 760)], [(1170, 1085), (1015, 1107), (865, 1085)]
    outline = np.array([*top, (1213, 1040), *foot, (825, 1045)])
    drawn = cv2.fillConvexPoly(np.zeros((2048, 2048), np.uint8), outline, 1)[738:1108, 822:1214]
    file = tmp_path / "candle.jpg"
    picture.image.save(file, exif=picture.exif)
    photo = Photo(file, "0", 2048, 2048, None, None, file.name, "")
    place = Box(822, 738, drawn.shape[1], drawn.shape[0])
    camera = camera_of_photo(photo, place, drawn.astype(np.float32), is_round=False)
    assert camera.by == "the camera's own level" and camera.spread < 4
    by_foot = math.degrees(math.asin((1107 - 1045) / ((1213 - 825) / 2)))
    assert abs(camera.elevation - by_foot) < 5
