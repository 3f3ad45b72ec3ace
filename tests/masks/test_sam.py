"""SAM 2 and SAM: transformers' real classes on small random weights, shown what to cut out."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from packshot.errors import ModelLoadError
from packshot.masks import sam
from packshot.masks.point_prompt import Prompt
from packshot.masks.sam import Fit, SamSegmenter, encode_prompt, fit_of, preprocess
from tests.masks.tiny_segmenters import sam2_video_config, save_sam
from tests.projects import painted

MEAN, STD = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.25, 0.3])
PROMPT = Prompt(
    np.array([[0.5, 0.25], [0.25, 0.5]], np.float32), np.array([0.1, 0.2, 0.8, 0.9], np.float32)
)


@pytest.fixture
def picture():
    return painted(7, (96, 64))


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits.double().numpy()))


def resized(logits, side):
    return torch.nn.functional.interpolate(logits, (side, side), mode="bilinear")


@torch.no_grad()
def test_sam_2_says_what_transformers_says(tiny_sam2, picture):
    from transformers import Sam2Model, Sam2Processor

    pixels = np.asarray(picture.resize((64, 64), Image.Resampling.BILINEAR)) / 255
    pixels = torch.tensor(((pixels - MEAN) / STD).transpose(2, 0, 1)[None], dtype=torch.float32)
    points = torch.tensor([[[[48.0, 16.0], [24.0, 32.0]]]])  # pixels of the picture
    box = torch.tensor([[[9.6, 12.8, 76.8, 57.6]]])
    said = Sam2Model.from_pretrained(tiny_sam2).eval()(
        pixel_values=pixels,
        input_points=Sam2Processor._normalize_coordinates(None, 64, points, (64, 96)),
        input_labels=torch.ones(1, 1, 2, dtype=torch.int64),
        input_boxes=Sam2Processor._normalize_coordinates(None, 64, box, (64, 96), True)[None],
    )
    scores = said.iou_scores[0, 0]
    assert len(scores) == 3 and len(set(scores.tolist())) == 3
    expected = sigmoid(resized(said.pred_masks[:, 0], 64)[0, int(scores.argmax())])
    found = SamSegmenter(tiny_sam2, device="cpu").probabilities(picture, PROMPT)
    assert found.shape == (64, 64) and found.std() > 0.01
    assert np.abs(found - expected).max() < 1e-4


@pytest.mark.slow
@torch.no_grad()
def test_the_first_sam_says_what_transformers_says(tiny_sam, picture):
    from transformers import SamModel
    from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

    processor = SamImageProcessorPil(
        size={"longest_edge": 64}, pad_size={"height": 64, "width": 64},
        image_mean=MEAN.tolist(), image_std=STD.tolist(),
    )  # fmt: skip
    ready = processor(picture, return_tensors="pt")
    said = SamModel.from_pretrained(tiny_sam).eval()(
        pixel_values=ready["pixel_values"],
        input_points=torch.tensor([[[[48.0, 16.0], [24.0, 32.0]]]]) * (64 / 96),
        input_labels=torch.ones(1, 1, 2, dtype=torch.int64),
        input_boxes=torch.tensor([[[9.6, 12.8, 76.8, 57.6]]]) * (43 / 64),
    )
    best = int(said.iou_scores[0, 0].argmax())
    expected = sigmoid(resized(said.pred_masks[:, 0], 64)[0, best])[:43, :64]
    found = SamSegmenter(tiny_sam, device="cpu").probabilities(picture, PROMPT)
    assert found.shape == (43, 64) and found.std() > 0.01
    assert np.abs(found - expected).max() < 0.02  # sides of 64 and 42.67 px become 64 and 43


def test_pictures_and_prompts_in_the_square(picture):
    assert fit_of((96, 64), 1024, squeezed=True) == Fit(1024, (1024, 1024))
    assert fit_of((30, 4000), 1024, squeezed=False) == Fit(1024, (8, 1024))
    fit = fit_of(picture.size, 64, squeezed=False)
    mean, std = (torch.tensor(v, dtype=torch.float32).view(3, 1, 1) for v in (MEAN, STD))
    pixels = preprocess(picture, fit, mean, std)
    assert pixels.shape == (1, 3, 64, 64) and not pixels[..., 43:, :].any()
    told = encode_prompt(PROMPT, fit, torch.device("cpu"))
    assert told["input_points"].tolist() == [[[[32, 10.75], [16, 21.5]]]]
    assert told["input_boxes"][0, 0].tolist() == pytest.approx([6.4, 8.6, 51.2, 38.7])
    assert told["input_labels"].tolist() == [[[1, 1]]]


def test_another_prompt_gives_another_mask(tiny_sam2, picture):
    segmenter = SamSegmenter(tiny_sam2, device="cpu")
    other = Prompt(PROMPT.points, np.array([0.5, 0.5, 1, 1], np.float32))
    elsewhere = Prompt(PROMPT.points[::-1] * 0.3, PROMPT.box)
    shares = segmenter.probabilities(picture, PROMPT)
    for prompt in (other, elsewhere):
        assert np.abs(segmenter.probabilities(picture, prompt) - shares).max() > 1e-4


def test_the_bundled_segmenter_shows_it_the_product(tiny_sam2, picture, monkeypatch):
    segmenter = SamSegmenter(tiny_sam2, device="cpu")
    shown = []

    def shares(image, prompt):
        shown.append(prompt)
        return np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)

    guess = np.zeros((64, 96), np.float32)
    monkeypatch.setattr(segmenter._guess, "probabilities", lambda image: guess)
    monkeypatch.setattr(segmenter, "probabilities", shares)
    mask = segmenter.mask(picture)
    assert not shown and mask.size == (96, 64) and mask.getextrema() == (0, 0)
    guess[16:48, 24:72] = 1
    mask = np.asarray(segmenter.mask(picture))
    assert shown[0].box == pytest.approx([0.235, 0.235, 0.765, 0.765], abs=0.02)
    assert mask.shape == (64, 96) and mask[2].max() < 20 < 230 < mask[-2].min()


def test_whole_masks_are_of_the_pictures_size_and_the_same_again(tiny_sam2, tiny_sam):
    picture = Image.new("RGB", (150, 90), (60, 120, 60))
    picture.paste((200, 30, 30), (40, 20, 110, 70))
    for folder in (tiny_sam2, tiny_sam):
        segmenter = SamSegmenter(folder, device="cpu")
        mask = segmenter.mask(picture)
        assert mask.mode == "L" and mask.size == picture.size and segmenter.name == folder.name
        assert mask.tobytes() == segmenter.mask(picture).tobytes()


@pytest.fixture
def copied(tiny_sam2, tmp_path):
    return shutil.copytree(tiny_sam2, tmp_path / "copy")


def changed(folder, **values):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


def test_files_for_videos_as_meta_has_them(tmp_path, picture):
    from transformers import Sam2Model, Sam2VideoModel

    folder = save_sam(Sam2VideoModel, sam2_video_config(), tmp_path / "video")
    assert any(key.startswith("memory_") for key in load_file(folder / "model.safetensors"))
    segmenter = SamSegmenter(folder, device="cpu")
    expected = Sam2Model.from_pretrained(folder).state_dict()
    found = segmenter._network.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    assert segmenter.probabilities(picture, PROMPT).std() > 0.01


def test_a_table_that_stands_in_the_file_once(copied, picture):
    """By either of its names, it does what it does by both."""
    file = copied / "model.safetensors"
    names = (
        "shared_image_embedding.positional_embedding",
        "prompt_encoder.shared_embedding.positional_embedding",
    )
    rest = load_file(file)
    table, _ = (rest.pop(name) for name in names)

    def shares(*present):
        save_file(rest | {name: table.clone() for name in present}, file)
        return SamSegmenter(copied, device="cpu").probabilities(picture, PROMPT)

    expected = shares(*names)
    for name in names:
        # Not to the last bit: where a table lies in memory decides how it is multiplied.
        assert np.allclose(shares(name), expected, rtol=0, atol=1e-6)


def assert_refused(folder, words):
    with pytest.raises(ModelLoadError, match=words):
        SamSegmenter(folder, device="cpu")


def test_a_pickle_is_never_opened(copied):
    (copied / "model.safetensors").write_bytes(b"\x80\x04cos\nsystem\n.")
    assert_refused(copied, r"model.safetensors is a pickle")
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    assert_refused(copied, r"There is no file .*model.safetensors")


def test_weights_that_are_missing_or_of_another_size(copied):
    tensors = load_file(copied / "model.safetensors")
    lost = next(name for name in tensors if name.startswith("mask_decoder"))
    save_file({k: v for k, v in tensors.items() if k != lost}, copied / "model.safetensors")
    assert_refused(copied, "lacks 1 weights, such as mask_decoder")
    save_file(tensors | {lost: torch.zeros(3, 5, 7)}, copied / "model.safetensors")
    assert_refused(copied, "configuration and weights do not fit")


def test_other_networks_and_broken_folders(copied, tmp_path):
    (copied / "preprocessor_config.json").write_text('{"image_mean": "grey"}')
    assert_refused(copied, r"preprocessor_config.json cannot be loaded")
    (copied / "config.json").write_text("[]")
    assert_refused(copied, r"config.json is not a JSON object")
    assert_refused(
        tmp_path, r"is no SAM 2: name a folder with config.json and model.safetensors, or OWNER"
    )


def test_code_that_comes_with_weights_is_never_run(copied, tmp_path):
    ran = tmp_path / "ran"
    (copied / "birefnet.py").write_text(f"open({str(ran)!r}, 'w')\nclass BiRefNet: ...\n")
    code = {"AutoModel": "birefnet.BiRefNet", "AutoConfig": "birefnet.BiRefNet"}
    changed(copied, auto_map=code)
    SamSegmenter(copied, device="cpu")
    changed(copied, model_type="SegformerForSemanticSegmentation")
    assert_refused(
        copied, r"is of the kind 'Segformer.*sam2, sam, sam2_video.*Of BiRefNet name an ONNX file"
    )
    assert not ran.exists()


def test_answers_that_are_no_numbers(copied, picture):
    tensors = load_file(copied / "model.safetensors")
    name = next(name for name in tensors if name.startswith("mask_decoder.upscale_conv1"))
    tensors[name].fill_(float("nan"))
    save_file(tensors, copied / "model.safetensors")
    with pytest.raises(ModelLoadError, match="values that are not finite"):
        SamSegmenter(copied, device="cpu").probabilities(picture, PROMPT)


def test_a_repository_of_the_hub(server, copied):
    with pytest.raises(ModelLoadError, match=r"No SAM 2 is in the hub's cache. Name one to fetch"):
        SamSegmenter.load(None)
    (copied / "modeling.py").write_text("raise SystemExit")
    (copied / "pytorch_model.bin").write_bytes(b"never")
    name = "facebook/sam2.1-hiera-small"
    server.folders[name] = copied
    assert sam.cached() is None
    assert SamSegmenter.load(name).name == "sam2.1-hiera-small"
    assert server.files() == {"config.json", "model.safetensors", "preprocessor_config.json"}
    server.asked.clear()
    assert sam.cached() == name and SamSegmenter.load(None).name == "sam2.1-hiera-small"
    assert not server.asked
