import io
import os
import random
import struct
import zlib

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from packshot.errors import PackshotError, PictureRefused
from packshot.pictures import header_size, open_image, read_picture

ORIENTATION, GPS, MAKE = 0x0112, 0x8825, 0x010F


def halves(mode="RGB", size=(64, 32)):
    """Red on the left, blue on the right."""
    image = Image.new("RGB", size, (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, size[0] // 2, size[1]))
    return image.convert(mode)


def near(pixel, expected, by=12):
    return all(abs(a - b) <= by for a, b in zip(pixel, expected, strict=True))


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "heic"])
def test_each_format_opens_as_rgb(tmp_path, ending):
    pillow_heif.register_heif_opener()
    path = tmp_path / f"a.{ending}"
    halves().save(path)
    image = open_image(path)
    assert (image.mode, image.size, image.info) == ("RGB", (64, 32), {})
    assert near(image.getpixel((5, 5)), (255, 0, 0)) and near(image.getpixel((60, 5)), (0, 0, 255))
    assert header_size(path) == (64, 32)


def test_transparent_parts_are_white_or_as_painted_beneath(tmp_path):
    image = halves()
    image.putalpha(0)
    image.save(tmp_path / "a.png")
    shown, beneath = (read_picture(tmp_path / "a.png", over_white=white) for white in (True, False))
    assert shown.image.getpixel((5, 5)) == (255, 255, 255)
    assert beneath.image.tobytes() == halves().tobytes()
    assert shown.alpha.getextrema() == beneath.alpha.getextrema() == (0, 0)


def test_the_ending_of_the_name_does_not_matter(tmp_path):
    halves().save(tmp_path / "a.jpg", "PNG")
    assert read_picture(tmp_path / "a.jpg").format == "PNG"


@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize(("orientation", "size"), [(3, (64, 32)), (6, (32, 64)), (8, (32, 64))])
def test_orientation_is_applied_and_gps_and_orientation_leave_the_exif(
    tmp_path, orientation, size, ending
):
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE] = orientation, "Camera"
    exif.get_ifd(GPS)[2] = (46.0, 3.0, 0.0)
    path = tmp_path / f"a.{ending}"
    halves().save(path, exif=exif)
    assert Image.open(path).getexif().get_ifd(GPS)
    picture = read_picture(path)
    assert picture.image.size == size
    red = {3: (60, 5), 6: (5, 5), 8: (5, 60)}[orientation]
    assert near(picture.image.getpixel(red), (255, 0, 0))
    kept = Image.Exif()
    kept.load(picture.exif)
    assert kept[MAKE] == "Camera" and ORIENTATION not in kept and not kept.get_ifd(GPS)


def test_transparency_lies_over_white(tmp_path):
    image = halves("RGBA")
    image.putalpha(
        Image.linear_gradient("L").resize((64, 32)).point(lambda v: 255 if v > 127 else 0)
    )
    for ending in ("png", "webp"):
        image.save(tmp_path / f"a.{ending}", lossless=True)
        picture = read_picture(tmp_path / f"a.{ending}")
        assert picture.image.getpixel((5, 2)) == (255, 255, 255)
        assert picture.image.getpixel((5, 30)) == (255, 0, 0)
        assert picture.alpha.getpixel((5, 2)) == 0
    palette = halves("P")
    palette.save(tmp_path / "p.png", transparency=palette.getpixel((5, 5)))
    assert open_image(tmp_path / "p.png").getpixel((5, 5)) == (255, 255, 255)
    assert open_image(tmp_path / "p.png").getpixel((60, 5)) == (0, 0, 255)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "CMYK"])
def test_other_modes_are_converted(tmp_path, mode):
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    halves(mode).save(path)
    image = open_image(path)
    assert image.mode == "RGB"
    if mode in ("P", "CMYK"):
        assert near(image.getpixel((5, 5)), (255, 0, 0))


def test_sixteen_bit_grey_keeps_its_range(tmp_path):
    ramp = np.linspace(0, 65535, 256 * 4).reshape(4, 256).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    values = np.asarray(open_image(tmp_path / "a.png"))[..., 0]
    assert values.min() == 0 and values.max() == 255 and abs(int(values[2, 0]) - 128) <= 1


def test_colours_are_converted_to_srgb(tmp_path):
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    halves().save(tmp_path / "wrong.png", icc_profile=swapped.tobytes())
    assert open_image(tmp_path / "wrong.png").getpixel((5, 5)) == (255, 0, 0)  # unfit: passed over
    halves().save(tmp_path / "nonsense.png", icc_profile=b"nonsense" * 20)
    assert open_image(tmp_path / "nonsense.png").getpixel((5, 5)) == (255, 0, 0)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    darker = srgb.replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be"))
    at = next(i for i in range(128, len(srgb)) if srgb[i : i + 4] == b"para")
    gamma = struct.pack(">4s4xHH4x", b"para", 0, 0)[:12] + struct.pack(">i", int(1.0 * 65536))
    darker = darker[:at] + gamma + darker[at + len(gamma) :]
    grey = Image.new("RGB", (32, 32), (100, 100, 100))
    grey.save(tmp_path / "linear.png", icc_profile=darker)
    assert (
        open_image(tmp_path / "linear.png").getpixel((5, 5))[0] > 150
    )  # linear light, brighter in sRGB


