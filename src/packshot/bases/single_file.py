"""What a single file is: its family by its keys, what it tells of its noise, and parts that lie beside it.

Files from model sites hold everything (Stable Diffusion 1 to 2, SDXL), or the transformer alone
(FLUX, Stable Diffusion 3, Qwen-Image, Z-Image), which ComfyUI's users keep beside folders with the
other parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packshot.bases import gguf_file
from packshot.bases.headers import check_safetensors, is_gguf, shapes
from packshot.errors import CheckpointRefused

# Keys that only one family has.
_SIGNATURES = {
    "sdxl": "conditioner.embedders.1.",
    "sd3": "joint_blocks.0.",
    "flux2": "double_stream_modulation_img.",
    "flux1": "vector_in.",
    "FLUX of an unknown kind": "double_blocks.0.",
    "sd2": "cond_stage_model.model.transformer.",
    "sd1": "cond_stage_model.transformer.",
    "qwen_image": "transformer_blocks.0.img_mod.1.",
    "z_image": "cap_pad_token",
}
QWEN3 = ("text_encoders.qwen3_4b.transformer.", "text_encoders.qwen3_8b.transformer.")
"""What files that hold everything put before the keys of a Qwen3."""
QWEN25 = ("text_encoders.qwen25_7b.transformer.",)
_SIBLINGS = (".", "../vae", "../text_encoders", "../clip")


def shapes_of(path: Path) -> Mapping[str, Sequence[int]]:
    """The shapes of a file's tensors by their keys; none is read.

    Raises:
        CheckpointRefused: a pickle, another kind of file, or damaged.
    """
    if is_gguf(path):
        return {name: stored.shape for name, stored in gguf_file.read_header(path).items()}
    return shapes(path).by_key


def family_of(keys: Sequence[str]) -> str:
    """The family that a file's keys tell, or what else it seems to be."""

    def begins(start: str) -> bool:
        return any(key.startswith(start) or f".{start}" in key for key in keys)

    for family, start in _SIGNATURES.items():
        if begins(start):
            # Of FLUX.2, klein is not told guidance, and dev is read by another text encoder.
            return "FLUX.2 dev" if family == "flux2" and begins("guidance_in.") else family
    return f"something with keys such as '{keys[0] if keys else ''}'"


def hints_of(path: Path, family: str, keys: Sequence[str]) -> dict[str, Any]:
    """What keys, metadata or a .yaml beside the file (as web UIs have it) tell of its schedule."""
    if family == "flux1":
        # The undistilled and dev are told guidance, and shift noise by the picture's size.
        dev = any("guidance_in." in key for key in keys)
        return {} if dev else {"use_dynamic_shifting": False, "shift": 1.0}
    if family == "z_image":
        return {"shift": 3.0 if "turbo" in path.stem.lower() else 6.0}
    if family in ("sd3", "flux2", "qwen_image"):
        return {}
    says = shapes(path).metadata.get("modelspec.prediction_type", "")
    beside = path.with_suffix(".yaml")
    yaml = beside.read_text(encoding="utf-8", errors="replace") if beside.is_file() else ""
    parameterization = re.search(r"""parameterization:\s*["']?(v|eps)""", yaml)
    velocity = says == "v" or "v_pred" in keys
    if parameterization:
        velocity = parameterization[1] == "v"
    elif family == "sd2" and not says:
        velocity = True  # 2.1 at 768 px, what most are made from
    hints: dict[str, Any] = {"prediction_type": "v_prediction" if velocity else "epsilon"}
    if "ztsnr" in keys:
        hints["rescale_betas_zero_snr"] = True
    return hints


@dataclass(frozen=True)
class _Part:
    """A part that may lie in a file of its own: told by a key, and the shape that it has there."""

    component: str
    what: str
    prefixes: tuple[str, ...]
    """What a file that holds everything puts before its keys; a file of its own gets the first."""
    key: str
    names: str = ""
    """A pattern of file names, where files of two families cannot be told apart by content."""
    also: str = ""
    """Another key that it has, where the first alone does not tell it."""
    reader: tuple[str, int] | None = None
    """The transformer's weight that reads its states, and how many of them side by side."""


def _text(component: str, name: str) -> _Part:
    key = "text_model.embeddings.position_embedding.weight"
    return _Part(
        component, f"its text encoder {name}", (f"text_encoders.{name}.transformer.",), key
    )


def _t5(component: str) -> _Part:
    key = "encoder.block.0.layer.0.layer_norm.weight"
    return _Part(component, "its text encoder t5xxl", ("text_encoders.t5xxl.transformer.",), key)


def _vae(names: str) -> _Part:
    key = "decoder.conv_in.weight"
    return _Part("vae", "its autoencoder", ("first_stage_model.", "vae."), key, names)


