"""Reading safetensors; the first bytes decide what a file is, and a pickle is never opened."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from packshot.errors import ModelLoadError, PackshotError, reason_of
from packshot.utils import caches, files

if TYPE_CHECKING:
    from torch import Tensor

MAX_HEADER_BYTES = 100 * 2**20
GGUF = b"GGUF"
# A zip archive (torch.save), and pickle's protocols 1 to 5.
PICKLES = (b"PK", *(bytes((0x80, protocol)) for protocol in range(1, 6)))
CONVERT = (
    "Ask its author for a .safetensors, or convert it once on a machine that you can lose: "
    "StableDiffusionPipeline.from_single_file(FILE).save_pretrained(FOLDER)."
)


_MAX_CONFIG_BYTES = 16 * 2**20
_CODE = re.compile(
    r"_?(attn|attention|experts)_implementation\w*|quantization_config|compression_config|auto_map"
    r"|custom_\w+|kernel_config|use_kernels|trust_remote_code|_commit_hash",
    re.IGNORECASE,
)
"""Keys of a configuration that shape no network: they choose which code computes it, that of some
repository among them (transformers fetches attention kernels by such a name)."""
_FREE = re.compile(r"\w*(theta|_id|_ids|length|pixels|_edge)")
_LARGEST: tuple[tuple[re.Pattern[str], int], ...] = (
    (re.compile(r"\w*(layers|blocks|depth|depths)\w*"), 1_000),
    (re.compile(r"pos_embed_max_size"), 512),  # its table is that squared
    (re.compile(r"(\w*_)?(image|sample|crop)_size|height|width"), 8_192),
    (re.compile(r"\w*"), 2**22),
)
"""The largest number by key, the first that fits: some 20 times what any published network has."""
_LONGEST = 10_000


def read_config(path: Path) -> dict[str, Any]:
    """A JSON object of a checkpoint's folder, reduced to what shapes a network.

    Raises:
        ModelLoadError: it is missing, not a JSON object, or asks for a network of absurd size.
    """
    try:
        if path.stat().st_size > _MAX_CONFIG_BYTES:
            raise ValueError(f"{path.stat().st_size / 1e6:.0f} MB are no configuration")
        value = _reduced(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:  # lists too deep, too
        raise ModelLoadError(
            f"{path} cannot be read ({error}); copy the checkpoint again."
        ) from error
    if not isinstance(value, dict):
        raise ModelLoadError(f"{path} is not a JSON object; copy the checkpoint again.")
    return value


def _reduced(value: Any, key: str = "") -> Any:
    """A value of a configuration without what chooses code, at every level.

    Raises:
        ValueError: a number or list that would take all memory.
    """
    if isinstance(value, dict):
        return {k: _reduced(one, k) for k, one in value.items() if not _CODE.fullmatch(k)}
    if isinstance(value, list):
        if len(value) > _LONGEST:
            raise ValueError(f"{key} has {len(value):,} values")
        return [_reduced(one, key) for one in value]
    if isinstance(value, int) and not isinstance(value, bool) and not _FREE.fullmatch(key):
        most = next(limit for pattern, limit in _LARGEST if pattern.fullmatch(key))
        if abs(value) > most:
            raise ValueError(f"{key} is {value:,}")
    return value


def is_gguf(path: Path) -> bool:
    """Whether a file begins with GGUF's magic bytes, whatever its name."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(GGUF)) == GGUF


@contextmanager
def opened(path: Path, framework: str) -> Iterator[Any]:
    """safetensors' own handle of a file ("np" or "pt"), or the like where the drive maps none into memory.

    Raises:
        SafetensorError, ValueError: it is none, or damaged.
        OSError: it cannot be read.
    """
    from safetensors import safe_open

    try:
        handle = safe_open(path, framework=framework)
    except OSError:  # which says no number; reading the file does, if that is not the reason
        yield _Unmapped(path)
    else:
        with handle as file:
            yield file


