import json
import re
import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packshot.datasets.metadata import read_metadata
from packshot.errors import DatasetError
from tests.projects import painted


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.jpg", "b.png", "sub/写真.jpg"):
        (folder / name).touch()
    (tmp_path / "secret.png").touch()
    return folder


def listed(dataset):
    return {entry.picture.name: entry.caption for entry in dataset.entries}


def test_kohyas_json(folder):
    table = {
        "a.jpg": {"caption": "a car", "tags": "red, wet", "image_size": [10, 10]},
        "b": {"tags": "blue"},
        "sub/写真.jpg": {"caption": 'two\nlines, "quoted"'},
    }
    (folder / "meta_cap.json").write_text(json.dumps(table))
    dataset = read_metadata(folder / "meta_cap.json")
    assert listed(dataset) == {
        "a.jpg": "a car, red, wet", "b.png": "blue", "写真.jpg": 'two\nlines, "quoted"',
    }  # fmt: skip
    assert dataset.notes == [] and dataset.refused == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metadata.csv", "image,prompt\na.jpg,a car\n"),
        ("metadata.json", '[{"image": "a.jpg", "prompt": "a car"}]'),
        ("metadata.jsonl", '{"image": "a.jpg", "prompt": "a car"}'),
        ("m.jsonl", '{"image_path": "/data/a.jpg", "caption": "a car"}'),
        ("captions.csv", "file,caption,locked,source\r\na.jpg,a car,no,\r\n"),
    ],
)
def test_columns_of_diffsynth_musubi_tuner_and_our_own(folder, name, text):
    (folder / name).write_text(text)
    assert listed(read_metadata(folder / name)) == {"a.jpg": "a car"}


def test_lines_of_json(folder):
    rows = [
        {"file_name": "a.jpg", "text": "one\u2028line", "label": 3, "author": "Ada"},
        {"image_path": "b.png", "caption": "kohya's"},
        {"file_name": "sub/写真.jpg", "text": None, "mask_file_name": "b.png"},
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "metadata.jsonl").write_text(text + "\n", encoding="utf-8")
    dataset = read_metadata(folder / "metadata.jsonl")
    assert listed(dataset) == {"a.jpg": "one\u2028line", "b.png": "kohya's", "写真.jpg": None}
    assert dataset.entries[0].origin == {"author": "Ada"}
    assert dataset.entries[2].mask == folder / "b.png"
    assert dataset.notes == ["metadata.jsonl: not used: label"]


