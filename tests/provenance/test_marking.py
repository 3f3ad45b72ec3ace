"""Marked pictures, read back by C2PA's own reader, by Pillow, and by an XML parser."""

import io
import json
import os

import c2pa
import numpy as np
import pillow_heif
import pytest
from PIL import Image
from skimage import data

from packshot.provenance import Claim, Ingredient, Marking, verify, watermark
from packshot.provenance.marking import COMPOSITE, GENERATED, mime_of

pillow_heif.register_heif_opener()
CLAIM = Claim("shot.png", GENERATED, {"seed": 3, "base": "x"}, prompt="a secret plan")
FORMATS = {
    "PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "TIFF": "image/tiff",
    "HEIF": "image/heic",
}  # fmt: skip


def picture(kind="PNG", seed=0):
    noise = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


def read(data, mime):
    """What C2PA's own reader says: the state, and the active manifest."""
    with c2pa.Reader(mime, io.BytesIO(data)) as reader:
        told = json.loads(reader.json())
        return reader.get_validation_state(), told["manifests"][told["active_manifest"]]


def actions_of(manifest):
    (found,) = [one for one in manifest["assertions"] if one["label"] == "c2pa.actions.v2"]
    return found["data"]["actions"]


@pytest.mark.parametrize("kind,mime", FORMATS.items())
def test_c2pas_reader_finds_it_valid_and_the_pixels_are_the_same(kind, mime):
    plain = picture(kind)
    signed = Marking().signed(plain, mime, CLAIM)
    state, manifest = read(signed, mime)
    assert state == "Valid" and manifest["title"] == "shot.png"
    (action,) = actions_of(manifest)
    assert action["action"] == "c2pa.created"
    assert action["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    pixels = [np.asarray(Image.open(io.BytesIO(data))) for data in (plain, signed)]
    assert np.array_equal(*pixels)
    assert mime_of(signed) == mime


def test_it_costs_few_bytes():
    assert len(Marking().signed(picture(), "image/png", CLAIM)) - len(picture()) < 40_000


def test_the_prompt_is_told_only_if_that_was_agreed():
    silent = Marking().signed(picture(), "image/png", CLAIM)
    telling = Marking(tells_prompt=True).signed(picture(), "image/png", CLAIM)
    assert b"a secret plan" not in silent and b"a secret plan" in telling


def test_an_edit_has_its_plate_as_parent_with_the_plates_own_credentials(tmp_path):
    plate = Marking().signed(picture(seed=1), "image/png", CLAIM)
    parts = (
        Ingredient("plate.png", "parentOf", plate, "image/png"),
        Ingredient("photo.jpg", "componentOf", picture("JPEG"), "image/jpeg"),
    )
    made = Marking().signed(picture(), "image/png", Claim("in.png", COMPOSITE, {}, parts))
    state, manifest = read(made, "image/png")
    assert state == "Valid"
    assert [one["relationship"] for one in manifest["ingredients"]] == ["parentOf", "componentOf"]
    assert manifest["ingredients"][0]["active_manifest"], "the plate's own credentials are in it"
    actions = actions_of(manifest)
    assert [action["action"] for action in actions] == ["c2pa.opened", "c2pa.edited"]
    assert actions[-1]["digitalSourceType"].endswith("/compositeCapture")


def test_a_plate_whose_own_credentials_are_broken_can_still_be_worked_on(tmp_path):
    plate = bytearray(Marking().signed(picture(seed=1), "image/png", CLAIM))
    plate[len(plate) // 2] ^= 1
    parts = (Ingredient("plate.png", "parentOf", bytes(plate), "image/png"),)
    made = Marking().signed(picture(), "image/png", Claim("in.png", COMPOSITE, {}, parts))
    (tmp_path / "in.png").write_bytes(made)
    assert verify(tmp_path / "in.png").ingredients == ("parentOf: plate.png",)


def test_switched_off_nothing_is_changed():
    off = Marking(is_on=False)
    assert off.signed(picture(), "image/png", CLAIM) == picture() and off.xmp(CLAIM) is None


def test_a_thousand_pictures_take_no_more_memory_than_a_hundred():
    import psutil

    process, marking = psutil.Process(), Marking()

    def after(count):
        for _ in range(count):
            marking.signed(picture(), "image/png", CLAIM)
        return process.memory_info().rss

    few, many = after(100), after(900)
    assert many - few < 20 * 2**20


def test_names_and_details_of_any_kind_are_signed(tmp_path):
    """Numbers that C2PA's library does not take, such as the larger seeds, in words."""
    told = {
        "name": "\ud83d\ude00 <b>", "deep": {"list": [1, None, -(2**63)]}, "seed": 2**64 - 1,
        "weights": (0.5, float("inf"), float("nan")), "is_true": True,
    }  # fmt: skip
    claim = Claim('à"\\\n\0é😀.png', GENERATED, told)
    (tmp_path / "a.png").write_bytes(Marking().signed(picture(), "image/png", claim))
    verified = verify(tmp_path / "a.png")
    assert verified.state == "valid"
    assert verified.details["seed"] == str(2**64 - 1) and verified.details["is_true"] is True
    assert verified.details["weights"] == [0.5, "inf", "nan"]
    assert verified.details["name"] == "\U0001f600 <b>"


def test_a_file_whose_name_is_no_utf8_is_signed(tmp_path):
    name = os.fsdecode(b"b\xe9ach.png")
    parent = Ingredient(name, "parentOf", picture(seed=1), "image/png")
    claim = Claim(name, COMPOSITE, {"photo": name}, (parent,))
    (tmp_path / "a.png").write_bytes(Marking().signed(picture(), "image/png", claim))
    verified = verify(tmp_path / "a.png")
    assert verified.state == "valid" and len(verified.ingredients) == 1
    assert verified.ingredients[0].endswith("ach.png")


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_every_format_of_shots_is_signed_and_holds_the_identifier(kind):
    photograph = Image.fromarray(data.chelsea()).resize((640, 426), Image.Resampling.LANCZOS)
    marking, claim = Marking(), Claim("shot", GENERATED, {"seed": 1}, watermark="3fa9c1d2")
    colours = np.asarray(photograph, np.float32) / 255
    marked = (marking.watermarked(colours, "3fa9c1d2") * 255).round().astype(np.uint8)
    made = marking.as_file(Image.fromarray(marked), claim, kind, quality=90, parameters="a cat")
    state, manifest = read(made, mime_of(made))
    assert state == "Valid" and actions_of(manifest)[0]["digitalSourceType"].endswith(GENERATED)
    with Image.open(io.BytesIO(made)) as image:
        assert b"trainedAlgorithmicMedia" in image.info["xmp"]
        assert watermark.found(np.asarray(image.convert("RGB"))) == 0x3FA9C1D2
