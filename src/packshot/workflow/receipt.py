"""receipt.json: what all steps were asked for when they were done, and what they left.

As long as nothing of both has changed, the same command has nothing to do; that is seen by names,
sizes and times alone, and no model is loaded for it.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

from packshot.project import Project
from packshot.utils import files
from packshot.weights.installed_bases import installed_base

_VERSIONS = ("packshot", "torch", "diffusers", "transformers")


def write_receipt(project: Project, source: Path) -> None:
    """Note that all is done, as it stands now."""
    files.write_json(project.receipt_file, _facts(project, source))


def all_stands(project: Project, source: Path) -> bool:
    """Whether what was done last is still what would be done, and is all there."""
    return files.read_json(project.receipt_file) == _facts(project, source)


def _facts(project: Project, source: Path) -> dict[str, Any]:
    settings = project.settings
    base = installed_base(settings.base) or Path(settings.base)
    shots = project.shots_folder
    left = [
        project.photos_folder, project.class_images_manifest, project.class_images_folder,
        project.plan_file, project.lora_folder, shots / "with", shots / "without", shots / "drift",
        shots / "scores.json", project.report_file,
    ]  # fmt: skip
    return {
        "versions": {name: version(name) for name in _VERSIONS},
        "settings": files.fingerprint(settings.model_dump()),
        "source": [str(source.resolve()), _stamp(source)],
        "base": _stamp(base),
        "class images": [_stamp(Path(name)) for name in settings.class_images],
        "left": {str(path.relative_to(project.root)): _stamp(path) for path in left},
    }


def _stamp(path: Path) -> str:
    """Names, sizes and times of what lies there, in one hash."""
    if not os.path.isdir(path):
        return files.fingerprint(_of_file(str(path)) if os.path.isfile(path) else None)
    found = []
    for folder, _, names in os.walk(path):
        found += [_of_file(os.path.join(folder, name)) for name in names]
    return files.fingerprint(sorted(found))


def _of_file(path: str) -> tuple[str, int, int]:
    told = os.stat(path, follow_symlinks=False)
    return path, told.st_size, told.st_mtime_ns
