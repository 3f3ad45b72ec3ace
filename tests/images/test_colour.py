"""What files say of their colours, against the standards' own formulas, and LittleCMS for profiles."""

import io
import struct
import zlib

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from packshot.errors import ImageRejectedError
from packshot.images import colour
from packshot.images.loading import open_image, read_picture
from packshot.insertion.background import Box, load_background
from tests.odd_files import encoded, linear_profile, png, png_chunk

XYZ_OF = {
    "srgb": [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
             [0.0193339, 0.1191920, 0.9503041]],
    "adobe": [[0.5767309, 0.1855540, 0.1881852], [0.2973769, 0.6273491, 0.0752741],
              [0.0270343, 0.0706872, 0.9911085]],
    "p3": [[0.4865709, 0.2656677, 0.1982173], [0.2289746, 0.6917385, 0.0792869],
           [0.0000000, 0.0451134, 1.0439444]],
    "bt2020": [[0.6369580, 0.1446169, 0.1688810], [0.2627002, 0.6779981, 0.0593017],
               [0.0000000, 0.0280727, 1.0609851]],
}  # fmt: skip
"""RGB to XYZ, all for D65: Lindbloom's tables, SMPTE EG 432-1, ITU-R BT.2020."""
CHROMATICITIES = {
    "srgb": (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06),
    "adobe": (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06),
    "p3": (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
}
PRIMARIES = {"srgb": 1, "p3": 12, "bt2020": 9}
CURVES = {"srgb": 13, "linear": 8, 2.2: 4}


def linear(values):
    """IEC 61966-2-1."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def curved(values, curve):
    if curve == "srgb":
        return np.where(
            values <= 0.0031308, values * 12.92, 1.055 * values.clip(1e-9) ** (1 / 2.4) - 0.055
        )
    return values.clip(0) ** (1 / (1 if curve == "linear" else curve))


def scene():
    """sRGB's colours, none at its border: 12 x 8 blocks of 16 pixels."""
    blocks = np.random.default_rng(3).integers(40, 216, (8, 12, 3), dtype=np.uint8)
    return blocks.repeat(16, axis=0).repeat(16, axis=1)


def written_in(primaries, curve, most=255):
    """The scene's values in another encoding, by formula."""
    light = linear(scene() / 255) @ np.array(XYZ_OF["srgb"]).T
    values = light @ np.linalg.inv(np.array(XYZ_OF[primaries])).T
    kind = np.uint8 if most == 255 else np.uint16
    return (curved(values.clip(0, 1), curve) * most).round().astype(kind)


def off(path, by=None):
    """The mean distance of what is read from the scene, of 255."""
    return np.abs(np.asarray(open_image(path)).astype(int) - (scene() if by is None else by)).mean()


def chunks(primaries=None, gamma=None, srgb=False, cicp=None):
    made = []
    if cicp:
        made.append(png_chunk(b"cICP", bytes((*cicp, 0, 1))))
    if srgb:
        made.append(png_chunk(b"sRGB", b"\0"))
    if gamma:
        made.append(png_chunk(b"gAMA", struct.pack(">I", round(100_000 / gamma))))
    if primaries:
        points = (round(100_000 * point) for point in CHROMATICITIES[primaries])
        made.append(png_chunk(b"cHRM", struct.pack(">8I", *points)))
    return made


def png_of(values, *extra):
    """A PNG of these values, grey or RGB, 8 or 16 bits, with chunks of ours."""
    depth = 8 * values.dtype.itemsize
    rows = b"".join(b"\0" + row.astype(values.dtype.newbyteorder(">")).tobytes() for row in values)
    return png(values.shape[1], values.shape[0], rows, *extra, depth=depth,
               colour=2 if values.ndim == 3 else 0)  # fmt: skip


def adobe_exif(index=b"R03", space=0xFFFF):
    """EXIF, little endian: a colour space in the folder, and the index of interoperability."""
    main = struct.pack("<HHHIII", 1, 0x8769, 4, 1, 26, 0)
    count = (space is not None) + (index is not None)
    folder = struct.pack("<H", count)
    if space is not None:
        folder += struct.pack("<HHII", 0xA001, 3, 1, space)
    if index is not None:
        folder += struct.pack("<HHII", 0xA005, 4, 1, 26 + 2 + 12 * count + 4)
    folder += bytes(4)
    inner = struct.pack("<HHHI4sI", 1, 1, 2, 4, (index or b"") + b"\0", 0)
    return b"Exif\0\0II*\0\x08\0\0\0" + main + folder + inner


def heic(values, **codes):
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(values)).save(buffer, quality=95, chroma=444, **codes)
    return buffer.getvalue()


