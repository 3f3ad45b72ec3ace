"""Tiny checkpoints of the families whose single files hold the transformer alone."""

import json
import shutil

import pytest

from tests.models.original_layout import ARCHITECTURES, original_parts


@pytest.fixture(params=ARCHITECTURES)
def family(request):
    return request.param


@pytest.fixture
def tiny(family, tiny_checkpoint, loaded):
    return loaded(tiny_checkpoint(family))


@pytest.fixture
def networks(tiny):
    return {"transformer": tiny.transformer, "vae": tiny.vae, **tiny.text_encoders}


@pytest.fixture
def parts(family, networks, tiny_checkpoint, tmp_path, monkeypatch):
    """The tiny checkpoint's parts; its configurations stand for the family's here."""
    shutil.copytree(tiny_checkpoint(family), tmp_path / "configs" / family)
    config = tmp_path / "configs" / family / "transformer" / "config.json"
    told = json.loads(config.read_text())
    # What the file's shapes must tell by themselves.
    wrong = {"num_layers": 7, "num_single_layers": 7, "guidance_embeds": False,
             "num_attention_heads": 3, "caption_projection_dim": 7, "pos_embed_max_size": 5,
             "dual_attention_layers": [], "dim": 7, "n_heads": 3, "n_layers": 7, "n_refiner_layers": 3,
             "cap_feat_dim": 9}  # fmt: skip
    if family == "sd3":
        wrong["qk_norm"] = None
    told |= {key: value for key, value in wrong.items() if key in told}
    config.write_text(json.dumps(told))
    reader = config.parents[1] / "text_encoder" / "config.json"
    told = json.loads(reader.read_text())
    if told["model_type"] == "qwen3":
        told |= {
            "num_hidden_layers": 1,
            "hidden_size": 8,
            "num_key_value_heads": 1,
            "vocab_size": 9,
        }
    reader.write_text(json.dumps(told))
    monkeypatch.setattr("packshot.models.checkpoint.CONFIGS", tmp_path / "configs")
    return original_parts(family, networks)
