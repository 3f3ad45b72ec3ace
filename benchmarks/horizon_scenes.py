"""Pictures of places through known cameras, drawn in a moment: floors, streets, rooms, fields.

Every pixel's ray meets the ground, two walls and an end wall; what it meets is patterned in metres.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from packshot.insertion.camera import Camera

SIZE = 384
KINDS = ("tiles", "street", "field", "clutter", "room", "boards")


def scene(kind: str, seed: int) -> tuple[np.ndarray, Camera]:
    """A picture [h, w, 3] in [0, 1] of that kind of place, and the camera that sees it."""
    rng = np.random.default_rng([KINDS.index(kind), seed])
    width, height = [(SIZE, 256), (256, SIZE), (320, 320)][rng.integers(3)]
    focal = max(width, height) * float(rng.choice([0.8, 1.0, 1.2, 1.6, 2.2]))
    lowest, highest = (0.1, 0.7) if kind in ("street", "field") else (-0.6, 0.6)
    horizon = height * float(rng.uniform(lowest, highest))
    camera = Camera.with_horizon(width, height, horizon, focal, float(rng.normal(0, 0.02)))
    colours = _drawn(kind, camera, rng)
    for _ in range(rng.integers(0, 5)):
        _thing(colours, rng)
    soft = cv2.GaussianBlur(colours, (0, 0), float(rng.uniform(0.4, 1.1)))
    return (soft + rng.normal(0, 0.012, soft.shape)).clip(0, 1).astype(np.float32), camera


def _drawn(kind: str, camera: Camera, rng: np.random.Generator) -> np.ndarray:
    rows, columns = np.mgrid[: camera.height, : camera.width].astype(np.float64) + 0.5
    rays = np.stack(
        [columns - camera.width / 2, rows - camera.height / 2, np.full_like(rows, camera.focal)], 2
    )
    forward = np.array([0.0, 0.0, 1.0]) - camera.up[2] * camera.up
    forward /= np.linalg.norm(forward)
    turn = float(rng.uniform(-0.6, 0.6))
    ahead = np.cos(turn) * forward + np.sin(turn) * np.cross(camera.up, forward)
    right, up, away = rays @ np.cross(camera.up, ahead) * -1, rays @ camera.up, rays @ ahead
    tall = float(rng.uniform(0.8, 1.8))
    shade = np.full((*rows.shape, 3), np.nan)
    if kind == "clutter":
        return _blobs(rows.shape, rng)
    far = np.full(rows.shape, np.inf)
    pattern = {"tiles": _tiles, "boards": _boards, "room": _boards}.get(kind, _rough)
    _put(shade, far, -tall / np.where(up < 0, up, np.nan), right, away, pattern, rng)
    if kind in ("street", "room"):
        wide, deep = (
            float(rng.uniform(2, 5)),
            float(rng.uniform(5, 30) if kind == "street" else rng.uniform(3, 6)),
        )
        high = 3 * tall if kind == "room" else 8 * tall
        walls: list[tuple[np.ndarray, float, np.ndarray]] = [
            (right, -wide, away),
            (right, wide, away),
            (away, deep, right),
        ]
        for axis, at, along in walls:
            reach = at / np.where(axis * at > 0, axis, np.nan)
            reach = np.where((up * reach < high) & (reach > 0), reach, np.nan)
            _put(shade, far, reach, along, up, _windows, rng)
    fade = np.linspace(0.95, 0.75, camera.height)[:, None, None] * np.array(
        rng.uniform([0.6, 0.75, 0.9], 1)
    )
    return np.where(np.isnan(shade), np.broadcast_to(fade, shade.shape), shade)


def _put(
    shade: np.ndarray, far: np.ndarray, reach: np.ndarray, across: np.ndarray, along: np.ndarray,
    pattern: Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray], rng: np.random.Generator,
) -> None:  # fmt: skip
    nearer = reach < far
    values = pattern(np.where(nearer, across * reach, 0), np.where(nearer, along * reach, 0), rng)
    tint = rng.uniform(0.7, 1, 3)
    shade[nearer] = values[nearer][:, None] * tint
    far[nearer] = reach[nearer]


def _lines(values: np.ndarray, pitch: float, wide: float) -> np.ndarray:
    return np.abs(values / pitch - np.round(values / pitch)) < wide / pitch / 2


def _tiles(x: np.ndarray, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    side = float(rng.uniform(0.2, 0.8))
    joint = _lines(x, side, 0.06 * side) | _lines(z, side, 0.06 * side)
    odd = (np.floor(x / side + 0.5) + np.floor(z / side + 0.5)) % 2 * float(rng.uniform(0, 0.3))
    return np.where(joint, 0.3, 0.6 + odd)


def _boards(x: np.ndarray, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    side = float(rng.uniform(0.1, 0.25))
    each = np.sin(np.floor(x / side + 0.5) * 12.9898) * 0.1
    ends = np.abs((z + 7 * each) % 1.7) < 0.02
    return np.where(_lines(x, side, 0.08 * side) | ends, 0.25, 0.5 + each)


def _rough(x: np.ndarray, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    grain = sum(np.sin(x * a + z * b + c) for a, b, c in rng.uniform(-9, 9, (8, 3)))
    return 0.5 + 0.03 * grain + rng.normal(0, 0.05, x.shape)


def _windows(along: np.ndarray, up: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    wide, high = rng.uniform(0.8, 2), rng.uniform(1.2, 2.4)
    inside = (np.abs(along / wide - np.round(along / wide)) < 0.28) & (
        np.abs(up / high - np.round(up / high)) < 0.3
    )
    return np.where(inside, rng.uniform(0.2, 0.4), rng.uniform(0.5, 0.8)) + 0 * up


def _blobs(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """A close-up that tells nothing: soft patches, and strokes in all directions."""
    colours = cv2.resize(
        rng.uniform(0.1, 0.9, (5, 5, 3)), shape[::-1], interpolation=cv2.INTER_CUBIC
    )
    for _ in range(rng.integers(20, 120)):
        ends = rng.integers(0, max(shape), 4)
        near = ends[:2] + rng.integers(-60, 60, 2)
        cv2.line(
            colours,
            tuple(map(int, ends[:2])),
            tuple(map(int, near)),
            tuple(rng.uniform(0, 1, 3)),
            int(rng.integers(1, 4)),
            cv2.LINE_AA,
        )
    return colours


def _thing(colours: np.ndarray, rng: np.random.Generator) -> None:
    """Something in the way, of no meaning: an ellipse or a bent box."""
    height, width = colours.shape[:2]
    middle = int(rng.integers(0, width)), int(rng.integers(0, height))
    colour = tuple(rng.uniform(0.1, 0.9, 3))
    if rng.random() < 0.5:
        axes = int(rng.integers(8, width // 5)), int(rng.integers(8, height // 5))
        cv2.ellipse(
            colours, middle, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA
        )
    else:
        corners = np.array(middle) + rng.integers(-width // 7, width // 7, (4, 2))
        cv2.fillConvexPoly(colours, cv2.convexHull(corners.astype(np.int32)), colour, cv2.LINE_AA)
