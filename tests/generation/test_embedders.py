"""What measures likeness is chosen once; see also test_helpers.py, which fetches some."""

import pytest

from packshot.decisions import Decisions
from packshot.errors import ModelLoadError
from packshot.generation import embedders
from packshot.generation.embedders import AUTO, BASE, NONE, embedder_of, settle_embedder
from tests.walking import Listener


@pytest.fixture
def settle(project, monkeypatch):
    """Settles, where a helper is at hand or not; counts how often one was looked for."""
    looked = []

    def call(choice=AUTO, own_clip=False, found=None, observer=None):
        monkeypatch.setattr(
            embedders, "best_helper", lambda *args: looked.append(1) or (found, "none was cached")
        )
        heard = observer or Listener()
        settled = settle_embedder(choice, "base", own_clip, Decisions(project), heard)
        return settled, heard.said

    call.looked = looked
    return call


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"choice": "them/clip"}, "them/clip"), ({"choice": NONE}, NONE), ({"own_clip": True}, BASE),
        ({"found": "them/best"}, "them/best"), ({}, NONE),
    ],
)  # fmt: skip
def test_the_choice_goes_before_the_bases_own_and_that_before_others(settle, options, expected):
    assert settle(**options)[0] == expected
    assert len(settle.looked) == ("found" in options or not options)


def test_that_nothing_will_be_measured_is_told_once(settle):
    told = [settle()[1] for _ in range(2)]
    assert "will not be measured: no CLIP is at hand: none was cached" in told[0][0]
    assert "--embedder" in told[0][0] and told[1] == [] and len(settle.looked) == 1
    assert "will not be measured" not in " ".join(settle(NONE)[1]), "who chose it knows"


def test_who_insists_is_asked_again(settle):
    settle()
    insisting = Listener()
    insisting.insists = True
    assert settle(found="them/best", observer=insisting)[0] == "them/best"
    assert settle()[0] == "them/best" and len(settle.looked) == 2


def test_an_embedder_by_its_name(tmp_path):
    def loaded():
        pytest.fail("the base was loaded")

    class Own:
        def clip_similarity(self):
            return "the base's"

    assert embedder_of(NONE, loaded) is None
    assert embedder_of(BASE, Own) == "the base's"
    with pytest.raises(ModelLoadError):
        embedder_of(str(tmp_path), loaded)
