"""Which captioner is loaded, from where: folders, the hub, the base, another package."""

import re
import shutil
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from packshot.captions import load_captioner, registry
from packshot.captions.blip import Blip
from packshot.captions.clip_interrogator import ClipInterrogator
from packshot.captions.florence import Florence
from packshot.captions.plain import Plain
from packshot.captions.qwen_vl import QwenVl
from packshot.captions.registry import (
    AUTO,
    MODEL_TYPES,
    MODULES,
    ON_GPUS,
    PLAIN,
    settle_captioner,
)
from packshot.captions.wd_tagger import WdTagger
from packshot.errors import (
    CaptionError,
    InsufficientMemoryError,
    ModelLoadError,
    PackshotError,
)
from packshot.weights import helper_models
from tests.captioners import make_clip
from tests.captions.test_wd_tagger import make_tagger


@pytest.fixture
def clip(tmp_path):
    """A whole CLIP over the real vocabulary, as transformers saves it."""
    return make_clip(tmp_path / "clip")


@pytest.mark.parametrize(
    ("kind", "captioner", "name"),
    [
        ("blip", Blip, "blip"), ("blip-2", Blip, "blip"), ("florence2", Florence, "florence"),
        ("qwen2_vl", QwenVl, "qwen-vl"), ("qwen2_5_vl", QwenVl, "qwen-vl"),
        ("qwen3_vl", QwenVl, "qwen-vl"),
    ],
)  # fmt: skip
def test_the_model_says_which_captioner_it_is(kind, captioner, name, tiny_captioner):
    folder = str(tiny_captioner(kind))
    assert isinstance(load_captioner(model=folder, device="cpu"), captioner)
    loaded = load_captioner(name, folder, device="cpu")
    assert loaded.name == name and loaded.batch == 1
    other = next(one for one in ("blip", "florence") if one != name)
    with pytest.raises(ModelLoadError, match="is of the kind"):
        load_captioner(other, folder, device="cpu")


def test_any_clip_interrogates_with_its_own_phrases_or_the_general_ones(clip, pictures, car):
    captioner = load_captioner("clip", str(clip), device="cpu")
    assert isinstance(captioner, ClipInterrogator) and "setting" in captioner.bank.groups
    assert all(text.startswith("a photo of ohwx car") for text in captioner.caption(pictures, car))
    (clip / "phrases.toml").write_text('[light]\nchoices = [["lit"], ["unlit"]]\n')
    assert list(load_captioner(model=str(clip), device="cpu").bank.groups) == ["light"]


def test_a_clip_of_other_words_is_refused(tmp_path):
    towers = {
        "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16
    }  # fmt: skip
    vision = {**towers, "image_size": 32, "patch_size": 16}
    config = CLIPConfig(text_config={**towers, "vocab_size": 500}, vision_config=vision)
    CLIPModel(config).save_pretrained(tmp_path / "clip")
    with pytest.raises(ModelLoadError, match=r"it has 500 tokens, not 49,408"):
        load_captioner("clip", str(tmp_path / "clip"), device="cpu")


def test_without_a_model_the_base_captions(tmp_path):
    def base(similarity):
        return lambda: SimpleNamespace(path=tmp_path / "base", clip_similarity=lambda: similarity)

    assert isinstance(load_captioner(base=base(None)), Plain)
    assert isinstance(load_captioner(base=base(object())), ClipInterrogator)
    assert isinstance(load_captioner("clip", base=base(object())), ClipInterrogator)
    with pytest.raises(CaptionError, match="carries no CLIP with an image tower; name one"):
        load_captioner("clip", base=base(None))
    # Nothing is loaded for it.
    assert isinstance(load_captioner("plain", base=lambda: pytest.fail("loaded")), Plain)


