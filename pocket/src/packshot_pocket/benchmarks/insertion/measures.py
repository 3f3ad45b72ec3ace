"""Metrics of an insertion against its ground truth."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from skimage.metrics import structural_similarity

from packshot.insertion import Box, quality_checks
from packshot.insertion.background import Colours
from packshot.insertion.shadows import Ground
from packshot_pocket.benchmarks.insertion.cases import Case
from packshot_pocket.benchmarks.insertion.ways import Made
from packshot_pocket.benchmarks.quality.identifier import Identifier, alone, number_of


def measured(case: Case, made: Made, judge: Identifier | None) -> dict[str, float]:
    """The metrics of one insertion; those that the judge tells only with one."""
    pixels = made.picture.pixels
    seen = pixels.astype(np.float32) / 255
    background = case.background.pixels.astype(np.float32) / 255
    near = _near(case)
    silhouette = cv2.dilate((case.mask > 0.02).astype(np.uint8), np.ones((3, 3))) > 0
    shadow = near & ~silhouette & (np.abs(case.truth - background).max(axis=2) > 4 / 255)
    changed = (pixels != case.background.pixels).any(axis=2)
    crop, wanted = (crop_of(each, case.box) for each in (seen, case.truth))
    figures = {
        "product PSNR": _psnr(seen, case.truth, silhouette),
        "structure": _structure(crop, wanted),
        "far pixels changed": float(changed[~near].sum()),
        "rim error": _rim_error(case, seen),
        "seam": _seam(seen, changed, case.mask),
    }
    if judge:
        number = number_of(Path(case.product))
        first = judge.identify(alone(pixels, case.mask)[None], number)[0]
        figures |= {"identity": float(first == 0), "perceptual": judge.distance(crop, wanted)}
    if shadow.sum() > 20:
        figures["shadow PSNR"] = _psnr(seen, case.truth, shadow)
    if case.light.elevation_degrees > 5:
        # A product of another outline than the true one is no shadow beside that.
        laid = case.mask if made.laid is None else np.maximum(made.laid, case.mask)
        covered = cv2.dilate((laid > 0.02).astype(np.uint8), np.ones((3, 3))) > 0
        figures["shadow degrees"] = _shadow_error(case, background, seen, covered)
    return figures


def _structure(crop: np.ndarray, wanted: np.ndarray) -> float:
    """How far structure is from the true one, 0 to 1: structural dissimilarity over scales of 1 to 1/4.

    (Wang, Simoncelli and Bovik 2003.)
    """
    likeness = []
    for _ in range(3):
        likeness.append(structural_similarity(crop, wanted, channel_axis=2))
        crop, wanted = np.asarray(cv2.pyrDown(crop)), np.asarray(cv2.pyrDown(wanted))
    return float(1 - np.mean(likeness))


def _rim_error(case: Case, seen: Colours) -> float:
    """How far edges about the silhouette are from the true ones: mean gradient's error, levels/px."""
    inside = (case.mask > 0.5).astype(np.uint8)
    rim = cv2.dilate(inside, np.ones((7, 7))) > cv2.erode(inside, np.ones((7, 7)))
    error = (seen - case.truth) * 255
    across, down = (cv2.Sobel(error, cv2.CV_32F, *axes, scale=1 / 8) for axes in ((1, 0), (0, 1)))
    return float(np.hypot(across, down)[rim].mean())


def _seam(seen: Colours, changed: np.ndarray, product: Colours) -> float:
    """Gradient at the rim of what changed over that of rings beside it, in the rings' deviations."""
    grey = cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY)
    gradient = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    inside = changed.astype(np.uint8)
    apart = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
    within = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
    clear = cv2.distanceTransform((product < 0.02).astype(np.uint8), cv2.DIST_L2, 3) > 4
    rim = (((apart > 0) & (apart <= 1.5)) | ((within > 0) & (within <= 1.5))) & clear
    rings = [clear & (apart > start) & (apart <= start + 3) for start in (3, 6, 9, 12)]
    means = [float(gradient[ring].mean()) for ring in rings if ring.any()]
    if not rim.any() or not means:
        return 0.0
    level = 8 * 0.25 / 255  # Sobel's, of a quarter of an 8-bit level a pixel
    spread = max(float(np.std(means)), 0.1 * float(np.mean(means)), level)
    return (float(gradient[rim].mean()) - float(np.mean(means))) / spread


def _near(case: Case) -> np.ndarray:
    """Where the product or its shadow may be."""
    near = np.zeros(case.mask.shape, bool)
    box, reach = case.box, round(1.3 * max(case.box.width, case.box.height))
    near[
        max(0, box.top - reach // 2) : box.bottom + reach,
        max(0, box.left - reach) : box.right + reach,
    ] = True
    return near


def _shadow_error(case: Case, background: Colours, seen: Colours, silhouette: np.ndarray) -> float:
    """Degrees from the true shadow's direction in the picture; 90, a guess's mean, without a shadow."""
    foot = (case.box.left + case.box.width / 2, float(case.box.bottom))
    before, after = (cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in (background, seen))
    darkening = ((before - after) / np.maximum(before, 0.05)).clip(0, 1) * ~silhouette
    found = quality_checks.darkening_direction(darkening, foot)
    ground = Ground.of(case.background.width, case.horizon, case.box)
    wanted = quality_checks.seen_direction(case.light, ground, foot)
    return 90.0 if found is None else abs((found - wanted + 180) % 360 - 180)


def _psnr(seen: Colours, truth: Colours, where: np.ndarray) -> float:
    return float(-10 * np.log10(max(float(np.square(seen - truth)[where].mean()), 1e-8)))


def crop_of(colours: Colours, box: Box) -> np.ndarray:
    """The product and a little around it, square, uint8."""
    half = round(0.65 * max(box.width, box.height))
    x, y = box.left + box.width // 2, box.top + box.height // 2
    padded = np.pad(colours, ((half, half), (half, half), (0, 0)), mode="edge")
    return (padded[y : y + 2 * half, x : x + 2 * half] * 255).round().astype(np.uint8)