def avif(values, primaries, curve):
    """An AVIF that states these colours: Pillow writes sRGB's, whatever it is given."""
    data = encoded(Image.fromarray(values), "AVIF", quality=96, subsampling="4:4:4")
    at = data.index(b"nclx") + 4
    return data[:at] + struct.pack(">HH", primaries, curve) + data[at + 4 :]


LINEAR_ICCP = png_chunk(b"iCCP", b"x\0\0" + zlib.compress(linear_profile()))


@pytest.mark.parametrize(
    ("primaries", "curve", "extra"),
    [
        ("srgb", "linear", chunks(gamma=1)),
        ("srgb", 1.8, chunks(gamma=1.8)),
        ("adobe", 2.2, chunks("adobe", 2.2)),
        ("p3", "srgb", chunks("p3")),
        ("srgb", "srgb", chunks("srgb", 2.2)),
        ("srgb", "srgb", chunks("p3", 1.0, srgb=True)),
        ("p3", "srgb", chunks("srgb", 2.2, cicp=(12, 13))),
        ("bt2020", "linear", chunks(cicp=(9, 8))),
        ("p3", "srgb", [*chunks(cicp=(12, 13)), LINEAR_ICCP]),
    ],
    ids=["linear", "1.8", "adobe", "p3", "45455", "srgb first", "cicp first", "cicp", "cicp, iccp"],
)  # fmt: skip
@pytest.mark.parametrize("most", [255, 65535])
def test_what_a_png_says_of_its_colours_is_honoured(tmp_path, primaries, curve, extra, most):
    path = tmp_path / "a.png"
    path.write_bytes(png_of(written_in(primaries, curve, most), *extra))
    assert off(path) < (1.5 if curve in ("linear", 1.8) else 0.8)
    background = load_background(path)
    seen = background.colours(background.all) * 255
    assert np.abs(seen - scene()).mean() < (1.5 if curve in ("linear", 1.8) else 0.8)


@pytest.mark.parametrize(
    "extra",
    [
        [png_chunk(b"gAMA", bytes(4))],
        [png_chunk(b"gAMA", b"\xff\xff\xff\xff")],
        [png_chunk(b"cHRM", bytes(32))],
        [png_chunk(b"cHRM", struct.pack(">8I", *([33_333] * 8)))],
        [png_chunk(b"cICP", bytes((2, 2, 0, 1)))],
        [png_chunk(b"cICP", bytes((250, 251, 0, 1)))],
    ],
    ids=["no gamma", "huge gamma", "no primaries", "one primary", "unspecified", "unknown"],
)
def test_what_says_nothing_sensible_leaves_the_colours(tmp_path, extra):
    (tmp_path / "a.png").write_bytes(png_of(scene(), *extra))
    assert off(tmp_path / "a.png") == 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF"])
@pytest.mark.parametrize(
    ("index", "space", "is_adobe"),
    [
        (b"R03", 0xFFFF, True), (b"R03", None, True), (None, 2, True), (b"R98", 1, False),
        (None, 0xFFFF, False), (b"R03", 1, False),
    ],
)  # fmt: skip
def test_adobe_rgb_said_by_exif_alone_is_honoured(tmp_path, kind, index, space, is_adobe):
    pillow_heif.register_heif_opener()
    values = Image.fromarray(written_in("adobe", 563 / 256) if is_adobe else scene())
    options = {"quality": 96, "lossless": True} if kind == "WEBP" else {"quality": 96}
    data = encoded(values, kind, exif=adobe_exif(index, space), **options)
    (tmp_path / "a.bin").write_bytes(data)
    assert off(tmp_path / "a.bin") < (6 if kind in ("JPEG", "HEIF", "AVIF") else 0.8)
    kept = Image.Exif()
    kept.load(read_picture(tmp_path / "a.bin").exif)
    assert b"R03" not in read_picture(tmp_path / "a.bin").exif, "or it would be converted again"
    assert kept.get_ifd(0x8769).get(0xA001, 1) == 1


