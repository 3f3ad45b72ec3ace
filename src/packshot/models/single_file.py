"""Single files: detecting the family by the keys, and finding the components in other files.

Files from model sites hold all components (Stable Diffusion 1 to 2, SDXL), or the transformer alone
(FLUX, Stable Diffusion 3, Qwen-Image, Z-Image), which ComfyUI's users keep next to folders with the
VAE and the text encoders.
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
from packshot.utils import pathnames
from packshot.weights import gguf_file
from packshot.weights.safetensors_file import check_safetensors, is_gguf, shapes

_SIBLINGS = (".", "../vae", "../text_encoders", "../clip")


def shapes_of(path: Path) -> Mapping[str, Sequence[int]]:
    """The shapes of a file's tensors by their keys; only the header is read.

    Raises:
        ModelLoadError: a pickle, another kind of file, or damaged.
    """
    if is_gguf(path):
        return {name: stored.shape for name, stored in gguf_file.read_header(path).items()}
    return shapes(path).by_key


def family_of(keys: Sequence[str]) -> str:
    """The family with the longest matching signature, else a description of what the file may be."""

    def begins(start: str) -> bool:
        return any(key.startswith(start) or f".{start}" in key for key in keys)

    fitting = (
        (len(candidate.signature), called)
        for called, candidate in registry.candidates()
        if candidate.signature and all(begins(start) for start in candidate.signature)
    )
    unknown = f"something with keys such as '{keys[0] if keys else ''}'"
    return max(fitting, key=lambda match: match[0], default=(0, unknown))[1]


def with_companions(
    path: Path,
    spec: FamilySpec,
    sizes: Mapping[str, Sequence[int]],
    configs: dict[str, dict[str, Any]],
) -> dict[str, list[Path]]:
    """The files that make up the checkpoint, by key prefix: "" is `path` itself.

    `NAME.vae.safetensors` next to a file replaces the VAE in it, as in web UIs.

    Raises:
        ModelLoadError: a component is neither in the file nor next to it.
    """
    weights, keys = {"": [path]}, list(sizes)
    own_vae = path.with_name(f"{path.stem}.vae.safetensors")
    if pathnames.is_file(own_vae):  # too long a name, too
        check_safetensors(own_vae)
        keys = [key for key in keys if not key.startswith(VAE)]
        keys.append(VAE[0])
        weights[VAE[0]] = [own_vae]
    for part in spec.companions:
        if not any(key.startswith(part.prefixes) for key in keys):
            shape = _shape(part, configs[part.component], sizes)
            weights[part.prefixes[0]] = [_companion_file(path, part, shape)]
    return weights


def _shape(
    part: Companion, config: dict[str, Any], sizes: Mapping[str, Sequence[int]]
) -> tuple[int, ...]:
    """Dimensions that identify the component's file: a VAE's first two, a text encoder's last ones."""
    if part.reader:
        name, states = part.reader
        return (next(size for key, size in sizes.items() if key.endswith(name))[1] // states,)
    if "z_dim" in config:
        return config["base_dim"] * config["dim_mult"][-1], config["z_dim"]
    if part.component == "vae":
        return config["block_out_channels"][-1], config["latent_channels"]
    if "d_model" in config:
        return (config["d_model"],)
    return config["max_position_embeddings"], config["hidden_size"]  # Long-CLIP reads more tokens


def _companion_file(path: Path, part: Companion, shape: tuple[int, ...]) -> Path:
    """The file that holds a component: one of its usual name, of several the largest, most precise one."""
    matches = [file for file in _candidates(path) if _holds(file, part, shape)]
    usual = [file for file in matches if part.usual in file.stem.lower()]
    if matches:
        return max(usual or matches, key=lambda file: file.stat().st_size)
    folders = ", ".join(str((path.parent / name).resolve()) for name in _SIBLINGS[1:])
    raise ModelLoadError(
        f"{path} lacks {part.what}, and none was found beside it or in {folders}. Put it there"
        + (f", named {path.stem}.vae.safetensors." if part.component == "vae" else ".")
    )


def _candidates(path: Path) -> Iterator[Path]:
    for name in _SIBLINGS:
        folder = (path.parent / name).resolve()
        yield from sorted(file for file in folder.glob("*.safetensors") if file.is_file())


def _holds(file: Path, part: Companion, expected: tuple[int, ...]) -> bool:
    if part.names and not re.fullmatch(part.names, file.stem, re.IGNORECASE):
        return False
    try:
        sizes = shapes(file).by_key
    except ModelLoadError:
        return False  # a damaged neighbour is not this checkpoint's problem
    shape = sizes.get(part.key, [])
    own = shape[:2] if part.component == "vae" else shape[-len(expected) :]
    return tuple(own) == expected and (not part.also or part.also in sizes)
