"""torch.compile of a denoiser's repeated blocks, each by itself: compiled once, used by all that are alike.

Every shape is compiled by itself (`dynamic=False`): kernels for any shape would depend on which one came
first, and a resumed run would not end with the same bits.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from packshot.models.block_offload import parts_to_offload
from packshot.models.weight_storage import denoiser_blocks

BACKEND = "inductor"
VERSIONS_AT_MOST = 1024
"""Of a block's code: kinds of blocks x shapes. Beyond PyTorch's own 8, further ones would not be compiled."""


def missing_compiler(device: torch.device) -> str | None:
    """What torch.compile lacks here, in words; None if nothing."""
    if BACKEND != "inductor":
        return None
    if device.type == "cuda":
        return None if importlib.util.find_spec("triton") else "the package triton is not installed"
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except (InvalidCxxCompiler, RuntimeError):
        return "there is no C++ compiler"
    return None


class Compilation:
    """Compiled blocks; `stop` has them compute as they are."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self._modules = list(modules)
        for module in modules:
            module.compile(backend=BACKEND, dynamic=False)

    def stop(self) -> None:
        """Compute without from here on."""
        for module in self._modules:
            module._compiled_call_impl = None
        self._modules.clear()

    def fault_of(self, error: BaseException) -> str | None:
        """What an error says, in a line, if it is torch.compile's and not the network's own."""
        from torch._dynamo.exc import TorchDynamoException

        if not self._modules or not isinstance(error, TorchDynamoException):
            return None
        inner = getattr(error, "inner_exception", error)
        return f"{type(inner).__name__}: {inner}".strip().split("\n")[0][:200]


@contextmanager
def compiled_blocks(denoiser: nn.Module, on: bool = True) -> Iterator[Compilation]:
    """Compile each of a denoiser's blocks when it first computes, with the layers that it has then."""
    if not on:
        yield Compilation([])
        return
    from torch._dynamo import config

    torch.compiler.reset()  # what was compiled before counts as a version, too
    limits: dict[str, Any] = {
        "recompile_limit": VERSIONS_AT_MOST,
        "accumulated_recompile_limit": VERSIONS_AT_MOST,
    }
    with config.patch(limits):
        compilation = Compilation(parts_to_offload(denoiser_blocks(denoiser)))
        try:
            yield compilation
        finally:
            compilation.stop()


@contextmanager
def uncompiled(on: bool = True) -> Iterator[None]:
    """Have what is compiled compute as it is: for shapes that come seldom."""
    with torch.compiler.set_stance("force_eager") if on else nullcontext():
        yield