def _qwen3(reader: str, states: int) -> _Part:
    what = "its text encoder Qwen3 (such as qwen_3_4b.safetensors)"
    also = "model.layers.0.self_attn.q_norm.weight"
    return _Part("text_encoder", what, QWEN3, _EMBEDDING, also=also, reader=(reader, states))


_EMBEDDING = "model.embed_tokens.weight"
_WAN_VAE = "its autoencoder (qwen_image_vae.safetensors)"
# Those of Stable Diffusion 1 and XL look alike: none is taken but by the file's own name.
_UNET_VAE = _vae("(?!)")
_PARTS = {
    "flux1": (_vae(r"(.*[-_.])?ae|.*flux.*"), _text("text_encoder", "clip_l"), _t5("text_encoder_2")),
    "sd3": (
        _vae(r".*sd_?3.*"), _text("text_encoder", "clip_l"), _text("text_encoder_2", "clip_g"),
        _t5("text_encoder_3"),
    ),
    "flux2": (_vae(""), _qwen3("txt_in.weight", 3)),
    "qwen_image": (
        # Wan's autoencoder has the same shapes.
        _Part("vae", _WAN_VAE, ("first_stage_model.", "vae."), "decoder.conv1.weight", r".*qwen.*"),
        _Part("text_encoder", "its text encoder Qwen2.5-VL (qwen_2.5_vl_7b.safetensors)", QWEN25,
              _EMBEDDING, also="model.layers.0.self_attn.q_proj.bias", reader=("txt_in.weight", 1)),
    ),
    "z_image": (
        _vae(r"(.*[-_.])?ae|.*flux.*|.*z_?image.*"), _qwen3("cap_embedder.1.weight", 1)
    ),
}  # fmt: skip


def with_companions(
    path: Path,
    family: str,
    sizes: Mapping[str, Sequence[int]],
    configs: dict[str, dict[str, Any]],
) -> dict[str, list[Path]]:
    """The files that make the checkpoint, by what to put before their keys: "" is `path` itself.

    `NAME.vae.safetensors` beside a file wins over the autoencoder in it, as in web UIs.

    Raises:
        CheckpointRefused: a part is neither in it nor beside it.
    """
    weights, keys = {"": [path]}, list(sizes)
    own_vae = path.with_name(f"{path.stem}.vae.safetensors")
    if own_vae.is_file():
        check_safetensors(own_vae)
        keys = [key for key in keys if not key.startswith(("first_stage_model.", "vae."))]
        keys.append("first_stage_model.")
        weights["first_stage_model."] = [own_vae]
    for part in _PARTS.get(family, (_UNET_VAE,)):
        if not any(key.startswith(part.prefixes) for key in keys):
            told = _shape(part, configs[part.component], sizes)
            weights[part.prefixes[0]] = [_beside(path, part, told)]
    return weights


def _shape(
    part: _Part, config: dict[str, Any], sizes: Mapping[str, Sequence[int]]
) -> tuple[int, ...]:
    """Of the weight that tells a part: an autoencoder's first sides, an encoder's last."""
    if part.reader:
        name, states = part.reader
        return (next(size for key, size in sizes.items() if key.endswith(name))[1] // states,)
    if "z_dim" in config:
        return config["base_dim"] * config["dim_mult"][-1], config["z_dim"]
    if part.component == "vae":
        return config["block_out_channels"][-1], config["latent_channels"]
    return (config["hidden_size" if "hidden_size" in config else "d_model"],)


def _beside(path: Path, part: _Part, told: tuple[int, ...]) -> Path:
    """The largest file that holds a part, for that is the most exact."""
    found = [file for file in _candidates(path) if _holds(file, part, told)]
    if found:
        return max(found, key=lambda file: file.stat().st_size)
    folders = ", ".join(str((path.parent / name).resolve()) for name in _SIBLINGS[1:])
    raise CheckpointRefused(
        f"{path} lacks {part.what}, and none was found beside it or in {folders}. Put it there"
        + (f", named {path.stem}.vae.safetensors." if part.component == "vae" else ".")
    )


def _candidates(path: Path) -> Iterator[Path]:
    for name in _SIBLINGS:
        folder = (path.parent / name).resolve()
        yield from sorted(file for file in folder.glob("*.safetensors") if file.is_file())


def _holds(file: Path, part: _Part, told: tuple[int, ...]) -> bool:
    if part.names and not re.fullmatch(part.names, file.stem, re.IGNORECASE):
        return False
    try:
        sizes = shapes(file).by_key
    except CheckpointRefused:
        return False  # somebody else's trouble
    shape = sizes.get(part.key, [])
    own = shape[:2] if part.component == "vae" else shape[-1:]
    return tuple(own) == told and (not part.also or part.also in sizes)
