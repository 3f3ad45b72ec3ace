"""The report's insertions: their words, and that a record cannot make the page show other files."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from packshot.insertion import Box, Placement, load_background
from packshot.insertion.insert import insert
from packshot.project import create_project
from packshot.report import write_report
from packshot.report.insertions import insertions, light_in_words
from packshot.utils import files, reading
from tests.backgrounds import landscape

PLACE = Placement(Box(140, 140, 120, 90), notes=("one note",))


@pytest.fixture
def made(product, background_file):
    """A project with one insertion, in the place where a project keeps them."""
    background = load_background(background_file)
    insert(product, background, PLACE, product.insertions_folder, name="beach")
    return product


def decoded(picture):
    data = base64.b64decode(picture["src"].partition("base64,")[2])
    return np.asarray(Image.open(io.BytesIO(data))).astype(int)


def test_before_and_after_are_the_pictures_themselves(made):
    (one,) = insertions(made)
    assert np.abs(decoded(one["before"]) - landscape()).mean() < 4
    after = np.asarray(Image.open(made.insertions_folder / "beach.png")).astype(int)
    assert np.abs(decoded(one["after"]) - after).mean() < 4
    assert np.abs(decoded(one["after"]) - landscape()).max() > 100
    assert "one note" in one["notes"] and one["sheet"] == "insertions/beach.sheet.png"
    assert one["photo"]["text"].startswith("cut out of ")


def test_the_page_lets_its_own_script_run_and_no_other(made):
    import hashlib

    page = write_report(made).read_text()
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert f"script-src 'sha256-{digest}'" in policy.replace("&#39;", "'")
    assert page.count("<script") == 1 and 'type="range"' in page


def test_a_plate_that_is_another_now_or_gone_is_not_shown(made, background_file):
    Image.new("RGB", (40, 30)).save(background_file)
    assert insertions(made)[0]["before"] is None
    background_file.unlink()
    assert insertions(made)[0]["before"] is None
    assert "no longer where it was read from" in write_report(made).read_text()


@pytest.mark.parametrize(
    "change",
    [
        {"photo": "../../secret.png"},
        {"file": "../../secret.png"},
        {"background_file": "secret.png", "background_sha256": None},
        {"light": {"azimuth_degrees": "<script>"}},
        {"checks": []},
    ],
)
def test_a_record_from_elsewhere_shows_nothing_of_other_folders(made, tmp_path, change):
    Image.new("RGB", (33, 33), (1, 2, 3)).save(tmp_path / "secret.png")
    record = reading.read_json(made.insertions_folder / "beach.json")
    if "background_file" in change:
        change = {**change, "background_file": str(tmp_path / "secret.png")}
    files.write_json(made.insertions_folder / "beach.json", {**record, **change})
    shown = insertions(made)
    sizes = [decoded(one[key]).shape for one in shown for key in ("before", "photo") if one[key]]
    assert (33, 33, 3) not in sizes
    assert "<script>a" not in write_report(made).read_text()


def test_what_is_no_record_is_passed_over(made):
    for name, text in (("a.json", "[]"), ("b.json", "{"), ("c.json", '{"file": "c.png"}')):
        (made.insertions_folder / name).write_text(text)
    assert len(insertions(made)) == 1


def test_a_project_without_insertions_has_none(tmp_path):
    project = create_project(tmp_path / "p", name="x", class_noun="car")
    assert insertions(project) == []
    assert "<script" not in write_report(project).read_text()


@pytest.mark.parametrize(
    ("azimuth", "told"),
    [(0, "the right"), (100, "behind"), (180, "the left"), (270, "the camera"), (350, "the right")],
)
def test_light_is_told_as_one_reads_it(azimuth, told):
    light = {
        "azimuth_degrees": azimuth,
        "elevation_degrees": 30.4,
        "hardness": 0.9,
        "confidence": 0.9,
    }
    assert light_in_words(light) == f"hard, from {told}, 30 degrees high (seen)"
    assert "assumed" in light_in_words({**light, "confidence": 0.2})
    assert light_in_words({**light, "confidence": 1.0}).endswith("(given)")
    assert light_in_words({}) == ""
