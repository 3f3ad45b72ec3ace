"""What measures likeness is chosen once; see also test_helpers.py, which fetches some."""

import pytest

from packshot.decisions import Decisions
from packshot.errors import ModelLoadError, PackshotError
from packshot.generation import embedders
from packshot.generation.embedders import (
    AUTO,
    BASE,
    BUNDLED,
    GROUP,
    NONE,
    embedder_of,
    identity_embedder_for,
    image_embedder_of,
    settle_embedder,
)
from packshot.models.identity_embedder import IdentityEmbedder
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


class Pictures:
    """Embeds no texts."""

    name = "pictures"

    def __init__(self, model, progress):
        self.model = model

    def embed_images(self, pixels):
        return pixels.mean(dim=(2, 3))


def nowhere():
    pytest.fail("the base was loaded")


@pytest.fixture
def offered(monkeypatch):
    """Entry points of another package: one that loads, one that does not."""
    from importlib.metadata import EntryPoint

    points = [
        EntryPoint("pictures", f"{__name__}:Pictures", GROUP),
        EntryPoint("broken", "no_such_package:Loader", GROUP),
    ]
    monkeypatch.setattr(embedders, "entry_points", lambda group: points * (group == GROUP))


def test_other_packages_embedders_are_found_and_one_without_texts_compares_no_prompts(offered):
    assert image_embedder_of("pictures", nowhere).model is None
    assert image_embedder_of("pictures:them/model", nowhere).model == "them/model"
    with pytest.raises(ModelLoadError, match=r"compares images alone.*judge --identity pictures"):
        embedder_of("pictures", nowhere)
    with pytest.raises(
        PackshotError, match=r"'broken' \(no_such_package:Loader\) cannot be loaded"
    ):
        image_embedder_of("broken", nowhere)


def test_for_identity_dinov2_goes_before_a_clip_and_offline_it_is_told_what_to_name(
    project, offered, monkeypatch
):
    asked = []

    def best(job, known, offered, observer):
        asked.append([helper.name for helper in known])
        return None, "it is not in the hub's cache and cannot be fetched (ConnectError)"

    monkeypatch.setattr(embedders, "best_helper", best)
    monkeypatch.setattr("packshot.models.has_clip", lambda base: False)
    with pytest.raises(
        ModelLoadError, match=r"\(ConnectError\)\. Name a DINOv2, .*--identity bundled"
    ):
        identity_embedder_for(project, nowhere, Listener())
    assert asked[0].index("facebook/dinov2-base") < asked[0].index(embedders.KNOWN[0].name)
    assert identity_embedder_for(project, nowhere, Listener(), "pictures").name == "pictures"
    with pytest.raises(ModelLoadError, match="'none' measures nothing"):
        identity_embedder_for(project, nowhere, Listener(), NONE)
    monkeypatch.setattr("packshot.models.has_clip", lambda base: True)
    assert isinstance(identity_embedder_for(project, nowhere, Listener()), IdentityEmbedder)

    class Own:
        def clip_similarity(self):
            return "the base's"

    assert identity_embedder_for(project, Own, Listener(), BASE) == "the base's"


def test_the_bundled_embedder_compares_products_and_no_prompts():
    assert isinstance(image_embedder_of(BUNDLED, nowhere), IdentityEmbedder)
    with pytest.raises(ModelLoadError, match="compares images alone"):
        embedder_of(BUNDLED, nowhere)
