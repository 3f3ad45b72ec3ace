"""LoRA files: read with any tool's keys; written with kohya's or diffusers' keys and verified.

kohya: `lora_unet_<dots as underscores>.lora_down.weight`, `.lora_up.weight`, `.alpha`
diffusers (PEFT): `transformer.<dotted>.lora_A.weight`, `.lora_B.weight`; no alpha, so scale 1
diffusers (UNet): `unet.<dotted>.lora.down.weight`, `.lora.up.weight`, and in attention
    `.processor.to_q_lora.down.weight`; no alpha either
ComfyUI and diffusers' versions load every module: `python -m benchmarks.comfyui_keys`, `.lora_readers`
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from packshot.errors import LoraError
from packshot.lora import variants
from packshot.lora.fuse import shape_of
from packshot.lora.keys import (
    Place,
    diffusers_keys,
    key_aliases,
    kohya_names,
    other_family,
    unwrapped,
)
from packshot.lora.metadata import PeftConfig, peft_configs, peft_metadata, true_metadata
from packshot.lora.weights import Lora, LoraWeights, WeightDelta
from packshot.models.diffusion_model import DiffusionModel
from packshot.utils import files, hashing, overwriting
from packshot.weights.safetensors_file import read_safetensors

Format = Literal["kohya", "diffusers"]
_FACTOR = re.compile(
    r"(.+)\.(?:lora_(A|B|down|up|mid)|lora(?:_linear_layer)?\.(down|up))(?:(?:\.[^.]+)?\.weight)?"
)
_PROCESSOR = re.compile(r"(.+?)\.(?:processor\.)?(to_[qkv]|to_out)_lora\.(down|up)\.weight")
_XLABS = re.compile(r"(.+\.processor\.(?:qkv|proj)_lora[12]?)\.(down|up)\.weight")
_MAGNITUDE = re.compile(r"(.+)\.(?:lora_magnitude_vector|magnitude)(?:\.[^.]+)?(?:\.weight)?")
_OTHER = re.compile(rf"(.+)\.(alpha|dora_scale|{'|'.join(variants.PARTS)})")
_NAMED = {"A": "down", "B": "up", "dora_scale": "dora"}
_PEFTS_NAME = "adapter_model.safetensors"
_MOST_DIMENSIONS = 4  # a convolution's
_LEFT_OUT = ("bundle_emb.",)
"""Keys of what lies in LoRA files and is none: embeddings that OneTrainer trains along."""


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


def write_lora(
    lora: Lora,
    file: Path,
    base: DiffusionModel,
    format: Format = "kohya",
    *,
    prove: bool = True,
    is_result: bool = False,
) -> None:
    """Write one file, read it back and compare.

    Args:
        prove: whether it is read back; not within `add_adapters`, where the base's modules are not by
            their names (nor is it written in kohya's format there).
        is_result: whether its folder may hold the user's own files, of which none is replaced.

    Raises:
        LoraError: it has LoHa, LoKr or DoRA modules, or does not read back as it was written.
        DiskFullError: no room.
        OverwriteError: a result would replace what Packshot has not written.
    """
    if lora.variants:
        raise LoraError(
            f"{lora.name} holds LoHa, LoKr or DoRA at {len(lora.variants)} modules, which a plain LoRA "
            "can only approximate: packshot lora resize, with the --rank of the approximation."
        )
    tensors, metadata = tensors_of(lora, base, format), true_metadata(lora, base)
    if format == "kohya":
        metadata["sshs_model_hash"] = _tensor_hash(tensors)
    else:
        metadata["format"] = "pt"
        if _has_mixed_ranks(lora):
            named = {_peft_name(name): weights for name, weights in lora.weights.items()}
            metadata["lora_adapter_metadata"] = peft_metadata(named)
    (overwriting if is_result else files).write_safetensors(file, tensors, metadata)
    if prove:
        _prove(lora, load_lora(file, base), file)


def try_writing(
    names: Iterable[str], metadata: Mapping[str, str], file: Path, base: DiffusionModel
) -> None:
    """Write and read back a LoRA of rank 1 on these modules in both formats, and delete it.

    What was trained for hours can then be written.

    Raises:
        LoraError, DiskFullError: as `write_lora`.
    """
    generator, weights = torch.Generator().manual_seed(0), {}
    for name in names:
        rows, *others = shape_of(base, name)
        up = torch.randn(rows, 1, *(1 for _ in others[1:]), generator=generator)
        weights[name] = LoraWeights(torch.randn(1, *others, generator=generator), up, 1.0)
    try:
        for format in get_args(Format):
            write_lora(Lora(weights, dict(metadata)), file, base, format)
    finally:
        file.unlink(missing_ok=True)


def tensors_of(lora: Lora, base: DiffusionModel, format: Format) -> dict[str, Tensor]:
    """What a file of the LoRA holds, by its keys."""
    return _kohya_tensors(lora, base) if format == "kohya" else _diffusers_tensors(lora)


def _kohya_tensors(lora: Lora, base: DiffusionModel) -> dict[str, Tensor]:
    tensors = {}
    for flat, place in kohya_names(base).items():
        present = {name: lora.weights[name] for name in place.names if name in lora.weights}
        if not present:
            continue
        down, up = _stacked(present, place, base)
        tensors[f"{flat}.lora_down.weight"] = down
        tensors[f"{flat}.lora_up.weight"] = up
        tensors[f"{flat}.alpha"] = torch.tensor(float(len(down)))
    return tensors


def _stacked(
    present: dict[str, LoraWeights], place: Place, base: DiffusionModel
) -> tuple[Tensor, Tensor]:
    """Both factors of modules whose rows are stacked; those that are not adapted have zeros.

    Each has its own block of rows and columns, or all have the same columns, if `down` is the same.
    """
    first, *others = present.values()
    is_shared = all(torch.equal(first.down, each.down) for each in others)
    downs = [first.down] if is_shared else [each.down for each in present.values()]
    down = torch.cat([each.float() for each in downs])
    blocks, column = [], 0
    for name in place.names:
        block = torch.zeros(shape_of(base, name)[0], len(down), *first.up.shape[2:])
        if weights := present.get(name):
            scaled = weights.up.float() * (weights.alpha / weights.rank)
            block[:, column : column + weights.rank] = scaled
            column += 0 if is_shared else weights.rank
        blocks.append(block)
    up = torch.cat(blocks)
    return down, variants.swap_halves(up) if place.is_swapped else up


def _diffusers_tensors(lora: Lora) -> dict[str, Tensor]:
    tensors = {}
    for name, weights in lora.weights.items():
        down, up = diffusers_keys(name)
        tensors[down] = weights.down.float()
        tensors[up] = weights.up.float() * (weights.alpha / weights.rank)
    return tensors


def _has_mixed_ranks(lora: Lora) -> bool:
    """Whether a network of it has modules of several ranks."""
    ranks = {(name.partition(".")[0], each.rank) for name, each in lora.weights.items()}
    return len(ranks) > len({network for network, _ in ranks})


def _peft_name(name: str) -> str:
    """What diffusers calls a module once it has read its keys."""
    module, _ = split_key(diffusers_keys(name)[0])
    return module


def _tensor_hash(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of the file's bytes after its header, as web UIs compute it."""
    from safetensors.torch import save as to_bytes

    data = to_bytes({name: tensor.contiguous() for name, tensor in tensors.items()})
    return hashing.sha256_of(data[8 + int.from_bytes(data[:8], "little") :])


def _prove(written: Lora, read: Lora, file: Path) -> None:
    """Compare what both make of random inputs: a stacked module's parts may be missing, if they are 0."""
    for name in written.weights | read.weights:
        before, after = (lora.weights.get(name) for lora in (written, read))
        made, back = (_effect(each) if each else torch.zeros(()) for each in (before, after))
        size = max(float(each.abs().max()) for each in (made, back))
        made, back = torch.broadcast_tensors(made, back)
        if not torch.allclose(made, back, rtol=1e-4, atol=1e-5 * size):
            raise LoraError(
                f"{file} does not read back as it was written ({name}); write it again."
            )


def _effect(weights: LoraWeights) -> Tensor:
    """What a module makes, [out, 2], of two random inputs that are the same for all of a width."""
    down = weights.down.float().flatten(1)
    given = torch.randn(down.shape[1], 2, generator=torch.Generator().manual_seed(0))
    return weights.up.float().flatten(1) @ (down @ given) * (weights.alpha / weights.rank)


def load_lora(file: Path, base: DiffusionModel) -> Lora:
    """Read a LoRA of either format, from any tool, for this base; a folder is diffusers' or PEFT's.

    LoCon, LoHa, LoKr and DoRA too: LoHa, LoKr and DoRA modules become `variants`.

    Raises:
        LoraError: not there, not safetensors, damaged, for another family, or of other shapes.
    """
    file = file_of(file)
    tensors, metadata = read_safetensors(file, LoraError)
    _refuse_foreign(file, base, tensors, metadata)
    known = key_aliases(base)
    parts: dict[Place, dict[str, Tensor]] = {}
    spelt: dict[Place, str] = {}
    unknown: list[str] = []
    left_out: list[str] = []
    for key, tensor in tensors.items():
        module, part = split_key(key)
        place = known.get(module.replace(".", "_")) if part else None
        if place is None:
            (left_out if key.startswith(_LEFT_OUT) else unknown).append(key)
            continue
        if part in parts.setdefault(place, {}):
            raise LoraError(f"{file} has two LoRAs for {place.names[0]}, such as '{key}'.")
        parts[place][part], spelt[place] = tensor, module
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
    configs = peft_configs(file, metadata, tensors)
    weights: dict[str, LoraWeights] = {}
    deltas: dict[str, WeightDelta] = {}
    for place, own in parts.items():
        config = configs.get(place.names[0].partition(".")[0]) or configs.get("")
        if config and "alpha" not in own:
            own = _scaled(own, config, (spelt[place], *map(_inner, place.names)))
        _check_parts(file, place, own)
        found = _variant(file, base, place, own)
        plain = {} if found else _weights(file, base, place, own)
        if twice := (found | plain).keys() & (weights.keys() | deltas.keys()):
            raise LoraError(
                f"{file} has two LoRAs for {min(twice)}: stacked with others, and apart."
            )
        weights, deltas = weights | plain, deltas | found
    return Lora(weights, metadata, file.stem, hashing.sha256(file), deltas, tuple(left_out))


def file_of(place: Path) -> Path:
    """The LoRA's file, in a folder under the name that diffusers or PEFT gives it."""
    named = (place / name for name in ("pytorch_lora_weights.safetensors", _PEFTS_NAME))
    return next((file for file in named if file.is_file()), place)


def _inner(name: str) -> str:
    return name.partition(".")[2]


def _scaled(
    parts: dict[str, Tensor], config: PeftConfig, names: tuple[str, ...]
) -> dict[str, Tensor]:
    """A module's tensors, one of them multiplied by PEFT's scale."""
    ranked = ("down", "hada_w1_b", "lokr_w1_b", "lokr_w2_b")
    rank = next((sum(parts[key].shape[:1]) for key in ranked if key in parts), 0)
    key = next((key for key in ("up", "hada_w1_b", "lokr_w1", "lokr_w1_b") if key in parts), None)
    return parts | {key: parts[key].float() * config.scale(names, rank)} if key else parts


def _refuse_foreign(
    file: Path, base: DiffusionModel, tensors: dict[str, Tensor], metadata: dict[str, str]
) -> None:
    for kind, pattern in variants.REFUSED.items():
        if any(re.search(pattern, key) for key in tensors):
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
    key = unwrapped(key)
    if match := _XLABS.fullmatch(key):
        return match[1], match[2]
    if match := _PROCESSOR.fullmatch(key):
        module, layer, part = match.groups()
        return f"{module}.{'to_out.0' if layer == 'to_out' else layer}", part
    if match := _FACTOR.fullmatch(key):
        part = match[2] or match[3]
        return match[1], _NAMED.get(part, part)
    if match := _MAGNITUDE.fullmatch(key):
        return match[1], "magnitude"
    if match := _OTHER.fullmatch(key):
        return match[1], _NAMED.get(match[2], match[2])
    return key, ""


def _variant(
    file: Path, base: DiffusionModel, place: Place, parts: dict[str, Tensor]
) -> dict[str, WeightDelta]:
    """The LoHa, LoKr or DoRA of a module (or of several stacked ones); empty for a plain LoRA."""
    called, names = " + ".join(place.names), place.names
    shapes = [shape_of(base, name) for name in names]
    shape = (sum(each[0] for each in shapes), *shapes[0][1:])
    variant = None
    try:
        variant = variants.delta_from_tensors(parts, _alpha(parts))
        if variant is None:
            return {}
        fits = variant.fits(shape)
    except (RuntimeError, IndexError, ValueError, TypeError):  # what cannot be multiplied
        fits = False
    if variant is None or not fits:
        raise LoraError(
            f"{file} does not fit {base.name}: its factors at {called} do not make the checkpoint's "
            f"weight of {shape}."
        )
    if place.is_swapped:
        variant = variants.Swapped(variant)
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
    file: Path, base: DiffusionModel, place: Place, parts: dict[str, Tensor]
) -> dict[str, LoraWeights]:
    """The weights of a module, or of several whose rows are stacked in one."""
    called = " + ".join(place.names)
    if "down" not in parts or "up" not in parts:
        raise LoraError(f"{file} is incomplete: {called} has only {', '.join(sorted(parts))}.")
    try:
        down, up = variants.down_with_tucker_core(parts), parts["up"]
    except RuntimeError:
        down, up = parts["down"], parts["mid"]  # of no shape that fits
    shapes = [shape_of(base, name) for name in place.names]
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
    if down.element_size() == 1:  # little can be computed in 8 bits
        down, up = down.float(), up.float()
    # Linear layers and 1 x 1 convolutions may each be written as the other.
    down = down.reshape(len(down), *shape[1:])
    up = up.reshape(shape[0], len(down), *(1 for _ in shape[2:]))
    up = variants.swap_halves(up) if place.is_swapped else up
    whole = LoraWeights(down, up, _alpha(parts) or float(len(down)))
    if len(shapes) == 1:
        return {place.names[0]: whole}
    rows = up.split([each[0] for each in shapes])
    own = {name: _own_part(whole, part) for name, part in zip(place.names, rows, strict=True)}
    return {name: weights for name, weights in own.items() if weights}


