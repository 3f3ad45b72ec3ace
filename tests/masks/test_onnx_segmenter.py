"""Salient-object networks: what they are given and how they are understood, kind by kind."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator
from PIL import Image, ImageDraw

from packshot.errors import ModelLoadError, PackshotError
from packshot.masks import onnx_segmenter
from packshot.masks.onnx_segmenter import ARCHITECTURES, OnnxSegmenter, to_probabilities
from packshot.weights import hub
from tests.masks.tiny_segmenters import PICTURE, node, save_onnx, summing
from tests.projects import painted

WEIGHTS = [0.5, -0.25, 0.125]
IMAGENET = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture
def picture():
    """Darker than white can be, so that what it is divided by shows."""
    return painted(3, (96, 64)).point(lambda value: value * 0.7)


def by_hand(picture, kind, size):
    """What `summing` answers, from the kinds' own papers and code: fp64 [h, w]."""
    pixels = np.asarray(picture.resize(size, Image.Resampling.LANCZOS), np.float64)
    if kind == "u2net":
        normal = (pixels / pixels.max() - IMAGENET[0]) / IMAGENET[1]
    elif kind == "isnet":
        normal = pixels / 255 - 0.5
    else:
        normal = (pixels / 255 - IMAGENET[0]) / IMAGENET[1]
    return normal @ np.array(WEIGHTS)


def whole(monkeypatch):
    """Leave islands in: this picture is all islands."""
    monkeypatch.setattr(onnx_segmenter, "without_islands", lambda shares: shares)


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("sigmoid", [False, True], ids=["logits", "shares"])
def test_pictures_are_prepared_and_answers_understood(
    tmp_path, monkeypatch, picture, kind, sigmoid
):
    whole(monkeypatch)
    last = [node("Sigmoid", "sum")] if sigmoid else [node("Identity", "sum")]
    path = summing(tmp_path / f"{kind}.onnx", [1, 3, 48, 32], WEIGHTS, last=last)
    segmenter = OnnxSegmenter(path)
    assert (segmenter.kind, segmenter.size, segmenter.name) == (kind, (32, 48), kind)
    shares = 1 / (1 + np.exp(-by_hand(picture, kind, (32, 48))))
    if kind != "birefnet":
        shares = (shares - shares.min()) / (shares.max() - shares.min())
    expected = Image.fromarray((shares * 255).round().astype(np.uint8))
    expected = expected.resize(picture.size, Image.Resampling.BICUBIC)
    found = segmenter.mask(picture)
    assert found.mode == "L" and found.size == picture.size
    difference = np.asarray(found, np.int16) - np.asarray(expected, np.int16)
    assert np.abs(difference).max() <= 1 and np.asarray(found).std() > 10


@pytest.mark.parametrize(("name", "side"), [("u2net", 320), ("isnet-x", 1024), ("birefnet", 1024)])
def test_a_file_that_leaves_the_size_open_gets_its_kinds(tmp_path, name, side):
    segmenter = OnnxSegmenter(summing(tmp_path / f"{name}.onnx", [1, 3, "h", "w"], WEIGHTS))
    assert segmenter.size == (side, side)
    assert segmenter.mask(painted(1, (64, 48))).size == (64, 48)


def test_half_precision(tmp_path, monkeypatch, picture):
    whole(monkeypatch)
    masks = [
        np.asarray(OnnxSegmenter(summing(tmp_path / str(kind) / "u2net.onnx", PICTURE, WEIGHTS,
                                            kind=kind)).mask(picture), np.int16)
        for kind in (TensorProto.FLOAT, TensorProto.FLOAT16)
    ]  # fmt: skip
    assert np.abs(masks[0] - masks[1]).max() <= 2


def red(size, *boxes):
    image = Image.new("RGB", size, (40, 40, 40))
    for box in boxes:
        ImageDraw.Draw(image).rectangle(box, fill=(230, 40, 40))
    return image


