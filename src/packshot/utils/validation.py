"""Pydantic's validation errors as one line that a user can act on."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from packshot.errors import PackshotError

_Model = TypeVar("_Model", bound=BaseModel)

_SHOWN = 60
"""Characters of a refused value: some are whole tables."""


def describe(error: ValidationError) -> str:
    """Each error as "key = value: what is allowed"; several are separated by semicolons."""
    return "; ".join(
        _fault(".".join(map(str, item["loc"])), item["type"], item["msg"], item["input"])
        for item in error.errors()
    )


def validated(model: type[_Model], error: type[PackshotError], /, **given: Any) -> _Model:
    """A pydantic model with these values.

    Raises:
        PackshotError: of the type `error`; a value is out of range, and the message names it.
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
    text = repr(value)
    text = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return f"{key} = {text}: {message[:1].lower()}{message[1:]}"
