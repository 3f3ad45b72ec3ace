"""Results as a program, a spreadsheet and a person read them: the worst first, nothing of a row run."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from packshot.catalog.outcome import Outcome
from packshot.catalog.results import Results
from packshot.catalog.table import Product
from packshot.catalog.verdicts import Verdict
from packshot.settings import Subject, choices_of


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


def write_results(out, products, outcomes, **given):
    results = Results(out, products, **given)
    for outcome in outcomes:
        results.add(outcome)
    return results.write()


def ids(page: str) -> list[str]:
    return re.findall(r'<p class="soft">(\w+) · mug', page)


def test_what_needs_a_look_comes_first(tmp_path):
    page = Path(write_results(str(tmp_path), PRODUCTS, OUTCOMES)).read_text()
    assert ids(page) == ["broken", "checked", "unlike", "good", "waits"]
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


def test_time_of_earlier_starts_and_what_it_costs_are_told(tmp_path):
    write_results(str(tmp_path), PRODUCTS, [Outcome("good", "done", 1800.0, tries=1)], price=2.0)
    stands = Outcome("good", "done", 0.1, was_complete=True, tries=1, likeness=0.9)
    between = replace(stands, likeness_interval=(0.85, 0.93))
    page = Path(write_results(str(tmp_path), PRODUCTS, [between], price=3.0)).read_text()
    told = json.loads((tmp_path / "results.json").read_text())[0]
    assert (told["spent"], told["cost"], told["seconds"]) == (1800.0, 1.5, 0.1)
    assert "30 min 00 s · costs 1.50" in page and "0.85 to 0.93" in page


@pytest.mark.parametrize("is_in_store", [False, True])
def test_the_time_of_what_a_table_leaves_out_counts_once_it_is_in_one_again(tmp_path, is_in_store):
    out = f"memory://{tmp_path.name}" if is_in_store else str(tmp_path)
    rows = [Outcome(name, "done", 600.0) for name in ("good", "unlike")]
    write_results(out, PRODUCTS, rows)
    for _ in range(2):
        write_results(out, PRODUCTS[1:], [Outcome("unlike", "failed", 60.0)])
    write_results(out, PRODUCTS[2:], [])
    write_results(out, PRODUCTS, [Outcome("good", "done", 100.0)], price=36.0)
    told = json.loads(fsspec.open(f"{out}/results.json").open().read())
    assert [(row["id"], row["spent"], row["cost"]) for row in told[:3]] == [
        ("good", 700.0, 7.0), ("unlike", 720.0, 7.2), ("checked", 0.0, 0.0),
    ]  # fmt: skip


def test_what_was_set_aside_by_hand_keeps_its_figures_and_what_was_approved_comes_last(tmp_path):
    told = [replace(outcome, mark=outcome.id) for outcome in OUTCOMES]
    write_results(str(tmp_path), PRODUCTS, told)
    verdicts = {
        "unlike": Verdict(state="aside"),
        "good": Verdict(state="approved", mark="good"),
        "gone from the table": Verdict(state="aside"),
    }
    rest = [outcome for outcome in told if outcome.id != "unlike"]
    page = Path(write_results(str(tmp_path), PRODUCTS, rest, verdicts=verdicts)).read_text()
    assert ids(page) == ["broken", "checked", "waits", "good", "unlike"]
    assert "2 done, 1 set aside, 1 set aside by hand, 1 to be made" in page
    rows = json.loads((tmp_path / "results.json").read_text())
    assert [row["verdict"] for row in rows] == ["approved", "aside", "none", "none", "none"]
    assert (rows[1]["state"], rows[1]["likeness"]) == ("aside", 0.4)
    assert 'src="thumbnails/unlike.jpg"' in page


def test_results_that_are_damaged_are_written_anew(tmp_path):
    (tmp_path / "results.json").write_text("{")
    write_results(str(tmp_path), PRODUCTS, OUTCOMES)
    assert len(json.loads((tmp_path / "results.json").read_text())) == len(PRODUCTS)
