"""Quality checks of an insertion: measured numbers, each with its limits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

from packshot.insertion.background import Background, Box, Colours
from packshot.insertion.cutouts import CutOut, squared, thumbnail
from packshot.insertion.foot import foot_of
from packshot.insertion.lighting import Light
from packshot.insertion.mask_faults import MaskFaults
from packshot.insertion.optics import blur_of
from packshot.insertion.shadows import Ground
from packshot.models.clip import embed_images
from packshot.models.embedder import ClipSimilarity
from packshot.photos.photo_set import DOUBTFUL, Photo

_ISLAND = 0.2
_UNSEEN = 3 / 255
"""A step in brightness that is invisible even on calm ground."""
_MASKED = 1 / 3
"""Share of the ground's standard deviation: on texture a step of this size is invisible."""
_PIECE = 15
"""Side in pixels of the square in which a rim's step is averaged, and the least pixels for it."""
_HARD = 7
"""How much larger a step the edge of the hardest light's shadow is: blurred by 0.6 pixels, 0.62
deep on light ground, up to 24 / 255 between two pixels."""
_DETAIL = 1.5
"""Standard deviation in pixels of the blur before colours are compared."""
_TOUCHING = 0.12
"""Drawn boxes, bottles, cars and balls composed on five grounds have 0.17 and more, without what
`shadows.contact` adds 0.06 to 0.14; in between, so that seven tenths of a shadow still hold."""
_FLOATING = 0.05
"""Below a product that stands on its shadow, the ground grows lighter all the way down."""
_UNDER = 0.06
"""Of the product's longer side: how far behind and before its foot the ground is looked at."""
_SHARPEST = 0.6
"""Blur in pixels of an image that looks sharp."""
OF_THE_PHOTO = frozenset({"identity", "mask", "colour", "sharpness"})
"""Checks that another photo of the product may pass; light and ground do not depend on the photo."""


@dataclass(frozen=True)
class Check:
    """A measured number, its limits, and its meaning in words."""

    name: str
    value: float
    limits: tuple[float, float]
    meaning: str

    @property
    def passed(self) -> bool:
        return self.limits[0] <= self.value <= self.limits[1]


def background_unchanged(
    before: Background, after: Background, zone: Colours, top: int, left: int
) -> Check:
    """The number of changed pixels outside the zone [h, w], whose corner is at `top` and `left`."""
    same = (
        before.pixels.shape == after.pixels.shape
        and before.pixels.dtype == after.pixels.dtype
        and before.profile == after.profile
    )
    outside = -1
    if same:
        differs = (before.pixels != after.pixels).any(axis=2)
        part = differs[top : top + zone.shape[0], left : left + zone.shape[1]]
        outside = int(differs.sum()) - int(part[zone > 0].sum())
    return Check(
        "background unchanged",
        float(outside),
        (0, 0),
        "pixels changed outside the mask and its shadow",
    )


def product_similarity(
    similarity: ClipSimilarity, inserted: Colours, alpha: Colours, photos: Sequence[CutOut]
) -> Check:
    """CLIP-I: mean cosine of the inserted product with the photos' cut-outs, all on grey.

    The limit is the least mean cosine of a photo with the other photos, minus 0.05.
    """
    square = squared(inserted * alpha[..., None] + 0.5 * (1 - alpha[..., None]), 224)
    references = embed_images(similarity, map(thumbnail, photos))
    value = float((embed_images(similarity, [square]) @ references.T).mean())
    among = references @ references.T
    count = len(photos)
    least = float(((among.sum(dim=1) - 1) / max(count - 1, 1)).min()) if count > 1 else 0.0
    return Check(
        "identity", value, (least - 0.05, 1.0001), f"likeness to the photos ({similarity.name})"
    )


def seam_visibility(
    before: Colours, after: Colours, zone: Colours, product: Colours, hardness: float
) -> Check:
    """The step in brightness at the zone's rim, divided by the largest invisible step there.

    Outside the zone nothing changes, so the mean change along a short piece of the rim is the step,
    whatever the ground shows. The worst piece counts. The edge of the product [h, w] itself does
    not count. Hard light's shadows do not end softly: the harder the light, the larger a step
    towards dark is allowed.
    """
    limits = (0.0, 1.0)
    inside = (zone > 0).astype(np.uint8)
    within = cv2.distanceTransform(np.pad(inside, 1, mode="edge"), cv2.DIST_L2, 3)[1:-1, 1:-1]
    clear = cv2.distanceTransform((product < 0.02).astype(np.uint8), cv2.DIST_L2, 3) > 4
    rim = ((within > 0) & (within <= 1.5) & clear).astype(np.float32)
    old, new = (_grey(colours) for colours in (before, after))
    pixels = _summed(rim)
    pieces = (rim > 0) & (pixels >= _PIECE)
    if not pieces.any():
        return Check("seam", 0.0, limits, "the zone ends nowhere on the ground")
    step = (_summed((new - old) * rim) / np.maximum(pixels, 1))[pieces]
    mean = cv2.blur(old, (_PIECE, _PIECE))
    texture = np.sqrt((cv2.blur(old**2, (_PIECE, _PIECE)) - mean**2).clip(0))[pieces]
    unseen = np.maximum(_UNSEEN, _MASKED * texture)
    value = np.abs(step) / (unseen * np.where(step < 0, 1 + _HARD * hardness, 1))
    return Check("seam", float(value.max()), limits, "the rim's steps over what is overlooked")


