"""Similarity of pictures and texts, against transformers' own model."""

import shutil

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from packshot.errors import ModelLoadError
from packshot.models import load_base
from packshot.models.clip import embed_image_files, embed_images


@pytest.fixture
def with_clip(tiny_sd1, tiny_base, tmp_path):
    """The tiny checkpoint with a `clip` folder: image tower and projections, no text tower."""
    from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig

    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=24, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        image_size=32, patch_size=8, projection_dim=16,
    )  # fmt: skip
    text = tiny_base.text_encoder.config.to_dict()
    clip = CLIPModel(
        CLIPConfig(text_config=text, vision_config=vision.to_dict(), projection_dim=16)
    )
    clip.text_model.load_state_dict(tiny_base.text_encoder.state_dict())
    folder = shutil.copytree(tiny_sd1, tmp_path / "base")
    clip.config.save_pretrained(folder / "clip")
    tensors = {k: v for k, v in clip.state_dict().items() if not k.startswith("text_model.")}
    save_file(tensors, folder / "clip" / "model.safetensors")
    return folder, clip.eval()


def load(folder):
    return load_base(folder, device="cpu", dtype=torch.float32)


def test_vectors_are_those_of_transformers(with_clip, tiny_base):
    folder, clip = with_clip
    similarity = load(folder).clip_similarity()
    pixels, texts = torch.rand(3, 3, 32, 32) * 2 - 1, ["a car", "a red car at dusk"]
    tokens = tiny_base.tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        images = clip.get_image_features(pixel_values=pixels).pooler_output
        words = clip.get_text_features(**tokens).pooler_output
    assert torch.allclose(similarity.embed_images(pixels), F.normalize(images, dim=-1), atol=1e-5)
    assert torch.allclose(similarity.embed_texts(texts), F.normalize(words, dim=-1), atol=1e-5)
    assert similarity.scale == pytest.approx(clip.logit_scale.exp().item())


def test_pictures_of_any_size_give_unit_vectors(with_clip):
    similarity = load(with_clip[0]).clip_similarity()
    vectors = similarity.embed_images(torch.rand(2, 3, 100, 60) * 2 - 1)
    assert torch.allclose(vectors.norm(dim=-1), torch.ones(2))


class Means:
    """A similarity whose vectors are a picture's mean colour in [-1, 1], and its sides."""

    def embed_images(self, pixels):
        return torch.cat([pixels.mean(dim=(2, 3)), torch.tensor([pixels.shape[2:]])], dim=1)


def test_pictures_are_embedded_one_by_one_whatever_their_sizes():
    pictures = [Image.new("RGB", (8, 4), (255, 0, 0)), Image.new("RGB", (2, 2), (0, 0, 255))]
    vectors = embed_images(Means(), iter(pictures))
    assert vectors.tolist() == [[1, -1, -1, 4, 8], [-1, -1, 1, 2, 2]]


def test_of_files_the_middle_squares_are_looked_at(tmp_path):
    wide = Image.new("RGB", (300, 100), "red")
    wide.paste("blue", (100, 0, 200, 100))
    wide.save(tmp_path / "wide.png")
    vectors = embed_image_files(Means(), [tmp_path / "wide.png"])
    # But for what the resizing takes of the pixels beside them.
    assert vectors[0].tolist() == pytest.approx([-1, -1, 1, 256, 256], abs=0.01)


def test_a_checkpoint_without_towers_has_none(tiny_base):
    assert tiny_base.clip_similarity() is None


def test_a_tower_that_lacks_weights_is_refused(with_clip):
    file = with_clip[0] / "clip" / "model.safetensors"
    tensors = load_file(file.rename(with_clip[0] / "whole"))
    del tensors["visual_projection.weight"]
    save_file(tensors, file)
    with pytest.raises(ModelLoadError, match=r"clip lacks 1 weights, such as visual_projection"):
        load(with_clip[0]).clip_similarity()
