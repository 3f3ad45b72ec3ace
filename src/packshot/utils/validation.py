"""What pydantic refuses, in one line that a person can act on."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from packshot.errors import PackshotError

_Model = TypeVar("_Model", bound=BaseModel)

_SHOWN = 60
"""Characters of a refused value: some are whole tables."""


def describe(error: ValidationError) -> str:
    """Each fault as "key = value: what is allowed"; several are parted by semicolons."""
    return "; ".join(
        _fault(".".join(map(str, item["loc"])), item["type"], item["msg"], item["input"])
        for item in error.errors()
    )


def validated(model: type[_Model], error: type[PackshotError], /, **given: Any) -> _Model:
    """A model with the values that were given.

    Raises:
        PackshotError: of the kind `error`; a value is out of range, and the message names it.
    """
    try:
        return model(**given)
    except ValidationError as fault:
        raise error(describe(fault)) from fault


def _fault(key: str, kind: str, message: str, value: object) -> str:
    message = message.removeprefix("Value error, ")
    if kind == "missing":
        return f"{key} is missing"
    if kind == "extra_forbidden":
        return f"{key}: there is no such setting"
    if not key:  # of several values together; the message names them
        return message
    shown = repr(value)
    shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
    return f"{key} = {shown}: {message[:1].lower()}{message[1:]}"
