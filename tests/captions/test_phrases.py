import pytest

from packshot.captions.phrases import read_bank
from packshot.errors import PackshotError
from packshot.utils.text import with_article


def test_a_checkpoints_own_phrases_come_first_then_those_beside_it(tmp_path):
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (tmp_path / "phrases.toml").write_text('[light]\nchoices = [["lit"], ["unlit"]]\n')
    assert read_bank(checkpoint).groups["light"].phrases == ["lit", "unlit"]
    (checkpoint / "phrases.toml").write_text('[light]\nchoices = [["bright"], ["dark"]]\n')
    assert read_bank(checkpoint).groups["light"].phrases == ["bright", "dark"]
    assert read_bank(tmp_path / "model.safetensors").groups["light"].phrases == ["lit", "unlit"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[light]\nchoices = [["lit"]]', "groups.light.choices"),
        ('[light]\nchoices = [["lit"], []]', "each choice needs a wording"),
        ('[light]\nchoices = [["lit"], ["un"]]\nleast_probability = 2', "least_probability"),
        ("[light", "is not valid TOML"),
    ],
)
def test_phrases_that_make_no_sense_are_named(tmp_path, text, words):
    (tmp_path / "phrases.toml").write_text(text)
    with pytest.raises(PackshotError, match=rf"phrases\.toml.*{words}"):
        read_bank(tmp_path)


def test_articles():
    assert (with_article("car"), with_article("Orange"), with_article("")) == (
        "a car",
        "an Orange",
        "a ",
    )
