"""What files say of their camera: tags written here byte by byte, and a phone's photos."""

import io
import math
import struct

import pytest
from PIL import Image

from packshot.images.exif_camera import ELEVATION_ANGLE, EXIF_FOLDER, ExifCamera, exif_camera
from packshot.images.loading import encoded, read_picture

MAKER_NOTE, FOCAL_35, DISTANCE, WIDTH, HEIGHT = 0x927C, 0xA405, 0x9206, 0xA002, 0xA003


def apple_note(right, up, out, order=">"):
    """A maker's note as an iPhone writes it, with nothing but what it felt."""
    entry = struct.pack(order + "HHII", 0x0008, 10, 3, 32)
    parts = [whole for value in (right, up, out) for whole in (round(value * 10000), 10000)]
    mark = b"MM" if order == ">" else b"II"
    head = b"Apple iOS\0\0\1" + mark + struct.pack(order + "H", 1) + entry + bytes(4)
    return head + struct.pack(order + "6i", *parts)


def opened(tags, size=(400, 300), orientation=1):
    image = Image.new("RGB", size)
    exif = image.getexif()
    exif[0x0112] = orientation
    exif.get_ifd(EXIF_FOLDER).update(tags)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif)
    return Image.open(buffer)


def test_focal_lengths_are_by_the_diagonal():
    """43.27 mm sees a film's diagonal under 53.13 degrees, twice the arctangent of a half."""
    found = exif_camera(opened({FOCAL_35: 43}))
    assert found.focal == pytest.approx(500 * 43 / 43.27) and not found.is_cropped
    turned = exif_camera(opened({FOCAL_35: 43, WIDTH: 4000, HEIGHT: 3000}, orientation=6))
    assert turned.focal == pytest.approx(found.focal)
    square = exif_camera(opened({FOCAL_35: 43, WIDTH: 4000, HEIGHT: 3000}, size=(300, 300)))
    assert square.focal == pytest.approx(found.focal) and square.is_cropped


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("pitch,roll", [(0, 0), (30, 0), (-10, 4), (50, -7)])
@pytest.mark.parametrize("quarter", [0, 90, 180, -90])
def test_gravity_tells_how_the_camera_was_held(pitch, roll, quarter, order):
    p, lean = math.radians(pitch), math.radians(roll + quarter)
    felt = -math.sin(lean) * math.cos(p), -math.cos(lean) * math.cos(p), -math.sin(p)
    found = exif_camera(opened({MAKER_NOTE: apple_note(*felt, order)}))
    assert math.degrees(found.pitch) == pytest.approx(pitch, abs=0.1)
    assert math.degrees(found.roll) == pytest.approx(roll, abs=0.1)


def test_straight_down_there_is_no_roll():
    found = exif_camera(opened({MAKER_NOTE: apple_note(0.05, -0.1, -0.99)}))
    assert math.degrees(found.pitch) == pytest.approx(83.6, abs=0.5) and found.roll is None


@pytest.mark.parametrize("tags", [
    {MAKER_NOTE: b""}, {MAKER_NOTE: b"Apple iOS\0"}, {MAKER_NOTE: b"Apple iOS\0\0\1MM\xff\xff"},
    {MAKER_NOTE: apple_note(0, 0, 0)}, {MAKER_NOTE: apple_note(3, 0, 0)},
    {MAKER_NOTE: apple_note(0, -1, 0)[:40]}, {MAKER_NOTE: b"Canon" * 9},
    {FOCAL_35: 0}, {FOCAL_35: 9999}, {DISTANCE: 0.0},
])  # fmt: skip
def test_what_makes_no_sense_tells_nothing(tags):
    assert exif_camera(opened(tags)) == ExifCamera()


def test_how_a_phone_looked_down_outlives_its_makers_note(tmp_path):
    """The note goes, as it has serial numbers; the angle stays, in EXIF's own tag."""
    file = tmp_path / "photo.jpg"
    note = apple_note(0, -math.cos(0.5), -math.sin(0.5))
    file.write_bytes(opened({MAKER_NOTE: note, FOCAL_35: 26}).fp.getvalue())
    for suffix in (".jpg", ".png"):
        kept = Image.open(io.BytesIO(encoded(read_picture(file), suffix)))
        inside = kept.getexif().get_ifd(EXIF_FOLDER)
        assert MAKER_NOTE not in inside
        assert float(inside[ELEVATION_ANGLE]) == pytest.approx(-math.degrees(0.5), abs=0.02)
        assert exif_camera(kept).pitch == pytest.approx(0.5, abs=0.001)
        assert exif_camera(kept).focal == pytest.approx(500 * 26 / 43.27)


def test_a_phones_photos(shared_files):
    """Two photos of one candle: along the lawn, with the horizon in the picture, and onto a table."""
    heights = {}
    for name in ("03", "01"):
        with Image.open(shared_files / "photos" / "candle" / f"{name}.jpg") as image:
            found = exif_camera(image)
            heights[name] = 0.5 - found.focal * math.tan(found.pitch) / image.height
    assert heights["03"] == pytest.approx(0.28, abs=0.03), "where the lawn ends"
    assert heights["01"] < 0
