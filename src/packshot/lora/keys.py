"""LoRA keys: other tools' names of the adapted modules, and recognising LoRAs of other families.

Our names are dotted diffusers names after their network: "unet.mid_block.…", "text_encoder.encoder.…".
Original files may stack the rows of several diffusers modules in one (queries, keys and values).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import nn

from packshot.models import registry
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.family_spec import FamilySpec
from packshot.models.key_mapping import adaptable

_WRAPPED = (
    r"^((lora_unet|lora_transformer|lycoris|transformer|diffusion_model|base_model\.model)[._])*"
)
_ANY_TRANSFORMER = rf"^(transformer|lora_transformer)[._]|{_WRAPPED}transformer_blocks[._]"
_ANY_UNET = r"(^|[._])((down|mid|up)_blocks?|(input|output)_blocks|middle_block)[._]"
_ATTENTION = re.compile(r"(.*)\.(to_q|to_k|to_v|to_out)(?:\.0)?")
_DENOISERS = (
    "", "unet.", "transformer.", "diffusion_model.", "model.diffusion_model.", "lora_unet.",
    "lora_transformer.", "lycoris.",
)  # fmt: skip
_PEFT = "base_model.model."
"""What keys begin with before a module's name: the network, and PEFT's wrapper around it."""
_PYTORCHS = re.compile(r"^module\.|_orig_mod[._]")


@dataclass(frozen=True)
class Place:
    """Where a key's module is: ours that are stacked in it, in order."""

    names: tuple[str, ...]
    is_swapped: bool = False
    """Whether its rows are shift and scale, and ours scale and shift."""


def unwrapped(key: str) -> str:
    """A key without what PyTorch puts into names of networks that are compiled, or on several GPUs."""
    return _PYTORCHS.sub("", key)


def told_family(keys: Iterable[str], metadata: Mapping[str, str]) -> tuple[str, int] | None:
    """The title of the LoRAs that a file is one of, and how many keys show it; None if nothing does.

    A count of 0 means that its metadata shows it.
    """
    keys = list(map(unwrapped, keys))

    def count(pattern: str) -> int:
        return sum(1 for key in keys if re.search(pattern, key))

    certain = _key_patterns()
    for title, pattern in certain["transformer"]:
        if found := count(pattern):
            return title, found
    says = " ".join(metadata.get(key, "") for key in _TELLING).lower()
    transformers, unets = (
        [spec for spec in registry.families().values() if spec.denoiser_root == root]
        for root in ("transformer", "unet")
    )
    if found := count(_ANY_TRANSFORMER):
        some = ", ".join(title for title, _ in certain["transformer"])
        return _by_metadata(transformers, says) or (f"a transformer ({some} or the like)", found)
    for title, pattern in certain["unet"]:
        if found := count(pattern):
            return title, found
    if told := _by_metadata([*unets, *transformers], says):
        return told
    return (plain_title(), found) if (found := count(_ANY_UNET)) else None


_TELLING = ("ss_base_model_version", "modelspec.architecture")


def _by_metadata(specs: Iterable[FamilySpec], says: str) -> tuple[str, int] | None:
    for spec in specs:
        if any(word in says for word in spec.lora_metadata):
            return spec.lora_title, 0
    return None


def other_family(
    keys: Iterable[str], metadata: Mapping[str, str], own: str
) -> tuple[str, int] | None:
    """The family that a file is for, if it is not `own`, and how many keys show it, as `told_family`."""
    wanted = registry.families()[own]
    told = told_family(keys, metadata)
    if told is None or told[0] == wanted.lora_title:
        return None
    if told[0].startswith("a transformer"):  # nothing tells which
        return None if wanted.denoiser_root == "transformer" else told
    names_only = told[0] == plain_title() and told[1] > 0  # SDXL has such names, too
    return None if names_only and wanted.denoiser_root == "unet" else told


def plain_title() -> str:
    """The title of LoRAs whose keys and metadata are of no particular family: the plain UNet's."""
    unets = (spec for spec in registry.families().values() if spec.denoiser_root == "unet")
    return next(spec.lora_title for spec in unets if not spec.lora_keys)


def _key_patterns() -> dict[str, list[tuple[str, str]]]:
    """LoRA titles with the regex of keys that only theirs have, by the denoiser's root.

    Transformers' come first, because text encoders' names are common to both.
    """
    patterns: dict[str, list[tuple[str, str]]] = {"transformer": [], "unet": []}
    for spec in registry.families().values():
        if spec.lora_keys:
            patterns[spec.denoiser_root].append((spec.lora_title, spec.lora_keys))
    return patterns


