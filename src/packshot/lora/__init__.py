"""LoRA: trainable layers, files that other tools load, and fusing into the base's weights."""

from packshot.lora.adapters import Adapters, adapted_names, add_adapters
from packshot.lora.edit import extract, merge, resize
from packshot.lora.files import load_lora, save, try_writing, write_lora
from packshot.lora.fuse import fused
from packshot.lora.layers import Adapter, inject_lora
from packshot.lora.weights import Lora, LoraWeights

__all__ = [
    "Adapter",
    "Adapters",
    "Lora",
    "LoraWeights",
    "adapted_names",
    "add_adapters",
    "extract",
    "fused",
    "inject_lora",
    "load_lora",
    "merge",
    "resize",
    "save",
    "try_writing",
    "write_lora",
]
