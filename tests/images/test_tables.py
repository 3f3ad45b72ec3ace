import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packshot.images.sidecars import decode
from packshot.images.tables import each_row, read_rows

CELLS = st.text(st.characters(codec="cp1252", categories=("L", "N", "P", "Zs")), min_size=1)


@given(
    st.lists(CELLS, min_size=1, max_size=4),
    st.sampled_from(",;\t"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]),
    st.booleans(),
)
def test_tables_of_any_spreadsheet_are_read(cells, separator, encoding, says):
    """Also with `sep=` in front, as Excel takes it, and with the separator within the cells."""
    lines = ["file_name", "text"], *(["a.jpg", f"{cell}{separator}x"] for cell in cells)
    quoted = "\r\n".join(
        separator.join('"' + cell.replace('"', '""') + '"' for cell in line) for line in lines
    )
    text = f"sep={separator}\r\n{quoted}" if says else quoted
    rows = read_rows(decode(text.encode(encoding)))
    assert [row["text"] for row in rows] == [f"{cell}{separator}x" for cell in cells]


def test_windows_older_encoding():
    (row,) = read_rows(decode("file;text\na.jpg;di là\n".encode("cp1252")))
    assert row == {"file": "a.jpg", "text": "di là"}


def test_a_stray_quote_is_refused_only_if_strict():
    text = 'a,b\n"x"y,z\n'
    assert len(list(read_rows(text))) == 1
    with pytest.raises(csv.Error):
        list(read_rows(text, strict=True))


@pytest.mark.parametrize("separator", ",;\t")
def test_what_has_no_column_is_not_lost_but_costs_its_row(separator):
    lines = ["file,text", "a.jpg,x,", "b.jpg,x, y", "c.jpg,x"]
    rows = each_row(read_rows("\n".join(lines).replace(",", separator)))
    first, wrong, last = rows
    assert (first["text"], last["file"]) == ("x", "c.jpg")
    assert isinstance(wrong, csv.Error) and "more cells than the table's first line: ' y'" in str(
        wrong
    )
