"""Damage, drawn at random: to bytes of any format, and to values such as JSON and TOML hold."""

from __future__ import annotations

import copy
import re
import struct
from collections.abc import Callable
from random import Random
from typing import Any

_EDGES = (0, 1, 2**7 - 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
_WORDS = (
    b"\0" * 9,
    b"\xff" * 10,
    b"-1",
    b"1e999",
    b"NaN",
    b"../../../../tmp/x",
    b"{" * 200,
    b"[" * 9,
)


def damaged(data: bytes, draw: Random) -> bytes:
    """Bytes with one to eight faults: bits, numbers, parts lost, doubled or moved."""
    spoilt = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        draw.choice(_FAULTS)(spoilt, draw)
    return bytes(spoilt)


def odd(value: Any, draw: Random) -> Any:
    """A JSON value of which one to four parts are of another kind, size, name or place."""
    value = copy.deepcopy(value)
    for _ in range(draw.choice((1, 1, 2, 4))):
        holder, key = draw.choice(list(_places(value)) or [(None, None)])
        if holder is None:
            return draw.choice(_ODD)(draw)
        if isinstance(holder, dict) and draw.random() < 0.3:
            part = holder.pop(key)
            if draw.random() < 0.5:
                holder[str(_text(draw))[:1000]] = part
        else:
            holder[key] = draw.choice(_ODD)(draw)
    return value


def _places(value: Any) -> Any:
    """(holder, key) of all that a value holds."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def _text(draw: Random) -> str:
    return draw.choice(
        (
            "", "\0", "a\0b", "..", "../../home/secret.txt", "/etc/passwd", "C:\\x", "\ud800", "\x1b[2J",
            "a" * 100_000, "{subject}" * 50, "NaN", "1e999", "<script>alert(1)</script>", "$(id)", "-",
            "\N{RIGHT-TO-LEFT OVERRIDE}gnp", "{{ 7 * 7 }}", "~/.ssh/id_rsa", "con.png", "x/" * 500,
        )
    )  # fmt: skip


def _nested(draw: Random) -> Any:
    value: Any = 0
    for _ in range(draw.choice((3, 50, 500))):
        value = [value] if draw.random() < 0.5 else {"a": value}
    return value


_ODD: tuple[Callable[[Random], Any], ...] = (
    _text,
    _text,
    lambda draw: draw.choice((None, True, False, [], {}, [[]], [None], {"": None})),
    lambda draw: draw.choice((0, -1, 1, 2**31, 2**63, 2**64, -(2**70), 10**300, 10**18)),
    lambda draw: draw.choice((0.5, -0.0, 1e308, 1e-308, float("nan"), float("inf"), -float("inf"))),
    lambda draw: [draw.choice((0, "x", None, 1e308))] * draw.choice((1, 4, 3000)),
    _nested,
)


def _flip(data: bytearray, draw: Random) -> None:
    if data:
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def _overwrite(data: bytearray, draw: Random) -> None:
    """A number of one to eight bytes becomes one at the edge of what they hold."""
    size = draw.choice((1, 2, 4, 8))
    if len(data) >= size:
        at = draw.randrange(len(data) - size + 1)
        kind = {1: "B", 2: "H", 4: "I", 8: "Q"}[size]
        number = draw.choice(_EDGES) % 2 ** (8 * size)
        data[at : at + size] = struct.pack(draw.choice("<>") + kind, number)


def _overwrite_head(data: bytearray, draw: Random) -> None:
    """As `_overwrite`, in the first 200 bytes, where headers lie."""
    head = bytearray(data[:200])
    _overwrite(head, draw)
    data[:200] = head


def _part(data: bytearray, draw: Random) -> tuple[int, int]:
    start = draw.randrange(len(data) + 1)
    return start, min(len(data), start + draw.choice((1, 2, 8, 100, 5000)))


def _lose(data: bytearray, draw: Random) -> None:
    start, end = _part(data, draw)
    del data[start:end]


def _double(data: bytearray, draw: Random) -> None:
    start, end = _part(data, draw)
    data[start:start] = data[start:end] * draw.choice((1, 2, 50))


def _move(data: bytearray, draw: Random) -> None:
    start, end = _part(data, draw)
    part = data[start:end]
    del data[start:end]
    at = draw.randrange(len(data) + 1)
    data[at:at] = part


def _cut(data: bytearray, draw: Random) -> None:
    del data[draw.randrange(len(data) + 1) :]


def _noise(data: bytearray, draw: Random) -> None:
    start, end = _part(data, draw)
    data[start:end] = draw.randbytes(end - start)


def _insert(data: bytearray, draw: Random) -> None:
    at = draw.randrange(len(data) + 1)
    data[at:at] = draw.choice(_WORDS)


def _digits(data: bytearray, draw: Random) -> None:
    """A number that is written out becomes another."""
    found = list(re.finditer(rb"\d+", bytes(data[: 2**16])))
    if found:
        start, end = draw.choice(found).span()
        data[start:end] = b"%d" % draw.choice((*_EDGES, 10**30))


_FAULTS = (
    _flip, _flip, _overwrite, _overwrite, _overwrite_head, _lose, _double, _move, _cut, _noise, _insert,
    _digits,
)  # fmt: skip
