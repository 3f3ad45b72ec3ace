"""Exporting the trained parts in fp16: a `StableDiffusionPipeline`, `clip/`, and what lies in Packshot.

That is `segmenter/`, `identity/` and `light/`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from packshot.utils import files
from packshot.weights.tokenizers import clip_tokenizer
from packshot_pocket.pretrain import state
from packshot_pocket.pretrain.clip import ClipConfig, load_named_clip
from packshot_pocket.pretrain.identity import IdentityConfig, load_identity
from packshot_pocket.pretrain.latents import folded_vae
from packshot_pocket.pretrain.light import calibrated_weights
from packshot_pocket.pretrain.mask_refiner import MaskRefinerConfig, load_mask_refiner
from packshot_pocket.pretrain.segmenter import SegmenterConfig, load_segmenter
from packshot_pocket.pretrain.shot_segmenter import ShotSegmenterConfig, load_shot_segmenter
from packshot_pocket.pretrain.unet import UnetConfig, new_scheduler, new_unet
from packshot_pocket.pretrain.vae import VaeConfig

if TYPE_CHECKING:
    from transformers import CLIPModel

_TEXT_TOWER = "text_model."


def export(
    folder: Path,
    out: Path,
    clip_config: ClipConfig | None = None,
    vae_config: VaeConfig | None = None,
    unet_config: UnetConfig | None = None,
    segmenter_config: SegmenterConfig | None = None,
    shot_config: ShotSegmenterConfig | None = None,
    identity_config: IdentityConfig | None = None,
) -> None:
    """Write the pipeline of the stages in `folder` to `out`; the configurations are as trained."""
    from diffusers import StableDiffusionPipeline

    clip_config, vae_config = clip_config or ClipConfig(), vae_config or VaeConfig()
    clip = load_named_clip(folder, clip_config)
    unet = new_unet(unet_config or UnetConfig(), vae_config.latent_channels, clip_config.text_width)
    unet.load_state_dict(state.weights(folder, "unet"))
    pipeline: Any = StableDiffusionPipeline(
        vae=folded_vae(folder, vae_config),
        text_encoder=clip.text_model,
        tokenizer=clip_tokenizer(),
        unet=unet,
        scheduler=new_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    _write_clip(clip, out / "clip")
    segmenter, shots = out / "segmenter", shot_config or ShotSegmenterConfig()
    refiner = MaskRefinerConfig(widths=shots.widths)
    for file, network in (
        ("model", load_segmenter(folder, segmenter_config or SegmenterConfig())),
        ("shots", load_shot_segmenter(folder, shots)),
        ("refiner", load_mask_refiner(folder, refiner)),
        ("cars", load_mask_refiner(folder, refiner, "car_refiner")),
    ):
        _write_halved(segmenter / f"{file}.safetensors", network)
    identity = load_identity(folder, identity_config or IdentityConfig())
    _write_halved(out / "identity" / "identity.safetensors", identity)
    light = {name: value.half() for name, value in calibrated_weights(folder).items()}
    files.write_safetensors(out / "light" / "model.safetensors", light, {"format": "pt"})
    pipeline.to(dtype=torch.float16)
    pipeline.save_pretrained(out, safe_serialization=True)
    _adapt_text_encoder(out / "text_encoder")
    _write_vocabulary(out / "tokenizer")
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"[export] {out}: {size / 1e6:.1f} MB", file=sys.stderr)


def _write_halved(file: Path, network: nn.Module) -> None:
    files.write_safetensors(file, network.half().state_dict(), {"format": "pt"})


def _adapt_text_encoder(folder: Path) -> None:
    """Name the weights as all tools know them, `text_model.…`, and have them loaded in fp32.

    transformers 5 saves them bare, reads both, and older programs find nothing in the bare ones.
    """
    from safetensors.torch import load

    path = folder / "model.safetensors"
    # Read as bytes: a mapped file must not be written over.
    tensors = load(path.read_bytes())
    named = {_TEXT_TOWER + name.removeprefix(_TEXT_TOWER): t for name, t in tensors.items()}
    files.write_safetensors(path, named, {"format": "pt"})
    # transformers 5 loads in the dtype named here, diffusers in fp32 unless told otherwise; with
    # different ones a plain `from_pretrained` gives a pipeline that cannot run.
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    files.write_json(folder / "config.json", {**config, "dtype": "float32"})


def _write_vocabulary(folder: Path) -> None:
    """`vocab.json` and `merges.txt`, which older programs want beside `tokenizer.json`."""
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    files.write_text(folder / "merges.txt", f"#version: 0.2\n{merges}\n")
    files.write_text(folder / "vocab.json", json.dumps(model["vocab"], ensure_ascii=False))


def _write_clip(clip: CLIPModel, folder: Path) -> None:
    """Write CLIP's other parts besides the text encoder: image tower, projections, temperature."""
    tensors: dict[str, Tensor] = {
        name: value.half() if value.is_floating_point() else value
        for name, value in clip.state_dict().items()
        if not name.startswith(_TEXT_TOWER)
    }
    files.write_safetensors(folder / "model.safetensors", tensors, {"format": "pt"})
    files.write_json(folder / "config.json", clip.config.to_dict())
