"""The art director's checks: numbers that say whether an insertion holds, each with its limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

from packshot.bases.base import ClipSimilarity
from packshot.bases.clip import embed_pictures
from packshot.insertion.cutouts import CutOut, squared, thumbnail
from packshot.insertion.harmony import sharpness
from packshot.insertion.light import Light
from packshot.insertion.plate import Colours, Plate
from packshot.insertion.shadows import Ground

_NEGLIGIBLE = 0.01
_ISLAND = 0.2
_UNSEEN = 8 * 0.25 / 255
"""A gradient (Sobel's) of a quarter of an 8-bit level a pixel: smaller ones show on no ground."""
OF_THE_PHOTO = frozenset({"identity", "colour", "sharpness"})
"""What another photo of the product may mend; light and ground stay what they are."""


@dataclass(frozen=True)
class Check:
    """A measured number, its limits, whether it lies within, and what it says."""

    name: str
    value: float
    limits: tuple[float, float]
    meaning: str

    @property
    def passed(self) -> bool:
        return self.limits[0] <= self.value <= self.limits[1]


def untouched(before: Plate, after: Plate, zone: Colours, top: int, left: int) -> Check:
    """How many values outside the zone [h, w], which begins at `top` and `left`, have changed."""
    differs = (before.pixels != after.pixels).any(axis=2)
    part = differs[top : top + zone.shape[0], left : left + zone.shape[1]]
    outside = int(differs.sum()) - int(part[zone > 0].sum())
    same = before.pixels.shape == after.pixels.shape and before.profile == after.profile
    return Check(
        "plate untouched", float(outside if same else -1), (0, 0),
        "pixels changed outside the mask and its shadow",
    )  # fmt: skip


def identity(
    similarity: ClipSimilarity, inserted: Colours, alpha: Colours, photos: Sequence[CutOut]
) -> Check:
    """How like the photos' products it is, all over grey: mean cosine.

    The limit is what the photos have among themselves (the least like the others, left out), less
    a twentieth.
    """
    shown = squared(inserted * alpha[..., None] + 0.5 * (1 - alpha[..., None]), 224)
    references = embed_pictures(similarity, map(thumbnail, photos))
    value = float((embed_pictures(similarity, [shown]) @ references.T).mean())
    among = references @ references.T
    count = len(photos)
    least = float(((among.sum(dim=1) - 1) / max(count - 1, 1)).min()) if count > 1 else 0.0
    return Check(
        "identity", value, (least - 0.05, 1.0001), f"likeness to the photos ({similarity.name})"
    )


def seam(after: Colours, zone: Colours, product: Colours, hardness: float) -> Check:
    """Whether the zone's rim shows: its gradient against rings beside it, in their deviations.

    Where the product [h, w] itself ends there is an edge, as there should be: that does not count.
    Nor does hard light's shadow end softly: the harder, the more is allowed.
    """
    limits = (-math.inf, 3 + 3 * hardness)
    grey = cv2.cvtColor(after.astype(np.float32), cv2.COLOR_RGB2GRAY)
    gradient = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    inside = (zone > 0).astype(np.uint8)
    apart = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
    within = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
    rim = ((apart > 0) & (apart <= 1.5)) | ((within > 0) & (within <= 1.5))
    clear = cv2.distanceTransform((product < 0.02).astype(np.uint8), cv2.DIST_L2, 3) > 4
    rim &= clear
    rings = [clear & (apart > start) & (apart <= start + 3) for start in (3, 6, 9, 12)]
    means = [float(gradient[ring].mean()) for ring in rings if ring.any()]
    if not rim.any() or not means:
        return Check("seam", 0.0, limits, "the rim shows no more than what is beside it")
    spread = max(float(np.std(means)), 0.1 * float(np.mean(means)), _UNSEEN)
    value = (float(gradient[rim].mean()) - float(np.mean(means))) / spread
    return Check("seam", value, limits, "the rim's edges over those beside it, in deviations")


def colour(inserted: Colours, alpha: Colours, cut: Colours) -> Check:
    """How far the product's colours moved from its photo's: median CIEDE2000 over its pixels."""
    sure = alpha > 0.95
    if not sure.any():
        return Check("colour", 0.0, (0, 6), "no pixel is the product's alone")
    differences = deltaE_ciede2000(rgb2lab(inserted[sure][None]), rgb2lab(cut[sure][None]))
    return Check(
        "colour", float(np.median(differences)), (0, 6), "CIEDE2000 from its photo, median"
    )


def count(alpha: Colours) -> Check:
    """How many products were painted: islands of what was found, of a fifth of the largest or more."""
    inside = (alpha > 0.5).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(inside)
    areas = stats[1:, cv2.CC_STAT_AREA]
    large = int((areas >= _ISLAND * areas.max(initial=0)).sum())
    return Check("count", float(large), (1, 1), "products painted in the place")


def shadow_direction(
    darkening: Colours, ground: Ground, foot: tuple[float, float], light: Light
) -> Check:
    """Degrees between where the ground was darkened and where the light's shadow should lie."""
    expected = seen_direction(light, ground, foot)
    found = darkening_direction(darkening, foot)
    if found is None:
        return Check("shadow direction", 180.0, (0, 25), "no shadow on the ground")
    apart = abs((found - expected + 180) % 360 - 180)
    return Check(
        "shadow direction",
        apart,
        (0, 25),
        "degrees from the plate's light, as the picture shows it",
    )


def darkening_direction(darkening: Colours, foot: tuple[float, float]) -> float | None:
    """Degrees (0 right, 90 up) from the product's foot to the middle of the darkening; None if none."""
    strong = np.where(darkening > max(0.08, 0.25 * float(darkening.max())), darkening, 0)
    total = float(strong.sum())
    if total < 4:
        return None
    rows, columns = np.indices(strong.shape, dtype=np.float32)
    x = float((columns * strong).sum()) / total - foot[0]
    y = foot[1] - float((rows * strong).sum()) / total
    return math.degrees(math.atan2(y, x)) % 360


def seen_direction(light: Light, ground: Ground, foot: tuple[float, float]) -> float:
    """Degrees (0 right, 90 up) in which the shadow of something at `foot` runs in the picture."""
    away = ground.focal / (foot[1] - ground.horizon)
    right = (foot[0] - ground.middle) / ground.focal * away
    across, along = light.shadow_of(0.05 * away)
    ends = ground.seen(
        np.array([right, right + across], np.float32),
        np.array([away, away + along], np.float32),
        np.zeros(2, np.float32),
    )
    return math.degrees(math.atan2(ends[0, 1] - ends[1, 1], ends[1, 0] - ends[0, 0])) % 360


def contact(before: Colours, after: Colours, foot: Colours) -> Check:
    """How much darker the ground is where the product stands."""
    share = after[foot > _NEGLIGIBLE].mean() / max(float(before[foot > _NEGLIGIBLE].mean()), 0.02)
    return Check("contact", float(1 - share), (0.08, 1.0), "how much darker it is where it touches")


def sharp(inserted: Colours, alpha: Colours, plate: Colours) -> Check:
    """Its finest detail against the plate's."""
    # Calm ground says nothing of the lens.
    ratio = sharpness(inserted, alpha) / max(sharpness(plate), 0.1)
    return Check("sharpness", ratio, (0.3, 4.0), "its finest detail over the plate's")
