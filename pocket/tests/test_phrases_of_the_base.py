"""The bundled base's phrase bank against the captions that it was trained on."""

from packshot_pocket_model import FOLDER

from packshot.captions.phrases import read_bank
from packshot_pocket.scenes.captions import PLACES, TIMES


def test_the_bundled_base_is_asked_in_the_words_that_it_learnt():
    bank = read_bank(FOLDER)
    said = [words for groups in (PLACES, TIMES) for choice in groups.values() for words in choice]
    asked = [
        words for group in bank.groups.values() for choice in group.choices for words in choice
    ]
    assert set(asked) <= set(said)
    general = read_bank(FOLDER.parent / "elsewhere" / "checkpoint")
    assert len(general.groups["setting"].choices) > len(bank.groups["setting"].choices)
    for one in (bank, general):
        known = {phrase for group in one.groups.values() for phrase in group.phrases}
        assert all(set(group.unless) <= known for group in one.groups.values())
