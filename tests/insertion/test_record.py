"""Insertions by their records: names that are free, taking them out and putting them back."""

import subprocess
import sys

import pytest

from packshot.insertion.record import (
    free_name,
    read_records,
    remove_insertions,
    restore_insertions,
    results_of,
)
from packshot.utils import files


@pytest.fixture
def insertion(project):
    def make(name):
        image, sheet, record = results_of(project.insertions_folder, name)
        for file in (image, sheet):
            files.write_bytes(file, b"picture")
        told = dict(file=image.name, background="b.png", photo="p.png", seed=0, light={}, horizon=1.0,
                    box=dict(left=0, top=0, width=1, height=1), checks=[])  # fmt: skip
        files.write_json(record, told)
        return image

    return make


def names(project):
    return [record.file for record in read_records(project.insertions_folder)]


def test_an_insertion_is_taken_out_with_all_its_files_and_put_back(project, insertion):
    image, other = insertion("beach"), insertion("road")
    files_before = sorted(file.name for file in project.insertions_folder.iterdir())
    assert remove_insertions(project, ["beach.png", "../packshot.toml", "none.png"]) == [
        "beach.png"
    ]
    assert names(project) == ["road.png"] and other.is_file() and not image.exists()
    assert restore_insertions(project, ["beach.png"]) == ["beach.png"]
    there = [file.name for file in project.insertions_folder.iterdir() if file.is_file()]
    assert names(project) == ["beach.png", "road.png"] and sorted(there) == files_before


def test_nothing_is_put_back_over_another(project, insertion):
    insertion("beach")
    remove_insertions(project, ["beach.png"])
    insertion("beach")
    assert restore_insertions(project, ["beach.png"]) == []


def test_a_free_name_is_no_ones_also_not_of_what_was_taken_out(project, insertion):
    folder = project.insertions_folder
    assert free_name(folder, "beach") == "beach"
    insertion("beach")
    insertion("beach-2")
    remove_insertions(project, ["beach-2.png"])
    assert free_name(folder, "beach") == "beach-3"


def test_records_are_read_without_pytorch():
    code = (
        "import packshot.insertion.record, packshot.insertion.plates, sys; "
        "assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
