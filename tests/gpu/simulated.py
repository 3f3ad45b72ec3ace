"""A GPU without one: tensors that say they are on it, compute truly, and are counted.

A tensor "on the GPU" is a subclass that holds one in main memory. Operations on it are carried out
there, after two checks that a GPU makes: that no tensor of main memory takes part, and that all that
lives there fits; else what PyTorch raises is raised. Copies on a stream of their own land as late as they
may (`streams.py`). It needs a process of its own (`tests.lives`), for
PyTorch is told of a device for good. Its device has an index ("cuda:0").

Networks of published size have no room here for their values: `gpu(values=False)` gives large tensors
none (they lie on the meta device), nor what is computed from them; small ones, such as a sampler's
noise levels, keep theirs. What is counted is the same.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch.utils._device import _device_constructors
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_map
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


class _Stand(torch.Tensor):
    """A tensor that holds another one, on which operations are carried out."""

    held: torch.Tensor
    _place = "cpu"

    @staticmethod
    def __new__(cls: type[_Stand], held: torch.Tensor) -> _Stand:
        return torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(),
            dtype=held.dtype, layout=held.layout, device=torch.device(cls._place),
        )  # fmt: skip

    def __init__(self, held: torch.Tensor) -> None:
        self.held = held

    def __repr__(self) -> str:  # type: ignore[override]
        return f"{type(self).__name__}({self.held})"

    def untyped_storage(self) -> torch.UntypedStorage:
        """Of what it holds: a view has none of its own."""
        return self.held.untyped_storage()

    @property
    def data(self) -> Any:
        return _DATA.__get__(self)

    @data.setter
    def data(self, other: _Stand) -> None:
        _DATA.__set__(self, other)
        self.held = other.held

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _carry_out(func, args, kwargs or {})


class Valueless(_Stand):
    """A tensor in main memory that holds one of the meta device."""

    def numpy(self, **_: Any) -> Any:  # type: ignore[override]
        return np.zeros(self.shape, np.float32)


class OnGpu(_Stand):
    """A tensor on the simulated GPU."""

    _place = f"{_NAME}:0"
    device = property(lambda self: GPU)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]
    is_cpu = property(lambda self: False)  # type: ignore[assignment]

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

    def tolist(self) -> Any:
        return (torch.ones(self.shape) if self.held.is_meta else self.held).tolist()

    def numpy(self, **_: Any) -> Any:  # type: ignore[override]
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu()")


class Memory:
    """What lives on the GPU, and how much may.

    Attributes:
        size: bytes that there are.
        used, peak: bytes that tensors take now, and have taken at most.
        brought, fetched: bytes copied there from main memory, and back.
    """

    def __init__(self) -> None:
        self.size, self.used, self.peak, self.has_values = 2**60, 0, 0, True
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

    def claim(self, size: int) -> None:
        """Count what was taken for a moment; raise as CUDA does if there is no room."""
        if self.used + size > self.size:
            raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
        self.peak = max(self.peak, self.used + size)

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


def _carry_out(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name, device = func.overloadpacket.__name__, kwargs.get("device")
    tensors = [*_tensors_in(args), *_tensors_in(kwargs.values())]
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
    STREAMS.use(func, (args, kwargs))
    if STREAMS.is_aside:
        assert name in ("copy_", *_VIEWS), f"{func} on a stream of copies"
        if name == "copy_":
            STREAMS.copy(_real(args[0]), _real(args[1]))
            return args[0]
    output = _compute(func, args, kwargs, tensors)
    known = {id(one.held): one for one in tensors if isinstance(one, _Stand)}

    def placed(value: torch.Tensor) -> torch.Tensor:
        if id(value) in known:  # an operation in place
            return known[id(value)]
        if goes:
            MEMORY.add(value)
            return OnGpu(value)
        return Valueless(value) if value.is_meta else value

    return _each(placed, output)


def _each(change: Callable[[torch.Tensor], Any], value: Any) -> Any:
    """The same with every tensor in it changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)([_each(change, one) for one in value])
    return value


def _tensors_in(values: Iterable[Any]) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors_in(value)


_LARGE = 2**16
"""The least number of values that a tensor does without, where there are none."""
_META = torch.device("meta")


