"""`packshot catalog`: what it says of a table before it begins, and of what came of it."""

from __future__ import annotations

import json
import os
import signal

import pytest
from typer.testing import CliRunner

from packshot.catalog import engine
from packshot.catalog.outcome import Outcome
from packshot.catalog.results import Results
from packshot.catalog.rows import read_rows
from packshot.catalog.verdicts import Verdict, give_verdict
from packshot.cli import app
from packshot.errors import CatalogError, StoreError

RUNNER = CliRunner()


@pytest.fixture
def table(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    path = tmp_path / "products.csv"
    path.write_text("id,class,photos,seed\na,mug,a,\nb,mug,b,5\nc,mug,c,\n")
    return path


@pytest.fixture
def made(monkeypatch):
    """Stands in for Ray; what it was given, by name."""
    given = {}

    def make_all(products, out, **options):
        given.update(options, products=products, out=out)
        for number, product in enumerate(products):
            yield Outcome(product.id, "making", tries=1)
            failed = Outcome(product.id, "failed", fault="no photos", tries=1)
            yield failed if number == given.get("fails") else Outcome(product.id, "done", 9.0)
            if number == given.get("terminated"):
                os.kill(os.getpid(), signal.SIGTERM)
            if options["should_stop"]():
                return

    monkeypatch.setattr(engine, "make_all", make_all)
    return given


def catalog(*words):
    return RUNNER.invoke(app, ["catalog", *map(str, words)])


def test_rows_and_options_become_products_and_results_a_page(table, made, tmp_path):
    out = tmp_path / "out"
    told = catalog(table, "--out", out, "--seed", 3, "--time-budget", "5m", "--workers", 2)
    assert told.exit_code == 0 and "3 of 3 are done" in told.output
    assert [product.choices.seed for product in made["products"]] == [3, 5, 3]
    assert {product.choices.time_budget for product in made["products"]} == {"5m"}
    assert made["workers"] == 2 and made["address"] is None and made["out"] == str(out)
    results = json.loads((out / "results.json").read_text())
    assert [each["state"] for each in results] == ["done"] * 3
    assert (out / "index.html").is_file()


def test_nothing_is_begun_where_a_row_is_bad_unless_it_is_left_out(table, made, tmp_path):
    table.write_text(table.read_text() + "d,mug,nowhere,\n")
    with pytest.raises(CatalogError, match=r"1 of 4 rows (.|\n)*row 4 \(d\): there are no photos"):
        RUNNER.invoke(
            app, ["catalog", str(table), "--out", str(tmp_path / "out")], catch_exceptions=False
        )
    assert not made and not (tmp_path / "out").exists()
    told = catalog(table, "--out", tmp_path / "out", "--skip-bad")
    assert told.exit_code == 0 and "left out: row 4 (d)" in told.output


def test_one_that_was_set_aside_is_told_and_ends_with_1(table, made, tmp_path):
    made["fails"] = 1
    told = catalog(table, "--out", tmp_path / "out")
    assert told.exit_code == 1 and "set aside: b: no photos" in told.output
    assert "2 of 3 are done" in told.output


def test_so_many_failures_end_it(table, made, tmp_path):
    made["fails"] = 0
    told = catalog(table, "--out", tmp_path / "out", "--max-failures", 1)
    assert told.exit_code == 1 and "0 of 3 are done" in told.output
    states = [each["state"] for each in json.loads((tmp_path / "out/results.json").read_text())]
    assert states == ["failed", "waiting", "waiting"]


def test_at_sigterm_no_other_is_begun_and_the_page_tells_what_is_done(table, made, tmp_path):
    made["terminated"] = 1
    told = catalog(table, "--out", tmp_path / "out")
    assert told.exit_code == 143 and "2 of 3 are done" in told.output
    states = [each["state"] for each in json.loads((tmp_path / "out/results.json").read_text())]
    assert sorted(states) == ["done", "done", "waiting"]


def test_what_was_decided_of_products_holds_from_the_next_start_on(table, made, tmp_path):
    out = tmp_path / "out"
    catalog(table, "--out", out, "--time-budget", "10m", "--price-per-hour", 8)
    give_verdict(out, "b", Verdict(state="aside"))
    give_verdict(out, "c", Verdict(time_budget="1200s"))
    told = catalog(table, "--out", out, "--time-budget", "10m", "--price-per-hour", 8)
    assert told.exit_code == 0 and "2 of 3 are done, 1 set aside by hand" in told.output
    given = {product.id: product.choices.time_budget for product in made["products"]}
    assert given == {"a": "10m", "c": "1200s"}
    rows = json.loads((out / "results.json").read_text())
    assert [(row["id"], row["state"], row["time_budget"]) for row in rows] == [
        ("a", "done", "10m"), ("b", "aside", "10m"), ("c", "done", "1200s"),
    ]  # fmt: skip
    assert [row["spent"] for row in rows] == [18.0, 9.0, 18.0] and rows[0]["cost"] == 0.04


def test_a_decision_that_cannot_be_read_is_told_before_anything_is_made(table, made, tmp_path):
    (tmp_path / "out" / "verdicts").mkdir(parents=True)
    (tmp_path / "out" / "verdicts" / "a.json").write_text("nothing")
    with pytest.raises(CatalogError, match=r"a\.json says nothing"):
        RUNNER.invoke(
            app, ["catalog", str(table), "--out", str(tmp_path / "out")], catch_exceptions=False
        )
    assert not made


def test_files_of_options_are_where_the_command_is_typed(made, tmp_path, monkeypatch):
    (tmp_path / "shop" / "mug").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "shop"):
        (folder / "own.safetensors").touch()
    (tmp_path / "others").mkdir()
    table = tmp_path / "shop" / "products.csv"
    table.write_text("id,class,photos\nmug,mug,mug\n")
    monkeypatch.chdir(tmp_path)
    told = catalog(
        table, "--out", "out", "--base", "./own.safetensors", "--class-images", "./others,openverse"
    )
    assert told.exit_code == 0, told.output
    choices = made["products"][0].choices
    assert choices.base == str(tmp_path / "own.safetensors")
    assert choices.class_images == (str(tmp_path / "others"), "openverse")


def test_the_page_tells_of_what_is_being_made_and_a_store_that_is_gone_ends_nothing(
    table, tmp_path, monkeypatch
):
    from packshot.cli import catalog as command

    out, states, write = tmp_path / "out", [], Results.write
    fails = [False, True, False, False]

    def writes(results):
        if fails.pop(0):
            raise StoreError("s3://shop: the store does not answer.")
        return write(results)

    def make_all(products, out, *, should_stop, **options):
        yield Outcome("a", "making", tries=1)  # written
        monkeypatch.setattr(command, "_PAGE_SECONDS", 3600.0)
        yield Outcome("a", "done", 9.0)
        yield Outcome("b", "making", tries=1)  # too soon after it
        monkeypatch.setattr(command, "_PAGE_SECONDS", 0.0)
        should_stop()  # is not written: the store is gone
        should_stop()
        states.extend(row.state for row in read_rows(tmp_path / "out"))
        yield from (Outcome(id, "done", 9.0) for id in "bc")

    monkeypatch.setattr(Results, "write", writes)
    monkeypatch.setattr(engine, "make_all", make_all)
    fails += [False] * 9
    told = catalog(table, "--out", out)
    assert told.exit_code == 0 and "the page is not written yet: s3://shop" in told.output
    assert states == ["done", "making", "waiting"]
