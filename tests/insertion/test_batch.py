"""Tables of backgrounds, and which of their jobs are left to do."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from packshot.errors import InsertionError
from packshot.insertion.batch import (
    InsertionJob,
    begin,
    mark_done,
    named_apart,
    pending_jobs,
    read_jobs,
)
from packshot.insertion.record import results_of
from packshot.utils import hashing, overwriting


@pytest.fixture
def table(tmp_path):
    """Three backgrounds, a mask, and a table to write."""
    for number, name in enumerate(("a.png", "b.png", "c d.png", "mask.png")):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / name)
    return tmp_path / "jobs.csv"


def test_a_row_is_a_job_with_paths_from_the_table_on(table):
    table.write_text(
        "\ufeffbackground,box,quad,mask,at,view,photo,name\n"
        'a.png,"1,2,30,40",,,,rear,3.jpg,first\n'
        " c d.png , ,,mask.png,, ,,\n"
        'b.png,,,,"left, near",,,\n',
        encoding="utf-8",
    )
    here = table.parent
    assert [replace(job, batch="") for job in read_jobs(table)] == [
        InsertionJob(here / "a.png", "1,2,30,40", "", None, "", "rear", "first", "3.jpg"),
        InsertionJob(here / "c d.png", "", "", here / "mask.png", "", "", "c d-2"),
        InsertionJob(here / "b.png", "", "", None, "left, near", "", "b-3"),
    ]


def test_a_row_may_say_how_large_things_are_in_its_background(table):
    table.write_text('background,tall,known,horizon\na.png,0.12,"1,9,1,4=0.3",120\nb.png,"0,2",,\n')
    first, second = read_jobs(table)
    assert (first.tall, first.known, first.horizon) == (0.12, "1,9,1,4=0.3", 120.0)
    assert (second.tall, second.known, second.horizon) == (0.2, "", None), "a comma as in Italian"
    table.write_text("background,tall,horizon\na.png,large,\nb.png,,nan\n")
    faults = [job.fault for job in read_jobs(table)]
    assert "line 2: the tall large is no number" in faults[0]
    assert "line 3: the horizon nan is no number" in faults[1]


def test_a_row_may_say_what_stands_before_the_product(table):
    table.write_text("background,behind\na.png,mask.png\na.png,auto\nb.png,\nb.png,no.png\n")
    jobs = read_jobs(table)
    assert [job.behind for job in jobs[:3]] == [str(table.parent / "mask.png"), "auto", ""]
    assert "line 5: there is no mask" in jobs[3].fault
    folder = table.parent / "out"
    folder.mkdir()
    for job in jobs[:3]:
        (folder / f"{job.name}.png").write_bytes(b"")
        mark_done(job, folder, "key")
    assert pending_jobs(jobs[:3], folder, "key") == []
    Image.new("L", (4, 4), 255).save(table.parent / "mask.png")
    assert pending_jobs(jobs[:3], folder, "key") == [jobs[0]], "the mask is another"


def test_a_folder_is_its_pictures(table):
    table.write_text("no picture")
    jobs = read_jobs(table.parent)
    assert [job.name for job in jobs] == ["a", "b", "c d", "mask"]
    assert replace(jobs[0], batch="") == InsertionJob(
        table.parent / "a.png", "", "", None, "", "", "a"
    )


@pytest.mark.parametrize(
    "text,words",
    [
        ("file\na.png\n", "has no column background"),
        ("background,size\na.png,3\n", "has a column size; its columns may be background, box"),
        ("", "has no column background"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(table, text, words):
    table.write_text(text)
    with pytest.raises(InsertionError, match=words):
        read_jobs(table)


@pytest.mark.parametrize(
    "row,words",
    [
        ("b.png,,x", "line 3: give it another name than x"),
        ("b.png,,X", "line 3: give it another name than X"),
        ("b.png,,x.sheet", "line 3: give it another name than x.sheet"),
        ("b.png,,x/y", "line 3: give it another name than x/y"),
        (",,", "line 3: there is no background"),
        ("none.png,,", "line 3: there is no background"),
        ("b.png,none.png,", "line 3: there is no mask"),
        ("b.png,,,left", "line 3: it has more cells than the table's first line: 'left'"),
    ],
)
def test_a_row_that_makes_no_sense_costs_itself(table, row, words):
    table.write_text(f"background,mask,name\na.png,,x\n{row}\nb.png,,\n")
    first, wrong, last = read_jobs(table)
    assert words in wrong.fault and not (first.fault or last.fault)
    assert (first.name, last.name) == ("x", "b-3")


def test_two_backgrounds_of_one_stem_have_results_of_their_own(table, tmp_path):
    folder = tmp_path / "plates"
    folder.mkdir()
    for name in ("a.png", "A.jpg", "b.png", "b.sheet.png", "a-png.webp"):
        Image.new("RGB", (4, 4)).save(folder / name)
    names = [job.name for job in read_jobs(folder)]
    results = [path.name.lower() for name in names for path in results_of(folder, name)]
    assert len(set(results)) == len(results) == 15
    assert {"A-jpg", "a-png", "b"} <= set(names)


def test_results_beside_backgrounds_are_no_backgrounds(table, tmp_path):
    folder = tmp_path / "plates"
    folder.mkdir()
    Image.new("RGB", (4, 4)).save(folder / "a.jpg")
    overwriting.write_result(folder / "a.png", (folder / "a.jpg").read_bytes())
    assert [job.background.name for job in read_jobs(folder)] == ["a.jpg"]


def test_what_is_no_text_is_refused(table):
    table.write_bytes(b"background\n\xff\xfe\x00")
    with pytest.raises(InsertionError, match="cannot be read as CSV"):
        read_jobs(table)
    with pytest.raises(InsertionError, match="cannot be read as CSV"):
        read_jobs(table.parent / "none.csv")


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-16", "cp1252", "utf-8-sig"])
def test_tables_of_any_spreadsheet_are_read(table, separator, encoding):
    lines = ["background,name", "a.png,là"]
    text = "\r\n".join(lines).replace(",", separator)
    table.write_bytes(text.encode(encoding))
    assert [job.name for job in read_jobs(table)] == ["là"]


@pytest.fixture
def jobs(table):
    table.write_text("background,mask\na.png,mask.png\nb.png,\n")
    return read_jobs(table)


def finish(job, folder, settings="s"):
    Image.new("RGB", (4, 4)).save(folder / f"{job.name}.png")
    mark_done(job, folder, settings)


def test_what_stands_is_not_pending(jobs, tmp_path):
    assert pending_jobs(jobs, tmp_path, "s") == jobs
    finish(jobs[0], tmp_path)
    assert pending_jobs(jobs, tmp_path, "s") == jobs[1:]
    finish(jobs[1], tmp_path)
    assert pending_jobs(jobs, tmp_path, "s") == []
    assert pending_jobs(jobs, tmp_path, "other settings") == jobs
    begin(jobs[0], tmp_path)  # and killed before its result was replaced
    assert pending_jobs(jobs, tmp_path, "s") == jobs[:1]


CHANGES = {
    "box": lambda job: replace(job, box="1,2,30,40"),
    "quad": lambda job: replace(job, quad="1,2,3,4,5,6,7,8"),
    "words": lambda job: replace(job, at="left"),
    "view": lambda job: replace(job, view="rear"),
    "no mask": lambda job: replace(job, mask=None),
    "another mask": lambda job: _saved(job, job.mask),
    "another background": lambda job: _saved(job, job.background),
    "no result": lambda job: _removed(job, ".png"),
    "no mark": lambda job: _removed(job, ".done"),
}


def _saved(job: InsertionJob, file: Path) -> InsertionJob:
    Image.new("RGB", (4, 4), "white").save(file)
    return job


def _removed(job: InsertionJob, suffix: str) -> InsertionJob:
    (job.background.parent / f"{job.name}{suffix}").unlink()
    return job


@pytest.mark.parametrize("change", CHANGES)
def test_what_it_depends_on_makes_it_pending_again(change, jobs, tmp_path):
    finish(jobs[0], tmp_path)
    changed = CHANGES[change](jobs[0])
    assert pending_jobs([changed], tmp_path, "s") == [changed]


def test_a_file_of_the_same_content_elsewhere_is_the_same(jobs, tmp_path):
    finish(jobs[1], tmp_path)
    copy = tmp_path / "copy.png"
    copy.write_bytes(jobs[1].background.read_bytes())
    assert pending_jobs([replace(jobs[1], background=copy)], tmp_path, "s") == []


def _records(job, folder):
    """The record that `insert` leaves, of which background it was made."""
    record = {"background_sha256": hashing.sha256(job.background)}
    (folder / f"{job.name}.json").write_text(json.dumps(record))


def test_batches_of_other_backgrounds_of_the_same_names_do_not_replace_each_other(tmp_path):
    places = [tmp_path / "monday", tmp_path / "tuesday"]
    for shade, place in zip(("red", "blue"), places, strict=True):
        place.mkdir()
        for name in ("a", "a-2", "b"):
            Image.new("RGB", (4, 4), shade).save(place / f"{name}.png")
    Image.new("RGB", (4, 4), "red").save(places[1] / "b.png")  # the same picture in both
    out = tmp_path / "out"
    out.mkdir()

    def go(place):
        jobs = named_apart(read_jobs(place), out)
        pending = pending_jobs(jobs, out, "s")
        for job in pending:
            begin(job, out)
            finish(job, out)
            _records(job, out)
        return [job.name for job in jobs], [job.name for job in pending]

    assert go(places[0]) == (["a-2", "a", "b"], ["a-2", "a", "b"])
    assert go(places[1]) == (["a-2-2", "a-3", "b"], ["a-2-2", "a-3"])
    assert go(places[0])[1] == go(places[1])[1] == [], "and both still stand"
    Image.new("RGB", (4, 4), "green").save(places[0] / "a.png")
    assert go(places[0]) == (["a-2", "a", "b"], ["a"]), (
        "a background that was changed keeps its name"
    )


def test_a_batch_does_not_replace_what_was_inserted_into_another_background_alone(jobs, tmp_path):
    (tmp_path / "a-1.json").write_text(json.dumps({"background_sha256": "0" * 64}))
    assert [job.name for job in named_apart(jobs, tmp_path)] == ["a-1-2", "b-2"]


def test_a_batch_that_was_stopped_goes_on_under_its_names(jobs, tmp_path):
    finish(jobs[0], tmp_path)
    (tmp_path / f"{jobs[0].name}.json").write_text(json.dumps({"background_sha256": "0" * 64}))
    begin(jobs[0], tmp_path)
    assert named_apart(jobs, tmp_path) == jobs
