"""ONNX networks in a process of their own: same answers, and what a hostile one cannot do."""

import sys

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from packshot.errors import ModelLoadError, PackshotError
from packshot.weights import onnx_session
from packshot.weights.onnx_session import OnnxSession, Port
from tests.masks.tiny_segmenters import PICTURE, node, save_onnx, summing


@pytest.fixture
def picture():
    return np.random.default_rng(0).random((1, 3, *PICTURE[2:]), dtype=np.float32)


def number(name, value):
    return numpy_helper.from_array(np.array(value), name)


def looping(path, rounds):
    """Counts up so many times before it answers."""
    kinds = [("i", TensorProto.INT64), ("go", TensorProto.BOOL), ("sum", TensorProto.FLOAT)]
    body = helper.make_graph(
        [node("Identity", "go", to="still"), node("Add", "sum", "sum", to="twice")],
        "body",
        [helper.make_tensor_value_info(name, kind, []) for name, kind in kinds],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("twice", TensorProto.FLOAT, []),
        ],
    )
    nodes = [
        node("Loop", "rounds", "true", "zero", to="looped", body=body),
        node("Add", "input", "looped"),
    ]
    weights = [number("rounds", rounds), number("true", True), number("zero", np.float32(0))]
    return save_onnx(path, nodes, weights=weights)


def test_the_answer_is_the_runtimes(tmp_path, picture):
    path = summing(tmp_path / "a.onnx", PICTURE, [0.2, 0.3, 0.5])
    session, plain = OnnxSession(path), onnxruntime.InferenceSession(path)
    given, answer = plain.get_inputs()[0], plain.get_outputs()[0]
    assert session.inputs == [Port(given.name, given.type, given.shape)]
    assert session.outputs == [Port(answer.name, answer.type, answer.shape)]
    for scale in (1, 2):
        expected = plain.run(None, {given.name: picture * scale})[0]
        assert (session.run(picture * np.float32(scale)) == expected).all()


def test_its_process_ends_with_it(tmp_path):
    session = OnnxSession(summing(tmp_path / "a.onnx", PICTURE, [0.2, 0.3, 0.5]))
    child = session._child
    assert child.poll() is None
    del session
    assert child.poll() is not None


def test_a_loop_ends_when_its_time_is_over(tmp_path, picture, monkeypatch):
    assert OnnxSession(looping(tmp_path / "short.onnx", 3)).run(picture) is not None
    session = OnnxSession(looping(tmp_path / "long.onnx", 2**62))
    monkeypatch.setattr(onnx_session, "TIMEOUT_SECONDS", 0.5)
    with pytest.raises(ModelLoadError, match=r"long.onnx cannot be run .*took longer than"):
        session.run(picture)
    with pytest.raises(ModelLoadError, match="cannot be run"):
        session.run(picture)


@pytest.mark.skipif(sys.platform != "linux", reason="no such limit")
@pytest.mark.parametrize("size", [2**34, 2**60])
def test_all_memory_is_not_to_be_had(tmp_path, picture, size):
    nodes = [
        node("Shape", "input", to="shape"),
        node("Mul", "shape", "zero", to="none"),
        node("ReduceSum", "none", to="nothing", keepdims=1),
        node("Add", "nothing", "size", to="large"),
        node("ConstantOfShape", "large", to="much"),
        node("ReduceMax", "much", to="most", keepdims=0),
        node("Add", "input", "most"),
    ]
    weights = [number("zero", [0]), number("size", [size])]
    path = save_onnx(tmp_path / "bomb.onnx", nodes, weights=weights)
    with pytest.raises(ModelLoadError, match=r"bomb.onnx cannot be run"):
        OnnxSession(path).run(picture)


def test_a_crash_is_told(tmp_path, picture):
    session = OnnxSession(summing(tmp_path / "a.onnx", PICTURE, [0.2, 0.3, 0.5]))
    session._child.kill()
    with pytest.raises(ModelLoadError, match="it crashed, or needs too much memory"):
        session.run(picture)


def test_answers_are_numbers_of_bounded_size(tmp_path, picture):
    cast = helper.make_node("Cast", ["input"], ["output"], to=TensorProto.STRING)
    words = helper.make_model(
        helper.make_graph(
            [cast],
            "g",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, PICTURE)],
            [helper.make_tensor_value_info("output", TensorProto.STRING, PICTURE)],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    (tmp_path / "words.onnx").write_bytes(words.SerializeToString())
    with pytest.raises(ModelLoadError, match="other than numbers"):
        OnnxSession(tmp_path / "words.onnx").run(picture)
    nodes = [node("Expand", "input", "size")]
    path, ones = tmp_path / "b.onnx", {"input": [1, 1, 1, 1]}
    path = save_onnx(path, nodes, ones, weights=[number("size", [350, 3, 256, 512])])
    with pytest.raises(ModelLoadError, match="answers with 1 GB"):
        OnnxSession(path).run(picture[:, :1, :1, :1])


def test_without_the_runtime_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(PackshotError, match=r'pip install "packshot\[onnx\]"'):
        OnnxSession(tmp_path / "a.onnx")