class _Unmapped:
    """What is needed of safetensors' handle, of a file that is read rather than mapped: some network drives
    and sticks map no files (ENODEV)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        size = path.stat().st_size
        with path.open("rb") as file:
            self._head = file.read(8)
            self._head += file.read(min(size, int.from_bytes(self._head, "little")))
        self._check(size)
        header = json.loads(self._head[8:])
        self._metadata = header.pop("__metadata__", None)
        self._tensors: dict[str, dict[str, Any]] = header

    def _check(self, size: int) -> None:
        """Have safetensors judge the header, in front of nothing that is as long."""
        from safetensors import safe_open

        with caches.temporary_folder() as folder:
            empty = folder / "header"
            files.write_bytes(empty, self._head)
            os.truncate(empty, size)
            with safe_open(empty, framework="np"):
                pass

    def keys(self) -> list[str]:
        return list(self._tensors)

    def metadata(self) -> dict[str, str] | None:
        return self._metadata

    def get_slice(self, key: str) -> SimpleNamespace:
        return SimpleNamespace(get_shape=lambda: self._tensors[key]["shape"])

    def get_tensor(self, key: str) -> Tensor:
        """One tensor, as a file of its own: kinds of numbers are safetensors' matter."""
        from safetensors.torch import load

        told = self._tensors[key]
        start, end = told["data_offsets"]
        alone = json.dumps({key: told | {"data_offsets": [0, end - start]}}).encode()
        with self._path.open("rb") as file:
            file.seek(len(self._head) + start)
            return load(len(alone).to_bytes(8, "little") + alone + file.read(end - start))[key]


def check_safetensors(path: Path, refusal: type[PackshotError] = ModelLoadError) -> list[str]:
    """Check that a file is safetensors, whatever its name; returns its keys, from the header only.

    Raises:
        PackshotError: (as `refusal`) a pickle, another kind of file, or damaged.
    """
    from safetensors import SafetensorError

    if not path.is_file():
        raise refusal(f"There is no file {path}.")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(16)
    # The first eight bytes are the header's length, and may look like a pickle's by chance
    # (896 begins as protocol 3 does); a pickle's, read as a length, are far beyond any file.
    length = int.from_bytes(start[:8], "little")
    if start[8:9] != b"{" or length > MAX_HEADER_BYTES:
        if start[:2] in PICKLES:
            raise refusal(
                f"{path} is a pickle, which can run code when it is opened; refused. {CONVERT}"
            )
        if start[:4] == GGUF:
            raise refusal(
                f"{path} is a GGUF file; of those, only the denoisers of transformer families are "
                "read, as a checkpoint. Use a .safetensors."
            )
        if start[8:9] != b"{":
            raise refusal(f"{path} is not a .safetensors file, whatever its name.")
    if length > min(size - 8, MAX_HEADER_BYTES):
        raise refusal(
            f"{path} is cut short or damaged: its header does not fit in it. Copy it again."
        )
    try:
        # PyTorch's way would ask for as much memory as the file is long.
        with opened(path, "np") as tensors:
            return list(tensors.keys())
    except (SafetensorError, ValueError) as error:
        raise refusal(f"{path} is cut short or damaged ({error}). Copy it again.") from error


def read_safetensors(
    path: Path, refusal: type[PackshotError] = ModelLoadError
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a safetensors file, and its metadata.

    Raises:
        PackshotError: (as `refusal`) as `check_safetensors`.
    """
    from safetensors import SafetensorError

    keys = check_safetensors(path, refusal)
    try:
        with opened(path, "pt") as file:
            return {key: file.get_tensor(key) for key in keys}, dict(file.metadata() or {})
    except (SafetensorError, ValueError, TypeError, OverflowError) as error:
        # Empty tensors may have sides of any length, also of more than PyTorch counts to.
        raise refusal(f"{path} is damaged ({reason_of(error)}). Copy it again.") from error


@dataclass(frozen=True)
class Header:
    """A safetensors file's header: shapes by key, and metadata."""

    by_key: dict[str, list[int]]
    metadata: dict[str, str]


def shapes(path: Path, refusal: type[PackshotError] = ModelLoadError) -> Header:
    """A safetensors file's header.

    Raises:
        PackshotError: (as `refusal`) as `check_safetensors`.
    """
    keys = check_safetensors(path, refusal)
    with opened(path, "np") as file:
        by_key = {key: list(file.get_slice(key).get_shape()) for key in keys}
        return Header(by_key, dict(file.metadata() or {}))