def test_the_mask_lies_where_the_product_is_and_islands_are_left_out(tmp_path):
    path = summing(tmp_path / "birefnet.onnx", [1, 3, 256, 256], [40, -40, 0])
    mask = np.asarray(OnnxSegmenter(path).mask(red((400, 200), (80, 50, 239, 149), (5, 5, 12, 12))))
    truth = np.zeros((200, 400), bool)
    truth[50:150, 80:240] = True
    assert ((mask > 127) ^ truth).sum() < 530  # a pixel along the edge
    assert not mask[:30].any()
    assert ((mask > 20) & (mask < 235)).any(), "edges stay soft"


@pytest.mark.slow
@pytest.mark.parametrize("size", [(8000, 8000), (9000, 2)])
def test_pictures_of_any_size(tmp_path, size):
    path = summing(tmp_path / "u2net.onnx", PICTURE, [10, -10, 0])
    picture = Image.new("RGB", size, (40, 40, 40))
    picture.paste((230, 40, 40), (size[0] // 4, 0, size[0] // 2, size[1]))
    mask = OnnxSegmenter(path).mask(picture)
    assert mask.size == size and mask.getpixel((size[0] * 3 // 8, size[1] // 2)) > 200


def test_a_network_with_random_weights_and_seven_maps(random_unet):
    picture = painted(5, (160, 120))
    segmenter = OnnxSegmenter(random_unet)
    pixels = onnx_segmenter.preprocess(picture, (320, 320), ARCHITECTURES["u2net"])
    answer = ReferenceEvaluator(onnx.load(random_unet)).run(None, {"input.1": pixels})[0][0, 0]
    expected = onnx_segmenter.as_mask(
        onnx_segmenter.without_islands(to_probabilities(answer, True)), picture.size
    )
    found = segmenter.mask(picture)
    assert np.abs(np.asarray(found, np.int16) - np.asarray(expected, np.int16)).max() <= 2
    assert found.tobytes() == segmenter.mask(picture).tobytes()
    assert len(set(found.getdata())) > 100


def test_where_nothing_stands_out_noise_is_not_stretched():
    noise = np.random.default_rng(0).random((8, 8)) * 0.05
    assert np.array_equal(to_probabilities(noise, stretched=True), noise)
    assert to_probabilities(noise * 10, stretched=True).max() == 1
    assert not to_probabilities(np.zeros((4, 4)), stretched=True).any()
    far = to_probabilities(np.array([[-1e30, 1e30]], np.float32), stretched=False)
    assert np.allclose(far, [[0, 1]])


def assert_refused(path, words, **options):
    with pytest.raises(ModelLoadError, match=words):
        OnnxSegmenter(path, **options).mask(painted(1, (64, 64)))


def test_models_for_something_else(tmp_path):
    path = tmp_path / "u2net.onnx"
    assert_refused(
        summing(path, [3, 32, 32], WEIGHTS), r"not one image \[1, 3, height, width\]|run by"
    )
    add = [node("Add", "a", "b")]
    assert_refused(
        save_onnx(path, add, {"a": PICTURE, "b": PICTURE}), "takes a .* b .*, not one image"
    )
    assert_refused(
        save_onnx(path, [node("Identity", "input")], {"input": [1, 1, 32, 32]}), "not one image"
    )
    assert_refused(
        save_onnx(path, [node("Identity", "input")], {"input": [1, 32, 32, 3]}), "not one image"
    )
    outputs = {"output": [1, 3, 32, 32]}
    assert_refused(
        save_onnx(path, [node("Identity", "input")], outputs=outputs),
        r"answers with \[1, 3, 32, 32\]",
    )
    huge = {"input": [1, 3, 32, 100_000]}
    assert_refused(
        save_onnx(path, [node("Identity", "input")], huge), "more than 4096 are not supported"
    )
    whole = {"kind": TensorProto.INT64, "outputs": {"output": PICTURE}}
    assert_refused(save_onnx(path, [node("Identity", "input")], **whole), "inputs in fp32 or fp16")


def test_answers_that_are_no_numbers(tmp_path):
    last = [node("Log", "sum")]
    path = summing(tmp_path / "u2net.onnx", PICTURE, WEIGHTS, last=last)
    assert_refused(path, r"values that are not finite; use it in full precision")


def test_what_onnxruntime_does_not_run(tmp_path):
    assert_refused(
        save_onnx(tmp_path / "u2net.onnx", [node("Magic", "input")]), "cannot be run by onnxruntime"
    )
    (tmp_path / "u2net.onnx").write_bytes(b"\x08\x09\x3a\x02\x0a\x00")
    assert_refused(tmp_path / "u2net.onnx", "cannot be run by onnxruntime|takes nothing")


def test_a_name_that_tells_nothing(tmp_path):
    assert OnnxSegmenter(summing(tmp_path / "a.onnx", [1, 3, 320, 320], WEIGHTS)).kind == "u2net"
    path = summing(tmp_path / "b.onnx", [1, 3, 1024, 1024], WEIGHTS)
    assert_refused(
        path, "neither name nor size .* --segmenter KIND:.*, of the kinds birefnet, isnet, u2net"
    )
    assert OnnxSegmenter(path, "isnet").kind == "isnet"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("BiRefNet-general-epoch_244", "birefnet"), ("RMBG-1.4", "isnet"), ("bria-rmbg-2.0", "birefnet"),
        ("isnet-general-use", "isnet"), ("silueta", "u2net"), ("u2net_human_seg", "u2net"),
    ],
)  # fmt: skip
def test_kinds_by_name(tmp_path, name, kind):
    assert OnnxSegmenter(summing(tmp_path / f"{name}.onnx", PICTURE, WEIGHTS)).kind == kind


def test_weights_beside_the_model(big_onnx):
    inside = OnnxSegmenter(big_onnx("weights.bin", "u2net.onnx"))
    assert np.asarray(inside.mask(painted(1, (64, 64)))).std() > 5


def test_what_rembg_has_downloaded_the_best_first(tmp_path, monkeypatch):
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    for name in (
        "u2netp",
        "isnet-general-use",
        "birefnet-portrait",
        "u2net_cloth_seg",
        "bria-rmbg",
    ):
        summing(tmp_path / f"{name}.onnx", PICTURE, WEIGHTS)
    assert [path.stem for path in onnx_segmenter.installed()] == ["isnet-general-use", "u2netp"]
    summing(tmp_path / "birefnet-general.onnx", PICTURE, WEIGHTS)
    assert OnnxSegmenter.load(None).name == "birefnet-general"
    assert OnnxSegmenter.load(None, "u2net").name == "u2netp"


def test_rembgs_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("U2NET_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert onnx_segmenter.rembg_folder() == tmp_path / ".u2net"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert onnx_segmenter.rembg_folder() == tmp_path / "home" / ".u2net"
    with pytest.raises(ModelLoadError, match=r"No ONNX model is in .*u2net, where rembg"):
        OnnxSegmenter.load(None)


def test_without_onnxruntime(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(PackshotError, match=r'pip install "packshot\[onnx\]"'):
        OnnxSegmenter.load("somebody/network")


def test_a_repository_of_the_hub(tmp_path, server, big_onnx):
    path = big_onnx("model.onnx_data")
    folder = server.folders["somebody/BiRefNet-ONNX"] = tmp_path / "repository"
    folder.mkdir()
    path.parent.rename(folder / "onnx")
    (folder / "birefnet.py").write_text("raise SystemExit")
    said = []
    loaded = OnnxSegmenter.load(
        "somebody/BiRefNet-ONNX", progress=lambda *words: said.append(words)
    )
    assert (loaded.name, loaded.kind) == ("BiRefNet-ONNX", "birefnet")
    assert server.files() == {"onnx/model.onnx", "onnx/model.onnx_data"} and said
    assert np.asarray(loaded.mask(painted(1, (64, 64)))).std() > 5
    server.asked.clear()
    assert OnnxSegmenter.load("somebody/BiRefNet-ONNX").name == "BiRefNet-ONNX"
    assert not server.asked, "what is whole in the cache is used without a network"
    assert hub.is_cached("somebody/BiRefNet-ONNX", ["onnx/model.onnx"])
    server.folders["somebody/else"] = tmp_path / "apart"
    (tmp_path / "apart").mkdir(exist_ok=True)
    with pytest.raises(ModelLoadError, match=r"somebody/else on the hub has no onnx/model\.onnx"):
        OnnxSegmenter.load("somebody/else")
    with pytest.raises(ModelLoadError, match="no such repository on"):
        OnnxSegmenter.load("somebody/nothing")
