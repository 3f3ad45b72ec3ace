"""Results as a program, a spreadsheet and a person read them: the worst first, nothing of a row run."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import fsspec

from packshot.catalog.outcome import Outcome
from packshot.catalog.results import write_results
from packshot.catalog.table import Product
from packshot.project import Subject, choices_of


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
    page = Path(write_results(str(tmp_path), PRODUCTS, OUTCOMES)).read_text()
    assert ids(page) == ["broken", "waits", "checked", "unlike", "good"]
    assert "3 done, 1 set aside, 1 to be made" in page and "Look at snow.png: mask" in page


def test_json_has_all_products_in_the_tables_order_and_csv_no_formulas(tmp_path):
    write_results(str(tmp_path), PRODUCTS, OUTCOMES)
    told = json.loads((tmp_path / "results.json").read_text())
    assert [each["id"] for each in told] == [product.id for product in PRODUCTS]
    assert told[4]["state"] == "waiting" and told[0]["likeness"] == 0.9
    with (tmp_path / "results.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert rows[3]["fault"] == "'=1+1 is out of memory"
    assert rows[2]["failed_checks"] == "snow.png: mask" and rows[4]["likeness"] == ""


def test_names_are_no_markup_and_pictures_and_reports_those_of_what_is_done(tmp_path):
    odd, later = product("odd", "<script>alert(1)</script>"), product("later")
    told = [Outcome("odd", "done", tries=1)]
    page = Path(write_results(str(tmp_path), [odd, later], told)).read_text()
    assert "<script" not in page and "&lt;script&gt;" in page
    assert 'src="thumbnails/odd.jpg"' in page and 'href="logs/odd.log"' in page
    assert 'href="products/odd/report.html"' in page
    assert "later.jpg" not in page and "later.log" not in page


def test_a_store_takes_them_too(tmp_path):
    memory = fsspec.filesystem("memory")
    assert write_results("memory://out", PRODUCTS, OUTCOMES) == "memory://out/index.html"
    write_results(str(tmp_path), PRODUCTS, OUTCOMES)
    for name in ("index.html", "results.json", "results.csv"):
        assert memory.cat(f"/out/{name}") == (tmp_path / name).read_bytes()
