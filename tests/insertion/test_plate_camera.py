import math

import pytest
from PIL import Image

from packshot.insertion.background import Background, load_background
from packshot.insertion.plate_camera import camera_of
from tests.backgrounds import landscape
from tests.images.test_exif_camera import FOCAL_35, MAKER_NOTE, apple_note, opened


def test_a_given_horizon_is_sure():
    plate = camera_of(Background("b.png", landscape(), None), 90.0)
    assert plate.camera.horizon == pytest.approx(90) and plate.confidence == 1 and plate.is_sure


def test_a_phones_file_tells_pitch_roll_and_focal_length(tmp_path):
    note = apple_note(
        -math.sin(0.05) * math.cos(0.3), -math.cos(0.05) * math.cos(0.3), -math.sin(0.3)
    )
    file = tmp_path / "plate.jpg"
    file.write_bytes(opened({MAKER_NOTE: note, FOCAL_35: 26}).fp.getvalue())
    plate = camera_of(load_background(file))
    focal = 500 * 26 / 43.27
    assert plate.camera.focal == pytest.approx(focal)
    assert plate.camera.horizon == pytest.approx(
        150 - focal * math.tan(0.3) / math.cos(0.05), abs=0.5
    )
    assert plate.confidence > 0.9 and plate.by == "the camera's own level"


def test_else_the_picture_tells_and_how_sure_that_is(tmp_path):
    Image.fromarray(landscape()).save(tmp_path / "beach.png")
    plate = camera_of(load_background(tmp_path / "beach.png"))
    assert 0 < plate.confidence < 1 and 0 < plate.camera.horizon < 300
    assert plate.by in ("where the sky ends", "an edge from side to side")
    grey = camera_of(Background("grey.png", landscape()[:, :, :1] * 0 + 128, None))
    assert (
        not grey.is_sure
        and grey.spread > 5 * camera_of(load_background(tmp_path / "beach.png"), 9).spread
    )
