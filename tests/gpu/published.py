"""Checkpoints of published size: true configurations and headers, and files whose weights are holes.

A hole takes no room on the disk, but has its length: what is told by a file's size or header is told
truly. Nothing can be learnt from their weights, which `tests.gpu.simulated` does not read.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packshot.models import registry
from packshot.models.checkpoint import CONFIGS
from packshot.models.components import _architecture
from packshot.weights.loading import empty_network
from packshot.weights.tokenizers import clip_tokenizer, qwen_tokenizer, t5_tokenizer
from tests.families import PUBLISHED


def write_published(family: str, folder: Path, **denoiser: Any) -> Path:
    """A diffusers folder of a family's published checkpoint.

    Args:
        denoiser: what is other in its denoiser's configuration.
    """
    spec = registry.families()[family]
    shutil.copytree(CONFIGS / family, folder)
    index = {"_class_name": f"{spec.pipelines[0].removesuffix('Pipeline')}Pipeline"}
    (folder / "model_index.json").write_text(json.dumps(index))
    for name in spec.components:
        file = folder / name / "config.json"
        config = json.loads(file.read_text())
        if name == spec.denoiser_root:
            config |= PUBLISHED.get(family, {}) | denoiser
            file.write_text(json.dumps(config))
        make, _ = _architecture(config, folder)
        weights = "diffusion_pytorch_model" if "_class_name" in config else "model"
        shapes = {key: t.shape for key, t in empty_network(make, folder).state_dict().items()}
        _write_holes(folder / name / f"{weights}.safetensors", shapes)
        if name.startswith("text_encoder"):
            told = str(config["model_type"])
            openclip = name in spec.openclip
            if told.startswith("qwen"):
                tokenizer: Any = qwen_tokenizer(thinks=told == "qwen3")
            else:
                tokenizer = (
                    t5_tokenizer() if told == "t5" else clip_tokenizer("!" if openclip else None)
                )
            tokenizer.save_pretrained(folder / name.replace("text_encoder", "tokenizer"))
    return folder


def _write_holes(file: Path, shapes: Mapping[str, Any]) -> None:
    header, end = {}, 0
    for key, shape in shapes.items():
        start, end = end, end + 2 * math.prod(shape)
        header[key] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    data = json.dumps(header).encode()
    with file.open("wb") as stream:
        stream.write(len(data).to_bytes(8, "little") + data)
        stream.truncate(8 + len(data) + end)
