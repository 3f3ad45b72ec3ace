"""Whether ComfyUI loads every module of the LoRA files that are written here.

Per family a full-size denoiser without memory (and the text encoders, where they can be trained),
per scope a random LoRA, both files of it. ComfyUI's own code makes the map from a file's names to
the weights of its own model, and loads the file by it. What the file then changes of ComfyUI's
weights is compared with what the LoRA changes of diffusers': ComfyUI's own conversion of diffusers
checkpoints tells where that is. The changes are compared by what they do to one random input each.

    python -m benchmarks.comfyui_keys --comfyui ../ComfyUI [--only z_image]

Prints a section of docs/families.md, which `make families` takes from benchmarks/comfyui_keys.md.
Needs a checkout of ComfyUI, but neither a GPU nor ComfyUI's dependencies: those that are absent are
replaced while it is imported, because no picture is made.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.abc
import importlib.machinery
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, get_args
from unittest.mock import MagicMock

import torch
from torch import Tensor

from packshot.lora import Lora, LoraWeights
from packshot.lora.files import Format, split_key, tensors_of
from packshot.lora.fuse import shape_of
from packshot.models import registry
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.fake import default_checkpoint
from packshot.types import TargetModules

RANK = 2
ABSENT = (
    "alembic", "av", "comfy_aimdo", "comfy_kitchen", "einops", "sqlalchemy", "torchaudio",
    "torchsde", "torchvision",
)  # fmt: skip
"""What ComfyUI imports and needs for none of this."""
SECTION = """\
## In ComfyUI
How many modules of each LoRA file ComfyUI {version} loads, by its own code: for denoisers of full size, in
each scope, with the text encoders where they are trained. A module counts if it changes what it should
of ComfyUI's weights. Measured with `python -m benchmarks.comfyui_keys`.
"""
Tensors = dict[str, Tensor]


class Stub(ModuleType):
    """A module, or a package of them, in which everything there is asked for is there."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=f"{self.__name__}.{name}")


