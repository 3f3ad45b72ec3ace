"""Components that a single file may lack (VAE, text encoders), and how to recognise their files."""

from __future__ import annotations

from dataclasses import dataclass

EMBEDDING = "model.embed_tokens.weight"
"""Token embedding of language models, [vocabulary, hidden size]."""
QWEN3 = ("text_encoders.qwen3_4b.transformer.", "text_encoders.qwen3_8b.transformer.")
"""Key prefixes of a Qwen3 in all-in-one files."""
VAE = ("first_stage_model.", "vae.")
"""Key prefixes of a VAE in all-in-one files."""


@dataclass(frozen=True)
class Companion:
    """A component that may lie in its own file, recognised by a key and that tensor's shape."""

    component: str
    """Its name among the family's networks."""
    what: str
    """Its name in the message when it is missing."""
    prefixes: tuple[str, ...]
    """Key prefixes in all-in-one files; its own file's keys get the first one."""
    key: str
    names: str = ""
    """Regex of file names, where files of two families have the same keys and shapes."""
    also: str = ""
    """A second required key, where `key` alone is ambiguous."""
    usual: str = ""
    """What its file is mostly called; fine-tunes of it have other names."""
    reader: tuple[str, int] | None = None
    """The transformer's weight that takes its hidden states, and how many are concatenated."""


def autoencoder(names: str) -> Companion:
    """A VAE, in files whose names match the regex; "" is any file, "(?!)" is none."""
    return Companion("vae", "its autoencoder", VAE, "decoder.conv_in.weight", names)


def clip(component: str, name: str) -> Companion:
    """A CLIP's text tower, called `name` in all-in-one files."""
    key = "text_model.embeddings.position_embedding.weight"
    prefixes = (f"text_encoders.{name}.transformer.",)
    return Companion(component, f"its text encoder {name}", prefixes, key, usual=name)


def t5(component: str) -> Companion:
    """T5's encoder."""
    key = "encoder.block.0.layer.0.layer_norm.weight"
    prefixes = ("text_encoders.t5xxl.transformer.",)
    return Companion(component, "its text encoder t5xxl", prefixes, key, usual="t5xxl")


def qwen3(reader: str, states: int) -> Companion:
    """A Qwen3; the transformer's weight `reader` takes `states` of its hidden states concatenated."""
    what = "its text encoder Qwen3 (such as qwen_3_4b.safetensors)"
    also = "model.layers.0.self_attn.q_norm.weight"
    return Companion("text_encoder", what, QWEN3, EMBEDDING, also=also, reader=(reader, states))
