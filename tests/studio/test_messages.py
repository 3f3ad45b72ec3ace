"""What the commands say of errors, in Italian: known by their words, which must be those of the source."""

import ast
import re
from pathlib import Path

import pytest

import packshot
from packshot.errors import ImageRejectedError, InvalidPlanError
from packshot.images.loading import DAMAGED
from packshot.photos.photo_set import _none_left
from packshot.plan import reasons
from packshot.plan.config import edit_plan, write_plan
from packshot.studio.messages import plainly, told, translated
from packshot.studio.texts import texts_in

ENGLISH, ITALIAN = texts_in("en"), texts_in("it")
TOLD = {key: text for key, text in ENGLISH.table.items() if key.startswith("told.")}


def written(node):
    """A string of the source with {} for what is put in; None if it is no string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(p.value if isinstance(p, ast.Constant) else "{}" for p in node.values)
    return None


@pytest.fixture(scope="module")
def source():
    """All texts of the source, those put together from two parts included."""
    found = set()
    for file in Path(packshot.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if text := written(node):
                found.add(text)
    return found


def test_each_message_is_one_of_the_source(source):
    """Where a message is put together of parts, its words are there in each of them."""
    whole = "\n".join(source)
    for key, text in TOLD.items():
        if key.startswith("told.value_"):  # pydantic's: see below
            continue
        parts = [part for part in re.split(r"{\w+}|[:.] ", text) if len(part) > 12]
        plain = re.sub(r"{\w+}", "{}", text)
        assert plain in source or (parts and all(part in whole for part in parts)), (key, text)


def test_each_is_known_by_its_own_words_and_keeps_its_values():
    for key, text in TOLD.items():
        names = re.findall(r"{(\w+)}", text)
        values = {name: f"<{name}-7>" for name in names}
        said = translated(ITALIAN, text.format(**values))
        assert said == ITALIAN.table[key].format(**values), key


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("steps", "0", "steps = 0: deve essere almeno 1"),
        ("steps", "2.5", "steps = 2.5: deve essere un numero intero"),
        ("alpha", "0", "alpha = 0: deve essere più di 0"),
        ("learning_rate", "2", "learning_rate = 2: deve essere al massimo 1"),
        ("seed", str(2**31), f"seed = {2**31}: deve essere meno di {2**31}"),
    ],
)
def test_what_pydantic_says_of_a_plans_number(planned, tmp_path, name, value, words):
    write_plan(planned, tmp_path / "plan.toml")
    with pytest.raises(InvalidPlanError) as refused:
        edit_plan(tmp_path / "plan.toml", {name: value})
    assert translated(ITALIAN, str(refused.value)) == words


def test_a_refused_file_keeps_its_name():
    error = ImageRejectedError("Foto: 1.jpg", "is the same file as b.jpg")
    assert (
        translated(ITALIAN, str(error).replace(": 1", " 1"))
        == "Foto 1.jpg: è lo stesso file di b.jpg"
    )


def test_of_a_list_each_line_is_told():
    refused = {"1.jpg": "is the same file as b.jpg", "2.jpg": "is odd"}
    assert translated(ITALIAN, _none_left("photos", refused)) == (
        "Nessuna foto in photos si può usare:\n  1.jpg: è lo stesso file di b.jpg\n  2.jpg: is odd"
    )


def test_what_is_not_known_is_said_to_be_english():
    assert told(ITALIAN, "It <b>broke</b>.") == (
        'Packshot lo dice in inglese: <span lang="en">It &lt;b&gt;broke&lt;/b&gt;.</span>'
    )
    assert plainly(ITALIAN, "It broke.") == "Packshot lo dice in inglese: It broke."


def test_values_are_escaped_and_english_pages_say_it_as_it_is():
    said = told(ITALIAN, "<i>: is empty (0 bytes); copy it again from the camera or the cloud")
    assert said.startswith("&lt;i&gt;: è vuoto")
    assert told(ENGLISH, "a < b") == '<span lang="en">a &lt; b</span>'
    assert plainly(ENGLISH, "a < b") == "a < b"


@pytest.mark.parametrize("text", ["x" * 100_000, "is " * 1300, ": " * 1900])
def test_long_messages_take_no_time_to_speak_of(text):
    assert translated(ITALIAN, text) is None


def test_an_italian_page_tells_errors_in_italian(studio, at):
    italian = {"accept-language": "it"}
    told_so = studio.post("/undo/none", headers=italian).text
    assert "non si può più annullare" in told_so and "taken back" not in told_so
    answer = studio.put(
        f"{at}/photos/photo-0.png/mask",
        b"x" * (9 * 2**20),
        headers={**italian, "accept": "text/plain"},
    )
    assert answer.text == "photo-0.png: la sua maschera è un file troppo grande"


def test_an_emptied_caption_is_told_in_italian(studio, at):
    captions = f"{at}/photos/photo-0.png/caption"
    studio.post(captions, {"caption": "ohwx kettle"})
    answer = studio.post(
        captions, {"caption": " ", "before": "ohwx kettle"}, headers={"accept-language": "it"}
    )
    assert answer.status_code == 422 and "photo-0.png: resterebbe vuota" in answer.text
    assert "Nessuna didascalia" in answer.text and "inglese" not in answer.text


def test_each_reason_of_a_plan_is_told_in_italian():
    """Those that do not depend on the project."""
    module = ast.parse(Path(reasons.__file__).read_text())
    (table,) = (node for node in ast.walk(module) if isinstance(node, ast.Dict))
    said = [value.value for value in table.values if isinstance(value, ast.Constant)]
    assert len(said) > 20 and [one for one in said if not translated(ITALIAN, one)] == []


def test_a_damaged_photo_is_told_in_italian():
    assert translated(ITALIAN, f"a.jpg: {DAMAGED}") == (
        "a.jpg: è danneggiato o troncato; copialo di nuovo dalla fotocamera o dal cloud"
    )