@pytest.mark.parametrize(
    ("kind", "model", "words"),
    [
        ("gpt", None, "no captioner 'gpt'; choose one of auto, plain, clip, blip, florence, qwen-vl, wd"),
        ("blip", None, "The captioner blip needs a model: --captioner FOLDER"),
        ("wd", "nowhere", "There is no folder nowhere, and 'nowhere' is no OWNER/NAME"),
        ("auto", __file__, "is a file; name the folder"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(kind, model, words):
    with pytest.raises(PackshotError, match=words):
        load_captioner(kind, model)


def test_a_captioner_that_the_memory_does_not_hold_is_said(tiny_captioner, monkeypatch):
    def full(folder, device):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("packshot.captions.blip.load", full)
    folder = str(tiny_captioner("blip"))
    words = rf"The memory of cpu does not hold the captioner {re.escape(folder)}\. Close other"
    with pytest.raises(InsufficientMemoryError, match=words):
        load_captioner("blip", folder)


def test_of_those_for_gpus_what_fits_is_chosen(monkeypatch):
    """Of models in the hub's cache: their weights, beside room to compute."""
    sizes = {ON_GPUS[0].name: 17 * 10**9, ON_GPUS[1].name: 8 * 10**9}
    monkeypatch.setattr(registry, "cached_bytes", lambda name: sizes.get(name, 0))
    monkeypatch.setattr(helper_models, "is_cached", sizes.__contains__)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for room, chosen in ((20e9, 0), (10e9, 1)):
        monkeypatch.setattr(registry, "weight_memory_budget", lambda device, room=room: room)
        told = SimpleNamespace(settle=lambda name, because, choose, anew: _settled(choose()))
        told.latest = lambda name: None
        observer = SimpleNamespace(insists=False)
        assert settle_captioner(AUTO, "base", False, told, observer) == ON_GPUS[chosen].name


def _settled(chosen):
    value, reason = chosen
    return SimpleNamespace(value=value, reason=reason, is_new=True)


def test_a_folder_of_something_else(tmp_path):
    with pytest.raises(ModelLoadError, match=r"config\.json cannot be read"):
        load_captioner(model=str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ModelLoadError, match=r"'llama'; captioners are made of clip, blip"):
        load_captioner(model=str(tmp_path))


def test_other_packages_add_captioners_but_take_no_name(monkeypatch, tmp_path, pictures, car):
    given = []
    module = SimpleNamespace(load=lambda folder: given.append(folder) or Plain())
    monkeypatch.setitem(sys.modules, "their_package", module)
    points = [
        metadata.EntryPoint(name, value, "packshot.captioners")
        for name, value in (
            ("theirs", "their_package:load"), ("plain", "evil:load"), ("broken", "not_there:load"),
        )
    ]  # fmt: skip
    monkeypatch.setattr("packshot.captions.registry.entry_points", lambda group: points)
    assert load_captioner("theirs").caption(pictures, car) == ["a photo of ohwx car"] * 3
    load_captioner("theirs", str(tmp_path))
    assert given == [None, tmp_path]
    assert isinstance(load_captioner("plain"), Plain)
    with pytest.raises(CaptionError, match=r"broken \(not_there:load\) cannot be imported"):
        load_captioner("broken")
    with pytest.raises(CaptionError, match="wd, broken, theirs"):
        load_captioner("x")


def test_the_documentation_and_the_help_name_them_all():
    from typer.testing import CliRunner

    from packshot.cli import app

    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE))
    assert documented >= {*MODULES, PLAIN}
    assert {MODULES[name] for name in MODEL_TYPES.values()} <= set(MODULES.values())
    said = CliRunner().invoke(app, ["caption", "--help"], terminal_width=200).output
    named = set(re.findall(r"[\w-]+", said.split("--captioner", 1)[1].split("--", 1)[0]))
    assert named >= {*MODULES, PLAIN, AUTO}


def test_from_the_hub_comes_what_is_loaded_and_no_more(server, tmp_path, tiny_captioner):
    folder = server.folders["them/blip"] = shutil.copytree(
        tiny_captioner("blip"), tmp_path / "repository"
    )
    for name in ("pytorch_model.bin", "tf_model.h5", "evil.py", "README.md", "extra.safetensors"):
        (folder / name).write_bytes(b"never")
    assert isinstance(load_captioner(model="them/blip", device="cpu"), Blip)
    fetched = {file.name for file in (tmp_path / "hub").rglob("snapshots/*/*")}
    assert fetched == {
        "config.json", "generation_config.json", "model.safetensors", "preprocessor_config.json",
        "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip


def test_what_is_whole_in_the_cache_needs_no_network(server, tmp_path, tiny_captioner):
    server.folders["them/blip"] = tiny_captioner("blip")
    server.folders["them/wd"] = make_tagger(tmp_path / "repository")
    assert isinstance(load_captioner(model="them/wd", device="cpu"), WdTagger)
    load_captioner(model="them/blip", device="cpu")
    server.folders.clear()
    assert isinstance(load_captioner(model="them/wd", device="cpu"), WdTagger)
    assert isinstance(load_captioner("blip", "them/blip", device="cpu"), Blip)


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ("model.safetensors", r"only as pytorch_model\.bin, a pickle"),
        ("config.json", r"is no such model: it has no config\.json"),
        ("preprocessor_config.json", r"it has no preprocessor_config\.json"),
    ],
)
def test_a_repository_that_is_not_whole(server, tmp_path, tiny_captioner, lost, words):
    folder = server.folders["them/half"] = shutil.copytree(
        tiny_captioner("blip"), tmp_path / "repository"
    )
    (folder / "pytorch_model.bin").write_bytes(b"never")
    (folder / lost).unlink()
    with pytest.raises(ModelLoadError, match=words):
        load_captioner(model="them/half")
    with pytest.raises(ModelLoadError, match="no such repository"):
        load_captioner(model="them/nothing")
