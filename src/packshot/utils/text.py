"""Text helpers."""

from __future__ import annotations


def with_article(noun: str) -> str:
    """The noun with its article: "a car", "an orange"."""
    return f"{'an' if noun[:1].lower() in ('a', 'e', 'i', 'o', 'u') else 'a'} {noun}"
