"""The adapter: layers that learn, files that other tools load, folding into weights."""

from packshot.lora.files import load_lora, save
from packshot.lora.fold import folded
from packshot.lora.layers import Adapter, injected
from packshot.lora.weights import Lora, LoraWeights

__all__ = [
    "Adapter",
    "Lora",
    "LoraWeights",
    "folded",
    "injected",
    "load_lora",
    "save",
]
