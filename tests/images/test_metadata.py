"""Metadata of photos beside EXIF and XMP, read by Pillow, and by ExifTool where it is installed."""

import io
import json
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image, IptcImagePlugin
from PIL.PngImagePlugin import PngInfo

from packshot.delivery.conversion import convert
from packshot.images.metadata import iim_of, iim_segment, iim_text, texts_of
from packshot.insertion.background import load_background
from tests.backgrounds import landscape


def record(number, value):
    return bytes((0x1C, 2, number)) + len(value).to_bytes(2, "big") + value


BYLINE, CITY, CAPTION = 80, 90, 120
IIM = record(BYLINE, b"Bea Neri") + record(CITY, b"Turin") + record(CAPTION, b"A beach")
needs_exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool")


def by_exiftool(file):
    told = subprocess.run(["exiftool", "-j", file], capture_output=True, check=True).stdout
    return json.loads(told)[0]


def a_jpeg(tmp_path):
    file = tmp_path / "plate.jpg"
    Image.fromarray(landscape()).save(file, comment=b"by the sea", extra=iim_segment(IIM))
    return file


def a_png(tmp_path, deep=False, **texts):
    chunks = PngInfo()
    for key, text in {"Title": "Strand", "Author": "Łukasz", **texts}.items():
        (chunks.add_text if text.isascii() else chunks.add_itxt)(key, text)
    chunks.add_text(*iim_text(IIM), zip=True)
    values = landscape()
    image = Image.fromarray(values[..., 0].astype(np.uint16) * 257 if deep else values)
    file = tmp_path / "plate.png"
    image.save(file, pnginfo=chunks)
    return file


def written(tmp_path, plate, **notes):
    file = tmp_path / "out" / "made.png"
    load_background(plate).write(file, **notes)
    with Image.open(file) as image:
        image.load()
        return image, file


def test_a_jpegs_comment_and_records_stay(tmp_path):
    plate = a_jpeg(tmp_path)
    assert IptcImagePlugin.getiptcinfo(Image.open(plate))[2, BYLINE] == b"Bea Neri"
    image, _ = written(tmp_path, plate, Software="packshot", Comment="ours")
    assert image.text["Comment"] == "by the sea" and image.text["Software"] == "packshot"
    assert iim_of(image) == IIM


@pytest.mark.parametrize("deep", [False, True])
def test_a_pngs_texts_and_records_stay(tmp_path, deep):
    image, _ = written(tmp_path, a_png(tmp_path, deep), Title="ours", Comment="ours")
    assert (image.text["Title"], image.text["Author"]) == ("Strand", "Łukasz")
    assert image.text["Comment"] == "ours" and iim_of(image) == IIM


@needs_exiftool
@pytest.mark.parametrize("of", [a_jpeg, a_png])
@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "tiff"])
def test_exiftool_reads_the_records_in_every_format(tmp_path, of, kind):
    file = convert(of(tmp_path), tmp_path / "out", kind)
    told = by_exiftool(file)
    assert (told["By-line"], told["City"], told["Caption-Abstract"]) == (
        "Bea Neri", "Turin", "A beach",
    )  # fmt: skip
    assert "Warning" not in told


@needs_exiftool
@pytest.mark.parametrize("kind", ["jpg", "webp", "tiff"])
def test_parameters_of_a_png_are_the_user_comment_of_other_formats(tmp_path, kind):
    text = "a красный car\nSteps: 20, Seed: 1"
    file = convert(a_png(tmp_path, parameters=text), tmp_path / "out", kind)
    assert by_exiftool(file)["UserComment"] == text


def test_records_in_photoshops_resources_are_found_in_a_png():
    chunks, buffer = PngInfo(), io.BytesIO()
    wrapped = iim_segment(IIM)[4 + len(b"Photoshop 3.0\0") :]
    chunks.add_text(*iim_text(wrapped))
    Image.new("L", (8, 8)).save(buffer, "PNG", pnginfo=chunks)
    assert iim_of(Image.open(buffer)) == IIM


@pytest.mark.parametrize("raw", ["", "\niptc\n 4\nzz", "\niptc\n 4\n00ff", "8BIM"])
def test_what_are_no_records_are_none(raw):
    chunks, buffer = PngInfo(), io.BytesIO()
    chunks.add_text("Raw profile type iptc", raw)
    chunks.add_text("Raw profile type exif", "where it was taken")
    Image.new("L", (8, 8)).save(buffer, "PNG", pnginfo=chunks)
    assert iim_of(Image.open(buffer)) == b"" and texts_of(Image.open(buffer)) == ()
