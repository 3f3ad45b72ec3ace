"""What the metadata of a LoRA file means, and what that of a written one may say.

PEFT's settings stand in diffusers' header (`lora_adapter_metadata`, since 0.34: one flat JSON object
whose keys begin with the network) or beside PEFT's own file (`adapter_config.json`). Of them only
the scale changes what a file means: alpha / rank, or alpha / sqrt(rank) where it is rank-stabilised
(arXiv 2312.03732). Ranks are the tensors' own.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packshot.errors import LoraError
from packshot.lora.weights import Lora, LoraWeights
from packshot.models import registry
from packshot.models.diffusion_model import DiffusionModel

_HEADER = "lora_adapter_metadata"
MADE_BY = "packshot.made_by"
"""Entry of merged, resized and extracted LoRAs: of what they were made."""
_MAX_BYTES = 2**22
_MAX_QUANTIFIERS = 3  # of a pattern: what a match may cost grows with their number
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Ways of starting a LoRA for which the base's own weights are changed, too."""


@dataclass(frozen=True)
class PeftConfig:
    """PEFT's settings of one network, as far as they change what the tensors mean."""

    alpha: float
    rank: int
    patterns: Mapping[str, float] = field(default_factory=dict)
    """Other alphas, by names or regular expressions of names' ends."""
    is_rank_stabilised: bool = False

    def scale(self, names: Iterable[str], rank: int = 0) -> float:
        """What a module's product is multiplied by; its rank is `rank` if the tensors have one."""
        names, rank = list(names), rank or self.rank
        matching = (
            alpha for key, alpha in self.patterns.items() if any(_matches(key, n) for n in names)
        )
        alpha = next(matching, self.alpha)
        return alpha / (math.sqrt(rank) if self.is_rank_stabilised else rank)


def _matches(pattern: str, name: str) -> bool:
    """Whether a name is what PEFT's pattern says, or ends in it."""
    anchored = pattern.startswith("^")
    pattern, name = (each.removeprefix("text_model.") for each in (pattern.lstrip("^"), name))
    if pattern == name or (not anchored and name.endswith(f".{pattern}")):
        return True
    start = "" if anchored else r"(?:.*\.)?"
    return bool(re.fullmatch(f"{start}(?:{pattern})", name))


def peft_configs(
    file: Path, metadata: Mapping[str, str], keys: Iterable[str]
) -> dict[str, PeftConfig]:
    """PEFT's settings of each network that a file tells of; "" is whichever the file is for.

    Raises:
        LoraError: they are no JSON, or of no sense.
    """
    beside = file.parent / "adapter_config.json"
    if MADE_BY in metadata:  # their scale is in the weights, whatever an older version copied
        return {}
    if raw := metadata.get(_HEADER):
        settings = _parsed(raw, f"{file}: {_HEADER} in its header")
    elif beside.is_file() and (file.stem.startswith("adapter_model") or _are_pefts(keys)):
        settings = _parsed(_text_of(beside), str(beside))
    else:
        return {}
    networks: dict[str, dict[str, Any]] = {}
    for key, value in settings.items():
        network, dot, name = key.rpartition(".")
        networks.setdefault(network if dot else "", {})[name] = value
    return {network: _config(file, own) for network, own in networks.items() if _has_scale(own)}


def _are_pefts(keys: Iterable[str]) -> bool:
    return all(key.startswith("base_model.model.") for key in keys)


def _text_of(file: Path) -> str:
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise LoraError(f"{file} is too large for settings of a LoRA.")
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LoraError(f"{file} cannot be read ({error}). Copy it again.") from error


def _parsed(raw: str, called: str) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise LoraError(f"{called} is no JSON ({error}). Copy the file again.") from error
    if not isinstance(value, dict):
        raise LoraError(f"{called} is no JSON object. Copy the file again.")
    return value


def _has_scale(settings: Mapping[str, Any]) -> bool:
    return "lora_alpha" in settings or "alpha" in settings