def without_values(shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """A tensor in main memory that has none."""
    with _disable_current_modes():
        return Valueless(torch.empty(tuple(shape), dtype=dtype, device=_META))


def _compute(func: Any, args: Any, kwargs: dict[str, Any], tensors: list[torch.Tensor]) -> Any:
    """The operation's result, of what the tensors hold: in main memory, or on the meta device if one
    of them lies there, or if it is large and there are no values."""
    held = [one.held if isinstance(one, _Stand) else one for one in tensors]
    if any(one.is_meta for one in held):
        place = _META
    else:
        made = not tensors and args and isinstance(args[0], list | tuple)
        large = made and not MEMORY.has_values and math.prod(args[0]) >= _LARGE
        place = _META if large else torch.device("cpu")
    if place is _META and func is torch.ops.aten._local_scalar_dense.default:
        return torch.ones((), dtype=held[0].dtype).item()  # as good as any
    if place is _META and func is torch.ops.aten.equal.default:
        return True

    if kwargs.get("device") is not None:
        kwargs = kwargs | {"device": place}
    if place is _META:
        if func is torch.ops.aten.index.Tensor:
            args = (args[0], _numbered(args[1]))
        return _shaped(func, args, kwargs)
    return func(*_each(_real, args), **{key: _each(_real, one) for key, one in kwargs.items()})


def _numbered(indices: Sequence[torch.Tensor | None]) -> list[torch.Tensor | None]:
    """The same, masks of known values as the numbers of what they let through."""
    numbers: list[torch.Tensor | None] = []
    for one in indices:
        is_mask = one is not None and one.dtype == torch.bool and not _real(one).is_meta
        numbers += _real(one).nonzero().unbind(1) if is_mask else [one]  # type: ignore[arg-type]
    return numbers


def _real(one: Any) -> Any:
    return one.held if isinstance(one, _Stand) else one


def _hollow(one: torch.Tensor) -> torch.Tensor:
    one = _real(one)
    return one if one.is_meta else one.to(_META)


_SHAPES: dict[Any, Any] = {}
"""What operations have answered, as new tensors on the meta device: most are asked for again."""


def _shaped(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The result on the meta device."""
    key = None
    if not any(one.alias_info for one in func._schema.arguments):
        key = (func, _key(args), _key([*kwargs.items()]))
        if (known := _SHAPES.get(key)) is not None:
            return _each(_like, known)
    hollow = _each(_hollow, args)
    output = func(*hollow, **{name: _each(_hollow, one) for name, one in kwargs.items()})
    given = {one.untyped_storage()._cdata for one in _tensors_in(hollow)}
    if key is not None and all(
        one.untyped_storage()._cdata not in given for one in _tensors_in([output])
    ):
        _SHAPES[key] = _each(_like, output)
    return output


def _like(one: torch.Tensor) -> torch.Tensor:
    return torch.empty_strided(one.shape, one.stride(), dtype=one.dtype, device=_META)


def _key(value: Any) -> Any:
    """All that a result's shape depends on."""
    if isinstance(value, torch.Tensor):
        return value.shape, value.stride(), value.dtype
    if isinstance(value, list | tuple):
        return tuple([_key(one) for one in value])
    return type(value), value


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


def _made_there(make: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """A constructor from numbers, which are put on the simulated GPU in a second step."""

    def made(data: Any, *, device: Any = None, **options: Any) -> torch.Tensor:
        tensor = make(tree_map(_real, data), **options)
        return tensor if device is None else tensor.to(device)

    return made


def register() -> None:
    """Tell PyTorch of the device; once in a process, and for good."""
    _setup_privateuseone_for_python_backend(_NAME, _Backend())
    _device_constructors()  # what `with torch.device("meta")` is for: it is noted once
    for name in ("tensor", "as_tensor"):
        setattr(torch, name, _made_there(getattr(torch, name)))
    # They look for a GPU when they are imported, and for its libraries where there is one.
    for name in ("bitsandbytes", "diffusers.quantizers.auto", "transformers.modeling_utils"):
        importlib.import_module(name)


_attention = torch.nn.functional.scaled_dot_product_attention


def _fused_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> torch.Tensor:  # fmt: skip
    """As a GPU's kernels do it, and the main memory's: the matrix of all pairs is never whole."""
    if not isinstance(query, OnGpu) or query.dim() != 4:
        return _attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    if enable_gqa:
        times = query.shape[-3] // key.shape[-3]
        key, value = (one.repeat_interleave(times, -3) for one in (key, value))
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill(
            ~attn_mask, -torch.inf
        )
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    output: torch.Tensor = fused(
        query, key, value, dropout_p, is_causal, attn_mask=attn_mask, scale=scale
    )[0]
    return output


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
def gpu(size: float = 2**60, *, values: bool = True) -> Iterator[Memory]:
    """A GPU of so many bytes while the block runs, on which bases are loaded by default."""
    from packshot import models
    from packshot.models import load
    from packshot.plan import gpu_fit, load_base, memory_estimate

    MEMORY.size, MEMORY.peak, MEMORY.has_values = int(size), MEMORY.used, values
    STREAMS.reset()
    with contextlib.ExitStack() as undone:
        for name, answer in _CUDA.items():
            undone.enter_context(mock.patch.object(torch.cuda, name, answer))
        for module in (models, load, load_base, gpu_fit, memory_estimate):
            undone.enter_context(mock.patch.object(module, "best_device", lambda: str(GPU)))
        undone.enter_context(mock.patch.object(torch.nn.Module, "_apply", _swapping))
        undone.enter_context(mock.patch.object(torch.autograd, "backward", MEMORY.backward))
        if not values:
            functional, name = torch.nn.functional, "scaled_dot_product_attention"
            undone.enter_context(mock.patch.object(functional, name, _fused_attention))
        # The threads of a device's own would not be in the mode.
        undone.enter_context(torch.autograd.set_multithreading_enabled(False))
        undone.enter_context(_Mode())
        yield MEMORY
