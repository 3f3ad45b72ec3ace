"""The photo guide: what the photos lack for learning the product, and how to take it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from packshot.images.refusals import read_refusals
from packshot.photos.guide.messages import PhotoAdvice, in_words, words_of
from packshot.photos.guide.photo_features import LIGHTS, VIEWS, PhotoFeatures, extract_features
from packshot.photos.photo_set import list_photos
from packshot.project import Project

ENOUGH = 8
"""Photos. Guides to LoRAs of one thing ask for 8 to 20 of them."""
_MOST = 0.75
"""What share of the photos is "nearly all"."""
_SAME_BACKGROUND = 0.5
"""Overlap of two backgrounds' colours. On photos of nine products, those taken in one place have
.5 to .85, others .45 at most but for a few."""
_SESSION = timedelta(minutes=30)


@dataclass(frozen=True)
class Finding:
    """One thing that the photos lack: a kind that each language has words for, and its numbers."""

    kind: str
    numbers: dict[str, int] = field(default_factory=dict)


def photo_guide(project: Project, language: str = "en") -> list[PhotoAdvice]:
    """What is missing in a project's photos, and what to do; nothing if nothing is.

    Views and light are judged by the captions' words (a photo's own name, where its caption says
    none), the product's place in the frame by the masks, where they stand.

    Raises:
        PackshotError: there are no words in that language.
    """
    words, present = words_of(language), list_photos(project, {})  # of those that can be seen
    refused = read_refusals(project.refused_file).values()
    blurred = sum(reason.code == "blurred" for reason in refused)
    findings = [*find_gaps([extract_features(photo) for photo in present], blurred)]
    sought = [{one.kind for one in photo.blurred} for photo in present]
    if missed := sum(kinds < set().union(*sought) for kinds in sought):
        findings.append(Finding("unblurred", {"n": missed}))
    return [in_words(finding.kind, finding.numbers, words) for finding in findings]


def find_gaps(looks: Sequence[PhotoFeatures], blurred: int = 0) -> Iterator[Finding]:
    """What photos with such looks lack, the most important first.

    Args:
        blurred: how many more were refused for blur.
    """
    of = len(looks)
    if of < ENOUGH:
        yield Finding("few", {"n": of, "enough": ENOUGH})
    if blurred:
        yield Finding("blurred", {"n": blurred, "of": of + blurred})
    if not looks:
        return
    yield from _views(looks)
    yield from _light(looks)
    alike = _most_alike(looks)
    if of > 2 and alike >= _MOST * of:
        yield Finding("one_background", {"n": alike, "of": of})
    for kind in ("small", "cut_off"):
        count = sum(bool(getattr(look, kind)) for look in looks)
        if count * 4 >= of:
            yield Finding(kind, {"n": count, "of": of})


def _views(looks: Sequence[PhotoFeatures]) -> Iterator[Finding]:
    known = [look.views for look in looks if look.views]
    if not any(look.captioned for look in looks) and not known:
        yield Finding("not_captioned")
    elif len(known) * 2 < len(looks):
        yield Finding("views_unknown", {"n": len(looks) - len(known), "of": len(looks)})
    else:
        counts = Counter(view for views in known for view in views)
        for view in VIEWS:
            if not counts[view]:
                yield Finding(f"no_{view}")


def _light(looks: Sequence[PhotoFeatures]) -> Iterator[Finding]:
    known = [look.light for look in looks if look.light]
    times = sorted(look.taken for look in looks if look.taken)
    for light in LIGHTS:
        if len(known) > 2 and len(known) * 2 >= len(looks) and set(known) == {light}:
            yield Finding(f"all_{light}")
    if len(set(known)) < 2 and len(times) > 2 and times[-1] - times[0] < _SESSION:
        minutes = max(1, round((times[-1] - times[0]).total_seconds() / 60))
        yield Finding("one_session", {"n": len(times), "minutes": minutes})
    for kind in ("dark", "bright"):
        if count := sum(getattr(look, kind) for look in looks):
            yield Finding(kind, {"n": count, "of": len(looks)})


def _most_alike(looks: Sequence[PhotoFeatures]) -> int:
    """Of how many photos at most the background is that of one of them."""
    return max(sum(one.overlap(other) >= _SAME_BACKGROUND for other in looks) for one in looks)
