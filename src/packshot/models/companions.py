"""Parts of a checkpoint that may lie in files of their own, beside a single file: how each is told."""

from __future__ import annotations

from dataclasses import dataclass

EMBEDDING = "model.embed_tokens.weight"
"""Of language models: a row a token, as wide as their states."""
QWEN3 = ("text_encoders.qwen3_4b.transformer.", "text_encoders.qwen3_8b.transformer.")
"""What files that hold everything put before the keys of a Qwen3."""
VAE = ("first_stage_model.", "vae.")
"""And before those of an autoencoder."""


@dataclass(frozen=True)
class Companion:
    """A part that may lie in a file of its own: told by a key, and the shape that it has there."""

    component: str
    """Its name among the family's networks."""
    what: str
    """What to call it where it is missing."""
    prefixes: tuple[str, ...]
    """What a file that holds everything puts before its keys; a file of its own gets the first."""
    key: str
    names: str = ""
    """A pattern of file names, where files of two families cannot be told apart by content."""
    also: str = ""
    """Another key that it has, where the first alone does not tell it."""
    reader: tuple[str, int] | None = None
    """The transformer's weight that reads its states, and how many of them side by side."""


def autoencoder(names: str) -> Companion:
    """An autoencoder, in files whose names fit the pattern; "" is any file, "(?!)" is none."""
    return Companion("vae", "its autoencoder", VAE, "decoder.conv_in.weight", names)


def clip(component: str, name: str) -> Companion:
    """A CLIP's text tower, which files that hold everything call `name`."""
    key = "text_model.embeddings.position_embedding.weight"
    prefixes = (f"text_encoders.{name}.transformer.",)
    return Companion(component, f"its text encoder {name}", prefixes, key)


def t5(component: str) -> Companion:
    """T5's encoder."""
    key = "encoder.block.0.layer.0.layer_norm.weight"
    prefixes = ("text_encoders.t5xxl.transformer.",)
    return Companion(component, "its text encoder t5xxl", prefixes, key)


def qwen3(reader: str, states: int) -> Companion:
    """A Qwen3 whose states, so many side by side, the transformer's weight `reader` reads."""
    what = "its text encoder Qwen3 (such as qwen_3_4b.safetensors)"
    also = "model.layers.0.self_attn.q_norm.weight"
    return Companion("text_encoder", what, QWEN3, EMBEDDING, also=also, reader=(reader, states))
