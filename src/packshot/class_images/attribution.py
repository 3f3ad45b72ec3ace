"""ATTRIBUTION.md: the authors of the class images, as their licences require."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from packshot.class_images.class_image import ClassImage


def attribution(images: Iterable[ClassImage]) -> str:
    """Markdown: the number of images under each licence; then title, author and page of each image."""
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
    """A Markdown link if the address is http(s), else plain text."""
    if re.fullmatch(r"https?://[^\s<>]+", url):
        return f"[{_text(text)}](<{url}>)"
    return f"{_text(text)} ({_text(url)})" if url else _text(text)


def _text(words: str) -> str:
    """Untrusted text, escaped so that it contains no Markdown or HTML."""
    return re.sub(r"([\\`*_{}\[\]<>()#|!&~])", r"\\\1", " ".join(words.split()))
