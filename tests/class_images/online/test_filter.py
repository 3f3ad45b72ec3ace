"""CLIP as a judge of the class, against transformers' own model."""

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from packshot.class_images.online.filter import OTHERS, ClipCheck
from packshot.errors import ModelLoadError
from packshot.models.clip import ClipEncoder
from packshot.utils.text import with_article
from packshot.weights.tokenizers import clip_tokenizer


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A small random CLIP, as transformers saves one."""
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    small = {
        "hidden_size": 24,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    config = CLIPConfig(
        text_config={**small, "vocab_size": 49_408, "eos_token_id": 49_407},
        vision_config={**small, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    folder = tmp_path_factory.mktemp("clip")
    model = CLIPModel(config).eval()
    model.save_pretrained(folder)
    return folder, model


def test_the_score_is_the_class_less_the_best_of_the_others(clip, tmp_path):
    folder, model = clip
    check = ClipCheck(ClipEncoder.load(folder, torch.device("cpu")), "Auto")
    assert check.name.startswith(f"{folder.name}/") and check.name.endswith(": Auto")
    texts = [f"a photo of {with_article('Auto')}", *OTHERS]
    tokens = clip_tokenizer()(texts, padding=True, return_tensors="pt")
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    for _ in range(4):
        colour = tuple(int(value) for value in torch.randint(0, 255, (3,)))
        Image.new("RGB", (64, 64), colour).save(tmp_path / "a.png")
        pixels = (torch.tensor(colour).view(3, 1, 1) / 255 - mean) / std
        with torch.no_grad():
            image = model.get_image_features(pixel_values=pixels.expand(1, 3, 32, 32)).pooler_output
            words = model.get_text_features(**tokens).pooler_output
        cosines = (F.normalize(image, dim=-1) @ F.normalize(words, dim=-1).T)[0]
        expected = float(cosines[0] - cosines[1:].max())
        assert check.score(tmp_path / "a.png") == pytest.approx(expected, abs=1e-5)


def test_what_is_no_clip_is_refused(clip, tmp_path):
    with pytest.raises(ModelLoadError, match=r"config\.json cannot be read"):
        ClipEncoder.load(tmp_path, torch.device("cpu"))
