"""A GPU without one: tensors that say they are on it, compute truly, and are counted.

A tensor "on the GPU" is a subclass that holds one in main memory. Operations on it are carried out
there, after two checks that a GPU makes: that no tensor of main memory takes part, and that all that
lives there fits; else what PyTorch raises is raised. Copies on a stream of their own land as late as they
may (`streams.py`). It needs a process of its own (`tests.lives`), for
PyTorch is told of a device for good. Its device has an index ("cuda:0").
"""

from __future__ import annotations

import contextlib
import importlib
import weakref
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch.utils._device import _device_constructors
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

from tests.gpu.streams import Streams

GPU = torch.device("cuda", 0)
_NAME = "simulated"
"""What PyTorch itself calls the device: only to one of its own does it hand gradients."""


def _is_gpu(device: Any) -> bool:
    return device is not None and torch.device(device).type in (GPU.type, _NAME)


_DATA: Any = torch.Tensor.data


class OnGpu(torch.Tensor):
    """A tensor on the simulated GPU."""

    held: torch.Tensor
    device = property(lambda self: GPU)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]
    is_cpu = property(lambda self: False)  # type: ignore[assignment]

    @staticmethod
    def __new__(cls: type[OnGpu], held: torch.Tensor) -> OnGpu:
        return torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(),
            dtype=held.dtype, layout=held.layout, device=torch.device(_NAME, 0),
        )  # fmt: skip

    def __init__(self, held: torch.Tensor) -> None:
        self.held = held

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnGpu({self.held})"

    def to(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """As ever; "cuda" is where it is."""

        def known(value: Any) -> Any:
            here = isinstance(value, str | torch.device) and _is_gpu(value)
            return torch.device(_NAME, 0) if here else value

        return super().to(*map(known, args), **{k: known(v) for k, v in kwargs.items()})

    def cuda(self, *_: Any, **__: Any) -> OnGpu:  # type: ignore[override]
        return self

    def record_stream(self, stream: Any) -> None:
        STREAMS.watch(self.held)

    @property
    def data(self) -> Any:
        return _DATA.__get__(self)

    @data.setter
    def data(self, other: OnGpu) -> None:
        _DATA.__set__(self, other)
        self.held = other.held

    def tolist(self) -> Any:
        return self.held.tolist()

    def numpy(self, **_: Any) -> Any:  # type: ignore[override]
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu()")

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _carry_out(func, args, kwargs or {})


class Memory:
    """What lives on the GPU, and how much may.

    Attributes:
        size: bytes that there are.
        used, peak: bytes that tensors take now, and have taken at most.
        brought, fetched: bytes copied there from main memory, and back.
    """

    def __init__(self) -> None:
        self.size, self.used, self.peak = 2**60, 0, 0
        self.brought = self.fetched = 0
        self.lacked, self.in_backward = "", False
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet()

    def add(self, tensor: torch.Tensor) -> None:
        """Count a tensor's storage; raise as CUDA does if there is no room."""
        storage = tensor.untyped_storage()
        if storage in self._seen:
            return
        size = storage.nbytes()
        if self.used + size > self.size:
            self.lacked = (
                f"CUDA out of memory. Tried to allocate {size / 2**20:.2f} MiB; "
                f"{(self.size - self.used) / 2**20:.2f} MiB is free (simulated)"
            )
            if not self.in_backward:
                self.complain()
        self._seen.add(storage)
        weakref.finalize(storage, self._free, size)
        self.used += size
        self.peak = max(self.peak, self.used)

    def _free(self, size: int) -> None:
        self.used -= size

    def complain(self) -> None:
        """Raise what was lacking, if anything."""
        lacked, self.lacked = self.lacked, ""
        if lacked:
            raise torch.OutOfMemoryError(lacked)

    def backward(self, *given: Any, **options: Any) -> None:
        """As `torch.autograd.backward`, through whose own device no error comes out alive."""
        self.in_backward = True
        try:
            _backward(*given, **options)
        finally:
            self.in_backward = False
        self.complain()

    def count_copy(self, name: str, args: Any, goes: bool) -> None:
        """Count what is copied between the two memories."""
        source = args[1] if name == "copy_" else args[0]
        size = source.numel() * source.element_size()
        if goes and not isinstance(source, OnGpu):
            self.brought += size
        elif isinstance(source, OnGpu) and not goes:
            self.fetched += size


_backward = torch.autograd.backward
MEMORY = Memory()
STREAMS = Streams()


_MIXED = ("_to_copy", "copy_", "index", "index_put_", "index_put")
"""What takes tensors of both places: copies, and indices of main memory."""
_VIEWS = ("slice", "as_strided", "view", "alias", "detach")


def _held(value: Any) -> Any:
    return value.held if isinstance(value, OnGpu) else value


def _carry_out(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name, device = func.overloadpacket.__name__, kwargs.get("device")
    tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
    on_gpu = [one for one in tensors if isinstance(one, OnGpu)]
    if on_gpu and name not in _MIXED:
        for one in tensors:
            if not isinstance(one, OnGpu) and one.dim():
                raise RuntimeError(
                    "Expected all tensors to be on the same device, but found at least two "
                    f"devices, cuda:0 and {one.device}! (in {func}; {list(one.shape)})"
                )
    goes = bool(on_gpu) if device is None else _is_gpu(device)
    if name == "copy_":
        goes = isinstance(args[0], OnGpu)
    if name in ("copy_", "_to_copy"):
        MEMORY.count_copy(name, args, goes)
    STREAMS.use(func, tree_leaves(tree_map(_held, (args, kwargs))))
    if STREAMS.is_aside:
        assert name in ("copy_", *_VIEWS), f"{func} on a stream of copies"
        if name == "copy_":
            STREAMS.copy(_held(args[0]), _held(args[1]))
            return args[0]
    inside = {key: _held(value) for key, value in kwargs.items()}
    if device is not None:
        inside["device"] = torch.device("cpu")
    output = func(*tree_map(_held, args), **tree_map(_held, inside))
    if not goes:
        return output
    known = {id(one.held): one for one in on_gpu}

    def placed(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        if id(value) in known:  # an operation in place
            return known[id(value)]
        MEMORY.add(value)
        return OnGpu(value)

    return tree_map(placed, output)


class _Mode(TorchDispatchMode):
    """Also what is made on the GPU of nothing."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _carry_out(func, args, kwargs or {})


class _Backend(_DummyBackendModule):
    """What PyTorch asks of a device's module."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


def register() -> None:
    """Tell PyTorch of the device; once in a process, and for good."""
    _setup_privateuseone_for_python_backend(_NAME, _Backend())
    make = torch.tensor

    def tensor(data: Any, *, device: Any = None, **options: Any) -> torch.Tensor:
        made = make(tree_map(_held, data), **options)
        return made if device is None else made.to(device)

    _device_constructors()  # what `with torch.device("meta")` is for: it is noted once
    torch.tensor = tensor  # type: ignore[assignment]
    # They look for a GPU when they are imported, and for its libraries where there is one.
    for name in ("bitsandbytes", "diffusers.quantizers.auto", "transformers.modeling_utils"):
        importlib.import_module(name)


_apply = torch.nn.Module._apply


def _swapping(module: torch.nn.Module, *given: Any, **options: Any) -> torch.nn.Module:
    """`nn.Module.to` for tensors of two classes: the parameter stays, what it holds is swapped."""
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        return _apply(module, *given, **options)
    finally:
        torch.__future__.set_swap_module_params_on_conversion(before)


class _Stream:
    """In the place of `torch.cuda.Stream`, which is also named as a type."""

    def __new__(cls, *_: Any) -> Any:
        return STREAMS.make()


_CUDA: dict[str, Callable[..., Any]] = {
    "_lazy_init": lambda: None,
    "synchronize": lambda *_: None,
    "empty_cache": lambda: None,
    "manual_seed_all": lambda _: None,
    "is_available": lambda: True,
    "is_bf16_supported": lambda **_: True,
    "get_device_name": lambda *_: "Simulated GPU",
    "get_device_capability": lambda *_: (8, 9),
    "mem_get_info": lambda *_: (MEMORY.size - MEMORY.used, MEMORY.size),
    "memory_reserved": lambda *_: MEMORY.used,
    "memory_allocated": lambda *_: MEMORY.used,
    "max_memory_reserved": lambda *_: MEMORY.peak,
    "Stream": _Stream,
    "stream": lambda stream: STREAMS.entered(stream),
    "current_stream": lambda *_: STREAMS.current,
    "cudart": lambda: STREAMS,
}


@contextlib.contextmanager
def gpu(size: float = 2**60) -> Iterator[Memory]:
    """A GPU of so many bytes while the block runs, on which bases are loaded by default."""
    from packshot import models
    from packshot.models import load
    from packshot.plan import gpu_fit, load_base, memory_estimate

    MEMORY.size, MEMORY.peak = int(size), MEMORY.used
    STREAMS.reset()
    with contextlib.ExitStack() as undone:
        for name, answer in _CUDA.items():
            undone.enter_context(mock.patch.object(torch.cuda, name, answer))
        for module in (models, load, load_base, gpu_fit, memory_estimate):
            undone.enter_context(mock.patch.object(module, "best_device", lambda: str(GPU)))
        undone.enter_context(mock.patch.object(torch.nn.Module, "_apply", _swapping))
        undone.enter_context(mock.patch.object(torch.autograd, "backward", MEMORY.backward))
        # The threads of a device's own would not be in the mode.
        undone.enter_context(torch.autograd.set_multithreading_enabled(False))
        undone.enter_context(_Mode())
        yield MEMORY
