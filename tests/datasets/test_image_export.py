import pytest
from PIL import Image, ImageCms

from packshot.datasets.image_export import write_upright
from packshot.errors import ImageRejectedError
from tests.projects import painted


def test_what_needs_nothing_is_copied_byte_by_byte(tmp_path):
    for ending in ("jpg", "png", "webp"):
        painted(1, (64, 48)).save(tmp_path / f"a.{ending}")
        written = write_upright(tmp_path / f"a.{ending}", tmp_path / "out" / "b.c")
        assert written.name == f"b.c.{ending}"
        assert written.read_bytes() == (tmp_path / f"a.{ending}").read_bytes()


def turned(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    painted(1, (64, 48)).save(path, exif=exif, quality=95)


def with_place(path):
    exif = Image.Exif()
    exif.get_ifd(0x8825)[2] = (46.0, 3.0, 0.0)
    painted(1, (48, 64)).save(path, exif=exif, quality=95)


def with_a_serial_number(path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA435] = "LENS123"
    painted(1, (48, 64)).save(path, exif=exif, quality=95)


def with_xmp(path):
    painted(1, (48, 64)).save(path, xmp=b"<x aux:SerialNumber='BODY123'/>", quality=95)


def cut_out(path):
    image = painted(1, (48, 64)).convert("RGBA")
    image.putalpha(0)
    image.save(path, "PNG")


def in_other_colours(path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    painted(1, (48, 64)).save(path, icc_profile=profile, quality=95)


def in_colours_that_exif_says(path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 2
    painted(1, (48, 64)).save(path, exif=exif, quality=95)


@pytest.mark.parametrize(
    "make",
    [
        turned,
        with_place,
        with_a_serial_number,
        with_xmp,
        cut_out,
        in_other_colours,
        in_colours_that_exif_says,
    ],
)
def test_what_others_would_see_otherwise_is_written_anew(tmp_path, make):
    make(tmp_path / "a.jpg")
    file = write_upright(tmp_path / "a.jpg", tmp_path / "b")
    assert b"123" not in file.read_bytes()
    written = Image.open(file)
    exif = written.getexif()
    assert written.size == (48, 64) and written.mode == "RGB"
    assert 0x0112 not in exif and 0x8825 not in exif and "icc_profile" not in written.info
    assert exif.get_ifd(0x8769).get(0xA001, 1) == 1
    if make is cut_out:
        assert written.getpixel((5, 5)) == (255, 255, 255)


def test_what_is_no_picture(tmp_path):
    (tmp_path / "a.jpg").write_text("hello")
    with pytest.raises(ImageRejectedError, match=r"a\.jpg: is not an image that Packshot reads"):
        write_upright(tmp_path / "a.jpg", tmp_path / "b")
    assert not (tmp_path / "b.jpg").exists()
