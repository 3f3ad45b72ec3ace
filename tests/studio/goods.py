"""A catalogue as `packshot catalog` leaves one: products in all states, with pictures and a project."""

import shutil

from packshot.catalog.outcome import Outcome, thumbnail_of
from packshot.catalog.results import Results
from packshot.catalog.table import Product
from packshot.settings import Subject, choices_of
from packshot.utils import files
from tests.studio.pictures import picture

OUTCOMES = [
    Outcome("fine", "done", 1800.0, tries=1, likeness=0.9, likeness_interval=(0.87, 0.92), drift=0.012,
            mark="f1"),
    Outcome("unlike", "done", 1800.0, tries=1, likeness=0.4, likeness_interval=(0.35, 0.44), drift=0.034,
            mark="u1"),
    Outcome("checked", "done", 60.0, tries=2, likeness=0.95,
            failed_checks=("snow.png: identity", "street.png: shadow direction"), mark="c1"),
    Outcome("broken", "failed", 3.0, tries=3, fault="no photo is usable", is_users=True),
    Outcome("making", "making", tries=1),
]  # fmt: skip
NAMES = ("fine", "unlike", "checked", "broken", "making", "waits")


def product(name, said=""):
    subject = Subject(name=said or name.capitalize(), trigger="ohwx", class_noun="mug")
    return Product(
        id=name, subject=subject, photos="/nowhere", choices=choices_of(time_budget="10m")
    )


def results(folder, products, verdicts):
    return Results(str(folder), products, verdicts, 3.0)


def write_catalogue(folder, made_project):
    """Six products, of which three are made; "fine" has the project that was made."""
    told = results(folder, [product(name) for name in NAMES], {})
    for seed, outcome in enumerate(OUTCOMES):
        told.add(outcome)
        if outcome.state == "done":
            files.write_image(thumbnail_of(folder, outcome.id), picture(seed, (320, 240)))
    told.write()
    shutil.copytree(made_project.root, folder / "products" / "fine")
    return folder
