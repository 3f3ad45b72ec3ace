"""Delivering a project: what is in the ZIP, and what is told."""

import hashlib
import zipfile

import pytest
from PIL import Image

from packshot.delivery import deliver_project
from packshot.errors import DeliveryError, InsertionError, OverwriteError
from packshot.generation.favourites import set_favourite
from packshot.generation.generate import GeneratedImage, write_record
from packshot.insertion.background import load_background
from packshot.insertion.insert import insert
from packshot.insertion.request import PlacementRequest
from packshot.insertion.settings import InsertionSettings
from packshot.photos.photo_set import list_photos
from packshot.project import save_choices
from packshot.provenance import verify
from packshot.settings import choices_of
from packshot.utils import files

SMALL = {"formats": ("square", "transparent-webp"), "photos": None}


def inside(delivery):
    with zipfile.ZipFile(delivery.archive) as archive:
        assert archive.testzip() is None
        return {one.filename: archive.read(one) for one in archive.infolist()}


@pytest.fixture
def shots(product):
    """Two generated images with a LoRA."""
    made = []
    for number in range(2):
        file = product.shots_folder / "with" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(file)
        shot = GeneratedImage(
            file, "a box", "", number, 1, 1.0, "", 8, 8, (("l", 1.0, "x"),), "b", "h"
        )
        write_record(shot)
        made.append(file)
    return made


@pytest.mark.slow
def test_all_that_is_there_is_in_the_zip_byte_for_byte(product, shots, background_file):
    product.lora_folder.mkdir()
    product.lora_file.write_bytes(b"weights")
    read, settings = load_background(background_file), InsertionSettings(tries=1)
    place = PlacementRequest(box="100,100,120,100").resolve(read, product, settings)
    made = insert(product, read, place, product.insertions_folder, settings=settings)
    packed = inside(deliver_project(product, **SMALL))
    assert packed["lora/redbox.safetensors"] == b"weights"
    assert packed["insertions/beach.png"] == made.file.read_bytes()
    assert packed["shots/with/1.png"] == shots[1].read_bytes()
    assert packed["report.html"].startswith(b"<!doctype html>")
    stems = [photo.file.stem for photo in list_photos(product)]
    expected = {
        f"shop/{stem}-{end}" for stem in stems for end in ("square.jpg", "transparent-webp.webp")
    }
    assert {name for name in packed if name.startswith("shop/")} == expected


def test_favourites_are_delivered_alone(product, shots):
    assert len(inside(deliver_project(product, ("shots",)))) == 2
    set_favourite(product, shots[1], True)
    assert list(inside(deliver_project(product, ("shots",)))) == ["shots/with/1.png"]


def test_the_same_content_makes_the_same_file(product, shots):
    once = hashlib.sha256(deliver_project(product, ("shots",)).archive.read_bytes()).hexdigest()
    again = hashlib.sha256(deliver_project(product, ("shots",)).archive.read_bytes()).hexdigest()
    assert once == again


def test_shop_pictures_of_chosen_photos_replace_the_last_ones(product):
    names = [photo.file.name for photo in list_photos(product)]
    deliver_project(product, ("shop",), formats=("square",), photos=names[:2])
    made = deliver_project(product, ("shop",), formats=("wide",), photos=names[:1])
    assert [file.name for file in made.shop_pictures] == [f"{names[0].split('.')[0]}-wide.jpg"]
    assert sorted((product.delivery_folder / "shop").glob("*.*g")) == list(made.shop_pictures)
    assert "enlarged" in made.notes[0]  # a box of 120 pixels


def test_a_photo_whose_mask_is_damaged_costs_itself(product):
    first, *others = list_photos(product)
    first.mask.write_bytes(b"no picture")
    made = deliver_project(product, ("shop",), formats=("square",))
    assert len(made.shop_pictures) == len(others)
    assert any(f"{first.mask.name}: is not an image" in note for note in made.notes)


def test_a_product_that_the_photos_edge_cuts_is_told(product):
    photo = list_photos(product)[0]
    with Image.open(photo.file) as picture, Image.open(photo.mask) as mask:
        middle = sum(mask.getbbox()[::2]) // 2
        for image, file in ((picture, photo.file), (mask, photo.mask)):
            image.crop((0, 0, middle, image.height)).save(file)
    notes = deliver_project(product, ("shop",), formats=("square",)).notes
    assert [note for note in notes if "edge cuts" in note] == [
        f"{photo.file.name}: the photo's edge cuts the product, and so it is in the shop picture."
    ]


def test_a_file_of_somebody_elses_is_not_replaced(product):
    name = list_photos(product)[0].file
    other = product.delivery_folder / "shop" / f"{name.stem}-square.jpg"
    files.write_bytes(other, b"theirs")
    with pytest.raises(OverwriteError):
        deliver_project(product, ("shop",), formats=("square",), photos=[name.name])
    assert other.read_bytes() == b"theirs"


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"parts": ("paintings",)}, DeliveryError, "no part 'paintings'; there are lora, shop"),
        ({"formats": ("round",)}, DeliveryError, "no format 'round'; there are square"),
        ({"photos": ("none.png",), "parts": ("shop",)}, InsertionError, "no photo none.png"),
        ({"parts": ("lora",)}, DeliveryError, "nothing to deliver yet"),
    ],
)
def test_what_cannot_be_delivered_says_so(product, asked, error, words):
    with pytest.raises(error, match=words):
        deliver_project(product, **asked)


def test_shop_pictures_say_that_they_are_the_photo_cut_out(product):
    name = list_photos(product)[0].file.name
    made = deliver_project(product, ("shop",), photos=[name])
    assert len(made.shop_pictures) == 5
    for file in made.shop_pictures:
        said = verify(file, seeks_watermark=False)
        assert said.state == "valid" and said.ingredients == (f"parentOf: {name}",), file
        assert said.source_type == "algorithmicallyEnhanced"
    save_choices(product, choices_of(provenance=False))
    (file,) = deliver_project(product, ("shop",), formats=("square",), photos=[name]).shop_pictures
    assert verify(file).state == "none" and not verify(file).source_type