def _grey(colours: Colours) -> Colours:
    return cv2.cvtColor(colours.astype(np.float32), cv2.COLOR_RGB2GRAY)


def _summed(values: Colours) -> Colours:
    """Sums over the square around each pixel."""
    return cv2.boxFilter(values, cv2.CV_32F, (_PIECE, _PIECE), normalize=False)


def mask(photo: Photo, faults: MaskFaults | None) -> Check:
    """How doubtful the photo's mask is: the segmenter's doubt, and the mask's faults.

    The worst counts, over what is usual of masks that are right.
    """
    told = [((photo.mask_doubt or 0.0) / DOUBTFUL, "its segmenter is not sure")]
    if faults:
        told.append((faults.severity, faults.why))
    worst, why = max(told)
    meaning = (
        f"of {photo.file.name}: {why}; see packshot masks --review"
        if worst > 1
        else "as it should be"
    )
    return Check("mask", worst, (0.0, 1.0), meaning)


def colour(inserted: Colours, alpha: Colours, cut: Colours) -> Check:
    """The product's colour difference from its photo: the 90th percentile of CIEDE2000.

    Lightness counts half (kL = 2), because the light differs; hue is the brand's. Fine detail is
    blurred away first. The limit holds for 97 of 100 colours if harmonization is at its own limits
    of gain and cast.
    """
    limits = (0.0, 7.2)
    sure = (alpha > 0.95).astype(np.float32)
    if not sure.any():
        return Check("colour", 0.0, limits, "no pixel is the product's alone")
    share = np.maximum(cv2.GaussianBlur(sure, (0, 0), _DETAIL), 1e-6)[..., None]
    now, own = (
        rgb2lab(
            (cv2.GaussianBlur(colours * sure[..., None], (0, 0), _DETAIL) / share)[sure > 0][None]
        )
        for colours in (inserted, cut)
    )
    far = float(np.quantile(deltaE_ciede2000(own, now, kL=2), 0.9))
    return Check("colour", far, limits, "CIEDE2000 (kL 2) from its photo: what a tenth exceeds")


def count(alpha: Colours) -> Check:
    """The number of painted products: islands of alpha of at least a fifth of the largest one's area."""
    inside = (alpha > 0.5).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(inside)
    areas = stats[1:, cv2.CC_STAT_AREA]
    large = int((areas >= _ISLAND * areas.max(initial=0)).sum())
    return Check("count", float(large), (1, 1), "products painted in the place")


def shadow_direction(darkening: Colours, cast: Colours, foot: tuple[float, float]) -> Check:
    """The angle in the image between the ground's actual darkening and the expected cast shadow.

    Both [height, width] and only where they are visible, so a shadow behind the product is not
    required. Differences within 25 degrees are not noticed.
    """
    limits, meaning = (0.0, 25.0), "degrees from the background's light, as the image shows it"
    actual, expected = (darkening_direction(darkness, foot) for darkness in (darkening, cast))
    if actual is None and expected is None:
        return Check("shadow direction", 0.0, limits, "the light throws no shadow that is seen")
    if actual is None:
        return Check("shadow direction", 180.0, limits, "no shadow on the ground")
    if expected is None:
        return Check("shadow direction", 180.0, limits, "a shadow where the light throws none")
    return Check("shadow direction", abs((actual - expected + 180) % 360 - 180), limits, meaning)


def no_shadow_direction() -> Check:
    """That of a cut-out in a light whose side is not known: its faint shadow is a guess, and says so."""
    meaning = "the background does not show where its light comes from"
    return Check("shadow direction", 0.0, (0.0, 25.0), meaning)


