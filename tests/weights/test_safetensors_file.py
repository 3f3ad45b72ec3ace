"""What a file is by its first bytes, of whole, cut, disguised and hostile ones."""

import json
import struct
from pathlib import Path

import pytest
import safetensors
import torch
from safetensors.torch import save_file

from packshot.errors import LoraError, ModelLoadError
from packshot.weights.safetensors_file import (
    Header,
    check_safetensors,
    is_gguf,
    read_config,
    read_safetensors,
    shapes,
)

TENSORS = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.tensor(7, dtype=torch.int64)}


@pytest.fixture
def file(tmp_path):
    save_file(TENSORS, tmp_path / "a.ckpt", {"title": "è"})
    return tmp_path / "a.ckpt"


def test_a_safetensors_file_of_any_name_is_read(file):
    assert sorted(check_safetensors(file)) == ["a", "b"]
    tensors, metadata = read_safetensors(file)
    assert metadata == {"title": "è"} and tensors.keys() == TENSORS.keys()
    assert all(torch.equal(one, TENSORS[key]) for key, one in tensors.items())
    assert shapes(file) == Header({"a": [], "b": [2, 3]}, {"title": "è"})


@pytest.fixture
def unmapped(monkeypatch):
    """A drive that maps no files into memory, of which safetensors tells no number."""
    mapped = safetensors.safe_open

    def refuse(path, framework):
        if Path(path).name != "header":
            raise OSError("No such device (os error 19)")
        return mapped(path, framework=framework)

    monkeypatch.setattr(safetensors, "safe_open", refuse)


def test_where_a_drive_maps_no_files_they_are_read(file, unmapped):
    assert sorted(check_safetensors(file)) == ["a", "b"]
    assert shapes(file) == Header({"a": [], "b": [2, 3]}, {"title": "è"})
    kinds = (torch.bfloat16, torch.float8_e4m3fn, torch.bool, torch.uint16)
    given = TENSORS | {str(kind): torch.ones(3, 2).to(kind) for kind in kinds}
    given["none"] = torch.zeros(0, 4)
    save_file(given, file)
    tensors, metadata = read_safetensors(file)
    assert metadata == {} and tensors.keys() == given.keys()
    for key, one in given.items():
        assert tensors[key].dtype == one.dtype and torch.equal(tensors[key], one)


def test_there_too_what_is_cut_or_overlaps_is_refused(file, unmapped):
    whole = file.read_bytes()
    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        with pytest.raises(ModelLoadError, match=r"cut short or damaged|is not a \.safetensors"):
            read_safetensors(file)
    file.write_bytes(whole.replace(b"[8,32]", b"[0,24]").replace(b"[24,32]", b"[16,24]"))
    assert file.read_bytes() != whole
    with pytest.raises(ModelLoadError, match="cut short or damaged"):
        read_safetensors(file)
    file.unlink()
    with pytest.raises(ModelLoadError, match="There is no file"):
        read_safetensors(file)


def test_one_without_tensors_or_metadata_is_one_too(tmp_path):
    save_file({}, tmp_path / "empty.safetensors")
    assert read_safetensors(tmp_path / "empty.safetensors") == ({}, {})


def written(path, header, data=b""):
    """A file whose header is these bytes."""
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    return path


def test_a_header_whose_length_looks_like_a_pickle_is_none(tmp_path):
    """896 is 80 03 in bytes, as pickles of protocol 3 begin."""
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path = written(tmp_path / "a.safetensors", header.ljust(896), bytes(4))
    assert path.read_bytes()[:2] == b"\x80\x03" and check_safetensors(path) == ["a"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is not a .safetensors file"), (b"hello, world, hello", "is not a .safetensors file"),
        (b"\x80\x04\x95" + bytes(30), "is a pickle"), (b"\x80\x02}q\x00.", "is a pickle"),
        (b"PK\x03\x04" + bytes(30), "is a pickle"), (b"GGUF\x03" + bytes(30), "is a GGUF file"),
        (struct.pack("<Q", 2**40) + b"{}", "its header does not fit"),
        (struct.pack("<Q", 500) + b"{}", "its header does not fit"),
        (struct.pack("<Q", 2) + b"{]", "cut short or damaged"),
        (struct.pack("<Q", 2**63) + b"{" + bytes(20), "its header does not fit"),
    ],
)  # fmt: skip
def test_what_is_none_is_refused_by_what_it_is(tmp_path, data, words):
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    for refusal in (ModelLoadError, LoraError):
        with pytest.raises(refusal, match=words):
            check_safetensors(path, refusal)


