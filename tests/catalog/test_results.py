"""Results as a program, a spreadsheet and a person read them: the worst first, nothing of a row run."""

from __future__ import annotations

import csv
import json
import re

from PIL import Image

from packshot.catalog.making import Outcome, log_of, project_of
from packshot.catalog.results import write_results
from packshot.catalog.table import Product
from packshot.project import Subject, choices_of
from packshot.utils import files


def product(name: str, said: str = "Mug") -> Product:
    subject = Subject(name=said, trigger="ohwx", class_noun="mug")
    return Product(id=name, subject=subject, photos="/nowhere", choices=choices_of())


PRODUCTS = [product(name) for name in ("good", "unlike", "checked", "broken", "waits")]
OUTCOMES = [
    Outcome("good", "done", 61.0, tries=1, likeness=0.9, drift=0.01),
    Outcome("unlike", "done", 61.0, tries=1, likeness=0.4, drift=0.01),
    Outcome("checked", "done", 61.0, tries=1, likeness=0.95, failed_checks=("snow.png: mask",)),
    Outcome("broken", "failed", 3.0, tries=3, fault="=1+1 is out of memory"),
]


def ids(page: str) -> list[str]:
    return re.findall(r'<p class="soft">(\w+) · mug', page)


def test_what_needs_a_look_comes_first(tmp_path):
    page = write_results(tmp_path, PRODUCTS, OUTCOMES).read_text()
    assert ids(page) == ["broken", "waits", "checked", "unlike", "good"]
    assert "3 done, 1 set aside, 1 to be made" in page and "Look at snow.png: mask" in page


def test_json_has_all_products_in_the_tables_order_and_csv_no_formulas(tmp_path):
    write_results(tmp_path, PRODUCTS, OUTCOMES)
    told = json.loads((tmp_path / "results.json").read_text())
    assert [each["id"] for each in told] == [product.id for product in PRODUCTS]
    assert told[4]["state"] == "waiting" and told[0]["likeness"] == 0.9
    with (tmp_path / "results.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert rows[3]["fault"] == "'=1+1 is out of memory"
    assert rows[2]["failed_checks"] == "snow.png: mask" and rows[4]["likeness"] == ""


def test_names_are_no_markup_and_pictures_small_copies_made_once(tmp_path):
    odd = product("odd", "<script>alert(1)</script>")
    sheet = project_of(tmp_path, odd).shots_folder / "sheet.png"
    files.write_image(sheet, Image.new("RGB", (1600, 1200), "red"))
    log = log_of(tmp_path, odd)
    files.write_text(log, "said\n")
    page = write_results(tmp_path, [odd], [Outcome("odd", "done")]).read_text()
    assert "<script" not in page and "&lt;script&gt;" in page
    small = tmp_path / "thumbnails" / "odd.jpg"
    assert Image.open(small).size == (480, 360)
    assert 'src="thumbnails/odd.jpg"' in page and 'href="logs/odd.log"' in page
    before = small.stat().st_mtime_ns
    write_results(tmp_path, [odd], [Outcome("odd", "done")])
    assert small.stat().st_mtime_ns == before
