"""Pictures in other formats, read back by Pillow and C2PA's reader."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import IFDRational
from skimage.metrics import peak_signal_noise_ratio
from typer.testing import CliRunner

from packshot.cli import app
from packshot.delivery.conversion import ENCODINGS, convert
from packshot.errors import DeliveryError, OverwriteError
from packshot.images.loading import open_image, opened_picture
from packshot.insertion.background import Background
from packshot.provenance import Claim, Marking, verify
from packshot.provenance.marking import GENERATED
from tests.backgrounds import landscape
from tests.images.test_colour import grey_profile
from tests.provenance.test_xmp import OWN, with_ancestors

MODEL, FOCAL, XMP_TAG = 0x0110, 0x920A, 700
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def a_picture(tmp_path, values=None, is_signed=True):
    exif = Image.Exif()
    exif[MODEL] = "Eye 1"
    exif.get_ifd(0x8769)[FOCAL] = IFDRational(35)
    claim, buffer = Claim("a.png", GENERATED, {"seed": 3}), io.BytesIO()
    image = Image.fromarray(landscape() if values is None else values)
    profile = PROFILE if image.mode == "RGB" else None
    packet = Marking().xmp(claim, OWN) if is_signed else OWN
    image.save(
        buffer, "WEBP", lossless=True, exact=True, exif=exif, xmp=packet, icc_profile=profile
    )
    data = buffer.getvalue()
    file = tmp_path / "a.webp"
    file.write_bytes(Marking().signed(data, "image/webp", claim) if is_signed else data)
    return file


def opened(file):
    if file.suffix == ".tiff":  # which users' photos are not read from
        return Image.open(file)
    with opened_picture(file) as image:
        image.load()
        return image


@pytest.mark.parametrize("kind", ENCODINGS)
def test_pixels_metadata_and_credentials_go_along(tmp_path, kind):
    made = convert(a_picture(tmp_path), tmp_path / "out", kind)
    assert made == tmp_path / "out" / f"a.{kind}"
    with opened(made) as image:
        assert image.getexif()[MODEL] == "Eye 1"
        assert image.getexif().get_ifd(0x8769)[FOCAL] == 35
        assert image.info["icc_profile"] == PROFILE
        packet = image.tag_v2[XMP_TAG] if kind == "tiff" else image.info["xmp"]
        assert b"Bea" in packet and b"trainedAlgorithmicMedia" in packet
        values = np.asarray(image.convert("RGB"))
    if ENCODINGS[kind].is_lossless:
        assert np.array_equal(values, landscape())
    else:
        assert peak_signal_noise_ratio(landscape(), values) > 38
    said = verify(made)
    assert said.state == "valid" and said.details == {"seed": 3}
    assert said.actions == ("c2pa.opened", "c2pa.transcoded: trainedAlgorithmicMedia")
    assert said.ingredients == ("parentOf: a.webp",)
    assert said.source_type == "trainedAlgorithmicMedia"


@pytest.mark.parametrize("kind", ENCODINGS)
def test_what_has_no_credentials_gets_none(tmp_path, kind):
    made = convert(a_picture(tmp_path, is_signed=False), tmp_path / "out", kind)
    assert (verify(made).state, verify(made).source_type) == ("none", "digitalCapture")


@pytest.mark.parametrize("kind", ENCODINGS)
@pytest.mark.parametrize("channels", ["grey", "clear", "deep"])
def test_pictures_of_other_kinds_are_written_too(tmp_path, kind, channels):
    grey = landscape()[..., 1]
    if channels == "deep":
        file = tmp_path / "deep.png"
        file.write_bytes(
            cv2.imencode(".png", landscape()[..., ::-1].astype(np.uint16) * 257)[1].tobytes()
        )
    else:
        clear = np.dstack([landscape(), np.full_like(grey, 90)])
        file = a_picture(tmp_path, grey if channels == "grey" else clear)
    with opened(convert(file, tmp_path / "out", kind)) as image:
        shown = np.asarray(image.convert("RGB")).astype(float)
    expected = landscape().astype(float)
    if channels == "grey":
        expected = np.dstack([grey] * 3).astype(float)
    if channels == "clear" and kind == "jpg":
        expected = 255 + (expected - 255) * 90 / 255
    assert np.abs(shown - expected).mean() < 2.5


def test_what_was_changed_is_not_signed_anew_and_nothing_is_overwritten(tmp_path):
    file = a_picture(tmp_path)
    with pytest.raises(DeliveryError, match="would be overwritten"):
        convert(file, tmp_path, "webp")
    with pytest.raises(DeliveryError, match="no format 'bmp'; there are png, jpg"):
        convert(file, tmp_path, "bmp")
    (tmp_path / "a.jpg").write_bytes(b"mine")
    with pytest.raises(OverwriteError):
        convert(file, tmp_path, "jpg")
    data = bytearray(file.read_bytes())
    data[300] ^= 1
    file.write_bytes(data)
    with pytest.raises(DeliveryError, match=r"is not as it was signed .*another picture's"):
        convert(file, tmp_path / "out", "jpg")


def test_the_command_writes_beside_each_picture(tmp_path):
    told = CliRunner().invoke(app, ["convert", str(a_picture(tmp_path)), "--to", "tiff"])
    assert told.exit_code == 0 and told.output.strip() == str(tmp_path / "a.tiff")
    assert verify(tmp_path / "a.tiff").state == "valid"


@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "heic"])
def test_greys_of_another_curve_are_the_same_greys(tmp_path, kind):
    values = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    file = tmp_path / "grey.png"
    file.write_bytes(Background("grey.png", values[..., None], grey_profile(1.8)).as_png())
    before, after = (
        np.asarray(open_image(each), np.int16)
        for each in (file, convert(file, tmp_path / "out", kind))
    )
    assert np.abs(before - values[..., None]).max() > 10, "the curve counts"
    assert np.abs(after - before).max() <= 2


def test_of_several_one_costs_itself_and_none_replaces_another(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, grey in ((first, 40), (second, 200)):
        folder.mkdir()
        Image.new("RGB", (64, 48), (grey,) * 3).save(folder / "a.png")
    (first / "b.png").write_bytes(b"no picture")
    Image.new("RGB", (64, 48)).save(second / "c.png")
    pictures = [first / "a.png", second / "a.png", first / "b.png", second / "c.png"]
    told = CliRunner().invoke(app, ["convert", *map(str, pictures), "--out", str(tmp_path / "out")])
    assert told.exit_code == 3
    assert sorted(file.name for file in (tmp_path / "out").glob("*.jpg")) == ["a.jpg", "c.jpg"]
    assert np.asarray(open_image(tmp_path / "out" / "a.jpg")).max() < 60, "the first one's"
    said = told.stderr.replace("\n", "")
    assert (
        f"not converted: {second / 'a.png'}: it would be called a.jpg, as {first / 'a.png'} is"
        in said
    )
    assert "b.png: is not an image" in said
    told = CliRunner().invoke(app, ["convert", str(first / "b.png"), str(first / "b.png")])
    assert told.exit_code == 2


def with_packet(file, packet):
    Image.new("RGB", (64, 48), "red").save(file, "WEBP", lossless=True, xmp=packet)
    return file


@pytest.mark.parametrize("is_signed", [True, False])
def test_a_jpeg_does_without_what_editors_noted_of_their_work(tmp_path, is_signed):
    long = with_ancestors(3000)
    file = with_packet(
        tmp_path / "a.webp", Marking().xmp(Claim("a", GENERATED, {}), long) if is_signed else long
    )
    if is_signed:
        file.write_bytes(
            Marking().signed(file.read_bytes(), "image/webp", Claim("a", GENERATED, {}))
        )
    made = convert(file, tmp_path / "out", "jpg")
    assert verify(made).state == ("valid" if is_signed else "none")
    with opened(made) as image:
        assert b"Bea" in image.info["xmp"] and b"Ancestors" not in image.info["xmp"]
    with opened(convert(file, tmp_path / "out", "png")) as image:
        assert "Ancestors" in str(image.info["xmp"])


def test_what_a_format_does_not_take_is_said_and_the_others_are_made(tmp_path):
    more = OWN.replace(b'own:more="kept"', b'own:more="' + 70_000 * b"x" + b'"')
    with_packet(tmp_path / "a.webp", more)
    Image.new("L", (16_384, 8)).save(tmp_path / "b.png")
    Image.new("RGB", (64, 48)).save(tmp_path / "c.png")
    pictures = [str(tmp_path / name) for name in ("a.webp", "b.png", "c.png")]
    for kind, name, words in (
        ("jpg", "a.webp", "The XMP of a.webp has 7"),
        (
            "webp",
            "b.png",
            "b.png has 16384 x 8 px, and a side of this format 16383 at most: take png",
        ),
    ):
        told = CliRunner().invoke(
            app, ["convert", *pictures, "--to", kind, "--out", str(tmp_path / kind)]
        )
        assert told.exit_code == 3, told.output
        assert f"not converted: {tmp_path / name}: {words}" in told.stderr.replace("\n", "")
        assert (tmp_path / kind / f"c.{kind}").is_file()
