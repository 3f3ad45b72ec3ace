import pytest

from packshot.captions.phrases import read_bank
from packshot.errors import PackshotError
from packshot.utils.text import with_article
from packshot_pocket.scenes.captions import PLACES, TIMES


def test_the_bundled_base_is_asked_in_the_words_that_it_learnt():
    from packshot.types import BUNDLED_BASE

    bank = read_bank(BUNDLED_BASE)
    said = [words for groups in (PLACES, TIMES) for choice in groups.values() for words in choice]
    asked = [
        words for group in bank.groups.values() for choice in group.choices for words in choice
    ]
    assert set(asked) <= set(said)
    general = read_bank(BUNDLED_BASE.parents[1] / "elsewhere" / "checkpoint")
    assert len(general.groups["setting"].choices) > len(bank.groups["setting"].choices)
    for one in (bank, general):
        known = {phrase for group in one.groups.values() for phrase in group.phrases}
        assert all(set(group.unless) <= known for group in one.groups.values())


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
