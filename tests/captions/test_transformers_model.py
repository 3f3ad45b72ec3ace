"""What is loaded of a folder, and what is not: pickles, half of the weights, code, adapters."""

import json
import shutil

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from packshot.captions.blip import NETWORKS
from packshot.captions.registry import load_captioner
from packshot.captions.transformers_model import PIXELS, load_pretrained, shrunk
from packshot.errors import ModelLoadError
from tests.captioners import MAKERS

CPU = torch.device("cpu")


@pytest.fixture
def folder(tiny_captioner, tmp_path):
    return shutil.copytree(tiny_captioner("blip"), tmp_path / "blip")


def load(folder):
    return load_pretrained(folder, NETWORKS, CPU)


@pytest.mark.slow
def test_weights_come_from_shards_too_whatever_an_index_says(folder):
    whole = load(folder)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    for number, names in enumerate((list(tensors)[::2], list(tensors)[1::2]), start=1):
        part = {name: tensors[name] for name in names}
        save_file(part, folder / f"model-0000{number}-of-00002.safetensors")
    index = {"weight_map": dict.fromkeys(tensors, "../../evil.bin")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "somebody/else"}')
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, load(folder).network.state_dict()[name])
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelLoadError, match="1 of 2 shards"):
        load(folder)


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\x80\x02}q\x00", b"\x80\x04\x95"])
def test_a_pickle_under_another_name_is_not_opened(folder, start):
    (folder / "model.safetensors").write_bytes(start + b"\xff" * 100)
    with pytest.raises(ModelLoadError, match="is a pickle, which can run code"):
        load(folder)


def test_a_pickle_under_its_own_name_is_not_even_looked_at(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelLoadError, match=r"only as pytorch_model\.bin, a pickle"):
        load(folder)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(ModelLoadError, match=r"has no \.safetensors weights but nothing"):
        load(folder)


def test_missing_weights_are_not_made_up(folder):
    tensors = load_file(folder / "model.safetensors")
    name = "vision_model.embeddings.class_embedding"
    save_file({k: v for k, v in tensors.items() if k != name}, folder / "model.safetensors")
    with pytest.raises(ModelLoadError, match=rf"lacks 1 weights, such as {name}\. Copy it again"):
        load(folder)
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "configuration_evil.Config"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "configuration_evil.py").write_text("raise SystemExit('run')")
    with pytest.raises(ModelLoadError, match="code of its own, which Packshot never runs"):
        load(folder)


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "tokenizer.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\x80\x02}q\x00.", b'{"a": "\xff"}'])
def test_broken_files_are_refused_by_name(folder, file, content):
    (folder / file).write_bytes(content)
    with pytest.raises(ModelLoadError, match="blip"):
        load(folder)


def test_a_network_of_another_kind_is_named(folder):
    (folder / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ModelLoadError, match="is of the kind 'llama', not 'blip' or 'blip-2'"):
        load(folder)


def test_pictures_are_shown_no_larger_than_they_need_be():
    assert shrunk(Image.new("RGB", (4000, 3000))).size == (PIXELS, PIXELS * 3 // 4)
    assert shrunk(Image.new("RGB", (5000, 2))).size == (PIXELS, 1)
    small = Image.new("RGB", (PIXELS, 300))
    assert shrunk(small) is small


def test_generation_settings_of_the_folder_are_kept(folder):
    (folder / "generation_config.json").write_text('{"no_repeat_ngram_size": 3}')
    assert load(folder).network.generation_config.no_repeat_ngram_size == 3


def test_how_long_is_searched_is_not_the_folders_to_say(folder):
    usual = load(folder).network.generation_config
    endless = {
        "num_return_sequences": 10**6,
        "num_beams": 10**6,
        "max_length": 10**9,
        "bos_token_id": 1,
    }
    (folder / "generation_config.json").write_text(json.dumps(endless))
    mended = load(folder).network.generation_config
    assert mended.bos_token_id == 1
    for name in ("num_return_sequences", "num_beams", "max_length"):
        assert getattr(mended, name) == getattr(usual, name)
    (folder / "generation_config.json").unlink()
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] |= endless | {"max_length": 4_000_000}
    (folder / "config.json").write_text(json.dumps(config | {"num_return_sequences": 10**6}))
    assert load(folder).network.generation_config.num_return_sequences == usual.num_return_sequences


@pytest.mark.parametrize("kind", ["blip", "qwen2_vl"])
@pytest.mark.parametrize(
    "size", [{"height": 10**6, "width": 10**6}, {"shortest_edge": 10**9}, 1e300, float("inf")]
)
def test_pictures_are_not_made_as_large_as_the_folder_says(tiny_captioner, tmp_path, kind, size):
    folder = shutil.copytree(tiny_captioner(kind), tmp_path / "large")
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps(settings | {"size": size}))
    with pytest.raises(ModelLoadError, match=r"more than any captioner|height is 1,000,000"):
        load_captioner(model=str(folder), device="cpu")


def test_the_sizes_that_qwen_vl_has_are_none_too_large(tiny_captioner, tmp_path):
    folder = shutil.copytree(tiny_captioner("qwen2_vl"), tmp_path / "usual")
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    settings = {k: v for k, v in settings.items() if k not in ("min_pixels", "max_pixels")}
    settings["size"] = {"shortest_edge": 3136, "longest_edge": 12_845_056}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    captioner = load_captioner(model=str(folder), device="cpu")
    assert captioner.pretrained.image_processor.size["longest_edge"] == 12_845_056


@pytest.mark.parametrize("kind", MAKERS)
def test_half_the_precision_will_do(kind, tiny_captioner, pictures, car, monkeypatch):
    """As on a GPU, where they compute in bf16."""
    monkeypatch.setattr(
        "packshot.captions.transformers_model._dtype", lambda device: torch.bfloat16
    )
    captioner = load_captioner(model=str(tiny_captioner(kind)), device="cpu")
    assert captioner.pretrained.network.dtype == torch.bfloat16
    assert captioner.caption(pictures[:1], car)[0].startswith("a photo of ")