def test_of_an_animation_the_first_frame_is_taken(tmp_path):
    for ending in ("png", "webp"):
        frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue", "green")]
        frames[0].save(
            tmp_path / f"a.{ending}", save_all=True, append_images=frames[1:], lossless=True
        )
        assert open_image(tmp_path / f"a.{ending}").getpixel((5, 5)) == (255, 0, 0)


def reason(path, **options):
    with pytest.raises(PictureRefused) as caught:
        open_image(path, **options)
    assert str(caught.value) == f"{path.name}: {caught.value.reason}"
    return caught.value.reason


def png_header(width, height):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_bombs_are_refused_from_the_header(tmp_path, monkeypatch):
    path = tmp_path / "bomb.png"
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    path.write_bytes(png_header(12000, 9000))
    assert (
        reason(path) == "is 12000 x 9000 px (108 megapixels), more than 64; make it smaller first"
    )
    path.write_bytes(png_header(100_000, 100_000))
    assert reason(path) == "has far too many pixels; make it smaller first"
    path.write_bytes(png_header(40, 30))
    assert reason(path, max_pixels=1000).startswith("is 40 x 30 px (0 megapixels), more than 0")


def test_a_file_that_is_no_picture_is_named_for_what_it_is(tmp_path):
    def refused(data):
        (tmp_path / "x.jpg").write_bytes(data)
        return reason(tmp_path / "x.jpg")

    assert refused(b"") == "is empty (0 bytes); copy it again from the camera or the cloud"
    save = "; save it as JPEG, PNG, WebP or HEIC"
    assert refused(b"hello, world") == f"is not a picture that Packshot reads{save}"
    others = {"GIF": "a GIF", "BMP": "a BMP", "TIFF": "a TIFF or raw file", "AVIF": "an AVIF"}
    for kind, name in others.items():
        buffer = io.BytesIO()
        halves().save(buffer, kind)
        assert refused(buffer.getvalue()) == f"is {name}{save}"
    assert refused(b"<svg xmlns='http://www.w3.org/2000/svg'/>") == f"is an SVG drawing{save}"


def test_a_file_that_cannot_be_read(tmp_path):
    assert reason(tmp_path / "none.jpg").startswith(
        "cannot be read (No such file or directory); check"
    )
    assert reason(tmp_path).startswith("cannot be read (Is a directory)")


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "heic"])
def test_one_that_is_cut_short_is_refused(tmp_path, ending):
    pillow_heif.register_heif_opener()
    path = tmp_path / f"a.{ending}"
    noise = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    data = path.read_bytes()
    for kept in (0.95, 0.5, 0.1):
        path.write_bytes(data[: int(len(data) * kept)])
        assert reason(path) == "is damaged or cut short; copy it again from the camera or the cloud"


def mutants(number):
    """Pictures of each format with bytes changed, runs copied, cut or zeroed; a fixed seed."""
    pillow_heif.register_heif_opener()
    draw, originals = random.Random(5), []
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE] = 6, "Camera"
    exif.get_ifd(GPS)[2] = (46.0, 3.0, 0.0)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be"))
    for kind in ("JPEG", "PNG", "WEBP", "HEIF"):
        buffer = io.BytesIO()
        halves("RGBA" if kind != "JPEG" else "RGB").save(
            buffer, kind, exif=exif, icc_profile=profile
        )
        originals.append(buffer.getvalue())
    for _ in range(number):
        data = bytearray(draw.choice(originals))
        for _ in range(draw.randint(1, 8)):
            at, length = draw.randrange(len(data)), draw.randint(1, 16)
            change = draw.randrange(4)
            if change == 0:
                data[at] = draw.randrange(256)
            elif change == 1:
                data[at : at + length] = draw.randbytes(length)
            elif change == 2:
                data[at : at + length] = bytes(length)
            else:
                del data[at : at + length]
                data = data or bytearray(b"\0")
        yield bytes(data)


def test_mutants_open_or_are_refused(tmp_path):
    path, opened = tmp_path / "mutant", 0
    for data in mutants(int(os.environ.get("PACKSHOT_MUTANTS", "400"))):
        path.write_bytes(data)
        try:
            image = open_image(path)
        except PackshotError:
            continue
        opened += 1
        assert image.mode == "RGB" and image.width * image.height <= 64e6
    assert opened > 20