@pytest.mark.parametrize(
    ("primaries", "curve"), [("p3", "srgb"), ("srgb", "linear"), ("bt2020", 2.2), ("p3", 2.2)]
)
def test_what_nclx_says_is_honoured(tmp_path, primaries, curve):
    codes = {
        "color_primaries": PRIMARIES[primaries], "transfer_characteristics": CURVES[curve],
        "matrix_coefficients": 1, "full_range_flag": 1,
    }  # fmt: skip
    (tmp_path / "a.heic").write_bytes(heic(written_in(primaries, curve), **codes))
    assert off(tmp_path / "a.heic") < 4
    assert off(tmp_path / "a.heic", by=written_in(primaries, curve)) > 5, (
        "the file has other values"
    )
    said = PRIMARIES[primaries], CURVES[curve]
    (tmp_path / "a.avif").write_bytes(avif(written_in(primaries, curve), *said))
    assert off(tmp_path / "a.avif") < 4


@pytest.mark.parametrize(("code", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_with_the_reason(tmp_path, code, name):
    said = f"is HDR ({name}), whose colours would come out wrong; export it as SDR"
    (tmp_path / "a.png").write_bytes(png_of(scene(), *chunks(cicp=(9, code))))
    codes = {"color_primaries": 9, "transfer_characteristics": code, "matrix_coefficients": 9}
    (tmp_path / "a.heic").write_bytes(heic(scene(), **codes))
    tagged = with_tag(linear_profile(), b"cicp", b"cicp\0\0\0\0" + bytes((9, code, 0, 1)))
    (tmp_path / "a.jpg").write_bytes(encoded(Image.fromarray(scene()), "JPEG", icc_profile=tagged))
    webp = encoded(Image.fromarray(scene()), "WEBP", icc_profile=tagged)
    (tmp_path / "a.webp").write_bytes(webp)
    (tmp_path / "a.avif").write_bytes(avif(scene(), 9, code))
    for ending in ("png", "heic", "avif", "jpg", "webp"):
        for read in (open_image, load_background):
            with pytest.raises(ImageRejectedError) as caught:
                read(tmp_path / f"a.{ending}")
            assert caught.value.reason.startswith(said)


def test_a_profile_whose_curve_is_pqs_is_refused_by_it(tmp_path):
    """SMPTE ST 2084's curve as a table, under a name that says nothing."""
    signal = np.linspace(0, 1, 1024) ** (1 / 78.84375)
    light = ((signal - 0.8359375).clip(0) / (18.8515625 - 18.6875 * signal)) ** (
        1 / 0.1593017578125
    )
    table = (light * 65535).round().astype(">u2").tobytes()
    profile = linear_profile()
    for tag in (b"rTRC", b"gTRC", b"bTRC"):
        profile = with_tag(profile, tag, b"curv\0\0\0\0" + struct.pack(">I", 1024) + table)
    (tmp_path / "a.png").write_bytes(encoded(Image.fromarray(scene()), "PNG", icc_profile=profile))
    with pytest.raises(ImageRejectedError, match=r"is HDR \(by its profile's curve\)"):
        open_image(tmp_path / "a.png")


def with_tag(profile, name, data):
    """A profile with one tag's data set, or the tag added."""
    count = int.from_bytes(profile[128:132], "big")
    entries = {}
    for at in range(132, 132 + 12 * count, 12):
        start, length = struct.unpack(">II", profile[at + 4 : at + 12])
        entries[profile[at : at + 4]] = profile[start : start + length]
    entries[name] = data
    table, body, start = struct.pack(">I", len(entries)), b"", 132 + 12 * len(entries)
    for tag, value in entries.items():
        table += tag + struct.pack(">II", start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    whole = profile[4:128] + table + body
    return struct.pack(">I", len(whole) + 4) + whole


def named(profile, name):
    """A profile under another name (mluc, as Pillow's own has it)."""
    words = name.encode("utf-16-be")
    data = b"mluc" + struct.pack(">4xII2s2sII", 1, 12, b"en", b"US", len(words), 28) + words
    return with_tag(profile, b"desc", data)


def grey_profile(gamma):
    """A grey profile of a gamma, as Photoshop's "Gray Gamma" is: a table of one number."""
    data = linear_profile()
    entries = (b"desc", b"cprt", b"wtpt")
    count, kept = int.from_bytes(data[128:132], "big"), {}
    for at in range(132, 132 + 12 * count, 12):
        start, length = struct.unpack(">II", data[at + 4 : at + 12])
        if data[at : at + 4] in entries:
            kept[data[at : at + 4]] = data[start : start + length]
    empty = data[:16] + b"GRAY" + data[20:128] + bytes(4)
    for tag, value in kept.items():
        empty = with_tag(empty, tag, value)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    return with_tag(empty, b"kTRC", curve)


def test_a_profile_is_judged_by_its_curve_not_its_name(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name, profile, values in (
        ("GIMP built-in Linear sRGB", linear_profile(), written_in("srgb", "linear")),
        ("sRGB IEC61966-2.1", linear_profile(), written_in("srgb", "linear")),
        ("camera", srgb, scene()),
    ):
        meant = named(profile, name)
        assert (
            ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(meant))).strip()
            == name
        )
        for kind in ("RGB", "RGBA", "P"):
            image = Image.fromarray(values)
            image = image.quantize(256) if kind == "P" else image.convert(kind)
            shown = np.asarray(image.convert("RGB")).astype(int)
            image.save(tmp_path / "a.png", icc_profile=meant)
            assert off(tmp_path / "a.png") < 1.5 + np.abs(shown - values).mean() * 2
    assert colour.is_srgb(srgb) and not colour.is_srgb(named(linear_profile(), "sRGB"))


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.6])
@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_grey_profiles_are_honoured(tmp_path, gamma, mode):
    grey = scene()[..., 0]
    most = 65535 if mode == "I;16" else 255
    stored = (linear(grey / 255) ** (1 / gamma) * most).round()
    image = Image.fromarray(stored.astype(np.uint16 if most > 255 else np.uint8))
    if mode == "LA":
        image.putalpha(255)
    path = tmp_path / "a.png"
    image.save(path, icc_profile=grey_profile(gamma))
    expected = grey[..., None].repeat(3, axis=2)
    assert off(path, by=expected) < 1.5
    background = load_background(path)
    assert np.abs(background.colours(background.all) * 255 - expected).mean() < 1.5
    made = background.with_colours(
        Box(0, 0, 32, 32), np.full((32, 32, 3), 0.5, np.float32), np.ones((32, 32), np.float32)
    )
    made.write(tmp_path / "out.png")
    shown = np.asarray(open_image(tmp_path / "out.png")).astype(int)
    assert np.abs(shown[:32, :32] - 128).max() <= (4 if gamma == 1 else 2)
    assert np.abs(shown[32:] - expected[32:]).mean() < 1.5, "as it was, for any program"
    with Image.open(tmp_path / "out.png") as out:
        space = ImageCms.ImageCmsProfile(io.BytesIO(out.info["icc_profile"])).profile.xcolor_space
        assert space.strip() == ("GRAY" if out.mode in ("L", "I;16") else "RGB")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF"])
