"""The list of all model families, and queries over it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packshot.models.family_spec import FamilySpec, Relative


_FILES = (
    "stable_diffusion", "sdxl", "sd3", "flux", "flux2", "qwen_image", "z_image",
)  # fmt: skip
"""The files in `families/`, in the order in which families are listed."""


@cache
def families() -> Mapping[str, FamilySpec]:
    """Every family's spec by its name. Their files import this module, so they are imported lazily."""
    modules = [import_module(f"packshot.models.families.{file}") for file in _FILES]
    return {spec.name: spec for module in modules for spec in module.SPECS}


def candidates() -> Iterator[tuple[str, FamilySpec | Relative]]:
    """Everything a checkpoint may be: each family by its name, then unsupported relatives by title."""
    yield from families().items()
    for spec in families().values():
        for relative in spec.relatives:
            yield relative.title, relative


def titles(root: str | None = None, *, learns_text: bool = False) -> str:
    """The families' titles as a sentence has them: "A, B and C".

    Args:
        root: only those whose denoiser is this, "unet" or "transformer".
        learns_text: only those whose text encoders can be trained.
    """
    *some, last = (
        spec.title
        for spec in families().values()
        if root in (None, spec.denoiser_root) and spec.learns_text >= learns_text
    )
    return f"{', '.join(some)} and {last}" if some else last


def diffusers_classes() -> set[str]:
    """The classes of diffusers that checkpoints' configurations may name."""
    specs = families().values()
    return {name for spec in specs for name in (spec.denoiser_class, spec.vae_class)}
