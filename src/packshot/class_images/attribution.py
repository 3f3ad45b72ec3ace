"""ATTRIBUTION.md: whose the class images are, as their licences want it told."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from packshot.class_images.class_image import ClassImage


def attribution(images: Iterable[ClassImage]) -> str:
    """How many pictures stand under each licence; then title, author and page of each (Markdown)."""
    by_licence: defaultdict[str, list[ClassImage]] = defaultdict(list)
    for image in images:
        by_licence[image.licence].append(image)
    largest_first = sorted(by_licence.items(), key=lambda item: (-len(item[1]), item[0]))
    summary = "".join(f"| {_text(name)} | {len(some):,} |\n" for name, some in largest_first)
    return (
        "# Where the class images come from\n\n| licence | images |\n|---|---|\n"
        + summary
        + "".join(_section(name, some) for name, some in largest_first)
    )


def _section(licence: str, images: Sequence[ClassImage]) -> str:
    deed = next((image.licence_url for image in images if image.licence_url), "")
    lines = (
        f"- {_link(image.title or image.file.name, image.source)} by {_text(image.author)} "
        f"(`{image.file.name}`)\n"
        for image in images
    )
    return f"\n## {_link(licence, deed)}\n" + "".join(lines)


def _link(text: str, url: str) -> str:
    """A link, where the address is one of the web's; what else was told of it in words."""
    if re.fullmatch(r"https?://[^\s<>]+", url):
        return f"[{_text(text)}](<{url}>)"
    return f"{_text(text)} ({_text(url)})" if url else _text(text)


def _text(words: str) -> str:
    """Words of strangers, so that none is Markdown or HTML."""
    return re.sub(r"([\\`*_{}\[\]<>()#|!&~])", r"\\\1", " ".join(words.split()))