def darkening_direction(darkening: Colours, foot: tuple[float, float]) -> float | None:
    """Degrees (0 right, 90 up) from the product's foot to the darkening's centroid; None if none."""
    strong = np.where(darkening > max(0.08, 0.25 * float(darkening.max())), darkening, 0)
    total = float(strong.sum())
    if total < 4:
        return None
    rows, columns = np.indices(strong.shape, dtype=np.float32)
    x = float((columns * strong).sum()) / total - foot[0]
    y = foot[1] - float((rows * strong).sum()) / total
    return math.degrees(math.atan2(y, x)) % 360


def seen_direction(light: Light, ground: Ground, foot: tuple[float, float]) -> float:
    """Degrees (0 right, 90 up) of the direction, in the image, of a shadow that starts at `foot`."""
    away = ground.focal / (foot[1] - ground.horizon)
    right = (foot[0] - ground.middle) / ground.focal * away
    across, along = light.shadow_of(0.05 * away)
    ends = ground.seen(
        np.array([right, right + across], np.float32),
        np.array([away, away + along], np.float32),
        np.zeros(2, np.float32),
    )
    return math.degrees(math.atan2(ends[0, 1] - ends[1, 1], ends[1, 0] - ends[0, 0])) % 360


def contact(before: Colours, after: Colours, product: Colours, slope: float = 0.3) -> Check:
    """The relative darkening of the ground just below the product's foot; `product` is [h, w].

    If the ground is darker further down, the product floats above its shadow: then the value is the
    negative of that difference. A gap of less than a tenth of its height looks like a dark base and
    is not detected. The columns count in which it touches the ground, as `foot_of` tells them.

    Args:
        slope: of the ground in the picture, as for `foot_of`.
    """
    limits = (_TOUCHING, 1.0)
    inside = product > 0.02
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    height = int(np.ptp(rows)) + 1
    reach = max(2, height // 25)
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    foot = columns[0] + np.flatnonzero(foot_of(inside[part].astype(np.float32), slope).touches)
    lowest = len(inside) - 1 - inside[::-1, foot].argmax(axis=0)
    down = np.arange(1, min(height // 2, len(inside) - 1 - int(rows[-1])) + 1)[:, None]
    if len(down) < reach:
        return Check("contact", 1.0, limits, "it stands on the background's lower edge")
    old, new = (_grey(colours) for colours in (before, after))
    places = lowest + down, foot
    darker = (1 - new[places] / np.maximum(old[places], 0.02)).mean(axis=1)
    near = np.convolve(darker, np.full(reach, 1 / reach), "valid")
    further = float(near.max() - near[0])
    value = -further if further > _FLOATING else float(near[0])
    return Check("contact", value, limits, "how much darker it is where it touches")


def ground(background: Colours, box: Box, front: Colours | None = None) -> Check:
    """How much the ground's colour differs along the foot: CIELAB, lightness counting half.

    The medians of the background behind and before the foot are compared, in three parts from left to
    right. Of 24 real places 21 are within the limit; one of the others is a rock's edge, over which the
    product would reach.

    Args:
        front: what stands before the product, [h, w]: it is no ground.
    """
    limits = (0.0, 20.0)
    around = max(3, round(_UNDER * max(box.width, box.height)))
    rows = slice(max(0, box.bottom - around), box.bottom + around)
    under = rows, slice(max(0, box.left), box.right)
    lab = rgb2lab(background[under].clip(0, 1))
    seen = np.ones(lab.shape[:2], bool) if front is None else front[under] < 0.5
    thirds = zip(np.array_split(lab, 3, axis=1), np.array_split(seen, 3, axis=1), strict=True)
    parts = [np.median(part[where], axis=0) for part, where in thirds if where.any()]
    apart = max(
        (
            0.5 * abs(one[0] - other[0]) + math.dist(one[1:], other[1:])
            for one, other in itertools.combinations(parts, 2)
        ),
        default=0.0,
    )
    meaning = "how much its colour differs along the foot: does the product reach over an edge?"
    return Check("ground", float(apart), limits, meaning)


def sharpness_match(inserted: Colours, alpha: Colours, background: Colours) -> Check:
    """The blur of the product's edges divided by the blur of the background's edges.

    Blur is a Gaussian's standard deviation in pixels, independent of print and contrast, at least
    `_SHARPEST`; a background without edges counts as sharp.
    """
    limits = (0.2, 2.0)
    inside = cv2.erode((alpha > 0.95).astype(np.uint8), np.ones((7, 7), np.uint8), borderValue=0)
    own, theirs = blur_of(inserted, inside > 0), blur_of(background)
    if own is None:
        return Check("sharpness", 1.0, limits, "it has no edges to tell by")
    ratio = max(own, _SHARPEST) / max(theirs or 0.0, _SHARPEST)
    return Check("sharpness", ratio, limits, "how blurred it is over how blurred the background is")
