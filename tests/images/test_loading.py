import io
import os
import random
import struct

import numpy as np
import pillow_heif
import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps

from packshot.errors import ImageRejectedError, PackshotError
from packshot.images import loading
from packshot.images.loading import header_size, open_image, read_picture
from tests.odd_files import (
    EXIF_FOLDER,
    cmyk_profile,
    encoded,
    exif,
    linear_profile,
    motion_photo,
    painted,
    png,
    png_chunk,
    with_exif,
)

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


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_upright(tmp_path, orientation, ending):
    """The picture is laid as the camera would have, by the inverse of what EXIF says to do."""
    corners = Image.new("RGB", (64, 32), "black")
    for colour, at in (("red", (0, 0)), ("lime", (48, 0)), ("blue", (0, 16)), ("white", (48, 16))):
        corners.paste(colour, (*at, at[0] + 16, at[1] + 16))
    flip = Image.Transpose
    laid = {
        1: corners, 2: corners.transpose(flip.FLIP_LEFT_RIGHT), 3: corners.transpose(flip.ROTATE_180),
        4: corners.transpose(flip.FLIP_TOP_BOTTOM), 5: corners.transpose(flip.TRANSPOSE),
        6: corners.transpose(flip.ROTATE_90), 7: corners.transpose(flip.TRANSVERSE),
        8: corners.transpose(flip.ROTATE_270),
    }[orientation]  # fmt: skip
    path = tmp_path / f"a.{ending}"
    laid.save(path, exif=exif(orientation=orientation), quality=95, lossless=True)
    shown = np.asarray(open_image(path)).astype(int)
    assert np.abs(shown - np.asarray(corners)).mean() < 4


def test_a_heic_is_turned_upright(tmp_path):
    pillow_heif.register_heif_opener()
    laid = halves().transpose(Image.Transpose.ROTATE_90)
    laid.save(tmp_path / "a.heic", exif=exif(orientation=6).tobytes())
    assert b"irot" in (tmp_path / "a.heic").read_bytes()  # where phones write it, and in EXIF too
    image = open_image(tmp_path / "a.heic")
    assert image.size == (64, 32) and near(image.getpixel((5, 5)), (255, 0, 0))


def test_of_a_motion_photo_the_photo_is_taken(tmp_path):
    (tmp_path / "a.jpg").write_bytes(motion_photo(3))
    (tmp_path / "b.jpg").write_bytes(
        encoded(painted(3), "MPO", save_all=True, append_images=[halves()])
    )
    for name in ("a.jpg", "b.jpg"):
        shown = np.asarray(open_image(tmp_path / name)).astype(int)
        assert np.abs(shown - np.asarray(painted(3))).mean() < 8


