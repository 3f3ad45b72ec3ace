"""Adding the view (front, side, rear, …) to captions that lack it, by a CLIP.

`insert --view` searches for the view in captions, and a LoRA trained with views can be prompted for
one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from packshot.captions.captioner import Captioner
from packshot.captions.clip_interrogator import ClipInterrogator
from packshot.captions.phrases import Bank, general_bank
from packshot.models.embedder import ClipSimilarity

if TYPE_CHECKING:
    from PIL import Image

    from packshot.settings import Subject

GROUP = "view"


class _WithViews:
    """A `Captioner` that adds views to another one's captions, under its name."""

    def __init__(self, captioner: Captioner, clip: ClipSimilarity) -> None:
        self.captioner, self.name, self.batch = captioner, captioner.name, captioner.batch
        view = general_bank().groups[GROUP]
        self._interrogator = ClipInterrogator(clip, Bank(groups={GROUP: view}))

    def caption(self, pictures: Iterable[Image.Image], subject: Subject) -> list[str]:
        """See `Captioner.caption`."""
        shown = list(pictures)
        captions = self.captioner.caption(shown, subject)
        views = self._interrogator.caption(shown, subject)
        plain = f"a photo of {subject.phrase}"
        return [
            caption if says_view(caption) else caption + view.removeprefix(plain)
            for caption, view in zip(captions, views, strict=True)
        ]


def says_view(caption: str) -> bool:
    """Whether a caption names the view."""
    words = caption.lower().replace("-", " ")
    return any(word in words for word in (" view", "seen from", "from above", "from behind"))


def with_views(captioner: Captioner, clip: ClipSimilarity | None) -> Captioner:
    """The captioner with views added to its captions where CLIP is sure."""
    return _WithViews(captioner, clip) if clip else captioner
