"""Models that help: which one is taken, what is offered, and what is said where there is none."""

import shutil

import pytest

from packshot.captions import registry
from packshot.captions.registry import settle_captioner
from packshot.decisions import Decisions
from packshot.errors import ModelLoadError
from packshot.generation.embedders import embedder_for, embedder_of, settle_embedder
from packshot.project import create_project
from packshot.weights.helper_models import (
    Helper,
    best_helper,
    is_cached,
    label,
    model_folder,
    parted,
)
from tests.captioners import MAKERS, make_clip
from tests.walking import Listener, made_quick, make_case, walk


@pytest.fixture
def hub(server, tmp_path):
    """The hub with a tiny captioner and a tiny CLIP under the names that are offered."""
    captioner, clip = registry.OFFERED[0].name, "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
    server.folders[captioner] = MAKERS["florence2"](tmp_path / "florence")
    server.folders[clip] = make_clip(tmp_path / "clip")
    server.names = captioner, clip
    return server


def test_what_an_option_names():
    kinds = ["clip", "florence", "onnx"]
    assert parted("clip", kinds) == ("clip", None)
    assert parted("onnx:C:/models/u2net.onnx", kinds) == ("onnx", "C:/models/u2net.onnx")
    assert parted("them/model", kinds) == (None, "them/model")
    assert parted("gpt", kinds) == ("gpt", None), "a name, if an unknown one"
    assert [label(text) for text in ("them/Florence-2-base", "onnx:/x/u2net.onnx", "clip")] == [
        "Florence-2-base", "u2net", "clip",
    ]  # fmt: skip


def test_the_best_that_is_cached_is_taken_unasked(hub):
    known = (Helper("them/better", "MIT"), Helper(hub.names[0], "MIT"))
    model_folder(hub.names[0])
    hub.folders.clear()
    heard = Listener()
    assert best_helper("see", known, (), heard) == (
        hub.names[0], "the best that is in the hub's cache",
    )  # fmt: skip
    assert not heard.asked and is_cached(hub.names[0]) and not is_cached("them/better")


def test_what_is_offered_is_named_with_its_size_and_licence_and_fetched_if_wanted(hub):
    offered = (Helper("them/gone", "MIT"), Helper(hub.names[0], "MIT"))
    no = Listener()
    name, why = best_helper("caption your photos", (), offered, no)
    assert name is None and "was not to be fetched" in why
    (question,) = no.asked
    assert question.startswith(f"To caption your photos, fetch {hub.names[0]} (")
    assert "MB, MIT) from the Hugging Face hub?" in question
    assert "model.safetensors" not in hub.files()
    assert best_helper("see", (), offered, Listener(agree=True))[0] == hub.names[0]
    assert is_cached(hub.names[0])


def test_offline_it_is_said_why(server):
    heard = Listener(agree=True)
    name, why = best_helper("see", (), (Helper("them/gone", "MIT"),), heard)
    assert (
        name is None
        and "them/gone is not in the hub's cache and cannot be fetched (Repo" in why
        and not heard.asked
    )


def test_a_model_that_is_none():
    with pytest.raises(ModelLoadError, match=r"no OWNER/NAME of the hub"):
        model_folder("nowhere")


def test_who_refused_is_asked_no_more_until_he_insists(hub, tmp_path):
    project = create_project(tmp_path / "p", name="Duster", class_noun="car")
    settle = {"choice": "auto", "base": "b", "own_clip": False}

    def both(heard):
        book = Decisions(project, heard.say)
        return (
            settle_captioner(**settle, decisions=book, observer=heard),
            settle_embedder(**settle, decisions=book, observer=heard),
        )

    no = Listener()
    assert both(no) == ("bundled", "none") and len(no.asked) == 2
    assert any("renderings of ten kinds of place only" in text for text in no.said)
    assert any("likeness, fidelity to prompts and drift will not" in text for text in no.said)
    again = Listener()
    assert both(again) == ("bundled", "none") and not again.asked and not again.said
    yes = Listener(agree=True)
    yes.insists = True
    assert both(yes) == hub.names
    assert both(Listener()) == hub.names, "and so it stays"


def test_a_base_with_a_clip_of_its_own_needs_no_help(tmp_path):
    project = create_project(tmp_path / "p", name="Duster", class_noun="car")
    settle = {"choice": "auto", "base": "pocket", "own_clip": True}
    settle |= {"decisions": Decisions(project), "observer": Listener()}
    assert (settle_captioner(**settle), settle_embedder(**settle)) == ("clip", "base")
    assert not settle["observer"].asked


def test_embedders(hub, tmp_path):
    assert embedder_of("none", pytest.fail) is None
    clip = embedder_of(hub.names[1], pytest.fail)
    assert clip.embed_texts(["a car"]).shape == (1, 8)


@pytest.fixture
def published(tmp_path, tiny_checkpoint, monkeypatch):
    """A case on a base without a `clip` folder, as published ones are."""
    monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "none"))
    made_quick(monkeypatch.setattr)
    case = tmp_path / "case"
    case.mkdir()
    return make_case(case, tiny_checkpoint("sd1"))


def page_of(project) -> str:
    import html

    return html.unescape(project.report_file.read_text())


@pytest.mark.slow
def test_on_a_published_base_cached_helpers_caption_and_score(published, hub):
    for name in hub.names:
        model_folder(name)
    hub.folders.clear()  # and the network is gone
    heard = Listener()
    project = walk(published, heard, captioner="auto", embedder="auto").project
    assert not heard.asked
    from packshot.photos.photo_set import list_photos

    shown = list_photos(project)
    assert {photo.caption_by for photo in shown} == {label(hub.names[0])}
    assert len({photo.caption for photo in shown}) > 1
    page = page_of(project)
    for score in ("likeness with the LoRA", "prompt fidelity without it", "class drift"):
        assert score in page
    assert "Captions by Florence-2-base (3)" in page
    assert "not measured" not in page.lower()


@pytest.mark.slow
def test_offline_with_an_empty_cache_each_missing_part_says_why_and_what_to_do(published, server):
    heard = Listener(agree=True)
    project = walk(published, heard, captioner="auto", embedder="auto").project
    page = page_of(project)
    assert "Captions by bundled (3); bundled: no other is available: florence-community" in page
    assert "--captioner florence-community/Florence-2-base" in page
    assert "drift were not measured: no CLIP is at hand: laion/CLIP" in page
    assert "--embedder laion/CLIP-ViT-B-32-laion2B-s34B-b79K" in page
    shutil.rmtree(published / "project" / "shots")
    from packshot.report import write_report

    write_report(project)
    assert "there are no shots with and without the LoRA to compare" in page_of(project)


def test_a_base_that_is_not_there_keeps_no_cut_out_from_being_inserted(tmp_path, server):
    """Nothing of the base is fetched or loaded to find out what measures."""
    project = create_project(
        tmp_path / "p", name="Duster", class_noun="car", base="them/base-of-many-gigabytes"
    )
    assert embedder_for(project, pytest.fail, Listener()) is None
    assert not any("gigabytes" in path for _, path, _ in server.asked)
