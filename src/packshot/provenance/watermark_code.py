"""Identifiers as bits that survive errors: a checksum, and a convolutional code decoded from soft values."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.floating[Any]]
ID_BITS = 32
_CHECK_BITS, _MEMORY = 24, 6
_POLYNOMIALS = (0o133, 0o145, 0o175)
"""Of rate 1/3 and constraint length 7: the best there are (Larsen 1973)."""
_STEPS = ID_BITS + _CHECK_BITS + _MEMORY
CODE_BITS = _STEPS * len(_POLYNOMIALS)
_STATES = 1 << _MEMORY


def _outputs() -> Values:
    """What is sent, as -1 or 1, by the last seven bits: [128, 3]."""
    bits = np.arange(2 * _STATES)[:, None] & np.array(_POLYNOMIALS)
    return 2.0 * (np.bitwise_count(bits) & 1) - 1


_SENT = _outputs()


def encoded(identifier: int) -> Values:
    """An identifier of `ID_BITS` with its checksum as `CODE_BITS` values -1 or 1."""
    whole = ((identifier << _CHECK_BITS) | _checksum(identifier)) << _MEMORY
    recent, sent = 0, []
    for step in reversed(range(_STEPS)):
        recent = (recent << 1 | (whole >> step & 1)) & (2 * _STATES - 1)
        sent.append(_SENT[recent])
    return np.concatenate(sent)


def decoded(values: Values) -> int | None:
    """The likeliest identifier (Viterbi 1967) of `CODE_BITS` values, however noisy; None for chance's.

    Of values that are chance alone one in 2^24 passes for an identifier.
    """
    likely = np.full(_STATES, -np.inf)
    likely[0] = 0
    recent = np.arange(2 * _STATES)  # of the states before, with the bit that follows
    chosen = []
    for received in values.reshape(_STEPS, -1):
        paths = (likely[recent >> 1] + _SENT @ received).reshape(2, _STATES)
        chosen.append(paths.argmax(0))  # the oldest bit of the seven
        likely = paths.max(0)
    state, whole = 0, 0
    for step, oldest in enumerate(reversed(chosen)):
        whole |= (state & 1) << step
        state = state >> 1 | int(oldest[state]) << (_MEMORY - 1)
    identifier, checksum = divmod(whole >> _MEMORY, 1 << _CHECK_BITS)
    return identifier if checksum == _checksum(identifier) else None


def _checksum(identifier: int) -> int:
    return zlib.crc32(identifier.to_bytes(ID_BITS // 8, "big")) >> (32 - _CHECK_BITS)
