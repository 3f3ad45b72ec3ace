"""ONNX files, judged before they are run: what is none, what is cut, where weights may lie."""

from __future__ import annotations

from functools import partial

import pytest
from onnx import TensorProto, helper

from packshot.errors import ModelLoadError
from packshot.weights.onnx_file import MAX_BYTES, check_onnx
from tests.masks.tiny_segmenters import PICTURE, node, save_apart, save_onnx, summing


@pytest.fixture
def big_onnx(tmp_path):
    return partial(save_apart, tmp_path / "apart")


@pytest.fixture
def model(tmp_path):
    return summing(tmp_path / "model.onnx", PICTURE, [0.2, 0.3, 0.5])


def assert_refused(path, words):
    with pytest.raises(ModelLoadError, match=words):
        check_onnx(path)


def test_a_model_passes(model):
    check_onnx(model)


def test_where_a_drive_maps_no_files_one_is_read(model, monkeypatch):
    def refuse(*given, **options):
        raise OSError(19, "No such device")

    monkeypatch.setattr("mmap.mmap", refuse)
    check_onnx(model)
    model.write_bytes(model.read_bytes()[:-3])
    assert_refused(model, "cut short or damaged")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"hello, world\n" * 9, "is not an ONNX model"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0\1", "is not an ONNX model"),
        (b"\x08\x09", "holds no graph"),
        (b"\xff" * 40, "is not an ONNX model"),
        (b"\x80\x04K\x01.", "is a pickle"),
        (b"PK\x03\x04", "is a pickle"),
    ],
)
def test_what_is_none(tmp_path, data, words):
    (tmp_path / "model.onnx").write_bytes(data)
    assert_refused(tmp_path / "model.onnx", words)


def test_what_is_not_there(tmp_path):
    assert_refused(tmp_path / "none.onnx", "There is no file .*none.onnx. Copy the model again")
    assert_refused(tmp_path, "There is no file")


def test_what_is_larger_than_any_can_be(model):
    with model.open("r+b") as file:
        file.truncate(MAX_BYTES + 1)  # sparse: it takes no room
    assert_refused(model, "has 2.1 GB")


def test_wherever_it_is_cut_nothing_else_is_raised(model):
    whole, survived = model.read_bytes(), 0
    for length in range(1, len(whole)):
        model.write_bytes(whole[:length])
        try:
            check_onnx(model)
            survived += 1
        except ModelLoadError:
            pass
    assert survived < 5, "only cuts between what stands after the graph"


def test_weights_beside_it(big_onnx):
    check_onnx(big_onnx("weights.bin"))
    path = big_onnx("gone.bin")
    (path.parent / "gone.bin").unlink()
    assert_refused(path, "has its weights in .*gone.bin, which is not there")


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "sub/../../secret", ""])
def test_weights_elsewhere(big_onnx, tmp_path, location):
    (tmp_path / "secret").write_bytes(b"s" * 12)
    assert_refused(big_onnx(location or "."), "lies outside its folder|which is not there")


def test_weights_by_a_link_that_leads_elsewhere(big_onnx, tmp_path):
    path = big_onnx("weights.bin")
    (path.parent / "weights.bin").rename(tmp_path / "secret")
    (path.parent / "weights.bin").symlink_to(tmp_path / "secret")
    assert_refused(path, "lies outside its folder")


def test_weights_as_the_hubs_cache_has_them(big_onnx, tmp_path):
    path, blobs = big_onnx("weights.bin"), tmp_path / "blobs"
    blobs.mkdir()
    for number, file in enumerate((path, path.parent / "weights.bin")):
        file.rename(blobs / str(number))
        file.symlink_to(blobs / str(number))
    check_onnx(path)


def external(location):
    tensor = TensorProto(
        name="c", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL
    )
    tensor.external_data.add(key="location", value=location)
    return tensor


def test_weights_elsewhere_deep_in_a_branch(tmp_path):
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=external("../secret"))],
        "inner", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, [1])],
    )  # fmt: skip
    nodes = [node("If", "input", then_branch=inner, else_branch=inner)]
    assert_refused(save_onnx(tmp_path / "model.onnx", nodes), "weights from '../secret'")


def test_graphs_within_graphs_without_end(tmp_path):
    message = b""
    for _ in range(200):  # node, attribute, graph, each in the next
        for field in (6, 5, 1):
            message = bytes([field << 3 | 2]) + _length(message) + message
    (tmp_path / "model.onnx").write_bytes(b"\x08\x09" + b"\x3a" + _length(message) + message)
    assert_refused(tmp_path / "model.onnx", "nested too deep")


def _length(message):
    size, length = len(message), b""
    while size > 127:
        length, size = length + bytes([128 | size & 127]), size >> 7
    return length + bytes([size])


@pytest.mark.parametrize(
    "number",
    [
        b"\x88\x00",
        b"\x88\x80\x00",
        b"\x88" + b"\x80" * 8 + b"\x02",
        b"\x88" + b"\xff" * 8 + b"\x7f",
    ],
)
def test_numbers_that_other_readers_cut_off_are_refused(tmp_path, number):
    """Field 1 (the version) with its tag in too many bytes, or of more than 64 bits."""
    file = tmp_path / "a.onnx"
    file.write_bytes(b"\x08\x07\x3a\x00")
    check_onnx(file)
    for told in (number + b"\x07\x3a\x00", b"\x08" + number + b"\x3a\x00"):
        file.write_bytes(told)
        with pytest.raises(ModelLoadError, match="is not an ONNX model"):
            check_onnx(file)
