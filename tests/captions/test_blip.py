"""BLIP and BLIP-2 against transformers' own processors and a direct call of its classes."""

import pytest
import torch
from transformers import (
    AutoTokenizer,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipForConditionalGeneration,
    BlipProcessor,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

from packshot.captions.blip import BEAMS, Blip, Blip2, load
from packshot.captions.transformers_model import MAX_TOKENS
from packshot.errors import ModelLoadError
from tests.captioners import SIZE, VOCABULARY, make_blip2

CPU = torch.device("cpu")
HOW = {"max_new_tokens": MAX_TOKENS, "num_beams": BEAMS, "do_sample": False}


def reference(folder, picture):
    """As the model cards do it: processor and network by `from_pretrained`."""
    two = "blip-2" in folder.name
    network_class = Blip2ForConditionalGeneration if two else BlipForConditionalGeneration
    network = network_class.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    processor = (Blip2Processor if two else BlipProcessor)(
        BlipImageProcessorPil.from_pretrained(folder), tokenizer
    )
    inputs = processor(images=picture, return_tensors="pt")
    return inputs.pixel_values, network.generate(**inputs, **HOW)[0], tokenizer


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "given"), [("blip", 0), ("blip-2", 4), ("blip-2-t5", 0)])
def test_pixels_and_tokens_are_those_of_transformers(kind, given, tiny_captioner, pictures, car):
    captioner = load(tiny_captioner(kind), CPU)
    assert type(captioner) is (Blip if kind == "blip" else Blip2)
    said = []
    for picture in pictures:
        pixels, tokens, tokenizer = reference(tiny_captioner(kind), picture)
        assert torch.equal(captioner._pixels(picture)["pixel_values"], pixels)
        assert captioner.generate(picture, car).tolist() == tokens.tolist()[given:]
        said.append(captioner.describe(picture, car))
        assert said[-1] == tokenizer.decode(tokens, skip_special_tokens=True).strip()
    assert len(set(said)) > 1  # it looks at them


@pytest.mark.slow
def test_captions_name_the_product_and_are_the_same_each_time(tiny_captioner, pictures, car):
    captioner = load(tiny_captioner("blip"), CPU)
    captions = captioner.caption(iter(pictures), car)
    assert captions == captioner.caption(pictures, car)
    assert all(caption.startswith("a photo of ohwx car") for caption in captions)


def test_a_blip_2_that_does_not_say_which_token_is_the_picture(tmp_path, pictures, car):
    older = load(make_blip2(tmp_path / "older", SIZE + 1, image_token_index=None), CPU)
    assert older._given().tolist() == [[SIZE, SIZE, SIZE, VOCABULARY["<s>"]]]
    assert older.caption(pictures[:1], car)[0].startswith("a photo of")
    with pytest.raises(ModelLoadError, match=r"config\.json does not say which token"):
        load(make_blip2(tmp_path / "full", SIZE, image_token_index=None), CPU)
