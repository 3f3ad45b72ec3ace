"""Asking before a project has something fetched that its user has not named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from packshot.errors import UnaskedFetchError
from packshot.project import Project
from packshot.utils import consent, pathnames
from packshot.weights import hub
from packshot.weights.installed_bases import installed_base

_MODELS = ("base", "captioner", "segmenter", "embedder")

_RELEASED = ("birefnet", "isnet", "u2net")
"""Segmenters that are fetched by one word, from rembg's releases."""


def require_consent(project: Project, *keys: str, **chosen: str) -> None:
    """Raise if settings of a project name what is not here and what its user has not named or agreed to.

    Args:
        keys: the settings that are about to be used: "base", "captioner", "class_images", ...
        chosen: values by setting that decisions.toml has in their place.

    Raises:
        UnaskedFetchError: there are such names. Once agreed to, they are not asked for again.
    """
    known = consent.agreed(project.root)
    settings = project.settings
    named = [(key, getattr(settings, key)) for key in keys] + list(chosen.items())
    foreign = {
        name: key for key, value in named for name in _fetched(key, value) if name not in known
    }
    if foreign:
        raise UnaskedFetchError(project.root, project.settings_file, foreign)


def _fetched(key: str, value: str | tuple[str, ...]) -> Iterator[str]:
    """Of a setting's value, the names of what would be fetched."""
    for name in (value,) if isinstance(value, str) else value:
        if key == "segmenter" and name in _RELEASED:
            yield name
        elif key in _MODELS:
            model = name if key == "base" else name.rpartition(":")[2]
            if installed_base(model) or pathnames.exists(pathnames.expand_user(model)):
                continue
            repo = hub.parse_repo(model)
            if repo and not hub.was_fetched(repo):
                yield name
        elif name != "base" and not Path(name).is_dir():
            yield name
