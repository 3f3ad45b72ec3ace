"""What an insertion says of itself and of its background, read back by Pillow, ExifTool and C2PA's reader."""

import io
import json
import shutil
import subprocess

import c2pa
import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import IFDRational
from typer.testing import CliRunner

from packshot.cli import app
from packshot.insertion import Box, InsertionSettings, Placement, load_background
from packshot.insertion.insert import insert
from packshot.project import save_choices
from packshot.provenance import Claim, Marking, verify
from packshot.provenance.marking import GENERATED
from packshot.report.origin import record_of
from packshot.settings import choices_of
from tests.backgrounds import landscape
from tests.provenance.test_xmp import OWN

PLACE = Placement(Box(140, 140, 120, 90))
MAKE, MODEL, SERIAL, GPS, ORIENTATION = 0x010F, 0x0110, 0xA431, 0x8825, 0x0112


def put(product, plate, tmp_path):
    settings = InsertionSettings(tries=1)
    return insert(product, load_background(plate), PLACE, tmp_path / "out", settings=settings).file


def a_photo(tmp_path, kind):
    """A photo lying on its side, with all that cameras and programs write."""
    exif = Image.Exif()
    exif[MAKE], exif[MODEL], exif[ORIENTATION] = "Acme", "Eye 1", 6
    exif.get_ifd(0x8769)[0x920A], exif.get_ifd(0x8769)[SERIAL] = IFDRational(35), "S777"
    exif.get_ifd(GPS)[1] = "N"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = tmp_path / f"plate.{kind}"
    turned = Image.fromarray(np.rot90(landscape()).copy())
    turned.save(file, exif=exif, xmp=OWN, icc_profile=profile, quality=95)
    return file, profile


@pytest.mark.parametrize("kind", ["jpg", "webp"])
def test_what_the_photos_file_says_stands_without_place_and_camera(product, tmp_path, kind):
    plate, profile = a_photo(tmp_path, kind)
    with Image.open(put(product, plate, tmp_path)) as made:
        assert made.size == landscape().shape[1::-1], "upright"
        exif = made.getexif()
        assert (exif[MAKE], exif[MODEL], exif.get_ifd(0x8769)[0x920A]) == ("Acme", "Eye 1", 35.0)
        assert not {ORIENTATION, GPS} & set(exif) and SERIAL not in exif.get_ifd(0x8769)
        assert made.info["icc_profile"] == profile
        assert b"Bea" in made.info["xmp"] and b"compositeCapture" in made.info["xmp"]


@pytest.mark.skipif(not shutil.which("exiftool"), reason="ExifTool is not installed")
def test_exiftool_reads_it_without_a_warning(product, tmp_path):
    made = put(product, a_photo(tmp_path, "jpg")[0], tmp_path)
    told = subprocess.run(["exiftool", "-j", "-G1", made], capture_output=True, check=True).stdout
    (said,) = json.loads(told)
    assert said["IFD0:Model"] == "Eye 1" and said["XMP-xmp:Rating"] == 4
    assert said["XMP-dc:Creator"] == "Bea" and "ICC-header:ProfileClass" in said
    assert said["XMP-iptcExt:DigitalSourceType"].endswith("compositeCapture")
    assert not [key for key in said if "GPS" in key or "Serial" in key or "Warning" in key]


def test_switched_off_only_the_photos_own_is_there(product, tmp_path):
    save_choices(product, choices_of(provenance=False))
    with Image.open(put(product, a_photo(tmp_path, "jpg")[0], tmp_path)) as made:
        assert b"Bea" in made.info["xmp"] and b"compositeCapture" not in made.info["xmp"]
        assert made.getexif()[MODEL] == "Eye 1"


def test_a_backgrounds_own_credentials_are_the_parents_and_whole(product, tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(landscape()).save(buffer, "PNG")
    signed = Marking().signed(
        buffer.getvalue(), "image/png", Claim("p.png", GENERATED, {"seed": 9})
    )
    (tmp_path / "plate.png").write_bytes(signed)
    file = put(product, tmp_path / "plate.png", tmp_path)
    with (
        c2pa.Reader("image/png", io.BytesIO(file.read_bytes())) as reader,
        c2pa.Reader("image/png", io.BytesIO(signed)) as before,
    ):
        told, own = json.loads(reader.json()), json.loads(before.json())
        assert reader.get_validation_state() == "Valid"
    parent = told["manifests"][told["active_manifest"]]["ingredients"][0]
    assert parent["relationship"] == "parentOf"
    assert parent["active_manifest"] == own["active_manifest"]
    kept = told["manifests"][parent["active_manifest"]]
    assert kept["assertions"] == own["manifests"][own["active_manifest"]]["assertions"]


def test_its_sheet_is_signed_too(product, background_file, tmp_path):
    file = put(product, background_file, tmp_path)
    said = verify(file.with_suffix(".sheet.png"), seeks_watermark=False)
    assert said.state == "valid" and said.source_type == "compositeCapture"
    assert said.details == {"shows": file.name}


def test_in_what_a_model_made_the_whole_is_partly_made_by_one(product, tmp_path):
    claim = Claim("plate.png", GENERATED, {})
    for name, is_signed in (("signed", True), ("said", False)):
        buffer = io.BytesIO()
        packet = None if is_signed else Marking().xmp(claim)
        Image.fromarray(landscape()).save(buffer, "WEBP", lossless=True, xmp=packet or b"")
        data = buffer.getvalue()
        plate = tmp_path / f"{name}.webp"
        plate.write_bytes(Marking().signed(data, "image/webp", claim) if is_signed else data)
        said = verify(put(product, plate, tmp_path))
        assert said.source_type == "compositeWithTrainedAlgorithmicMedia"


def test_its_pixels_lead_to_its_record_and_no_other_pixel_is_changed(product, tmp_path):
    Image.fromarray(landscape()).resize((1200, 900)).save(tmp_path / "plate.png")
    place = Placement(Box(300, 300, 600, 450))
    read, settings = load_background(tmp_path / "plate.png"), InsertionSettings(tries=1)
    file = insert(product, read, place, product.insertions_folder, settings=settings).file
    record = json.loads(file.with_suffix(".json").read_text())
    buffer = io.BytesIO()
    with Image.open(file) as made:
        values = np.asarray(made)
        made.save(buffer, "JPEG", quality=80)
    (tmp_path / "posted.jpg").write_bytes(buffer.getvalue())
    posted = verify(tmp_path / "posted.jpg")
    assert posted.state == "none" and posted.watermark == record["watermark"]
    assert record_of(product, posted.watermark) == file.with_suffix(".json")
    assert record_of(product, "00000000") is None
    asked = ["verify", "--json", "--project", str(product.root), str(tmp_path / "posted.jpg")]
    (told,) = json.loads(CliRunner().invoke(app, asked).stdout)
    assert told["record"] == str(file.with_suffix(".json"))
    save_choices(product, choices_of(watermark=False))
    other = insert(product, read, place, tmp_path / "other", settings=settings).file
    without = np.asarray(Image.open(other))
    differs = (values != without).any(axis=2)
    assert differs.any() and not differs[(without == read.pixels).all(axis=2)].mean() > 0.02
    assert np.abs(values.astype(int) - without).max() < 16 and not differs[:250].any()
    assert json.loads(other.with_suffix(".json").read_text())["watermark"] == ""
