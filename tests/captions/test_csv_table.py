import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packshot.captions import (
    apply_caption_table,
    caption_photos,
    lock_captions,
    write_caption_table,
)
from packshot.captions.csv_table import _as_meant, _harmless
from packshot.errors import CaptionError
from tests.captions.reviewed import Said, authors, captions, locks

HEADER = "file,caption,locked,source\r\n"


def cells(table):
    return list(csv.reader(io.StringIO(table.read_text("utf-8-sig"), newline="")))


def test_the_table_shows_captions_locks_and_authors_and_comes_back_unchanged(reviewed):
    lock_captions(reviewed, ["b"])
    (reviewed.photos_folder / "c.txt").write_text('ohwx car, "mine"; naïve\n')
    table = write_caption_table(reviewed)
    assert table == reviewed.root / "captions.csv"
    assert cells(table) == [
        ["file", "caption", "locked", "source"],
        ["a.png", "ohwx car at dusk", "no", "said"],
        ["b.png", "ohwx car in snow", "yes", "said"],
        ["c.png", 'ohwx car, "mine"; naïve', "no", "person"],
    ]
    edited = apply_caption_table(reviewed, table)
    assert not edited.changed and not edited.notes
    assert authors(reviewed) == ["said", "said", "person"] and locks(reviewed) == [
        False,
        True,
        False,
    ]


def test_edits_come_back_and_are_a_persons(reviewed, tmp_path):
    table = tmp_path / "edited.csv"
    table.write_text(HEADER + "c.png,ohwx car at night,yes,x\r\na.png,a red car,no,\r\n")
    edited = apply_caption_table(reviewed, table)
    assert [photo.file.name for photo in edited.changed] == ["a.png", "c.png"]
    assert edited.notes == ["a.png: the caption lacks the trigger 'ohwx'"]
    assert captions(reviewed) == ["a red car", "ohwx car in snow", "ohwx car at night"]
    assert authors(reviewed) == ["person", "said", "person"] and locks(reviewed)[2]
    caption_photos(reviewed, captioner=Said("anew"), overwrite_generated=True)
    assert captions(reviewed) == ["a red car", "anew", "ohwx car at night"]


@pytest.mark.parametrize(
    "data",
    [
        "file;caption;locked\na.png;ohwx car, new;FALSE\n".encode("utf-8-sig"),
        "caption\tfile\nohwx car, new\ta.png\n".encode("utf-16"),
        b'file,caption,more\r\n"a.png","ohwx car,\r\n  new",1\r\n,,\r\n',
        "file;caption;été\na.png;ohwx car, new;\n".encode("cp1252"),
    ],
)
def test_tables_are_read_as_spreadsheets_write_them(reviewed, tmp_path, data):
    table = tmp_path / "edited.csv"
    table.write_bytes(data)
    apply_caption_table(reviewed, table)
    assert captions(reviewed)[0] == "ohwx car, new"


def test_a_locked_caption_is_changed_only_where_its_row_unlocks_it(reviewed, tmp_path):
    lock_captions(reviewed, ["a", "b"])
    table = tmp_path / "edited.csv"
    for locked in ("yes", ""):
        row = f"a.png,ohwx car anew,{locked},\r\n" if locked else "a.png,ohwx car anew\r\n"
        header = HEADER if locked else "file,caption\r\n"
        table.write_text(header + row)
        with pytest.raises(CaptionError, match=r"a\.png: is locked; unlock it first: packshot"):
            apply_caption_table(reviewed, table)
    table.write_text(HEADER + "a.png,ohwx car anew,no,\r\n")
    apply_caption_table(reviewed, table)
    assert captions(reviewed)[0] == "ohwx car anew" and locks(reviewed) == [False, True, False]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,text\na.png,x\n", "has no column 'caption'; its first line must say file,caption"),
        ("", "has no column"),
        (HEADER + "x.png,ohwx car,no,\n", r"does not have:\n  line 2: 'x\.png'"),
        (HEADER + "../a.png,ohwx car,no,\n", r"line 2: '\.\./a\.png'"),
        (
            HEADER + "c.png,ohwx car,no,\na.png,x,no,\nc.png,y,no,\n",
            r"line 4: c\.png is there twice",
        ),
        (HEADER + "c.png,ohwx new,no,\na.png,,no,\n", r"a\.png: would be empty"),
        (HEADER + "c.png,ohwx new,maybe,\n", "line 2: locked is 'maybe'; write yes or no"),
        (
            HEADER + "c.png,ohwx new,no,\na.png," + "x" * 10_001 + ",no,\n",
            "10001 characters; 10000 are read",
        ),
        (HEADER + 'c.png,"ohwx new,no,\n', "no table that can be read"),
        (HEADER + "c.png,ohwx new,no,,more\n", "line 2: it has more cells than"),
    ],
)
def test_a_table_with_a_fault_changes_nothing(reviewed, tmp_path, text, words):
    table, before = tmp_path / "edited.csv", captions(reviewed)
    table.write_text(text)
    with pytest.raises(CaptionError, match=words):
        apply_caption_table(reviewed, table)
    assert captions(reviewed) == before and locks(reviewed) == [False] * 3
    with pytest.raises(CaptionError, match=r"There is no table .* packshot caption --review"):
        apply_caption_table(reviewed, tmp_path / "nothing.csv")


def test_what_says_nothing_is_not_locked(reviewed, tmp_path):
    (reviewed.photos_folder / "a.txt").unlink()
    table = write_caption_table(reviewed)
    apply_caption_table(reviewed, table)
    table.write_text(HEADER + "a.png,,yes,\r\n")
    with pytest.raises(CaptionError, match=r"no caption to lock: a\.png"):
        apply_caption_table(reviewed, table)


@pytest.mark.parametrize(
    "caption",
    [
        '=HYPERLINK("http://evil","ohwx")',
        "+1 ohwx",
        "-ohwx",
        "@SUM(A1)",
        "'=1+1",
        "'tis ohwx",
        "＝1",
    ],
)
def test_no_cell_is_run_by_a_spreadsheet_and_each_comes_back(reviewed, caption):
    (reviewed.photos_folder / "a.txt").write_text(caption + "\n")
    table = write_caption_table(reviewed)
    written = cells(table)[1][1]
    assert written == f"'{caption}"
    apply_caption_table(reviewed, table)
    assert captions(reviewed)[0] == caption


@given(st.text(max_size=20))
def test_any_cell_comes_back_and_none_starts_as_a_formula(cell):
    written = _harmless(cell)
    assert _as_meant(written) == cell
    assert not written.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_edits_that_were_not_applied_are_not_lost(reviewed):
    table = write_caption_table(reviewed)
    assert write_caption_table(reviewed) == table  # nobody has changed it
    text = table.read_text("utf-8-sig").replace("car", "car by night")
    table.write_text(text)
    with pytest.raises(CaptionError, match=r"captions\.csv was changed since .* Apply it first"):
        write_caption_table(reviewed)
    assert table.read_text() == text
    apply_caption_table(reviewed, table)
    assert "by night" in write_caption_table(reviewed).read_text("utf-8-sig")
