"""LoRA files: read with any tool's keys; written with kohya's or diffusers' keys and verified.

kohya: `lora_unet_<dots as underscores>.lora_down.weight`, `.lora_up.weight`, `.alpha`
diffusers (PEFT): `transformer.<dotted>.lora_A.weight`, `.lora_B.weight`; no alpha, so scale 1
diffusers (UNet): `unet.<dotted>.lora.down.weight`, `.lora.up.weight`, and in attention
    `.processor.to_q_lora.down.weight`; no alpha either
ComfyUI loads every module of all: `python -m benchmarks.comfyui_keys`
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from packshot.errors import LoraError
from packshot.lora import variants
from packshot.lora.fuse import shape_of
from packshot.lora.keys import diffusers_keys, key_aliases, kohya_names, other_family
from packshot.lora.weights import Lora, LoraWeights, WeightDelta
from packshot.models.diffusion_model import DiffusionModel
from packshot.utils import files
from packshot.weights.safetensors_file import read_safetensors

Format = Literal["kohya", "diffusers"]
_PARTS = {
    "lora_down.weight": "down", "lora_A.weight": "down", "lora.down.weight": "down",
    "lora_A.default.weight": "down",
    "lora_up.weight": "up", "lora_B.weight": "up", "lora.up.weight": "up",
    "lora_B.default.weight": "up",
    "lora_mid.weight": "mid", "alpha": "alpha",
    "dora_scale": "dora", "lora_magnitude_vector": "magnitude",
    "lora_magnitude_vector.weight": "magnitude", "lora_magnitude_vector.default.weight": "magnitude",
    **{part: part for part in variants.PARTS},
}  # fmt: skip
_PROCESSOR = re.compile(r"(.*)\.processor\.(to_[qkv]|to_out)_lora\.(down|up)\.weight")


def save(lora: Lora, kohya_file: Path, diffusers_file: Path, base: DiffusionModel) -> None:
    """Write both files and verify them: each is read back and every module must match.

    The scale is folded into `up`, so that alpha = rank: tools disagree on what another alpha means.
    Weights are written in fp32 (a LoRA is small, and rounding would show on small bases).

    Raises:
        LoraError: a file does not read back as it was written.
        DiskFullError: no room.
    """
    write_lora(lora, kohya_file, base, "kohya")
    write_lora(lora, diffusers_file, base, "diffusers")


def write_lora(lora: Lora, file: Path, base: DiffusionModel, format: Format = "kohya") -> None:
    """Write one file, read it back and compare.

    Raises:
        LoraError: it has LoHa, LoKr or DoRA modules, or does not read back as it was written.
        DiskFullError: no room.
    """
    if lora.variants:
        raise LoraError(
            f"{lora.name} holds LoHa, LoKr or DoRA at {len(lora.variants)} modules, which a plain LoRA "
            "can only approximate: give a rank for that."
        )
    tensors = tensors_of(lora, base, format)
    more = {"format": "pt"} if format == "diffusers" else {"sshs_model_hash": _tensor_hash(tensors)}
    files.write_safetensors(file, tensors, lora.metadata | more)
    _prove(lora, load_lora(file, base), file)


def tensors_of(lora: Lora, base: DiffusionModel, format: Format) -> dict[str, Tensor]:
    """What a file of the LoRA holds, by its keys."""
    return _kohya_tensors(lora, base) if format == "kohya" else _diffusers_tensors(lora)


def _kohya_tensors(lora: Lora, base: DiffusionModel) -> dict[str, Tensor]:
    tensors = {}
    for flat, names in kohya_names(base).items():
        present = [lora.weights[name] for name in names if name in lora.weights]
        if not present:
            continue
        down = torch.cat([weights.down.float() for weights in present])
        tensors[f"{flat}.lora_down.weight"] = down
        tensors[f"{flat}.lora_up.weight"] = _stacked(lora, base, names, len(down))
        tensors[f"{flat}.alpha"] = torch.tensor(float(len(down)))
    return tensors


def _stacked(lora: Lora, base: DiffusionModel, names: list[str], rank: int) -> Tensor:
    """The `up` of modules whose rows are stacked: each module's own block of rows and columns."""
    blocks, column = [], 0
    for name in names:
        weights = lora.weights.get(name)
        rows = shape_of(base, name)[0]
        shape = weights.up.shape[2:] if weights else ()
        block = torch.zeros(rows, rank, *shape)
        if weights:
            scaled = weights.up.float() * (weights.alpha / weights.rank)
            block[:, column : column + weights.rank] = scaled
            column += weights.rank
        blocks.append(block)
    return torch.cat(blocks)