def test_sixteen_bit_colours_keep_their_range(tmp_path):
    ramp = np.linspace(0, 65535, 256).astype(">u2")
    row = b"\0" + np.stack([ramp, ramp[::-1], ramp], axis=1).tobytes()
    (tmp_path / "a.png").write_bytes(png(256, 4, row * 4, depth=16))
    values = np.asarray(open_image(tmp_path / "a.png"))[2].astype(int)
    assert np.abs(values[:, 0] - np.arange(256)).max() <= 1
    assert np.abs(values[:, 1] - np.arange(256)[::-1]).max() <= 1


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
def test_sixteen_bit_photos_are_turned_upright(tmp_path, channels, orientation):
    """As Pillow turns the same picture of 8 bits."""
    values = np.random.default_rng(channels).integers(0, 65536, (30, 50, channels), np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunk = png_chunk(b"eXIf", exif(orientation).tobytes().removeprefix(b"Exif\0\0"))
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    (tmp_path / "a.png").write_bytes(png(50, 30, rows, chunk, depth=16, colour=kind))
    flat = Image.fromarray((values / 257).round().astype(np.uint8).squeeze()).convert("RGBA")
    flat.getexif()[ORIENTATION] = orientation
    shown = ImageOps.exif_transpose(flat).convert("RGB")
    read = read_picture(tmp_path / "a.png", over_white=False).image
    assert np.abs(np.asarray(read).astype(int) - np.asarray(shown)).max() <= 1


def test_cmyk_goes_through_its_profile(tmp_path):
    """Of this ink full cyan is Lab (50, -60, 40), a green: in sRGB by the standard's own formulas."""
    path = tmp_path / "a.jpg"
    for ink, expected in (((255, 0, 0, 0), (0, 141, 42)), ((0, 0, 0, 0), (255, 255, 255))):
        image = Image.new("CMYK", (32, 32), ink)
        image.save(path, icc_profile=cmyk_profile(), quality=100, subsampling=0)
        assert near(open_image(path).getpixel((5, 5)), expected, by=6)
        image.save(path, quality=100, subsampling=0)
        assert near(open_image(path).getpixel((5, 5)), image.convert("RGB").getpixel((5, 5)), by=3)


def test_small_copies_and_the_makers_note_leave_the_exif(tmp_path):
    values = exif(make="Camera")
    values.get_ifd(EXIF_FOLDER)[0x927C] = b"serial number, small picture"
    values.get_ifd(EXIF_FOLDER)[0x9003] = "2026:05:01 18:00:00"
    block = values.tobytes()
    thumbnail = encoded(halves(size=(16, 8)), "JPEG")
    (tmp_path / "a.jpg").write_bytes(
        with_exif(encoded(halves(), "JPEG"), with_thumbnail(block, thumbnail))
    )
    assert Image.open(tmp_path / "a.jpg").getexif().get_ifd(ExifTags.IFD.IFD1)[0x0202] == len(
        thumbnail
    )
    kept = read_picture(tmp_path / "a.jpg").exif
    assert b"serial" not in kept and thumbnail not in kept and b"2026:05:01" in kept


def with_thumbnail(block, thumbnail):
    """EXIF (little endian, as Pillow writes) with a small copy of the picture in its second folder."""
    tiff = bytearray(block.removeprefix(b"Exif\0\0"))
    order = "<" if tiff[:2] == b"II" else ">"
    first = struct.unpack(order + "I", tiff[4:8])[0]
    link = first + 2 + 12 * struct.unpack(order + "H", tiff[first : first + 2])[0]
    tiff[link : link + 4] = struct.pack(order + "I", len(tiff))
    start = len(tiff) + 2 + 2 * 12 + 4
    tiff += struct.pack(
        order + "HHHIIHHIII", 2, 0x0201, 4, 1, start, 0x0202, 4, 1, len(thumbnail), 0
    )
    return b"Exif\0\0" + bytes(tiff) + thumbnail


def test_a_heics_transparency_lies_over_white(tmp_path):
    pillow_heif.register_heif_opener()
    image = halves("RGBA")
    image.paste((255, 0, 0, 0), (0, 0, 32, 16))
    image.save(tmp_path / "a.heic", quality=95)
    picture = read_picture(tmp_path / "a.heic")
    assert near(picture.image.getpixel((5, 2)), (255, 255, 255))
    assert near(picture.image.getpixel((5, 28)), (255, 0, 0))
    assert picture.alpha.getpixel((5, 2)) <= 2 and picture.alpha.getpixel((5, 28)) >= 253


def test_an_avifs_transparency_lies_over_white_and_its_owner_is_not_told(tmp_path):
    image = halves("RGBA")
    image.paste((255, 0, 0, 0), (0, 0, 32, 16))
    image.save(tmp_path / "a.avif", quality=95, exif=exif(make="x"), xmp=b"<x:xmpmeta/>")
    picture = read_picture(tmp_path / "a.avif")
    assert near(picture.image.getpixel((5, 2)), (255, 255, 255))
    assert near(picture.image.getpixel((5, 28)), (255, 0, 0))
    assert picture.alpha.getpixel((5, 2)) <= 2 and picture.alpha.getpixel((5, 28)) >= 253
    assert picture.suffix == ".jpg" and b"xmpmeta" not in picture.exif


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
    grey = Image.new("RGB", (32, 32), (100, 100, 100))
    grey.save(tmp_path / "linear.png", icc_profile=linear_profile())
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
    with pytest.raises(ImageRejectedError) as caught:
        open_image(path, **options)
    assert str(caught.value) == f"{path.name}: {caught.value.reason}"
    return caught.value.reason


def test_a_file_too_large_for_a_photo_is_not_read(tmp_path):
    with (tmp_path / "a.webp").open("wb") as file:
        file.write(b"RIFF\xff\xff\xff\xffWEBP")
        file.truncate(10**9)
    assert reason(tmp_path / "a.webp") == "has 1000 MB, more than 400; make it smaller first"
    assert header_size(tmp_path / "a.webp") is None


def test_bombs_are_refused_from_the_header(tmp_path, monkeypatch):
    path = tmp_path / "bomb.png"
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    path.write_bytes(png(12000, 9000))
    assert (
        reason(path) == "is 12000 x 9000 px (108 megapixels), more than 64; make it smaller first"
    )
    path.write_bytes(png(100_000, 100_000))
    assert reason(path) == "has far too many pixels; make it smaller first"
    path.write_bytes(png(40, 30))
    assert reason(path, max_pixels=1000).startswith("is 40 x 30 px (0 megapixels), more than 0")


def test_a_file_that_is_no_picture_is_named_for_what_it_is(tmp_path):
    def refused(data):
        (tmp_path / "x.jpg").write_bytes(data)
        return reason(tmp_path / "x.jpg")

    assert refused(b"") == "is empty (0 bytes); copy it again from the camera or the cloud"
    save = "; save it as JPEG, PNG, WebP or HEIC"
    assert refused(b"hello, world") == f"is not an image that Packshot reads{save}"
    others = {"GIF": "a GIF", "BMP": "a BMP", "TIFF": "a TIFF or raw file"}
    for kind, name in others.items():
        buffer = io.BytesIO()
        halves().save(buffer, kind)
        assert refused(buffer.getvalue()) == f"is {name}{save}"
    photo = encoded(halves(), "AVIF")
    for cut in (photo[:-9], photo[:60], photo[:8] + b"mif1" + photo[12:-9]):
        assert refused(cut) == "is damaged or cut short; copy it again from the camera or the cloud"
    assert refused(b"<svg xmlns='http://www.w3.org/2000/svg'/>") == f"is an SVG drawing{save}"


def test_a_file_that_cannot_be_read(tmp_path):
    assert reason(tmp_path / "none.jpg").startswith(
        "cannot be read (No such file or directory); check"
    )
    assert reason(tmp_path) == "is a folder, not a picture; name what is in it"
    os.mkfifo(tmp_path / "pipe.jpg")
    assert reason(tmp_path / "pipe.jpg") == "is a pipe, socket or device, not a file"
    assert header_size(tmp_path / "pipe.jpg") is None


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
        path.unlink(missing_ok=True)  # drives are slow to empty a file
        path.write_bytes(data)
        try:
            image = open_image(path)
        except PackshotError:
            continue
        opened += 1
        assert image.mode == "RGB" and image.width * image.height <= 64e6
    assert opened > 20


def test_a_jpeg_that_goes_over_its_picture_for_ever_is_refused(tmp_path):
    """Each scan says nothing, and takes the time of a whole picture."""
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    (tmp_path / "plain.jpg").write_bytes(data)
    assert open_image(tmp_path / "plain.jpg").size == (64, 64)
    last = data.rindex(b"\xff\xda")
    (tmp_path / "scans.jpg").write_bytes(data[:-2] + data[last:-2] * 200 + data[-2:])
    with pytest.raises(ImageRejectedError, match=r"is a JPEG of 2\d\d scans"):
        open_image(tmp_path / "scans.jpg")


def test_what_a_phone_writes_behind_a_jpeg_is_no_scan_of_it(tmp_path):
    """The film of a motion photo has every two bytes thousands of times."""
    film = np.random.default_rng(0).bytes(2**24)
    assert film.count(b"\xff\xda") > 200
    (tmp_path / "motion.jpg").write_bytes(encoded(halves(), "JPEG") + film)
    assert open_image(tmp_path / "motion.jpg").size == (64, 32)
    (tmp_path / "cut.jpg").write_bytes(encoded(halves(), "JPEG")[:-2])
    assert open_image(tmp_path / "cut.jpg").size == (64, 32), "none but its end is missing"


SECRETS = {0xA430: "OWNER", 0xA431: "BODY", 0xA435: "LENS", 0xA420: "UNIQUE", 0x927C: b"NOTE"}
IN_THE_MAIN_FOLDER = {0xC62F: "BODY", 0xFDE8: "OWNER", 0xFDE9: "BODY", 0x02BC: b"<x>BODY</x>"}


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_owner_and_serial_numbers_leave_the_exif(tmp_path, ending):
    """In whichever folder a program has put them; XMP and IPTC do not come along at all."""
    exif = Image.Exif()
    exif[MAKE] = "Camera"
    inside = exif.get_ifd(0x8769)
    inside[0x829A] = 0.01  # the exposure
    for tag, value in SECRETS.items():
        inside[tag] = value
    for tag, value in (SECRETS | IN_THE_MAIN_FOLDER).items():
        exif[tag] = value
    path = tmp_path / f"a.{ending}"
    packet = b"<rdf aux:SerialNumber='BODY' aux:OwnerName='OWNER' exifEX:LensSerialNumber='LENS'/>"
    painted(1, (64, 48)).save(path, exif=exif, xmp=packet)
    words = (b"OWNER", b"BODY", b"LENS", b"UNIQUE", b"NOTE")
    assert all(word in path.read_bytes() for word in words[:3])
    with Image.open(path) as image:
        assert loading.tells_of_its_owner(image)
    picture = loading.read_picture(path)
    data = loading.encoded(picture, picture.suffix)
    assert not any(word in data for word in words)
    with Image.open(io.BytesIO(data)) as image:
        kept = image.getexif()
        assert kept[MAKE] == "Camera" and kept.get_ifd(0x8769)[0x829A] == pytest.approx(0.01)
        assert not loading.tells_of_its_owner(image)