def _config(file: Path, settings: Mapping[str, Any]) -> PeftConfig:
    starts = str(settings.get("init_lora_weights")).lower()
    if starts.startswith(_CHANGES_BASE):
        raise LoraError(
            f"{file} was begun with {starts}, which changes the base's own weights, too. Have it "
            "converted to a plain LoRA by PEFT (path_initial_model_for_weight_conversion)."
        )
    alpha = settings.get("lora_alpha", settings.get("alpha"))
    patterns = settings.get("alpha_pattern") or {}
    rank = settings.get("r", 8)  # PEFT's default
    numbers = [alpha, rank, *(patterns.values() if isinstance(patterns, dict) else [None])]
    if not all(_is_number(value) for value in numbers) or rank < 1:
        raise LoraError(f"{file}: its alpha, alpha_pattern or r is no number: copy it again.")
    for pattern in patterns:
        _check(file, pattern)
    return PeftConfig(
        float(alpha),
        int(rank),
        {key: float(value) for key, value in patterns.items()},
        bool(settings.get("use_rslora")),
    )


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max  # JSON has integers of any length


def _check(file: Path, pattern: str) -> None:
    """Refuse what is no regular expression, or one that takes for ever."""
    try:
        re.compile(pattern)
        is_simple = len(re.findall(r"[*+{]", pattern)) <= _MAX_QUANTIFIERS
    except (re.error, RecursionError, OverflowError):
        is_simple = False
    if not is_simple or re.search(r"\)[*+{]", pattern) or len(pattern) > 1000:
        raise LoraError(f"{file}: its alpha_pattern has '{pattern[:80]}', which is not read here.")


_OF_THE_FILE = re.compile(rf"{_HEADER}|format|sshs_.*|ss_network_.*|modelspec\.hash_sha256")
"""Entries that are true of one file only: its tensors' hashes, ranks and settings."""


def true_metadata(lora: Lora, base: DiffusionModel) -> dict[str, str]:
    """What a written file may say: what its source said and still holds, and what it now is.

    Which base it is for always stands there, because AUTOMATIC1111 takes a file that says other things
    for one of Stable Diffusion 1.x.
    """
    family = registry.families()[base.family]
    kept = {key: value for key, value in lora.metadata.items() if not _OF_THE_FILE.fullmatch(key)}
    rank = _common(each.rank for each in lora.weights.values())
    kernels = [each for each in lora.weights.values() if each.down[0, 0].numel() > 1]
    inside: int | str = _common(each.rank for each in kernels)
    inside = int(inside) if str(inside).isdigit() else inside
    conv = {"conv_dim": inside, "conv_alpha": inside} if kernels else {}
    told = {
        "ss_v2": str(family.kohya_base == "sd_v2"),
        "ss_base_model_version": family.kohya_base,
        "modelspec.architecture": family.architecture,
    }
    now = {
        "ss_network_module": "networks.lora",
        "ss_network_dim": rank,
        "ss_network_alpha": rank,  # the scale is in the weights
        "ss_network_args": json.dumps(conv),
    }
    return told | kept | now


def _common(ranks: Iterable[int]) -> str:
    """The rank of all modules, or what sd-scripts says of other ranks in other modules."""
    found = set(ranks)
    return str(found.pop()) if len(found) == 1 else "Dynamic" if found else "0"


def agreed_metadata(loras: Sequence[Lora]) -> dict[str, str]:
    """What the metadata of all these LoRAs says alike."""
    first, *others = (lora.metadata for lora in loras)
    return {k: v for k, v in first.items() if all(other.get(k) == v for other in others)}


def peft_metadata(modules: Mapping[str, LoraWeights]) -> str:
    """diffusers' header entry for modules of several ranks, by their dotted names in its file.

    Without it, diffusers before 0.38 takes the commonest rank for each module's alpha.
    """
    networks: dict[str, dict[str, int]] = {}
    for name, each in modules.items():
        network, _, inner = name.partition(".")
        # Names' ends suffice, so that they hold with and without what transformers 5 leaves out.
        networks.setdefault(network, {})[inner.removeprefix("text_model.")] = each.rank
    settings: dict[str, Any] = {}
    for network, ranks in sorted(networks.items()):
        usual = Counter(ranks.values()).most_common(1)[0][0]
        start = "" if network.startswith("text_encoder") else "^"
        others = {f"{start}{name}": rank for name, rank in sorted(ranks.items()) if rank != usual}
        settings |= {
            f"{network}.r": usual,
            f"{network}.lora_alpha": usual,
            f"{network}.rank_pattern": others,
            f"{network}.alpha_pattern": others,
            f"{network}.target_modules": sorted(ranks),
        }
    return json.dumps(settings)