def test_profiles_are_honoured_in_every_format(tmp_path, kind):
    pillow_heif.register_heif_opener()
    values = Image.fromarray(written_in("srgb", "linear"))
    options = {"quality": 97, "lossless": True} if kind == "WEBP" else {"quality": 97}
    profile = linear_profile()  # which says at which second it was made
    (tmp_path / "a.bin").write_bytes(encoded(values, kind, icc_profile=profile, **options))
    assert off(tmp_path / "a.bin") < (6 if kind in ("JPEG", "HEIF", "AVIF") else 1.5)
    background = load_background(tmp_path / "a.bin")
    assert background.profile == profile, "written back as it is"


@pytest.mark.parametrize("kind", ["JPEG", "HEIF", "AVIF"])
def test_grey_profiles_are_honoured_in_lossy_formats(tmp_path, kind):
    pillow_heif.register_heif_opener()
    grey = Image.fromarray(written_in("srgb", "linear")[..., 1])
    data = encoded(grey, kind, quality=97, icc_profile=grey_profile(1.0))
    (tmp_path / "a.bin").write_bytes(data)
    expected = (255 * curved(np.asarray(grey) / 255, "srgb"))[..., None]
    assert off(tmp_path / "a.bin", by=expected) < 4
    background = load_background(tmp_path / "a.bin")
    assert np.abs(background.colours(background.all) * 255 - expected).mean() < 4


