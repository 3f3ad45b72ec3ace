"""What a single file is: its family by its keys, and the parts of it that lie beside it.

Files from model sites hold everything (Stable Diffusion 1 to 2, SDXL), or the transformer alone
(FLUX, Stable Diffusion 3, Qwen-Image, Z-Image), which ComfyUI's users keep beside folders with the
other parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packshot.errors import ModelLoadError
from packshot.models import registry
from packshot.models.companions import VAE, Companion
from packshot.models.family_spec import FamilySpec
from packshot.weights import gguf_file
from packshot.weights.safetensors_file import check_safetensors, is_gguf, shapes

_SIBLINGS = (".", "../vae", "../text_encoders", "../clip")


def shapes_of(path: Path) -> Mapping[str, Sequence[int]]:
    """The shapes of a file's tensors by their keys; none is read.

    Raises:
        ModelLoadError: a pickle, another kind of file, or damaged.
    """
    if is_gguf(path):
        return {name: stored.shape for name, stored in gguf_file.read_header(path).items()}
    return shapes(path).by_key


def family_of(keys: Sequence[str]) -> str:
    """The family that a file's keys tell, or what else it seems to be: the longest signature decides."""

    def begins(start: str) -> bool:
        return any(key.startswith(start) or f".{start}" in key for key in keys)

    fitting = (
        (len(candidate.signature), called)
        for called, candidate in registry.candidates()
        if candidate.signature and all(begins(start) for start in candidate.signature)
    )
    unknown = f"something with keys such as '{keys[0] if keys else ''}'"
    return max(fitting, key=lambda found: found[0], default=(0, unknown))[1]


def with_companions(
    path: Path,
    spec: FamilySpec,
    sizes: Mapping[str, Sequence[int]],
    configs: dict[str, dict[str, Any]],
) -> dict[str, list[Path]]:
    """The files that make the checkpoint, by what to put before their keys: "" is `path` itself.

    `NAME.vae.safetensors` beside a file wins over the autoencoder in it, as in web UIs.

    Raises:
        ModelLoadError: a part is neither in it nor beside it.
    """
    weights, keys = {"": [path]}, list(sizes)
    own_vae = path.with_name(f"{path.stem}.vae.safetensors")
    if own_vae.is_file():
        check_safetensors(own_vae)
        keys = [key for key in keys if not key.startswith(VAE)]
        keys.append(VAE[0])
        weights[VAE[0]] = [own_vae]
    for part in spec.companions:
        if not any(key.startswith(part.prefixes) for key in keys):
            told = _shape(part, configs[part.component], sizes)
            weights[part.prefixes[0]] = [_beside(path, part, told)]
    return weights


def _shape(
    part: Companion, config: dict[str, Any], sizes: Mapping[str, Sequence[int]]
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


def _beside(path: Path, part: Companion, told: tuple[int, ...]) -> Path:
    """The largest file that holds a part, for that is the most exact."""
    found = [file for file in _candidates(path) if _holds(file, part, told)]
    if found:
        return max(found, key=lambda file: file.stat().st_size)
    folders = ", ".join(str((path.parent / name).resolve()) for name in _SIBLINGS[1:])
    raise ModelLoadError(
        f"{path} lacks {part.what}, and none was found beside it or in {folders}. Put it there"
        + (f", named {path.stem}.vae.safetensors." if part.component == "vae" else ".")
    )


def _candidates(path: Path) -> Iterator[Path]:
    for name in _SIBLINGS:
        folder = (path.parent / name).resolve()
        yield from sorted(file for file in folder.glob("*.safetensors") if file.is_file())


def _holds(file: Path, part: Companion, told: tuple[int, ...]) -> bool:
    if part.names and not re.fullmatch(part.names, file.stem, re.IGNORECASE):
        return False
    try:
        sizes = shapes(file).by_key
    except ModelLoadError:
        return False  # somebody else's trouble
    shape = sizes.get(part.key, [])
    own = shape[:2] if part.component == "vae" else shape[-1:]
    return tuple(own) == told and (not part.also or part.also in sizes)
