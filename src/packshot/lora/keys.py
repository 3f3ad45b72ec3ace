"""LoRA keys: other tools' names of the adapted modules, and recognising LoRAs of other families.

Our names are dotted diffusers names after their network: "unet.mid_block.…", "text_encoder.encoder.…".
Original files may stack the rows of several diffusers modules in one (queries, keys and values).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import nn

from packshot.models import registry
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.family_spec import FamilySpec

_ANY_TRANSFORMER = r"^(transformer|lora_transformer)[._]"
_ATTENTION = re.compile(r"(.*)\.(to_q|to_k|to_v|to_out)(?:\.0)?")
_ENCODER_STARTS = {
    "text_encoder": ("lora_te_", "lora_te1_"),
    "text_encoder_2": ("lora_te2_",),
    "text_encoder_3": ("lora_te3_",),
}


def other_family(
    keys: Iterable[str], metadata: Mapping[str, str], own: str
) -> tuple[str, int] | None:
    """The family that a file is for, if it is not `own` ("" is none), and how many keys show it.

    A count of 0 means that its metadata shows it.
    """
    keys, wanted = list(keys), registry.families().get(own)
    root, title = (wanted.denoiser_root, wanted.lora_title) if wanted else ("", "")
    for family_title, pattern in _key_patterns():
        if count := sum(1 for key in keys if re.search(pattern, key)):
            is_any = pattern == _ANY_TRANSFORMER and root == "transformer"
            return None if is_any or family_title == title else (family_title, count)
    says = metadata.get("ss_base_model_version", "") + metadata.get("modelspec.architecture", "")
    for spec in _unets():
        if any(word in says for word in spec.lora_metadata):
            return None if spec.lora_title == title else (spec.lora_title, 0)
    # LoRAs of a family that metadata tells always say so; one that says something else is another's.
    return (plain_title(), 0) if says and wanted and wanted.lora_metadata else None


def plain_title() -> str:
    """The title of LoRAs whose keys and metadata are of no particular family: the plain UNet's."""
    return next(spec.lora_title for spec in _unets() if not spec.lora_keys)


def _unets() -> list[FamilySpec]:
    return [spec for spec in registry.families().values() if spec.denoiser_root == "unet"]


def _key_patterns() -> list[tuple[str, str]]:
    """LoRA titles with the regex of their keys; the first that matches any key decides.

    Transformers come before UNets, because text encoders' names are common to both.
    """
    patterns: dict[str, list[tuple[str, str]]] = {"transformer": [], "unet": []}
    for spec in registry.families().values():
        if spec.lora_keys:
            patterns[spec.denoiser_root].append((spec.lora_title, spec.lora_keys))
    some = ", ".join(title for title, _ in patterns["transformer"])
    generic = (f"a transformer ({some} or the like)", _ANY_TRANSFORMER)
    return [*patterns["transformer"], generic, *patterns["unet"]]


def kohya_names(base: DiffusionModel) -> dict[str, list[str]]:
    """kohya's name of every module, with our names of what is stacked in it, in order.

    "unet.mid.to_q" is "lora_unet_mid_to_q"; text encoders' names are "lora_te_text_model_…". Where
    kohya's trainer works on the original checkpoint, the denoiser's modules have the original names,
    and text encoders are numbered.
    """
    root, start = base.denoiser_root, base.kohya_prefix
    if base.kohya_uses_original_keys:
        modules = base.original_modules()
    else:
        modules = {name: [name] for name in _adaptable(base.denoiser)}
    names = {
        start + (spelt if start.endswith(".") else spelt.replace(".", "_")): [
            f"{root}.{name}" for name in ours
        ]
        for spelt, ours in modules.items()
    }
    for encoder, network in base.text_encoders.items():
        number = encoder.removeprefix("text_encoder").removeprefix("_") or "1"
        start = f"lora_te{number if base.kohya_uses_original_keys else ''}_text_model_"
        for name in _adaptable(network):
            flat = name.removeprefix("text_model.").replace(".", "_")
            names[start + flat] = [f"{encoder}.{name}"]
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
    if root in _ENCODER_STARTS and inner.startswith("encoder.layers."):
        name = f"{root}.text_model.{inner}"
    return f"{name}.lora_A.weight", f"{name}.lora_B.weight"


def key_aliases(base: DiffusionModel) -> dict[str, list[str]]:
    """All key names other tools use, dots as underscores, mapped to our module names."""
    root, names = base.denoiser_root, {}
    for spelt, ours in base.original_modules().items():
        flat = spelt.replace(".", "_")
        for start in ("lora_unet_", "unet_", "diffusion_model_", ""):
            names[start + flat] = [f"{root}.{name}" for name in ours]
    for name in _adaptable(base.denoiser):
        flat = name.replace(".", "_")
        own = ("", f"{root}_", f"lora_{root}_", "lora_unet_", f"base_model_model_{root}_")
        for start in (*own, "diffusion_model_"):
            names[start + flat] = [f"{root}.{name}"]
    for encoder, network in base.text_encoders.items():
        for name in _adaptable(network):
            rest = name.removeprefix("text_model.").replace(".", "_")
            starts = (*_ENCODER_STARTS[encoder], f"{encoder}_", f"base_model_model_{encoder}_")
            for start in starts:
                names[f"{start}text_model_{rest}"] = names[start + rest] = [f"{encoder}.{name}"]
    return names


def _adaptable(network: nn.Module) -> Iterable[str]:
    return (
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    )
