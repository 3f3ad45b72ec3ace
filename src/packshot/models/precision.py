"""In which precision a base computes here, and what of it is kept out of fp16."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from packshot.models import registry
from packshot.types import Precision

PRECISIONS: Mapping[torch.dtype, Precision] = {
    torch.float32: "fp32",
    torch.bfloat16: "bf16",
    torch.float16: "fp16",
}
_BROKEN_FP16 = re.compile(r"\b(1660|1650|1630|T500|T550|T600|T1000|T1200|T2000|MX450|MX550|30HX)\b")
"""Turing GPUs without tensor cores, by their names: convolutions in fp16 give NaN there."""


def best_dtype(device: torch.device, family: str | None = None) -> torch.dtype:
    """The dtype that a family's bases (or, by default, any network) compute in on a device.

    bf16 where the device multiplies in it; else fp16 on a GPU that does in that, if the family's
    activations stay in its range; else fp32.
    """
    if _has_bf16(device):
        return torch.bfloat16
    fits = family is not None and registry.families()[family].fits_fp16
    return torch.float16 if fits and has_fp16(device) else torch.float32


def comparing_dtype(family: str) -> torch.dtype | None:
    """The dtype in which a family's checkpoints are compared; None is the device's best.

    Weights that fit fp16 are published in it, of which bf16 loses three bits: as much as a fine-tune
    changes. Two of the other families' have no room in fp32, and most are published in bf16.
    """
    return torch.float32 if registry.families()[family].fits_fp16 else None


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # oneDNN also claims bf16 where it only emulates it (AVX-512 without its bf16 part): slower.
    computes = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return device.type == "cpu" and computes


def has_fp16(device: torch.device) -> bool:
    """Whether it is a GPU that computes in fp16, fast and rightly: V100, T4, RTX 20 and later."""
    if device.type != "cuda":
        return False
    capability = torch.cuda.get_device_capability(device)
    return computes_in_fp16(torch.cuda.get_device_name(device), capability)


def computes_in_fp16(name: str, capability: tuple[int, int]) -> bool:
    """As `has_fp16`, by the GPU's name and compute capability."""
    return capability >= (7, 0) and _BROKEN_FP16.search(name) is None


def takes_half_files(device: torch.device, dtype: torch.dtype | None = None) -> bool:
    """Whether files of 16-bit weights will do: something is computed in 16 bits there."""
    return (dtype or best_dtype(device)) != torch.float32 or has_fp16(device)


def explain(device: torch.device, family: str, dtype: torch.dtype) -> str:
    """Why a family's bases compute in a dtype on a device, in words."""
    if dtype == torch.bfloat16:
        return "this device is fast in it"
    if dtype == torch.float16:
        return "this GPU has no fast bf16 (the VAE stays in fp32)"
    spec = registry.families()[family]
    if not spec.fits_fp16 and has_fp16(device):
        return f"this GPU has no fast bf16, and fp16 is too narrow for {spec.title}"
    return "this device has no fast bf16"


def vae_dtype(config: Mapping[str, Any], dtype: torch.dtype) -> torch.dtype:
    """The dtype of a base's VAE, by its configuration: fp32 where the base's is fp16.

    SDXL's overflows in fp16, and others do on some pictures. Those that were changed so that they
    do not (madebyollin/sdxl-vae-fp16-fix) have `force_upcast` false.
    """
    is_upcast = dtype == torch.float16 and config.get("force_upcast") is not False
    return torch.float32 if is_upcast else dtype


def keep_in_fp32(vae: Any) -> None:
    """Have an fp32 VAE take what an fp16 pipeline gives it, and stay in fp32.

    Diffusers' pipelines cast some VAEs to fp32 and back, the others not at all.
    """
    vae.register_to_config(force_upcast=False)
    for name in ("encoder", "decoder", "quant_conv", "post_quant_conv"):
        if part := getattr(vae, name, None):
            part.register_forward_pre_hook(_cast_to_fp32)


def _cast_to_fp32(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(x.float() if isinstance(x, torch.Tensor) else x for x in inputs)