class Stubs(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `ABSENT` packages where nothing else does."""

    def find_spec(
        self, name: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        known = name.partition(".")[0] in ABSENT
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if known else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return Stub(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


@contextmanager
def stubs() -> Iterator[None]:
    """Replace absent packages while the block runs."""
    finder = Stubs()
    sys.meta_path.append(finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if isinstance(module, Stub)]:
            del sys.modules[name]


def import_comfyui(folder: Path) -> Any:
    """ComfyUI's modules that are asked, of a checkout."""
    for name in ("diffusers.loaders.peft", "transformers.models.clip.modeling_clip"):
        importlib.import_module(name)  # they would take the stubs for the packages
    sys.path.append(str(folder))  # behind this folder, because both have `tests`
    with stubs():
        import comfy.cli_args as cli

        cli.args.cpu = True
        import comfy.lora
        import comfy.lora_convert
        import comfy.model_detection
        import comfy.sd
        import comfy.utils
    return SimpleNamespace(
        lora=comfy.lora,
        convert=comfy.lora_convert.convert_lora,
        detection=comfy.model_detection,
        utils=comfy.utils,
    )


def version_of(folder: Path) -> str:
    """Its version, and its commit where the folder is a checkout."""
    told = (folder / "comfyui_version.py").read_text(encoding="utf-8")
    version = told.strip().splitlines()[-1].partition("=")[2].strip(" \"'")
    if not (folder / ".git").exists():
        return version
    git = ["git", "-C", str(folder), "log", "-1", "--format=%h of %cs"]
    return f"{version}, {subprocess.run(git, capture_output=True, text=True).stdout.strip()}"


def base_of(family: str) -> DiffusionModel:
    """A base of the family's full size, without weights."""
    drawn = replace(default_checkpoint(family), shapes_only=True)
    return registry.families()[family].model(drawn, torch.device("cpu"), torch.float32, "full")


def random_lora(base: DiffusionModel, scope: TargetModules) -> Lora:
    """One on the scope's modules and on all that can be trained of the text encoders."""
    generator = torch.Generator().manual_seed(0)
    inside = {base.denoiser_root: base.lora_targets(scope)} | base.text_targets()
    weights = {}
    for root, names in inside.items():
        for name in (f"{root}.{name}" for name in names):
            shape = shape_of(base, name)
            down = torch.randn(RANK, *shape[1:], generator=generator)
            up = torch.randn(shape[0], RANK, *(1,) * (len(shape) - 2), generator=generator)
            weights[name] = LoraWeights(down, up, 1.0)
    return Lora(weights)


def effect(down: Tensor, up: Tensor, scale: float) -> Tensor:
    """What a LoRA makes, [out, 1], of a random input that is the same for all layers of a width."""
    flat = down.flatten(1)
    given = torch.randn(flat.shape[1], 1, generator=torch.Generator().manual_seed(flat.shape[1]))
    return scale * (up.flatten(1) @ (flat @ given))


class InComfyUI:
    """A base in ComfyUI: its weights' shapes, its map of LoRA keys, and where changes belong."""

    def __init__(self, comfy: Any, base: DiffusionModel) -> None:
        self.comfy, self.base = comfy, base
        weights = dict(base.denoiser.state_dict())
        self.config, self.converts = self._detected(weights)
        self.config.set_inference_dtype(torch.float32, None)
        with torch.device("meta"), stubs():
            denoiser = self.config.get_model({}, "")
            self.key_map = comfy.lora.model_lora_keys_unet(denoiser, {})
            self.shapes = {key: value.shape for key, value in denoiser.state_dict().items()}
            if base.text_targets():
                reader = self.config.clip_target({}).clip(
                    device="meta", dtype=torch.float32, model_options={}
                )
                self.key_map |= comfy.lora.model_lora_keys_clip(reader, {})
                self.shapes |= {key: value.shape for key, value in reader.state_dict().items()}

    def _detected(self, weights: Tensors) -> tuple[Any, bool]:
        """ComfyUI's configuration of it, and whether its names differ from diffusers'."""
        detection = self.comfy.detection
        if config := detection.model_config_from_unet(dict(weights), ""):
            return config, False
        if converted := self._converted(weights):
            return detection.model_config_from_unet(converted, ""), True
        return detection.model_config_from_diffusers_unet(weights), True

    def wanted(self, lora: Lora) -> Tensors:
        """By ComfyUI's weights: the effects of the LoRA's changes of them."""
        made = {
            f"{name}.weight": effect(each.down, each.up, each.alpha / each.rank)
            for name, each in lora.weights.items()
        }
        root = f"{self.base.denoiser_root}."
        inside = {
            name: torch.zeros(shape[0], 1) if len(shape) > 1 else torch.zeros(shape)
            for name, value in self.base.denoiser.state_dict().items()
            for shape in [value.shape]
        }
        inside |= {key.removeprefix(root): made[key] for key in made if key.startswith(root)}
        found = {f"diffusion_model.{key}": value for key, value in self._renamed(inside).items()}
        return found | self._of_text({key: made[key] for key in made if not key.startswith(root)})

    def _renamed(self, weights: Tensors) -> Tensors:
        if not self.converts:
            return weights
        if self.base.denoiser_root == "unet":
            names = self.comfy.utils.unet_to_diffusers(self.config.unet_config)
            return {theirs: weights[ours] for ours, theirs in names.items() if ours in weights}
        return self._converted(weights)

    def _converted(self, weights: Tensors) -> Tensors:
        """A transformer's weights by ComfyUI's names; none, if it is no transformer."""
        left = dict(weights)  # what it does not know stays there
        if "x_embedder.weight" in left:  # FLUX.2 has no bias, of which it takes the width
            left.setdefault("x_embedder.bias", left["x_embedder.weight"][:, 0])
        converted = self.comfy.detection.convert_diffusers_mmdit(left, "") or {}
        modulation = {key: left[key] for key in left if "stream_modulation" in key}
        return converted | {k.replace(".linear.", ".lin."): v for k, v in modulation.items()}

    def _of_text(self, made: Tensors) -> Tensors:
        """Those of the text encoders, which ComfyUI calls by their kinds of CLIP."""
        found = {}
        networks = [n for n in ("clip_l", "clip_h", "clip_g") if f"{n}.logit_scale" in self.shapes]
        for encoder, network in zip(self.base.text_targets(), networks, strict=True):
            for key in (key for key in made if key.startswith(f"{encoder}.")):
                inner = key.removeprefix(f"{encoder}.").removeprefix("text_model.")
                found[f"{network}.transformer.text_model.{inner}"] = made[key]
        return found


@dataclass
class Counts:
    """Of a file's modules: how many there are, and what became of them in ComfyUI."""

    modules: int
    loaded: int = 0
    wrong_shape: int = 0
    elsewhere: int = 0
    """Loaded, but they do not change what they should."""

    @property
    def lost(self) -> int:
        """Those that are not loaded at all."""
        return self.modules - self.loaded - self.wrong_shape - self.elsewhere

    def __str__(self) -> str:
        faults = {
            "lost": self.lost,
            "of a wrong shape": self.wrong_shape,
            "elsewhere": self.elsewhere,
        }
        named = ", ".join(f"{count} {fault}" for fault, count in faults.items() if count)
        return f"{self.loaded} of {self.modules}" + f" ({named})" * bool(named)


def check(there: InComfyUI, lora: Lora, format: Format) -> Counts:
    """Load one file of a LoRA into ComfyUI."""
    tensors = tensors_of(lora, there.base, format)
    counts = Counts(sum(split_key(key)[1] == "up" for key in tensors))
    patches = there.comfy.lora.load_lora(there.comfy.convert(tensors), there.key_map)
    wanted, by_weight = there.wanted(lora), Counter[str]()
    found: Tensors = {}
    for target, adapter in patches.items():
        key, offset, function = placed(target)
        if key not in there.shapes:
            continue  # ComfyUI passes over what its model does not have
        up, down, alpha = adapter.weights[:3]
        if not fits(up, down, there.shapes[key], offset):
            counts.wrong_shape += 1
            continue
        made = effect(down, up, 1.0 if alpha is None else alpha / len(down))
        whole = found.setdefault(key, torch.zeros(there.shapes[key][0], 1))
        part = whole if offset is None else whole.narrow(*offset)
        part += made if function is None else function(made)
        by_weight[key] += 1
    for key, count in by_weight.items():
        same = key in wanted and torch.allclose(found[key], wanted[key], rtol=1e-3, atol=1e-3)
        counts.loaded += count * same
        counts.elsewhere += count * (not same)
    return counts


def placed(target: Any) -> tuple[str, tuple[int, int, int] | None, Any]:
    """A weight of ComfyUI's, which rows of it a change is for, and what is done to the change first."""
    key, offset, function, *_ = (
        (target, None, None) if isinstance(target, str) else (*target, None, None)
    )
    return key, offset, function


def fits(up: Tensor, down: Tensor, shape: torch.Size, offset: tuple[int, int, int] | None) -> bool:
    """Whether the product of a LoRA's factors has the shape of (some rows of) a weight."""
    sides = list(shape)
    if offset is not None:
        sides[offset[0]] = offset[2]
    return len(up) == sides[0] and down[0].numel() == math.prod(sides[1:])


def row_of(there: InComfyUI, format: Format) -> str:
    """The table's row of one family's file."""
    scopes: tuple[TargetModules, ...] = get_args(TargetModules)
    told = [str(check(there, random_lora(there.base, scope), format)) for scope in scopes]
    title = registry.families()[there.base.family].title
    return f"| {' | '.join([title, format, *told])} |"


def main() -> None:
    """Print the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comfyui", type=Path, required=True, help="a checkout of ComfyUI")
    parser.add_argument("--only", help="this family")
    options = parser.parse_args()
    comfy = import_comfyui(options.comfyui)
    print(SECTION.format(version=version_of(options.comfyui)))
    print(f"| family | file | {' | '.join(get_args(TargetModules))} |")
    print("| --- " * (2 + len(get_args(TargetModules))) + "|")
    for family in registry.families():
        if options.only in (None, family):
            there = InComfyUI(comfy, base_of(family))
            for format in get_args(Format):
                print(row_of(there, format), flush=True)


if __name__ == "__main__":
    main()