def test_csv_with_commas_quotes_and_newlines(folder):
    (folder / "metadata.csv").write_text(
        '\ufefffile_name,text,size\r\na.jpg,"a ""red"" car,\nin the snow",3\r\nb.png,,\r\n',
        encoding="utf-8",
    )
    assert listed(read_metadata(folder / "metadata.csv")) == {
        "a.jpg": 'a "red" car,\nin the snow',
        "b.png": None,
    }


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../secret.png", "leads outside .*pictures; move it there, or name its folder"),
        ("{tmp}/secret.png", "leads outside "),
        ("link.png", "leads outside "),
        ("/etc/passwd", "leads outside "),
        ("file:///etc/passwd", "is not in .*pictures; name the folder that it is in"),
        ("gone.png", "is not in "),
        ("sub", "is not in "),
        ("notes.txt", r"has no image file ending; add one \(\.jpg, \.png\)$"),
        ("x" * 300, "is no file name"),
        ("a\0.jpg", "is no file name"),
    ],
)
@pytest.mark.parametrize("column", ["file_name", "mask_file_name"])
def test_names_that_lead_elsewhere_are_refused_and_the_rest_taken(folder, name, reason, column):
    (folder / "notes.txt").touch()
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    name = name.replace("{tmp}", str(folder.parent))
    rows = [{"file_name": "a.jpg", column: name}, {"file_name": "b.png"}]
    (folder / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    dataset = read_metadata(folder / "m.jsonl")
    assert listed(dataset) == {"b.png": None}
    if column == "file_name":
        assert re.match(reason, dataset.refused[name])
    else:
        assert re.match(f"has a mask, {re.escape(name)}, that {reason}", dataset.refused["a.jpg"])


PLACES = ["", "/content/drive/", "C:\\Users\\me\\", "D:/", "\\\\nas\\share\\", "/"]


@given(
    st.sampled_from(PLACES),
    st.sampled_from(["a.jpg", "a", "sub/写真.jpg", "sub/写真"]),
    st.sampled_from(["/", "\\"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_names_from_any_machine_are_found(folder, place, name, separator):
    row = {"file_name": place + name.replace("/", separator), "text": "x"}
    (folder / "m.jsonl").write_text(json.dumps(row))
    dataset = read_metadata(folder / "m.jsonl")
    (entry,) = dataset.entries
    found = folder / (name if name.endswith(".jpg") else f"{name}.jpg")
    assert entry.picture == found and dataset.refused == {}
    assert any("not where it says" in note for note in dataset.notes) == bool(place)


@pytest.mark.parametrize("name", ["A.JPG", "a.Jpg", "A", "SUB\\..", "B.png"])
def test_letters_case_is_no_matter_as_on_windows(folder, name):
    (folder / "A.PNG").touch()
    (folder / "m.jsonl").write_text(json.dumps({"file_name": name, "text": "x"}))
    found = {"A.JPG": "a.jpg", "a.Jpg": "a.jpg", "A": "A.PNG", "B.png": "b.png"}
    listed_names = [entry.picture.name for entry in read_metadata(folder / "m.jsonl").entries]
    assert listed_names == [found[name]] if name in found else listed_names == []


@given(
    st.text(max_size=40)
    | st.lists(st.sampled_from(["..", "/", "\\", "C:", "secret.png", "a.jpg", "sub", "."])).map(
        "".join
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_name_leads_out_of_the_folder(folder, name):
    for table, told in (("m.jsonl", f"{name} "), ("n.jsonl", name or "x")):
        (folder / table).unlink(missing_ok=True)  # drives are slow to empty a file
        (folder / table).write_text(json.dumps({"file_name": told, "text": "x"}) + "\n")
        for entry in read_metadata(folder / table).entries:
            assert entry.picture.resolve().is_relative_to(folder.resolve())


def test_pictures_may_lie_elsewhere_if_a_person_says_so(folder):
    (folder.parent / "m.json").write_text('{"a.jpg": {"caption": "x"}}')
    assert "is not in" in read_metadata(folder.parent / "m.json").refused["a.jpg"]
    assert listed(read_metadata(folder.parent / "m.json", folder)) == {"a.jpg": "x"}


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("m.json", b"[1]", r"m\.json is no table of captions: \{\"a\.jpg\": \{\"caption\""),
        (
            "m.json",
            b'{"a.jpg": "words"}',
            r"m\.json, entry 1 is no row of a table of captions\. Mend",
        ),
        ("m.json", b"{", r"m\.json is not valid JSON: .* Mend it\."),
        ("m.json", b"[" * 100_000, "is not valid JSON"),
        ("m.json", b"{}", r"m\.json lists no images\."),
        ("m.json", b"\x80\x04\x95\x0a", r"m\.json cannot be read as UTF-8 text"),  # a pickle
        (
            "m.jsonl",
            b'\n{"file_name": \n"a.jpg"}',
            r"m\.jsonl, line 2 is not valid JSON: .* Mend it\.",
        ),
        (
            "m.jsonl",
            b'{"text": "a"}\n{"text"',
            r"line 1 names no image; give it a file_name\. Mend it\.",
        ),
        ("m.jsonl", b'{"file_name": ["a.jpg"]}', "names no image"),
        ("m.csv", b"name,text\na.jpg,x\n", "m\\.csv, line 2 names no image; give it a file_name"),
        (
            "m.csv",
            b"file_name,text\na.jpg," + b"x" * 200_000,
            r"m\.csv, line 2 is not valid CSV: .* Mend",
        ),
    ],
)
def test_tables_that_are_refused(folder, name, data, words):
    (folder / name).write_bytes(data)
    with pytest.raises(DatasetError, match=words):
        read_metadata(folder / name)


BAD_ROWS = {
    "m.jsonl": (
        '[]\n{"text": "x"}\n{"file_name": ["a.jpg"]}\n{"file_name": "b.png", "text": 1}\n{"file_na\n'
        '{"file_name": "a.jpg", "text": "x"}\n{"file_name": "c.jpg", "text": "x"}\n',
        {
            "m.jsonl, line 1": "is no row of a table",
            "m.jsonl, line 2": "names no image",
            "m.jsonl, line 3": "names no image",
            "b.png": "has a text that is no text; mend it",
            "m.jsonl, line 5": "is not valid JSON",
            "c.jpg": "is not in",
        },
    ),
    "m.json": (
        '{"b.png": "words", "sub/写真": {"tags": ["red"]}, "a": {"caption": "x"}, "": {"caption": "x"}}',
        {
            "m.json, entry 1": "is no row of a table",
            "sub/写真": "has a tags that is no text",
            "m.json, entry 4": "names no image",
        },
    ),
    "m.csv": (
        'file_name,text\n,x\n"a.jpg",x\nb.png,"one\ntwo",more\nsub\n',
        {
            "m.csv, line 2": "names no image",
            "m.csv, line 5": "it has more cells than the table's first line: 'more'",
            "sub": "is not in",
        },
    ),
    "long.csv": (
        f'file_name,text\nb.png,{"x" * 200_000}\na.jpg,x\n',
        {"long.csv, line 2": "is not valid CSV: field larger than field limit"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_costs_itself_alone(folder, name):
    text, refused = BAD_ROWS[name]
    (folder / name).write_text(text)
    dataset = read_metadata(folder / name)
    assert listed(dataset)["a.jpg"] == "x"
    assert dataset.refused.keys() == refused.keys()
    for called, reason in refused.items():
        assert reason in dataset.refused[called]


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
@pytest.mark.parametrize("ending", [".png", ""])
def test_a_name_is_found_in_any_form_of_unicode(tmp_path, forms, ending):
    told, there = (unicodedata.normalize(form, "Città") for form in forms)
    painted(1).save(tmp_path / f"{there}.png")
    table = tmp_path / "metadata.json"
    table.write_text(json.dumps({f"{told}{ending}": {"caption": "a car"}}))
    dataset = read_metadata(table)
    assert not dataset.refused
    assert [(entry.picture.name, entry.caption) for entry in dataset.entries] == [
        (f"{there}.png", "a car")
    ]
