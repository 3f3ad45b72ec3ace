"""What was decided of products: kept as files, and gone by in the next start."""

from __future__ import annotations

import math

import pytest

from packshot.catalog.table import Product
from packshot.catalog.verdicts import (
    Verdict,
    as_decided,
    give_verdict,
    is_aside,
    read_verdict,
    read_verdicts,
    seconds_of,
)
from packshot.errors import CatalogError, UnsafePathError
from packshot.project import open_or_create_project
from packshot.settings import Subject, choices_of


def product(name: str, **choices: object) -> Product:
    subject = Subject(name=name, trigger="ohwx", class_noun="mug")
    return Product(id=name, subject=subject, photos="/nowhere", choices=choices_of(**choices))


def test_what_was_decided_is_read_again_and_nothing_of_what_was_not(tmp_path):
    assert read_verdicts(tmp_path) == {} and read_verdict(tmp_path, "mug.1") == Verdict()
    verdict = Verdict(state="approved", mark="f00d", time_budget="1200s")
    give_verdict(tmp_path, "mug.1", verdict)
    give_verdict(tmp_path, "cup", Verdict(state="aside"))
    assert read_verdicts(tmp_path) == {"mug.1": verdict, "cup": Verdict(state="aside")}
    assert read_verdict(tmp_path, "mug.1") == verdict


@pytest.mark.parametrize(
    "said", ["[]", "{", '{"state": "no"}', '{"time_budget": "long"}', '{"run": "rm"}']
)
def test_a_file_that_says_nothing_is_named(tmp_path, said):
    (tmp_path / "verdicts").mkdir()
    (tmp_path / "verdicts" / "mug.json").write_text(said)
    with pytest.raises(CatalogError, match=r"mug\.json says nothing .* Delete it"):
        read_verdicts(tmp_path)


def test_nothing_is_written_or_read_outside_the_folder(tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    out.mkdir()
    other.mkdir()
    (out / "verdicts").symlink_to(other)
    with pytest.raises(UnsafePathError):
        give_verdict(out, "mug", Verdict())
    with pytest.raises(UnsafePathError):
        read_verdicts(out)
    assert not list(other.iterdir())


@pytest.mark.parametrize(
    ("given", "decided", "budget"),
    [
        ("10m", "", "10m"),
        ("10m", "1200s", "1200s"),
        ("30m", "1200s", "30m"),
        ("10m", "none", None),
        (None, "1200s", None),
        (None, "", None),
    ],
)
def test_a_product_is_given_the_longer_time(given, decided, budget):
    told = as_decided([product("mug", time_budget=given)], {"mug": Verdict(time_budget=decided)})
    assert told[0].choices.time_budget == budget


def test_the_whole_recipe_ends_the_budget_that_its_project_has(tmp_path):
    names = {"name": "mug", "class_noun": "mug", "trigger": "ohwx"}
    short = product("mug", time_budget="10m")
    open_or_create_project(tmp_path / "mug", short.choices, **names)
    [whole] = as_decided([short], {"mug": Verdict(time_budget="none")})
    project, changed = open_or_create_project(tmp_path / "mug", whole.choices, **names)
    assert project.settings.time_budget is None and len(changed) == 1


def test_only_what_was_set_aside_is(tmp_path):
    verdicts = {"mug": Verdict(state="aside"), "cup": Verdict(state="approved")}
    assert [is_aside(product(name), verdicts) for name in ("mug", "cup", "jug")] == [
        True, False, False,
    ]  # fmt: skip


def test_endless_is_the_whole_recipe():
    assert seconds_of(None) == seconds_of("none") == math.inf and seconds_of("2m") == 120