def _diffusers_tensors(lora: Lora) -> dict[str, Tensor]:
    tensors = {}
    for name, weights in lora.weights.items():
        down, up = diffusers_keys(name)
        tensors[down] = weights.down.float()
        tensors[up] = weights.up.float() * (weights.alpha / weights.rank)
    return tensors


def _tensor_hash(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of the file's bytes after its header, as web UIs compute it."""
    from safetensors.torch import save as to_bytes

    data = to_bytes({name: tensor.contiguous() for name, tensor in tensors.items()})
    return files.sha256_of(data[8 + int.from_bytes(data[:8], "little") :])


def _prove(written: Lora, read: Lora, file: Path) -> None:
    for name, weights in written.weights.items():
        back = read.weights.get(name)
        if back is None or not torch.allclose(back.delta(), weights.delta(), rtol=1e-4, atol=1e-6):
            raise LoraError(
                f"{file} does not read back as it was written ({name}); write it again."
            )
    if len(read.weights) != len(written.weights):
        raise LoraError(f"{file} holds modules that were not written; write it again.")


def load_lora(file: Path, base: DiffusionModel) -> Lora:
    """Read a LoRA of either format, from any tool, for this base.

    LoCon, LoHa, LoKr and DoRA too: LoHa, LoKr and DoRA modules become `variants`.

    Raises:
        LoraError: not there, not safetensors, damaged, for another family, or of other shapes.
    """
    tensors, metadata = read_safetensors(file, LoraError)
    _refuse_foreign(file, base, tensors, metadata)
    known = key_aliases(base)
    parts: dict[tuple[str, ...], dict[str, Tensor]] = {}
    unknown = []
    for key, tensor in tensors.items():
        module, part = split_key(key)
        names = known.get(module.replace(".", "_"))
        if names is None or not part:
            unknown.append(key)
        else:
            parts.setdefault(tuple(names), {})[part] = tensor
    if not parts:
        raise LoraError(
            f"{file} is no LoRA for {base.name} ({base.family}): none of its {len(tensors)} keys "
            f"match, such as '{next(iter(tensors), '')}'."
        )
    if unknown:
        raise LoraError(
            f"{file}: {len(unknown)} of {len(tensors)} keys mean nothing to {base.name}, such as "
            f"'{unknown[0]}'. It was made for another checkpoint, or in a format not known here."
        )
    weights: dict[str, LoraWeights] = {}
    deltas: dict[str, WeightDelta] = {}
    for stacked, own in parts.items():
        if delta := _variant(file, base, stacked, own):
            deltas |= delta
        else:
            weights |= _weights(file, base, stacked, own)
    return Lora(weights, metadata, file.stem, files.sha256(file), deltas)


def _refuse_foreign(
    file: Path, base: DiffusionModel, tensors: dict[str, Tensor], metadata: dict[str, str]
) -> None:
    for kind, endings in variants.REFUSED.items():
        if any(key.endswith(endings) for key in tensors):
            raise LoraError(
                f"{file} is {kind}, which is not read here. LoRA, LoCon, LoHa, LoKr and DoRA are: "
                "ask its author for one, or extract one from the checkpoint that it makes."
            )
    if other := other_family(tensors, metadata, base.family):
        family, count = other
        says = f"{count} of its {len(tensors)} keys say so" if count else "its metadata says so"
        raise LoraError(
            f"{file} is a LoRA for {family} ({says}); use it with a checkpoint of that family."
        )


def split_key(key: str) -> tuple[str, str]:
    """A key's module and part ("down", "up", "alpha", …; "" if it is no LoRA's)."""
    if match := _PROCESSOR.fullmatch(key):
        module, layer, part = match.groups()
        return f"{module}.{'to_out.0' if layer == 'to_out' else layer}", part
    for ending, part in _PARTS.items():
        if key.endswith(f".{ending}"):
            return key.removesuffix(f".{ending}"), part
    return key, ""


def _variant(
    file: Path, base: DiffusionModel, names: tuple[str, ...], parts: dict[str, Tensor]
) -> dict[str, WeightDelta]:
    """The LoHa, LoKr or DoRA of a module (or of several stacked ones); empty for a plain LoRA."""
    called = " + ".join(names)
    shapes = [shape_of(base, name) for name in names]
    shape = (sum(each[0] for each in shapes), *shapes[0][1:])
    variant = None
    try:
        variant = variants.delta_from_tensors(parts, _alpha(file, called, parts))
        if variant is None:
            return {}
        fits = variant.fits(shape)
    except (RuntimeError, IndexError, ValueError):  # factors that cannot be multiplied
        fits = False
    if variant is None or not fits:
        raise LoraError(
            f"{file} does not fit {base.name}: its factors at {called} do not make the checkpoint's "
            f"weight of {shape}."
        )
    if len(names) == 1:
        return {names[0]: variant}
    if isinstance(variant, variants.DoRA) and variant.by_input:
        raise LoraError(
            f"{file} is a DoRA by inputs over {called}, which are one weight there and several here."
        )
    starts = [sum(each[0] for each in shapes[:n]) for n in range(len(names))]
    return {
        n: variants.RowSlice(variant, at, shape[0]) for n, at in zip(names, starts, strict=True)
    }


def _weights(
    file: Path, base: DiffusionModel, names: tuple[str, ...], parts: dict[str, Tensor]
) -> dict[str, LoraWeights]:
    """The weights of a module, or of several whose rows are stacked in one."""
    called = " + ".join(names)
    if "down" not in parts or "up" not in parts:
        raise LoraError(f"{file} is incomplete: {called} has only {', '.join(sorted(parts))}.")
    try:
        down, up = variants.down_with_tucker_core(parts), parts["up"]
    except RuntimeError:
        down, up = parts["down"], parts["mid"]  # of no shape that fits
    shapes = [shape_of(base, name) for name in names]
    shape = (sum(each[0] for each in shapes), *shapes[0][1:])
    fits = (
        down.ndim in (2, 4)
        and up.ndim in (2, 4)
        and up.flatten(1).shape == (shape[0], down.shape[0])
        and len(down) > 0
        and (down.shape[1:] == shape[1:] or down[0].numel() == math.prod(shape[1:]) == shape[1])
    )
    if not fits:
        raise LoraError(
            f"{file} does not fit {base.name}: at {called} it would make a weight of "
            f"{(*up.shape[:1], *down.shape[1:])}, the checkpoint's is {shape}."
        )
    alpha = _alpha(file, called, parts) or float(len(down))
    rows = up.split([each[0] for each in shapes])
    return {n: LoraWeights(down, part, alpha) for n, part in zip(names, rows, strict=True)}


def _alpha(file: Path, name: str, parts: dict[str, Tensor]) -> float:
    """The alpha; 0 where there is none, which means scale 1 (ComfyUI, AUTOMATIC1111, diffusers)."""
    alpha = parts.get("alpha", torch.zeros(()))
    if alpha.numel() != 1 or not all(map(_finite, parts.values())):
        raise LoraError(f"{file} is damaged: at {name} it has values that are no finite numbers.")
    return float(alpha)


def _finite(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and bool(tensor.float().isfinite().all())