def test_a_grey_plate_with_a_profile_of_colours_becomes_one_of_colours(tmp_path):
    grey = Image.fromarray(written_in("srgb", "linear")[..., 0])
    (tmp_path / "a.jpg").write_bytes(
        encoded(grey, "JPEG", quality=97, icc_profile=linear_profile())
    )
    background = load_background(tmp_path / "a.jpg")
    assert background.pixels.shape[2] == 3 and background.profile == linear_profile()
    expected = 255 * curved(np.asarray(grey) / 255, "srgb")
    assert np.abs(background.colours(background.all)[..., 1] * 255 - expected).mean() < 4


def test_a_grey_png_with_a_gamma_is_a_grey_plate_with_a_profile(tmp_path):
    grey = scene()[..., 0]
    stored = (linear(grey / 255) * 65535).round().astype(np.uint16)
    (tmp_path / "a.png").write_bytes(png_of(stored, *chunks(gamma=1)))
    background = load_background(tmp_path / "a.png")
    assert background.pixels.shape[2] == 1 and background.profile[16:20] == b"GRAY"
    assert np.abs(background.colours(background.all)[..., 0] * 255 - grey).mean() < 1.5


def test_a_profile_that_fits_no_such_picture_is_none(tmp_path):
    for profile in (
        grey_profile(1.0),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
        b"x" * 99,
    ):
        (tmp_path / "a.png").write_bytes(
            encoded(Image.fromarray(scene()), "PNG", icc_profile=profile)
        )
        assert off(tmp_path / "a.png") == 0
        assert load_background(tmp_path / "a.png").profile is None


@pytest.mark.parametrize("primaries", ["adobe", "p3"])
def test_a_profile_made_of_what_is_said_is_what_littlecms_reads(tmp_path, primaries):
    """Its colorants and curve, as LittleCMS finds them in it; and what is written back is read so."""
    gamma = 2.2 if primaries == "adobe" else None
    (tmp_path / "a.png").write_bytes(
        png_of(written_in(primaries, gamma or "srgb"), *chunks(primaries, gamma))
    )
    background = load_background(tmp_path / "a.png")
    meant = ImageCms.ImageCmsProfile(io.BytesIO(background.profile)).profile
    seen = np.array([meant.red_colorant[0], meant.green_colorant[0], meant.blue_colorant[0]])
    d50 = np.array([0.9642, 1.0, 0.8249])
    assert np.abs(seen.sum(axis=0) - d50).max() < 0.001
    background.with_colours(
        Box(0, 0, 16, 16), np.zeros((16, 16, 3), np.float32), np.ones((16, 16), np.float32)
    ).write(tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as out:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(out.info["icc_profile"]))
        assert np.array_equal(np.asarray(out)[16:], background.pixels[16:])
        shown = ImageCms.profileToProfile(out, profile, ImageCms.createProfile("sRGB"))
    assert np.abs(np.asarray(shown)[16:].astype(int) - scene()[16:]).mean() < 0.8
