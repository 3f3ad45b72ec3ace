"""Which product comes first, what of it counts as decided, and rows of somebody else's file."""

from __future__ import annotations

import csv
import json

import pytest

from packshot.catalog.outcome import Outcome
from packshot.catalog.rows import (
    Row,
    as_csv,
    group_of,
    is_approved,
    is_due,
    rank,
    read_rows,
    rows_of,
)
from packshot.catalog.verdicts import Verdict
from packshot.errors import CatalogError, UnsafePathError

DONE = Row("mug", "done", mark="now", likeness=0.8, time_budget="10m")


def test_an_approval_holds_for_the_result_that_was_seen_alone():
    verdict = Verdict(state="approved", mark="now")
    assert is_approved(DONE, verdict) and group_of(DONE, verdict) == "decided"
    anew = Row("mug", "done", mark="anew", time_budget="10m")
    assert not is_approved(anew, verdict) and group_of(anew, verdict) == "look"
    making = Row("mug", "making", time_budget="10m")
    assert group_of(making, verdict) == "coming"


def test_more_time_is_due_until_it_was_made_with_it():
    verdict = Verdict(time_budget="1200s")
    assert is_due(DONE, verdict) and group_of(DONE, verdict) == "coming"
    made = Row("mug", "done", mark="anew", time_budget="1200s")
    assert not is_due(made, verdict) and group_of(made, verdict) == "look"
    failed = Row("mug", "failed", fault="too few", time_budget="1200s")
    assert group_of(failed, verdict) == "look", "it was tried with it"
    whole = Verdict(time_budget="none")
    assert is_due(DONE, whole) and not is_due(Row("mug", "done", time_budget=None), whole)


def test_what_was_set_aside_stays_so_whatever_comes_of_it():
    for state in ("done", "failed", "waiting", "aside"):
        assert group_of(Row("mug", state, mark="x"), Verdict(state="aside")) == "decided"


def test_the_worst_that_waits_for_a_look_comes_first():
    rows = [
        Row("fine", "done", likeness=0.9),
        Row("approved", "done", likeness=0.1, mark="m"),
        Row("unlike", "done", likeness=0.4),
        Row("waits", "waiting"),
        Row("checked", "done", likeness=0.95, failed_checks=("a.png: mask",)),
        Row("broken", "failed"),
    ]
    verdicts = {"approved": Verdict(state="approved", mark="m")}
    rows.sort(key=lambda row: rank(row, verdicts.get(row.id, Verdict())))
    assert [row.id for row in rows] == [
        "broken", "checked", "unlike", "fine", "waits", "approved",
    ]  # fmt: skip


def test_time_adds_up_over_starts_and_what_stood_already_takes_none():
    row = Row("mug", spent=100.0).after(Outcome("mug", "waiting", 20.0), 2.0)
    row = row.after(Outcome("mug", "done", 1680.0), 2.0)
    assert (row.spent, row.cost) == (1800.0, 1.0)
    row = row.after(Outcome("mug", "done", 3.0, was_complete=True), None)
    assert (row.spent, row.cost) == (1800.0, None)


@pytest.mark.parametrize(
    "told",
    [{}, "x", [{"id": "../../etc"}], [{"id": "a/b"}], [{"id": ""}], [{"id": "a", "state": "odd"}],
     [{"id": "a", "likeness": "<b>"}], [{"name": "no id"}]],
)  # fmt: skip
def test_rows_of_somebody_elses_file_are_refused(told):
    with pytest.raises(CatalogError, match="next start of the catalogue writes it anew"):
        rows_of(told, "here")


def test_results_that_lie_elsewhere_are_not_read(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "secret.json").write_text("[]")
    (tmp_path / "out" / "results.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(UnsafePathError):
        read_rows(tmp_path / "out")


def test_results_of_a_version_without_names_are_read(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps([{"id": "mug", "state": "done"}]))
    assert read_rows(tmp_path) == [Row("mug", "done")]


def test_the_table_tells_what_was_decided_of_what_is_there_now():
    verdicts = {"mug": Verdict(state="approved", mark="now"), "cup": Verdict(state="approved")}
    cup = Row("cup", "done", mark="anew", likeness=0.5, likeness_interval=(0.4, 0.6))
    told = list(csv.DictReader(as_csv([DONE, cup], verdicts).splitlines()))
    assert [row["verdict"] for row in told] == ["approved", "none"]
    assert told[1]["likeness_interval"] == "0.4 to 0.6" and told[0]["likeness_interval"] == ""
