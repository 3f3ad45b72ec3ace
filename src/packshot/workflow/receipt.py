"""receipt.json: the inputs and outputs of the last complete run.

As long as neither has changed, the same command has nothing to do; this is checked by names, sizes
and times of files, without loading a model.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

from packshot.project import Project
from packshot.utils import files, hashing, reading
from packshot.weights.installed_bases import installed_base

_VERSIONS = ("packshot", "torch", "diffusers", "transformers")


def versions() -> dict[str, str]:
    """Of the packages that results depend on."""
    return {name: version(name) for name in _VERSIONS}


def write_receipt(project: Project, source: Path) -> None:
    """Record the current inputs and outputs after a complete run."""
    files.write_json(project.receipt_file, _facts(project, source))


def all_stands(project: Project, source: Path) -> bool:
    """Whether neither the inputs nor the outputs of the last complete run have changed."""
    return reading.read_json(project.receipt_file) == _facts(project, source)


def _facts(project: Project, source: Path) -> dict[str, Any]:
    settings = project.settings
    base = installed_base(settings.base) or Path(settings.base)
    shots = project.shots_folder
    left = [
        project.photos_folder, project.class_images_manifest, project.class_images_folder,
        project.plan_file, project.decisions_file, project.lora_folder, shots / "with",
        shots / "without", shots / "drift", shots / "scores.json", project.report_file,
    ]  # fmt: skip
    if settings.plates != "none":
        left.append(project.insertions_folder)
    return {
        "versions": versions(),
        "settings": hashing.fingerprint(settings.model_dump()),
        "source": [str(source.resolve()).encode("utf-8", "replace").decode(), _stamp(source)],
        "base": _stamp(base),
        "assistant": _stamp(Path(settings.assistant)),
        "plates": _stamp(Path(settings.plates)),
        "class images": [_stamp(Path(name)) for name in settings.class_images],
        "left": {str(path.relative_to(project.root)): _stamp(path) for path in left},
    }


def _stamp(path: Path) -> str:
    """A hash of the names, sizes and times of a file, or of all files in a folder."""
    if not os.path.isdir(path):
        return hashing.fingerprint(
            [str(path), *hashing.stamp(path)] if os.path.isfile(path) else None
        )
    stamps: list[list[Any]] = []
    for folder, _, names in os.walk(path):
        paths = [os.path.join(folder, name) for name in names]
        stamps += [[path, *hashing.stamp(path)] for path in paths]
    return hashing.fingerprint(sorted(stamps))
