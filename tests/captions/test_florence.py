"""Florence-2 against transformers' own processor and a direct call of its class."""

import json
import shutil

import pytest
import torch
from transformers import (
    AutoTokenizer,
    CLIPImageProcessorPil,
    Florence2ForConditionalGeneration,
    Florence2Processor,
)

from packshot.captions.florence import BEAMS, load
from packshot.captions.transformers_model import MAX_TOKENS
from packshot.errors import ModelLoadError

CPU = torch.device("cpu")


@pytest.mark.slow
def test_inputs_and_tokens_are_those_of_transformers(tiny_captioner, pictures, car, monkeypatch):
    folder = tiny_captioner("florence2")
    captioner = load(folder, CPU)
    network = Florence2ForConditionalGeneration.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    processor = Florence2Processor(CLIPImageProcessorPil.from_pretrained(folder), tokenizer)
    said = []
    for picture in pictures:
        inputs = processor(images=picture, text="<DETAILED_CAPTION>", return_tensors="pt")
        given = {}
        monkeypatch.setattr(captioner.pretrained.network, "generate", _spy(captioner, given))
        tokens = captioner.generate(picture, car)
        monkeypatch.undo()
        assert given.keys() == inputs.keys()
        assert all(torch.equal(given[name], inputs[name]) for name in inputs)
        wanted = network.generate(
            **inputs, max_new_tokens=MAX_TOKENS, num_beams=BEAMS, do_sample=False
        )[0]
        assert tokens.tolist() == wanted.tolist()
        said.append(captioner.describe(picture, car))
        assert said[-1] == tokenizer.decode(wanted, skip_special_tokens=True).strip()
    assert len(set(said)) == 3


def _spy(captioner, given):
    generate = captioner.pretrained.network.generate

    def spying(**inputs):
        given.update({name: t for name, t in inputs.items() if isinstance(t, torch.Tensor)})
        return generate(**inputs)

    return spying


def test_one_that_does_not_say_how_long_a_picture_is(tiny_captioner, tmp_path):
    folder = shutil.copytree(tiny_captioner("florence2"), tmp_path / "florence")
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    del settings["image_seq_length"]
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelLoadError, match="how many tokens an image takes"):
        load(folder, CPU)
