"""WD taggers on a network made here: what it is given, which tags are said, what is refused."""

import sys

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper, save
from PIL import Image

from packshot.captions.wd_tagger import load, prepared, read_tags
from packshot.errors import ModelLoadError, PackshotError

CPU = torch.device("cpu")
SIDE = 8
TAGS = (
    "tag_id,name,category,count\n"
    "1,general,9,10\n2,no_humans,0,10\n3,blue_theme,0,10\n4,red_theme,0,9\n5,car,0,8\n"
    "6,^_^,0,7\n7,hatsune_miku,4,7\n8,green_grass,0,6\n"
)
COUNT = 8


def make_tagger(folder, *, side=SIDE, channels=3, count=COUNT, first=False):
    """Probabilities of the mean blue, green and red of a picture: sigmoid((mean - 127) / 20 @ W)."""
    weights = np.zeros((channels, count), dtype=np.float32)
    # Blue comes first. What is blue has tag 2, green 7, red 3; the others are always or never.
    for channel, tag in ((0, 2), (1, 7), (2, 3)):
        if tag < count and channel < channels:
            weights[channel, tag] = 1
    bias = np.full(count, -9, dtype=np.float32)
    bias[[i for i in (0, 1, 4, 5, 6) if i < count]] = 4
    bias[[i for i in (2, 3, 7) if i < count]] = 0
    shape = ["batch", channels, side, side] if first else ["batch", side, side, channels]
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["mean", "middle"], ["off"]),
        helper.make_node("Div", ["off", "width"], ["scaled"]),
        helper.make_node("Gemm", ["scaled", "weights", "bias"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["y"]),
    ]
    constants = {
        "axes": np.array([2, 3] if first else [1, 2], dtype=np.int64),
        "middle": np.float32(127), "width": np.float32(20), "weights": weights, "bias": bias,
    }  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "tagger",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", count])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    folder.mkdir(exist_ok=True)
    save(model, folder / "model.onnx")
    (folder / "selected_tags.csv").write_text(TAGS)
    return folder


@pytest.fixture
def folder(tmp_path):
    return make_tagger(tmp_path / "wd")


def test_pictures_are_prepared_as_taggers_were_trained(monkeypatch):
    tall = Image.new("RGB", (4, 8), (10, 20, 30))
    given = prepared(tall, 8)
    assert given.dtype == np.float32 and given.shape == (8, 8, 3)
    assert (given[:, 2:6] == (30, 20, 10)).all()  # blue first
    assert (given[:, :2] == 255).all() and (given[:, 6:] == 255).all()  # in the middle of white
    noise = np.random.default_rng(0).integers(0, 255, (90, 60, 3), dtype=np.uint8)
    padded = np.pad(noise, ((0, 0), (15, 15), (0, 0)), constant_values=255)
    sized = Image.fromarray(padded).resize((16, 16), Image.Resampling.BICUBIC)
    expected = np.asarray(sized)[..., ::-1].astype(np.float32)
    assert (prepared(Image.fromarray(noise), 16) == expected).all()


def test_tags_over_the_threshold_are_said_likeliest_first(folder, car):
    tagger = load(folder, CPU)
    blue = Image.new("RGB", (20, 20), (0, 30, 255))
    # As computed without ONNX: sigmoid((255 - 127) / 20) is over .99, sigmoid(4) is .98.
    assert tagger.tags(blue) == ["blue theme", "no humans", "car", "^_^"]
    assert tagger.caption([blue], car) == ["ohwx car, blue theme, ^_^"]
    green = Image.new("RGB", (20, 20), (130, 255, 0))
    assert tagger.tags(green) == ["green grass", "no humans", "car", "^_^", "red theme"]
    # sigmoid((115 - 127) / 20) is .354, sigmoid((114 - 127) / 20) .343
    assert "red theme" in tagger.tags(Image.new("RGB", (9, 9), (115, 0, 0)))
    assert "red theme" not in tagger.tags(Image.new("RGB", (9, 9), (114, 0, 0)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "or none"),
        ("tag_id,name,count\n1,car,3\n", "has no column 'category'"),
        ("tag_id,name,category,count\n1\n", "no table of a WD tagger's tags"),
        ("tag_id,name,category,count\n1,,0,3\n", "tags without a name"),
        ('tag_id,name,category,count\n1,"car,0,3\n', "no table of a WD tagger's tags"),
        ("\x00\x00", "or none|no column|no table"),
    ],
)
def test_a_malformed_table_of_tags_is_refused(folder, text, words):
    (folder / "selected_tags.csv").write_text(text)
    with pytest.raises(ModelLoadError, match=rf"selected_tags\.csv.*({words})"):
        load(folder, CPU)
    (folder / "selected_tags.csv").write_bytes(b"\xff\xfe\x80")
    with pytest.raises(ModelLoadError, match=r"selected_tags\.csv"):
        read_tags(folder / "selected_tags.csv")


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ({"count": COUNT + 1}, r"gives 9 numbers .* lists 8 tags: they are not of the same tagger"),
        ({"channels": 4}, r"takes \[\['batch', 8, 8, 4\]\], a WD tagger one image"),
        ({"first": True}, r"a WD tagger one image of \[batch, side, side, 3\]"),
    ],
)
def test_a_network_of_another_shape_is_refused(tmp_path, shape, words):
    with pytest.raises(ModelLoadError, match=words):
        load(make_tagger(tmp_path / "other", **shape), CPU)


def test_what_is_no_network_is_refused(folder):
    for data, words in (
        (b"\x80\x02}q\x00.", "is a pickle"),
        (b"hello, world\n" * 9, "is not an ONNX model"),
        (b"\x08\x07\x3a\x00", "cannot be run by onnxruntime"),
    ):
        (folder / "model.onnx").write_bytes(data)
        with pytest.raises(ModelLoadError, match=rf"model\.onnx {words}"):
            load(folder, CPU)
    (folder / "model.onnx").unlink()
    with pytest.raises(ModelLoadError, match=r"There is no .*model\.onnx"):
        load(folder, CPU)


def test_without_onnx_runtime_it_says_how_to_get_it(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(PackshotError, match=r'not installed: pip install "packshot\[onnx\]"'):
        load(folder, CPU)