def kohya_names(base: DiffusionModel) -> dict[str, Place]:
    """kohya's name of every module, with what is stacked in it.

    "unet.mid.to_q" is "lora_unet_mid_to_q"; text encoders' names are "lora_te_text_model_…". Where
    kohya's trainer works on the original checkpoint, the denoiser's modules have the original names,
    and text encoders are numbered.
    """
    start = base.kohya_prefix
    if base.kohya_uses_original_keys:
        places = _original_places(base, base.original_modules())
    else:
        places = _own_places(base)
    names = {
        start + (spelt if start.endswith(".") else spelt.replace(".", "_")): place
        for spelt, place in places.items()
    }
    for encoder, network in base.text_encoders.items():
        number = encoder.removeprefix("text_encoder").removeprefix("_") or "1"
        start = f"lora_te{number if base.kohya_uses_original_keys else ''}_"
        if _is_t5(network):
            start = "lora_te3_"  # FLUX.1's, too: as ComfyUI and sd-scripts have it
        for name, inner in _inner_names(network).items():
            spelt = f"text_model.{inner}" if inner.startswith("encoder.layers.") else inner
            names[start + spelt.replace(".", "_")] = Place((f"{encoder}.{name}",))
    return names


def diffusers_keys(name: str) -> tuple[str, str]:
    """diffusers' keys of a module's factors, down and up.

    They are PEFT's, but in a UNet the older ones of diffusers: ComfyUI does not know PEFT's keys of a
    UNet's attention. CLIP's names have the "text_model." that transformers 5 leaves out.
    """
    root, _, inner = name.partition(".")
    if root == "unet":
        attention = _ATTENTION.fullmatch(name)
        start = f"{attention[1]}.processor.{attention[2]}_lora" if attention else f"{name}.lora"
        return f"{start}.down.weight", f"{start}.up.weight"
    if root.startswith("text_encoder") and inner.startswith("encoder.layers."):
        name = f"{root}.text_model.{inner}"
    return f"{name}.lora_A.weight", f"{name}.lora_B.weight"


def key_aliases(base: DiffusionModel) -> dict[str, Place]:
    """All key names other tools use, dots as underscores, mapped to our modules."""
    places: dict[str, Place] = {}
    spelt_places = (
        _original_places(base, base.other_modules())
        | _original_places(base, base.original_modules())
        | _own_places(base)
    )
    for spelt, place in spelt_places.items():
        for start in _DENOISERS:
            for wrapped in (start, start + _PEFT, _PEFT + start):
                places[_flat(wrapped + spelt)] = place
    for encoder, network in base.text_encoders.items():
        starts = _encoder_starts(encoder, network)
        for name, inner in _inner_names(network).items():
            for start in starts:
                for wrapped in (start, start + _PEFT, _PEFT + start):
                    for spelt in (inner, f"text_model.{inner}"):
                        places[_flat(wrapped + spelt)] = Place((f"{encoder}.{name}",))
    return places


def _flat(spelt: str) -> str:
    return spelt.replace(".", "_")


def _encoder_starts(encoder: str, network: nn.Module) -> tuple[str, ...]:
    """What keys of a text encoder begin with: diffusers', kohya's and ComfyUI's names of it."""
    if _is_t5(network):
        kohya = ("lora_te3.", "lora_te2.") if encoder == "text_encoder_2" else ("lora_te3.",)
        return (f"{encoder}.", *kohya, "text_encoders.t5xxl.transformer.")
    if encoder == "text_encoder":
        comfy = (f"text_encoders.{name}.transformer." for name in ("clip_l", "clip_h"))
        return (f"{encoder}.", "lora_te.", "lora_te1.", *comfy)
    return (f"{encoder}.", "lora_te2.", "text_encoders.clip_g.transformer.")


def _is_t5(network: nn.Module) -> bool:
    return type(network).__name__.startswith("T5")


def _inner_names(network: nn.Module) -> dict[str, str]:
    """A text encoder's modules, by their names with what those are without "text_model."."""
    return {name: name.removeprefix("text_model.") for name in adaptable(network)}


def _own_places(base: DiffusionModel) -> dict[str, Place]:
    return {name: Place((f"{base.denoiser_root}.{name}",)) for name in adaptable(base.denoiser)}


def _original_places(base: DiffusionModel, modules: Mapping[str, list[str]]) -> dict[str, Place]:
    swapped, root = base.swapped_modules(), base.denoiser_root
    return {
        spelt: Place(tuple(f"{root}.{name}" for name in ours), ours[0] in swapped)
        for spelt, ours in modules.items()
    }