def _own_part(whole: LoraWeights, rows: Tensor) -> LoraWeights | None:
    """What a stacked module's rows use of `down`; None where they are zeros: it is not adapted."""
    used = rows.flatten(2).any(dim=2).any(dim=0) if rows.ndim > 2 else rows.any(dim=0)
    if not used.any():
        return None
    alpha = whole.alpha * int(used.sum()) / whole.rank
    return LoraWeights(whole.down[used], rows[:, used], alpha)


def _alpha(parts: dict[str, Tensor]) -> float:
    """The alpha; 0 where there is none, which means scale 1 (ComfyUI, AUTOMATIC1111, diffusers)."""
    return float(parts["alpha"]) if "alpha" in parts else 0.0


def _check_parts(file: Path, place: Place, parts: dict[str, Tensor]) -> None:
    """One kind of LoRA, of finite numbers; an alpha may be an integer (diffusers' kohya converter)."""
    if {"down", "up"} & parts.keys() and set(variants.PARTS) & parts.keys():
        raise LoraError(f"{file} has two LoRAs for {place.names[0]}: of two kinds.")
    for part, tensor in parts.items():
        is_number = tensor.is_floating_point() or (part == "alpha" and tensor.dtype != torch.bool)
        if (part == "alpha" and tensor.numel() != 1) or not is_number or not _finite(tensor):
            raise LoraError(
                f"{file} is damaged: at {' + '.join(place.names)} it has values that are no finite "
                "numbers."
            )


def _finite(tensor: Tensor) -> bool:
    if tensor.is_complex() or tensor.ndim > _MOST_DIMENSIONS:
        return False
    try:
        return bool(tensor.float().isfinite().all())
    except NotImplementedError:  # packed, two numbers in a byte
        return False
