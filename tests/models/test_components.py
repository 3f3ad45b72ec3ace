"""Which network is made of a configuration, and what its files' names become."""

from pathlib import Path

import pytest
import torch

from packshot.errors import ModelLoadError
from packshot.models.components import _architecture

WHERE = Path("somewhere")
CLIP = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
    "vocab_size": 50, "projection_dim": 8,
}  # fmt: skip
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2, "vocab_size": 50}
QWEN = {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 1, "vocab_size": 50, "head_dim": 8,
}  # fmt: skip


@pytest.mark.parametrize(
    "config",
    [
        {}, {"_class_name": "EvilModel"}, {"architectures": []}, {"architectures": ["AutoModel"]},
        {"_class_name": "DiffusionPipeline"}, {"_class_name": "__import__"}, {"_class_name": 3},
        {"architectures": ["CLIPModel"]},
    ],
)  # fmt: skip
def test_no_other_classes_are_made_than_those_that_are_known(config):
    with pytest.raises(
        ModelLoadError, match=r"somewhere: its configuration names a '.*', which is"
    ):
        _architecture(config, WHERE)


def test_a_configuration_that_makes_no_sense_is_refused():
    with pytest.raises(ModelLoadError, match="somewhere cannot be loaded"):
        _architecture({"architectures": ["CLIPTextModel"], "hidden_size": "wide"}, WHERE)


@pytest.mark.parametrize(
    ("kind", "told", "before"),
    [
        ("CLIPTextModel", CLIP, "text_model."), ("CLIPTextModel", CLIP, ""),
        ("CLIPTextModelWithProjection", CLIP, ""), ("T5EncoderModel", T5, ""),
        ("Qwen3Model", QWEN, "model."), ("Qwen3ForCausalLM", QWEN, "model."), ("Qwen3Model", QWEN, ""),
        ("Qwen2_5_VLForConditionalGeneration", {"text_config": QWEN}, "model."),
        ("Qwen2_5_VLForConditionalGeneration", {"text_config": QWEN}, "model.language_model."),
    ],
)  # fmt: skip
def test_weights_are_found_by_the_names_that_files_have(kind, told, before):
    with torch.random.fork_rng():
        make, renamed = _architecture({"architectures": [kind], **told}, WHERE)
        expected = {k: v for k, v in make().state_dict().items() if not k.endswith("position_ids")}
    in_file = {before + key: value for key, value in expected.items()}
    if kind == "T5EncoderModel":  # whose files hold the table of words once
        del in_file["encoder.embed_tokens.weight"]
    found = renamed(in_file)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_old_autoencoders_names_become_new_only_where_they_are_meant():
    _, renamed = _architecture({"_class_name": "AutoencoderKL"}, WHERE)
    before = "encoder.mid_block.attentions.0."
    names = [
        before + n for n in ("query.weight", "proj_attn.bias", "to_k.weight", "query_norm.weight")
    ]
    names += ["encoder.mid_block.attentions.1.query.weight", "query.weight"]
    assert list(renamed(dict.fromkeys(names))) == [
        before + "to_q.weight", before + "to_out.0.bias", before + "to_k.weight",
        before + "query_norm.weight", "encoder.mid_block.attentions.1.query.weight", "query.weight",
    ]  # fmt: skip
