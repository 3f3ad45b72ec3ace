"""Rendered pictures as photographs: what a camera does to a background, and alike to its truth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from packshot.insertion.background import Colours
from packshot_pocket.benchmarks.insertion.cases import Case
from packshot_pocket.pretrain.sunlit.photographed import linear


def as_photograph(case: Case) -> Case:
    """The case with background and truth photographed by one camera: outside the product they stay alike.

    Exposure, white balance, blur, noise and JPEG are drawn by the background's name.
    """
    seed = [3, *f"{case.product} {case.background.name}".encode()]
    truth = (case.truth * 255).round().astype(np.uint8)
    seen = photographed(truth, np.random.default_rng(seed)).astype(np.float32) / 255
    empty = photographed(case.background.pixels[..., :3], np.random.default_rng(seed))
    return replace(case, background=replace(case.background, pixels=empty), truth=seen)


def photographed(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A photograph of sRGB uint8 [height, width, 3]; with the same `rng` of another by the same camera."""
    light: Colours = linear(pixels)
    light = light * np.float32(2 ** rng.uniform(-0.5, 0.3)) * rng.uniform(0.93, 1.07, 3)
    light = cv2.GaussianBlur(light.astype(np.float32), (0, 0), float(rng.uniform(0.4, 0.9)))
    shot, read = rng.uniform(0.01, 0.03), rng.uniform(0.001, 0.004)
    grain = rng.standard_normal(light.shape, dtype=np.float32)
    light = light + grain * np.sqrt(shot**2 * light + read**2)
    shown: Any = (light.clip(0, 1) ** (1 / 2.2) * 255).round().astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(75, 96))]
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", shown, quality)[1], cv2.IMREAD_COLOR))
