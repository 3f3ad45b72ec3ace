"""Vectors of pictures and texts against transformers' own models and image processors."""

import json

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from torch.nn import functional as F

from packshot.errors import ModelLoadError
from packshot.models.clip import embed_images
from packshot.models.image_embedders import DINO, load_image_embedder

CPU = torch.device("cpu")
SIDE = 28
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": SIDE}
CONFIGS = {
    "vit": transformers.ViTConfig(**SMALL, intermediate_size=32, patch_size=14),
    "dinov2": transformers.Dinov2Config(**SMALL, mlp_ratio=2, patch_size=14),
    "dinov2_with_registers": transformers.Dinov2WithRegistersConfig(
        **SMALL, mlp_ratio=2, patch_size=14, num_register_tokens=2
    ),
    "dinov3_vit": transformers.DINOv3ViTConfig(
        **SMALL, intermediate_size=32, patch_size=14, num_register_tokens=2
    ),
}


@pytest.fixture(params=sorted(CONFIGS))
def dino(request, tmp_path):
    """A random network of each kind, saved with its image processor, and the network itself."""
    torch.manual_seed(0)
    network = getattr(transformers, DINO[request.param])(CONFIGS[request.param]).eval()
    network.save_pretrained(tmp_path)
    processor = transformers.BitImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, do_center_crop=False,
        image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.25, 0.3],
    )  # fmt: skip
    processor.save_pretrained(tmp_path)
    return tmp_path, network, processor


def picture(seed=0):
    return Image.fromarray(
        np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8), "RGB"
    )


def test_dinos_vectors_are_those_of_transformers(dino):
    folder, network, processor = dino
    pictures = [picture(0), picture(1)]
    with torch.no_grad():
        hidden = network(**processor(pictures, return_tensors="pt")).last_hidden_state
    found = embed_images(load_image_embedder(folder, CPU), pictures)
    assert torch.allclose(found, F.normalize(hidden[:, 0], dim=-1), atol=1e-5)


def test_pictures_of_any_size_give_unit_vectors(dino):
    embedder = load_image_embedder(dino[0], CPU)
    vectors = embedder.embed_images(torch.rand(2, 3, 50, 31) * 2 - 1)
    assert torch.allclose(vectors.norm(dim=-1), torch.ones(2))


@pytest.fixture
def siglip(tmp_path):
    torch.manual_seed(0)
    shared = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    letters = {letter: number for number, letter in enumerate("_abcdefghijklmnopqrstuvwxyz ")}
    config = transformers.SiglipConfig(
        text_config={**shared, "vocab_size": len(letters), "max_position_embeddings": 8},
        vision_config={**shared, "image_size": SIDE, "patch_size": 14},
    )
    network = transformers.SiglipModel(config).eval()
    network.save_pretrained(tmp_path)
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel(letters, unk_token="_"))
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=made, pad_token="_")
    tokenizer.save_pretrained(tmp_path)
    return tmp_path, network, tokenizer


def test_siglips_vectors_are_those_of_transformers(siglip):
    folder, network, tokenizer = siglip
    embedder = load_image_embedder(folder, CPU)
    processor = transformers.SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    texts, pictures = ["a car", "a red car at dusk"], [picture(0), picture(1)]
    tokens = tokenizer(
        texts, padding="max_length", max_length=8, truncation=True, return_tensors="pt"
    )
    with torch.no_grad():
        images = network.get_image_features(**processor(pictures, return_tensors="pt"))
        words = network.get_text_features(input_ids=tokens.input_ids)
    expected = F.normalize(images.pooler_output, dim=-1)
    assert torch.allclose(embed_images(embedder, pictures), expected, atol=1e-5)
    expected = F.normalize(words.pooler_output, dim=-1)
    assert torch.allclose(embedder.embed_texts(["A car", texts[1]]), expected, atol=1e-5)
    assert embedder.scale == pytest.approx(float(network.logit_scale.exp()))


def test_what_is_none_of_them_or_not_whole_is_refused(dino):
    folder = dino[0]
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"size": {"height": 5000}}))
    with pytest.raises(ModelLoadError, match="says 5000 px, which no such model takes"):
        load_image_embedder(folder, CPU)
    config = folder / "config.json"
    told = json.loads(config.read_text())
    config.write_text(json.dumps(told | {"num_hidden_layers": 3}))
    with pytest.raises(ModelLoadError, match=r"lacks \d+ weights, such as"):
        load_image_embedder(folder, CPU)
    config.write_text(json.dumps(told | {"model_type": "bert"}))
    with pytest.raises(ModelLoadError, match="is of the kind 'bert', not 'clip' or 'siglip'"):
        load_image_embedder(folder, CPU)
