"""Tables of products: three formats alike, every bad row named, nothing private fetched."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import fsspec
import pyarrow
import pytest
from pyarrow import parquet

from packshot.catalog import web
from packshot.catalog.table import read_table
from packshot.errors import CatalogError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("duster", "mug"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    return tmp_path


def write(folder: Path, text: str, name: str = "products.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


GOOD = """id,class,photos,name,prompts
1,car,photos/duster,Dacia Duster,a {subject}; it in snow
2,mug,photos/mug,,
"""


def test_three_formats_say_the_same(folder):
    rows = [
        {"id": "1", "class": "car", "photos": "photos/duster", "name": "Dacia Duster",
         "prompts": ["a {subject}", "it in snow"]},
        {"id": "2", "class": "mug", "photos": "photos/mug", "name": None, "prompts": None},
    ]  # fmt: skip
    csv = write(folder, GOOD)
    lines = write(folder, "\n".join(map(json.dumps, rows)) + "\n\n", "products.jsonl")
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "products.parquet")
    tables = [read_table(path) for path in (csv, lines, folder / "products.parquet")]
    assert tables[0] == tables[1] == tables[2] and not tables[0].faults
    duster, mug = tables[0].products
    assert duster.subject.name == "Dacia Duster" and mug.subject.name == "2"
    assert duster.choices.prompts == ("a {subject}", "it in snow") and not mug.choices.prompts
    assert duster.photos == str(folder / "photos" / "duster"), "beside the table"
    assert duster.kind == ("pocket", "car")


def test_a_row_comes_before_the_defaults_and_only_what_was_said_is_set(folder):
    table = write(folder, "id;photos;seed\na;photos/mug;7\nb;photos/mug;\n")
    first, second = read_table(table, {"class": "mug", "seed": 3, "time_budget": None}).products
    assert (first.choices.seed, second.choices.seed) == (7, 3)
    assert first.choices.model_fields_set == {"seed"}


def test_files_are_beside_the_table_whichever_choice_names_them(folder, monkeypatch):
    for name in ("others", "plates", "pocket", "openverse"):
        (folder / name).mkdir()
    monkeypatch.chdir("/")
    columns = "id,class,photos,base,class_images,plates"
    table = write(folder, f"{columns}\n1,car,photos/mug,pocket,./others;openverse,plates\n")
    (product,) = read_table(table).products
    assert product.choices.class_images == (str(folder / "others"), "openverse")
    assert product.choices.plates == str(folder / "plates")
    assert product.choices.base == "pocket", "a word alone, whatever lies beside the table"


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("1,car,photos/mug", "row 2 (1): its id is that of an earlier row"),
        ("../up,car,photos/mug", "row 2 (../up): id = '../up'"),
        ("con,car,photos/mug", "keeps for a device"),
        (",car,photos/mug", "row 2: its id is missing"),
        ("2,car,", "row 2 (2): its photos is missing"),
        ("2,,photos/mug", "its class is missing"),
        ("2,car,photos/none", "there are no photos at"),
        ("2,car,gopher://host/x", "there is no way to read gopher://"),
        ("2,car,http://127.0.0.1/x.zip", "127.0.0.1 is an address of a private network"),
        ("2,car,http://[/x.zip", "http://[/x.zip is no address"),
        ("2,car,s3://[/x", "s3://[/x is no address"),
        ("2,car,https://example.com:99999999/x.zip", "is no address"),
        ("2,car,http://[::1]/x.zip", "is an address of a private network"),
        ("2,car,http://169.254.169.254/x.zip", "is an address of a private network"),
    ],
)
def test_each_bad_row_is_named_and_the_others_stand(folder, row, fault):
    table = read_table(write(folder, f"id,class,photos\n1,car,photos/duster\n{row}\n"))
    assert [product.id for product in table.products] == ["1"]
    assert len(table.faults) == 1 and fault in table.faults[0]


def test_each_url_is_asked_whether_it_gives_anything(folder, monkeypatch):
    """Before anything is made, and each once."""
    asked = []

    def give(url, path):
        asked.append(url)
        if "private" in url:
            raise CatalogError(f"{url} cannot be fetched: 403 Forbidden.")

    monkeypatch.setattr(web, "fetch", give)
    found = [(0, 0, 0, "", ("93.184.216.34", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
    fsspec.filesystem("memory").pipe("/shop/mug/a.jpg", b"a")
    rows = ["https://a.example/a.zip", "https://a.example/private.zip", "https://a.example/a.zip"]
    rows += ["memory://shop/mug", "memory://shop/none"]
    text = "".join(f"{number},mug,{url},\n" for number, url in enumerate(rows))
    text += "6,mug,photos/mug,memory://shop/base.safetensors\n"
    table = read_table(write(folder, "id,class,photos,base\n" + text))
    assert [product.id for product in table.products] == ["0", "2", "3"]
    assert table.faults == [
        "row 2 (1): https://a.example/private.zip cannot be fetched: 403 Forbidden.",
        "row 5 (4): there is nothing at memory://shop/none.",
        "row 6 (6): there is nothing at memory://shop/base.safetensors.",
    ]
    assert sorted(asked) == rows[:2]


def test_ids_that_one_folder_would_hold_are_one_id(folder):
    table = read_table(write(folder, "id,class,photos\nMug,mug,photos/mug\nmug,mug,photos/mug\n"))
    assert len(table.products) == 1 and "earlier row" in table.faults[0]


def test_a_name_that_leads_into_a_private_network_is_refused_however_it_is_called(
    folder, monkeypatch
):
    found = [(0, 0, 0, "", (address, 0)) for address in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
    table = read_table(write(folder, "id,class,photos\n1,car,https://photos.example/a.zip\n"))
    assert "private network" in table.faults[0]


@pytest.mark.parametrize(
    ("column", "value", "fault"),
    [
        ("base", "nowhere/at/all", "there is no base 'nowhere/at/all'"),
        ("time_budget", "soon", "time_budget"),
        ("seed", "-1", "seed"),
        ("plates", "none.csv", "which plates names"),
        ("images_per_prompt", "many", "images_per_prompt"),
    ],
)
def test_choices_are_checked_as_those_of_run(folder, column, value, fault):
    table = read_table(write(folder, f"id,class,photos,{column}\n1,car,photos/mug,{value}\n"))
    assert not table.products and fault in table.faults[0]


@pytest.mark.parametrize(
    ("text", "name", "fault"),
    [
        ("id,class\n1,car\n", "products.csv", "has no column 'photos'"),
        ("class,photos\ncar,photos/mug\n", "products.csv", "has no column 'id'"),
        ("id,photos\n1,photos/mug\n", "products.csv", "no column 'class'"),
        ("id,class,photos,budgt\n1,car,photos/mug,3m\n", "products.csv", "there is no column 'budgt'"),
        ("id,class,photos\n", "products.csv", "has no products"),
        ("id,class,photos\n1,car,photos/mug,more\n", "products.csv", "more cells than"),
        ('{"id": 1', "products.jsonl", "line 1, is no JSON"),
        ("[1]", "products.jsonl", "line 1, is no object"),
        ("[" * 100_000, "products.jsonl", "line 1, is no JSON"),
        ("PAR1", "products.parquet", "cannot be read as Parquet"),
        ("x", "products.xlsx", "is no table that can be read"),
    ],
)  # fmt: skip
def test_a_table_that_is_none_is_told(folder, text, name, fault):
    with pytest.raises(CatalogError, match=fault):
        read_table(write(folder, text, name))


def test_a_table_that_is_not_there_is_told(tmp_path):
    with pytest.raises(CatalogError, match="There is no table"):
        read_table(tmp_path / "none.csv")


def test_a_table_in_another_encoding_is_told_with_its_line(folder):
    path = folder / "products.jsonl"
    path.write_bytes('{"id": "1", "photos": "photos/mug", "name": "Caffè"}\n'.encode("cp1252"))
    with pytest.raises(CatalogError, match="line 1, is not UTF-8"):
        read_table(path, {"class": "mug"})


def test_a_number_where_several_words_may_stand_is_one_of_them(folder):
    text = '{"id": "1", "class": "car", "photos": "photos/mug", "prompts": 5}'
    (product,) = read_table(write(folder, text, "products.jsonl")).products
    assert product.choices.prompts == ("5",)
