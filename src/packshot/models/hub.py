"""Downloading diffusers pipelines from the Hugging Face hub: only the files that a family needs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from packshot.errors import ModelLoadError
from packshot.models import registry
from packshot.models.checkpoint import folder_family, pipeline_family
from packshot.utils.progress import Progress, silent
from packshot.weights.hub import (
    Repository,
    download_each,
    download_file,
    file_sizes,
    hub_errors_explained,
)
from packshot.weights.shards import chosen_weights


def download_pipeline(repo: Repository, *, half: bool = False, progress: Progress = silent) -> Path:
    """Download the files of a diffusers pipeline that are loaded; returns its folder in the hub's cache.

    Never downloaded: pickles, code, networks that the family does not use, a second precision.
    Files are complete or absent; an interrupted download resumes after the last complete file.

    Args:
        half: prefer fp16 weights where there are any; precise enough if bf16 is computed in.

    Raises:
        ModelLoadError: no such repository, gated, no connection, or nothing that can be loaded.
        DiskFullError: the cache has no room.
    """
    with hub_errors_explained(repo):
        if folder := _cached(repo):
            return folder
        return _fetch(repo, half, progress)


def _cached(repo: Repository) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    index = try_to_load_from_cache(repo.id, "model_index.json", revision=repo.revision)
    if not isinstance(index, str):
        return None
    folder = Path(index).parent
    files = [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]
    try:
        family = folder_family(folder)
        _weights(repo, family, files, half=False)
    except ModelLoadError:
        return None
    return folder if _needed(family) <= set(files) else None


def _fetch(repo: Repository, half: bool, progress: Progress) -> Path:
    sizes = file_sizes(repo)  # asked first, for it fails at once where there is no network
    if "model_index.json" not in sizes:
        raise ModelLoadError(
            f"{repo} on the hub is no diffusers pipeline: it has no model_index.json. If it holds a "
            "single .safetensors or .gguf file, download that and name it."
        )
    index = download_file(repo, "model_index.json", repo.revision)
    folder = Path(index).parent  # named after the commit that the revision is now
    family = pipeline_family(folder)
    weights = _weights(repo, family, list(sizes), half)
    small = [name for name in sizes if _is_small(name, family)]
    if lost := sorted(_needed(family) - set(sizes)):
        raise ModelLoadError(f"{repo} on the hub is not whole: it has no {lost[0]}.")

    def judge(name: str) -> None:
        if name == weights[0]:
            folder_family(folder)  # may refuse it by its configurations

    download_each(repo, folder, [*small, *weights], sizes, progress, judge)
    return folder


def _needed(family: str) -> set[str]:
    """The required files besides the weights."""
    spec = registry.families()[family]
    return {
        "scheduler/scheduler_config.json",
        *(f"{part}/config.json" for part in spec.components),
        *(f"{part}/tokenizer_config.json" for part in spec.tokenizers),
    }


def _is_small(name: str, family: str) -> bool:
    """Whether a file is a configuration or belongs to a tokenizer."""
    folder, _, file = name.partition("/")
    spec = registry.families()[family]
    if folder in (*spec.components, "scheduler"):
        return re.fullmatch(r"[\w-]*config\.json", file) is not None
    known = re.fullmatch(r"[\w-]+\.(json|txt|model|jinja)", file) is not None
    return folder in spec.tokenizers and known


def _weights(repo: Repository, family: str, files: Sequence[str], half: bool) -> list[str]:
    chosen = []
    for part in registry.families()[family].components:
        names = [name.removeprefix(f"{part}/") for name in files if name.startswith(f"{part}/")]
        chosen += [f"{part}/{name}" for name in chosen_weights(f"{repo}/{part}", names, half=half)]
    return chosen
