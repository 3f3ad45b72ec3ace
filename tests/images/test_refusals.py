import json

from packshot.errors import ImageRejectedError, Refusal
from packshot.images.refusals import read_refusals, write_refusals


def test_reasons_come_back_with_their_codes(tmp_path):
    file = tmp_path / "refused.json"
    write_refusals(file, {"a.jpg": Refusal("is blurred", "blurred"), "b.jpg": "moves"})
    assert json.loads(file.read_text()) == {
        "a.jpg": {"code": "blurred", "text": "is blurred"},
        "b.jpg": {"code": "rejected", "text": "moves"},
    }
    read = read_refusals(file)
    assert read == {"a.jpg": "is blurred", "b.jpg": "moves"}
    assert [reason.code for reason in read.values()] == ["blurred", "rejected"]


def test_the_words_alone_are_read_too(tmp_path):
    """As Packshot 0.1 wrote them."""
    file = tmp_path / "refused.json"
    file.write_text('{"a.jpg": "is blurred, or shows nothing", "b.jpg": "is a GIF", "c.jpg": 3}')
    read = read_refusals(file)
    assert {name: reason.code for name, reason in read.items()} == {
        "a.jpg": "blurred",
        "b.jpg": "rejected",
    }


def test_no_file_and_a_damaged_one_list_nothing(tmp_path):
    assert read_refusals(tmp_path / "none.json") == {}
    for text in ("[1]", "{", '{"a.jpg": {"code": 1}}'):
        (tmp_path / "refused.json").write_text(text)
        assert read_refusals(tmp_path / "refused.json") == {}


def test_an_error_has_its_reasons_code():
    assert ImageRejectedError("a.jpg", "is cut short", "damaged").code == "damaged"
    again = ImageRejectedError("a.jpg", Refusal("is cut short", "damaged"))
    assert again.code == "damaged" and str(again) == "a.jpg: is cut short"
    assert ImageRejectedError("a.jpg", "moves").code == "rejected"
