"""`packshot deliver` as a user types it."""

import zipfile

from typer.testing import CliRunner

from packshot.cli import app
from packshot.photos.photo_set import list_photos


def run(*arguments):
    return CliRunner().invoke(app, ["deliver", *map(str, arguments)])


def test_parts_formats_and_photos_are_chosen(product):
    name = list_photos(product)[1].file
    made = run("-p", product.root, "--part", "shop", "--format", "square", "--format", "wide",
               "--photo", name.name)  # fmt: skip
    assert made.exit_code == 0, made.output
    assert "Shop pictures: 2" in made.output and "enlarged" in made.output
    names = zipfile.ZipFile(product.delivery_folder / "redbox.zip").namelist()
    assert names == [f"shop/{name.stem}-square.jpg", f"shop/{name.stem}-wide.jpg"]


def test_what_is_named_twice_is_there_once(product):
    name = list_photos(product)[1].file.name
    twice = ("--photo", name) * 2 + ("--format", "square") * 2
    assert "Shop pictures: 1\n" in run("-p", product.root, "--part", "shop", *twice).output
    assert len(zipfile.ZipFile(product.delivery_folder / "redbox.zip").namelist()) == 1
