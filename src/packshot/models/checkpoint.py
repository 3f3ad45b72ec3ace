"""Validating a checkpoint by its content before loading it.

A pickle runs code when it is opened, whatever its name, so none ever is: the first bytes decide.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from packshot.errors import ModelLoadError, PackshotError
from packshot.models import registry, single_file
from packshot.utils import caches, files, hashing, pathnames
from packshot.weights.installed_bases import BUNDLED, installed_base
from packshot.weights.safetensors_file import check_safetensors, read_config
from packshot.weights.shards import chosen_weights

CONFIGS = Path(__file__).parent / "configs"
"""Configurations of single files, a folder a family, laid out as a pipeline's."""


# Whole or in shards, full precision before half, as diffusers and transformers name them.
@dataclass(frozen=True)
class Checkpoint:
    """A validated checkpoint: its family, its layout on disk, its weights and their hash.

    `weights` are the validated files, by component in a folder, by key prefix for a single file;
    no other file may be loaded.
    """

    path: Path
    family: str
    layout: Literal["folder", "single file"]
    weights: dict[str, list[Path]]
    content_hash: str
    schedule_hints: dict[str, Any] = field(default_factory=dict)
    """What a single file says of its target and betas, over its family's configuration."""
    shapes_only: bool = False
    """Whether only its shapes are to be loaded: see `packshot.models.fake`."""

    @property
    def configs(self) -> Path:
        """The folder with its components' configurations."""
        return CONFIGS / self.family if self.layout == "single file" else self.path

    @property
    def components(self) -> tuple[str, ...]:
        """The names of its networks."""
        return registry.families()[self.family].components

    @property
    def name(self) -> str:
        """The file's or folder's name; in the hub's cache the repository's."""
        if self.path == installed_base(BUNDLED):
            return BUNDLED
        if cached := re.search(r"models--.+--(.+)/snapshots/\w+$", self.path.as_posix()):
            return cached[1]
        return self.path.stem if self.layout == "single file" else self.path.name


def detect_checkpoint(path: Path) -> Checkpoint:
    """Detect the family and layout of a checkpoint; nothing is loaded.

    Raises:
        ModelLoadError: not there, a pickle, damaged, or of a family that is not known.
    """
    if not pathnames.exists(path):
        raise ModelLoadError(
            f"There is no checkpoint at {path}. Name a diffusers folder, a .safetensors file, a "
            'repository of the Hugging Face hub (OWNER/NAME or OWNER/NAME@REVISION), or "pocket".'
        )
    if path.is_dir():
        family = folder_family(path)
        components = registry.families()[family].components
        weights = {name: _component_weights(path / name) for name in components}
        return Checkpoint(path, family, "folder", weights, _content_hash(path, weights))
    sizes = single_file.shapes_of(path)
    family = single_file.family_of(list(sizes))
    if family not in registry.families():
        raise _unknown(path, family)
    spec = registry.families()[family]
    configs = {
        name: read_config(CONFIGS / family / name / "config.json") for name in spec.components
    }
    weights = single_file.with_companions(path, spec, sizes, configs)
    hints = spec.schedule_hints(path, list(sizes))
    return Checkpoint(path, family, "single file", weights, _content_hash(path, weights), hints)


def folder_family(path: Path) -> str:
    """The family of a diffusers folder, by its index and its networks' configurations.

    Raises:
        ModelLoadError: it is none, or of a family that is not known.
    """
    family = pipeline_family(path)
    spec = registry.families()[family]
    if spec.denoiser_root != "unet":
        return family
    unet = read_config(path / "unet" / "config.json")
    width = unet.get("cross_attention_dim")
    for name, other in registry.families().items():
        if width and other.pipelines == spec.pipelines and other.cross_attention_dim == width:
            family = name
    latents = read_config(path / "vae" / "config.json").get("latent_channels", 4)
    if unet.get("in_channels", 4) not in (latents, 2 * latents + 1):
        channels = unet["in_channels"]
        raise _unknown(path, f"a pipeline of {family} whose UNet takes {channels} channels")
    return family


def pipeline_family(path: Path) -> str:
    """The family by model_index.json alone, which does not tell Stable Diffusion 2.x from "sd1".

    Raises:
        ModelLoadError: there is none, or it names a family that is not known, or EDM's noise.
    """
    if not (path / "model_index.json").is_file():
        raise ModelLoadError(
            f"{path} is no checkpoint: it has no model_index.json. Name the folder that a diffusers "
            "pipeline was saved to, or a single .safetensors file."
        )
    index = read_config(path / "model_index.json")
    scheduler = index.get("scheduler")
    if isinstance(scheduler, list) and any(str(part).startswith("EDM") for part in scheduler):
        raise _unknown(path, "a pipeline that was trained with EDM's noise, as Playground 2.5")
    name = str(index.get("_class_name"))
    starts = (
        (len(start), called)
        for called, candidate in registry.candidates()
        for start in candidate.pipelines
        if name.startswith(start)
    )
    family = max(starts, key=lambda match: match[0], default=(0, name))[1]
    if family not in registry.families():
        raise _unknown(path, family)
    return family


def _component_weights(folder: Path) -> list[Path]:
    names = [file.name for file in folder.glob("*") if file.is_file()]
    chosen = [folder / name for name in chosen_weights(str(folder), names)]
    for file in chosen:
        check_safetensors(file)
    return chosen


def _unknown(path: Path, found: str) -> ModelLoadError:
    return ModelLoadError(
        f"{path} is {found or 'of an unknown kind'}; Packshot knows {registry.titles()}."
    )


def _content_hash(path: Path, weights: dict[str, list[Path]]) -> str:
    """Hash of the hashes of weights, configurations and tokenizers' files; of a single file's `.yaml`, too.

    Cached by file names, sizes and times, because hashing takes seconds.
    """
    chosen = [file for component in weights.values() for file in component]
    if path.is_dir():
        folders = (path / name for name in (*weights, "scheduler"))
        chosen += sorted(file for folder in folders for file in folder.glob("*config.json"))
        chosen += sorted(file for file in path.glob("tokenizer*/*") if file.is_file())
    elif pathnames.is_file(beside := path.with_suffix(".yaml")):
        chosen.append(beside)  # it may say what is predicted, on which all that is made depends
    stamps = [[str(file), *hashing.stamp(file)] for file in (one.resolve() for one in chosen)]
    remembered = caches.cache_folder() / "hashes" / hashing.fingerprint(stamps)
    if known := _remembered(remembered):
        return known
    names = [file.relative_to(path).as_posix() if path.is_dir() else file.name for file in chosen]
    value = hashing.fingerprint(
        [[name, hashing.sha256(file)] for name, file in zip(names, chosen, strict=True)]
    )
    with suppress(PackshotError):  # then it is hashed again
        files.write_text(remembered, value)
    return value


def _remembered(file: Path) -> str | None:
    """A hash that was kept; None where there is none, or it is damaged."""
    with suppress(OSError):
        known = file.read_bytes()
        return known.decode() if re.fullmatch(rb"[0-9a-f]{64}", known) else None
    return None
