"""What is installed: versions, extras, and combinations that are known not to work."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version

from packaging.requirements import Requirement

from packshot.doctor.report import Finding
from packshot.weights.installed_bases import BUNDLED, installed_base

EXTRAS = {
    "bitsandbytes": ("quantised", "bases in int8 and nf4, on NVIDIA GPUs"),
    "onnxruntime": ("onnx", "better masks, and WD taggers"),
    "gguf": ("gguf", "GGUF checkpoints"),
}
"""Optional packages: the extra that installs each, and what it is for."""
SHOWN = ("torch", "diffusers", "transformers")
PINNED_TO_TORCH = ("torchvision", "torchaudio", "xformers")
"""Packages that diffusers and transformers import where they are, and that fit one torch only."""
CLASHING = (("onnxruntime", "onnxruntime-gpu"), ("opencv-python", "opencv-python-headless"))
"""Distributions that overwrite each other's files."""


def package_findings() -> Iterator[Finding]:
    """Versions of Packshot and what it needs, then whatever does not fit together."""
    yield Finding("packshot", version("packshot"))
    yield Finding("Python", platform.python_version())
    for name in SHOWN:
        if found := installed(name):
            yield Finding(name, found)
    for name, (extra, purpose) in EXTRAS.items():
        missing = f"not installed; only needed for {purpose} (pip install 'packshot[{extra}]')"
        yield Finding(name, installed(name) or missing)
    bundled = "installed" if installed_base(BUNDLED) else "not installed; only the demo needs it"
    yield Finding("bundled base", bundled)
    yield from _misfits()


def _misfits() -> Iterator[Finding]:
    """Packages of a version that Packshot, or a package beside it, cannot work with."""
    for requirement in requirements("packshot"):
        found = installed(requirement.name)
        if found is None or not requirement.specifier.contains(found, prereleases=True):
            text = f"{found or 'not installed'}; Packshot needs {requirement.specifier}"
            wanted = f"{requirement.name}{requirement.specifier}"
            yield Finding(requirement.name, text, "problem", f"pip install '{wanted}'")
    yield from _pinned_to_another_torch()
    for pair in CLASHING:
        if all(installed(name) for name in pair):
            text = "both are installed, and overwrite each other's files"
            one, other = pair
            advice = f"pip uninstall -y {one} {other}; pip install --force-reinstall {other}"
            yield Finding(" + ".join(pair), text, "note", advice)


def _pinned_to_another_torch() -> Iterator[Finding]:
    torch = installed("torch")
    for name in PINNED_TO_TORCH:
        for requirement in requirements(name):
            fits = torch is None or requirement.specifier.contains(torch, prereleases=True)
            if requirement.name == "torch" and not fits:
                text = (
                    f"{installed(name)} is made for torch {requirement.specifier}, and torch is {torch}:"
                    " networks may fail to load"
                )
                yield Finding(
                    name, text, "problem",
                    f"pip uninstall {name}   (Packshot does not need it), or install the {name} of this "
                    "torch",
                )  # fmt: skip


def installed(name: str) -> str | None:
    """A distribution's version; None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def requirements(name: str) -> list[Requirement]:
    """What a distribution needs on this machine: always, and of its extras what is installed."""
    try:
        told = distribution(name).requires or []
    except PackageNotFoundError:
        return []
    found = []
    for requirement in map(Requirement, told):
        always = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        optional = name == "packshot" and requirement.name in EXTRAS and installed(requirement.name)
        if always or optional:
            found.append(requirement)
    return found