def test_one_that_is_cut_anywhere_is_refused(file):
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(ModelLoadError):
            check_safetensors(file)


def test_a_header_that_claims_more_than_there_is_is_refused(tmp_path):
    header = json.dumps({"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}).encode()
    with pytest.raises(ModelLoadError, match="cut short or damaged"):
        check_safetensors(written(tmp_path / "a.safetensors", header, bytes(4)))


def test_what_is_not_there_is_said(tmp_path):
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(ModelLoadError, match="There is no file"):
            check_safetensors(path)


def test_gguf_is_told_by_its_first_bytes(tmp_path):
    for data, expected in ((b"GGUF....", True), (b"GGU", False), (b"", False), (b".GGUF", False)):
        (tmp_path / "a.safetensors").write_bytes(data)
        assert is_gguf(tmp_path / "a.safetensors") is expected
    assert not is_gguf(tmp_path) and not is_gguf(tmp_path / "none")


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"9" * 10_000, b'{"a": ' * 50_000]
)
def test_a_configuration_that_cannot_be_read_is_named(tmp_path, data):
    (tmp_path / "config.json").write_bytes(data)
    with pytest.raises(ModelLoadError, match=r"config\.json (cannot be read|is not a JSON object)"):
        read_config(tmp_path / "config.json")


@pytest.mark.parametrize("text", ["[]", "3", '"a"', "null"])
def test_a_configuration_is_an_object(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelLoadError, match="is not a JSON object"):
        read_config(tmp_path / "config.json")
    (tmp_path / "config.json").write_text('{"è": 1}', encoding="utf-8")
    assert read_config(tmp_path / "config.json") == {"è": 1}


CHOOSES_CODE = (
    "attn_implementation", "_attn_implementation", "_attn_implementation_internal",
    "attn_implementation_internal", "experts_implementation", "_experts_implementation",
    "quantization_config", "auto_map", "kernel_config",
)  # fmt: skip


@pytest.mark.parametrize("key", CHOOSES_CODE)
def test_a_configuration_chooses_no_code_at_any_level(tmp_path, key):
    file = tmp_path / "config.json"
    inner = {key: "owner/kernel@main", "hidden_size": 8}
    told = {key: "owner/kernel@main", "text_config": inner, "parts": [inner], "hidden_size": 4}
    file.write_text(json.dumps(told))
    kept = {"hidden_size": 8}
    assert read_config(file) == {"text_config": kept, "parts": [kept], "hidden_size": 4}


@pytest.mark.parametrize(
    "told",
    [
        {"num_hidden_layers": 10**9}, {"vocab_size": 10**12}, {"max_position_embeddings": 10**12},
        {"text_config": {"layers_per_block": [10**6]}}, {"block_out_channels": [8] * 20_000},
        {"pos_embed_max_size": 100_000}, {"hidden_size": -(10**30)},
    ],
)  # fmt: skip
def test_a_configuration_of_absurd_size_is_refused_before_anything_is_built(tmp_path, told):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(told))
    with pytest.raises(ModelLoadError, match=r"config\.json cannot be read \(\w+ (is|has) "):
        read_config(file)


def test_an_empty_tensor_of_endless_sides_is_refused(tmp_path):
    entry = {"dtype": "F32", "shape": [0, 2**63], "data_offsets": [0, 0]}
    text = json.dumps({"a": entry}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(ModelLoadError, match="damaged"):
        read_safetensors(tmp_path / "a.safetensors")
