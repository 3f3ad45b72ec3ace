import io
import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms, ImageOps

from packshot.errors import ImageRejectedError
from packshot.insertion.background import Background, Box, load_background
from tests.backgrounds import landscape
from tests.odd_files import exif, png, png_chunk

BOX = Box(100, 150, 80, 60)


def weights():
    values = np.zeros((BOX.height, BOX.width), np.float32)
    values[10:50, 10:70] = 1
    values[10:50, 10:20] = 0.5
    return values


def painted(background, colour=(0.9, 0.1, 0.1)):
    colours = np.broadcast_to(np.float32(colour), (BOX.height, BOX.width, 3))
    return background.with_colours(BOX, colours, weights())


def saved(tmp_path, picture, name="background.png", **options):
    picture.save(tmp_path / name, **options)
    return load_background(tmp_path / name)


def outside():
    kept = np.ones((300, 400), bool)
    kept[BOX.region] = weights() == 0
    return kept


KINDS = {
    "RGB": lambda rgb: rgb,
    "L": lambda rgb: rgb.convert("L"),
    "LA": lambda rgb: rgb.convert("LA"),
    "RGBA": lambda rgb: (rgb.putalpha(Image.linear_gradient("L").resize(rgb.size)), rgb)[1],
}


@pytest.mark.parametrize("kind", KINDS)
def test_all_outside_the_weights_stays_to_the_bit_through_the_file(tmp_path, kind):
    picture = KINDS[kind](Image.fromarray(landscape()))
    background = saved(tmp_path, picture)
    painted(background).write(tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as out:
        kept = np.asarray(out.convert("RGBA" if kind == "LA" else out.mode))
    before = np.asarray(picture.convert("RGBA") if kind == "LA" else picture)
    assert kept.shape == before.shape
    assert np.array_equal(kept[outside()], before[outside()])
    assert not np.array_equal(kept[BOX.region], before[BOX.region])
    if kind.endswith("A"):
        clear = before[BOX.region][..., -1] / 255
        raised = 255 * (weights() + clear * (1 - weights()))
        assert np.abs(kept[BOX.region][..., -1] - raised).max() <= 0.51


def test_sixteen_bits_stay(tmp_path):
    deep = landscape(deep=True)
    cv2.imwrite(str(tmp_path / "deep.png"), deep[..., ::-1])
    background = load_background(tmp_path / "deep.png")
    assert background.pixels.dtype == np.uint16
    assert np.array_equal(background.pixels, deep)
    painted(background).write(tmp_path / "out.png")
    out = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert out.dtype == np.uint16
    assert np.array_equal(out[outside()], deep[outside()])
    full = out[BOX.top + 30, BOX.left + 40] / 65535
    assert np.allclose(full, (0.9, 0.1, 0.1), atol=0.003)


def test_half_a_weight_is_half_the_way(tmp_path):
    background = saved(tmp_path, Image.new("RGB", (400, 300), (100, 100, 100)))
    out = painted(background, (1, 1, 1)).pixels
    assert out[BOX.top + 30, BOX.left + 15, 0] == round(100 + 155 / 2)


def test_the_profile_stays_and_colours_are_meant_in_it(tmp_path):
    """In a profile with gamma 1 (linear light), middle grey is another number."""
    linear = _linear_profile()
    picture = Image.fromarray(landscape())
    background = saved(tmp_path, picture, icc_profile=linear)
    seen = background.colours(BOX)
    assert seen.mean() > np.asarray(picture)[BOX.region].mean() / 255 + 0.1, (
        "linear values look dark"
    )
    made = painted(background, (0.5, 0.5, 0.5))
    made.write(tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as out:
        assert out.info["icc_profile"] == linear
        value = np.asarray(out)[BOX.top + 30, BOX.left + 40]
    assert np.abs(value.astype(int) - 55).max() <= 3, "0.5 in sRGB is 0.214 in linear light"


def _linear_profile():
    """sRGB's primaries with gamma 1: Pillow makes none, so its sRGB's curves are replaced."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(data[128:132], "big")
    for tag in range(count):
        entry = 132 + 12 * tag
        if bytes(data[entry : entry + 4]) in (b"rTRC", b"gTRC", b"bTRC"):
            offset = int.from_bytes(data[entry + 4 : entry + 8], "big")
            data[offset : offset + 12] = b"curv" + bytes(8)
            data[entry + 8 : entry + 12] = (12).to_bytes(4, "big")
    start = data.find(b"sRGB", 132)
    assert start
    return bytes(data).replace("sRGB".encode("utf-16-be"), "flat".encode("utf-16-be"))


def test_turned_and_cmyk_plates_are_seen_as_they_are_meant(tmp_path):
    picture = Image.fromarray(landscape())
    turned = saved(tmp_path, picture, "turned.png", exif=exif(orientation=6))
    assert (turned.width, turned.height) == (300, 400)
    assert np.array_equal(turned.pixels, np.rot90(np.asarray(picture), -1))
    cmyk = saved(tmp_path, picture.convert("CMYK"), "cmyk.jpg", quality=95)
    assert cmyk.pixels.shape == (300, 400, 3)
    assert np.abs(cmyk.pixels.astype(int) - np.asarray(picture)).mean() < 6


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_sixteen_bit_plates_are_turned_upright(tmp_path, channels, orientation):
    """As Pillow turns the same picture of 8 bits."""
    values = np.random.default_rng(channels).integers(0, 65536, (30, 50, channels), np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunk = png_chunk(b"eXIf", exif(orientation).tobytes().removeprefix(b"Exif\0\0"))
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    (tmp_path / "a.png").write_bytes(png(50, 30, rows, chunk, depth=16, colour=kind))
    read = load_background(tmp_path / "a.png")
    flat = Image.fromarray((values >> 8).astype(np.uint8).squeeze())
    flat = flat.convert("RGBA") if channels == 2 else flat
    flat.getexif()[0x0112] = orientation
    shown = np.asarray(ImageOps.exif_transpose(flat)).reshape(read.pixels.shape)
    assert read.pixels.dtype == np.uint16 and np.array_equal(read.pixels >> 8, shown)
    assert set(read.pixels.ravel()) == set(values.ravel())


@pytest.mark.parametrize("clear", [0, 90, 255])
@pytest.mark.parametrize("deep", [False, True])
def test_what_lies_over_a_transparent_part_is_seen_there(tmp_path, clear, deep):
    """As Pillow composes the same layers; where nothing lies, the plate stays as it was."""
    plate = Image.fromarray(landscape()).convert("RGBA")
    plate.putalpha(Image.fromarray(np.full((300, 400), clear, np.uint8)))
    opacity, red = weights(), np.float32((0.9, 0.1, 0.1))
    opacity[30:40] *= 0.5
    values = np.asarray(plate).astype(np.uint16) * (257 if deep else 1)
    background = saved(tmp_path, plate)
    if deep:
        background = replace(background, pixels=values)
    hidden = background.colours(BOX)
    over = hidden * (1 - opacity[..., None]) + red * opacity[..., None]
    everywhere = (opacity > 0).astype(np.float32)
    made = background.with_colours(BOX, over, everywhere, opacity).pixels / (257 if deep else 1)
    layer = np.zeros((300, 400, 4), np.float32)
    layer[BOX.region] = np.concatenate(
        [np.broadcast_to(red, over.shape), opacity[..., None]], axis=2
    )
    layer = Image.fromarray((layer * 255).round().astype(np.uint8))
    expected = np.asarray(Image.alpha_composite(plate, layer)).astype(float)
    assert np.array_equal(made[outside()], np.asarray(plate)[outside()])
    assert np.abs(made[..., 3] - expected[..., 3])[~outside()].max() <= 1.1
    seen = np.abs(made[..., :3] - expected[..., :3]) * expected[..., 3:] / 255
    assert seen[~outside()].max() <= 2


@pytest.mark.parametrize("kind", ["WEBP", "HEIF", "AVIF"])
def test_a_transparent_plate_of_another_format_is_written_as_a_png(tmp_path, kind):
    pillow_heif.register_heif_opener()
    plate = Image.fromarray(landscape()).convert("RGBA")
    plate.paste((90, 60, 60, 0), (0, 130, 400, 300))
    plate.save(tmp_path / "a.bin", kind, quality=95)
    background = load_background(tmp_path / "a.bin")
    assert np.abs(background.pixels[..., 3].astype(int) - np.asarray(plate)[..., 3]).mean() < 1
    made = painted(background).pixels[BOX.region]
    assert made[30, 40, 3] == 255 and made[30, 40, 0] > 200 and made[2, 2, 3] <= 2


def test_a_colour_that_means_transparent_is_transparent(tmp_path):
    picture = Image.new("RGB", (400, 300), (10, 20, 30))
    background = saved(tmp_path, picture, transparency=(10, 20, 30))
    assert background.pixels.shape[2] == 4 and background.pixels[..., 3].max() == 0


def test_of_a_phones_file_of_several_pictures_the_first_is_the_photo(tmp_path):
    """As a burst, or a photo beside its edited one."""
    file = pillow_heif.from_pillow(Image.new("RGB", (64, 48), (200, 30, 30)))
    file.add_from_pillow(Image.new("RGB", (64, 48), (30, 30, 200)))
    file.save(tmp_path / "several.heic")
    red, _, blue = load_background(tmp_path / "several.heic").pixels[24, 32]
    assert red > 150 > 100 > blue


@pytest.mark.parametrize("channels,profile", [(1, None), (3, None), (3, "sRGB")])
def test_shade_on_sixteen_bits_has_no_steps_of_eight(channels, profile):
    ramp = np.linspace(20_000, 24_000, 400 * 300 * channels).astype(np.uint16)
    icc = profile and ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    deep = Background("deep.png", ramp.reshape(300, 400, channels), icc)
    everywhere = np.ones((BOX.height, BOX.width), np.float32)
    same, dark = (
        deep.with_colours(BOX, share * deep.colours(BOX), everywhere).pixels for share in (1, 0.9)
    )
    assert np.abs(same.astype(int) - deep.pixels).max() <= 1
    assert np.abs(dark[BOX.region] - 0.9 * deep.pixels[BOX.region]).max() <= 1


def test_what_is_no_still_picture_is_refused(tmp_path):
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageRejectedError, match=r"moving\.webp: moves; save one frame"):
        load_background(tmp_path / "moving.webp")
    buffer = io.BytesIO()
    Image.fromarray(landscape()).save(buffer, "PNG")
    (tmp_path / "cut.png").write_bytes(buffer.getvalue()[:5000])
    with pytest.raises(ImageRejectedError, match=r"cut\.png: is damaged or cut short"):
        load_background(tmp_path / "cut.png")
    cv2.imwrite(str(tmp_path / "deep.png"), landscape(deep=True))
    data = (tmp_path / "deep.png").read_bytes()
    (tmp_path / "deep.png").write_bytes(data[: len(data) // 3])
    with pytest.raises(ImageRejectedError, match=r"deep\.png"):
        load_background(tmp_path / "deep.png")


def test_a_large_plate_is_copied_once(tmp_path):
    background = saved(tmp_path, Image.new("RGB", (3000, 2000), "grey"))
    tracemalloc.start()
    painted(background)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * background.pixels.nbytes
