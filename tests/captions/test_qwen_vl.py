"""Qwen-VL against transformers' own processors and a direct call of its classes."""

import json
import shutil

import pytest
import torch
import transformers
from transformers import AutoTokenizer
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from packshot.captions.qwen_vl import NETWORKS, REQUEST, load
from packshot.captions.transformers_model import MAX_TOKENS
from packshot.errors import ModelLoadError
from tests.captioners import chat_template

CPU = torch.device("cpu")
KINDS = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")


@pytest.fixture
def without_videos(monkeypatch):
    """The library's processors want torchvision's, for videos, even where there are none."""
    monkeypatch.setattr(
        transformers.ProcessorMixin, "check_argument_for_proper_class", lambda *args: None
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_inputs_and_tokens_are_those_of_transformers(
    kind, tiny_captioner, pictures, car, without_videos
):
    folder = tiny_captioner(kind)
    captioner = load(folder, CPU)
    network = getattr(transformers, NETWORKS[kind]).from_pretrained(folder)
    processor_class = (
        transformers.Qwen3VLProcessor if kind == "qwen3_vl" else transformers.Qwen2VLProcessor
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    processor = processor_class(
        Qwen2VLImageProcessorPil.from_pretrained(folder),
        tokenizer,
        chat_template=chat_template(kind),
    )
    request = REQUEST.format(noun="car", a_noun="A car")
    content = [{"type": "image"}, {"type": "text", "text": request}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    said = []
    for picture in pictures:
        inputs = processor(images=[picture], text=[text], return_tensors="pt")
        given = captioner.inputs(picture, car)
        assert given.keys() == inputs.keys()
        assert all(torch.equal(given[name], inputs[name].to(given[name])) for name in inputs)
        wanted = network.generate(**inputs, max_new_tokens=MAX_TOKENS, do_sample=False)[0]
        answer = wanted[inputs.input_ids.shape[1] :]
        assert captioner.generate(picture, car).tolist() == answer.tolist()
        said.append(answer.tolist())
    assert len({tuple(one) for one in said}) > 1


def test_it_is_asked_not_to_describe_the_product(tiny_captioner, car):
    asked = load(tiny_captioner("qwen2_vl"), CPU)._prompt(car)
    assert "starts with “A car”" in asked and "Do not say what the car itself looks like" in asked


@pytest.mark.slow
def test_sampling_that_a_checkpoint_asks_for_is_left_out(tiny_captioner, tmp_path, pictures, car):
    folder = shutil.copytree(tiny_captioner("qwen2_vl"), tmp_path / "qwen")
    settings = json.loads((folder / "generation_config.json").read_text())
    settings |= {"do_sample": True, "temperature": 5.0, "top_k": 20}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    plain, sampling = load(tiny_captioner("qwen2_vl"), CPU), load(folder, CPU)
    assert sampling.caption(pictures, car) == plain.caption(pictures, car)


def test_a_tokenizer_without_a_place_for_images_is_told(tiny_captioner, tmp_path, pictures, car):
    folder = shutil.copytree(tiny_captioner("qwen3_vl"), tmp_path / "qwen")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"image_token_id": 1}))
    with pytest.raises(ModelLoadError, match="no place for an image"):
        load(folder, CPU).caption(pictures, car)
