"""How right the estimate of a photo's horizon is, and how right it says it is.

`python -m benchmarks.horizon` measures on drawn places of kinds that nothing was fitted to; with
`--photos`, `--opencv` and `--mate` (folders with what `horizons.toml` names) also on photographs.
`--overlays FOLDER` draws every estimate beside the truth. `--fit` prints weights fitted anew.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import skimage

from benchmarks.horizon_scenes import KINDS, scene
from packshot.images.loading import open_image
from packshot.insertion.horizon import (
    GRID,
    TOLERANCE,
    Cue,
    Weights,
    combined,
    evidence,
    find_horizon,
)
from packshot.utils import overwriting, reading

LABELS = Path(__file__).with_name("horizons.toml")
HELD_OUT = ("room", "boards")
"""Kinds of drawn places that weights are never fitted to."""
CROPS, DRAWN = 4, 40
_BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_CUES = ("lines", "uprights", "sky", "rim")


@dataclass(frozen=True)
class Case:
    """A picture [h, w, 3], and its horizon in picture heights; None where it lies above the picture."""

    name: str
    colours: np.ndarray
    height: float | None
    fitted: bool

    def error(self, estimate: float) -> float:
        """In picture heights."""
        return max(0.0, estimate) if self.height is None else abs(estimate - self.height)


def drawn(count: int, kinds: tuple[str, ...], first: int = 0) -> Iterator[Case]:
    """Drawn places, `count` of each kind."""
    for kind in kinds:
        for seed in range(first, first + count):
            colours, camera = scene(kind, seed)
            yield Case(kind, colours, camera.horizon / camera.height, kind not in HELD_OUT)


def photographs(folders: dict[str, Path]) -> Iterator[Case]:
    """The labelled photographs that are there.

    Raises:
        ValueError: a file is another one than the labelled.
    """
    for name, label in reading.read_toml(LABELS).items():
        source, _, inside = name.partition("/")
        file = folders[source] / inside if source in folders else None
        if file is None or not file.is_file():
            continue
        if hashlib.sha256(file.read_bytes()).hexdigest() != label["sha256"]:
            raise ValueError(f"{file} is not the labelled file.")
        image = open_image(file)
        image.thumbnail((1024, 1024))
        yield Case(name, np.asarray(image, np.float32) / 255, label.get("height"), label["fitted"])


def renders(folder: Path) -> Iterator[Case]:
    """One picture of each scene that `packshot-render backgrounds` left in a folder.

    Weights are fitted to every other scene.
    """
    for number, file in enumerate(sorted(folder.glob("*.json"))):
        entry = reading.read_json(file)[0]
        image = open_image(folder / entry["file"])
        yield Case(
            file.stem, np.asarray(image, np.float32) / 255, entry["horizon"], number % 2 == 0
        )


def reliability(cases: list[Case]) -> list[str]:
    """Rows of a table: of the estimates that say they are so sure, how many are right."""
    sure, right = [], []
    for case in cases:
        found = find_horizon(case.colours)
        sure.append(found.confidence)
        right.append(case.error(found.height) <= TOLERANCE)
    says, holds = np.array(sure), np.array(right)
    rows = []
    for low, high in itertools.pairwise(_BINS):
        here = (says >= low) & ((says < high) | (high == 1))
        if here.any():
            rows.append(_row(f"{low:.1f} to {high:.1f}", says[here], holds[here]))
    return [*rows, _row("all", says, holds)]


def _row(name: str, says: np.ndarray, holds: np.ndarray) -> str:
    return f"{name}: {len(says)}, says {says.mean():.2f}, right {holds.mean():.2f}"


def overlay(case: Case) -> np.ndarray:
    """The picture with the truth in green and the estimate in red, BGR [h, w, 3]."""
    found, (height, width) = find_horizon(case.colours), case.colours.shape[:2]
    shown = (case.colours[..., ::-1] * 255).astype(np.uint8).copy()
    for share, roll, ink in (
        (case.height, 0.0, (0, 200, 0)),
        (found.height, found.roll, (0, 0, 255)),
    ):
        if share is not None:
            rise = np.tan(roll) * width / 2
            ends = (0, round(share * height - rise)), (width, round(share * height + rise))
            cv2.line(shown, *ends, ink, max(2, height // 200))
    told = f"{found.height:.2f} ({found.confidence:.0%}, {found.by})"
    cv2.putText(shown, told, (8, 28), cv2.FONT_HERSHEY_SIMPLEX, height / 1000, (0, 0, 255), 2)
    return shown


def fit(cases: list[Case]) -> Weights:
    """The weights under which the true heights are likeliest (Nelder and Mead 1965)."""
    from scipy.optimize import minimize

    told = [(evidence(case.colours, None)[0], case) for case in _cropped(cases)]

    def weights(values: np.ndarray) -> Weights:
        cues = {
            name: Cue(
                float(np.exp(np.clip(values[2 * n], -6, 3))),
                0.1 + 0.9 / (1 + float(np.exp(-values[2 * n + 1]))),
            )
            for n, name in enumerate(_CUES)
        }
        return Weights(**cues, middle=float(values[8]), spread=float(np.exp(values[9])))

    def loss(values: np.ndarray) -> float:
        total = 0.0
        for said, case in told:
            likely, _ = combined(said, weights(values))
            near = GRID <= 0 if case.height is None else np.abs(GRID - case.height) <= TOLERANCE / 2
            total -= np.log(likely[near].sum() + 1e-4)
        return total / len(told)

    start = np.array([-2.3, -1.4, -1.2, -0.8, 0, -0.8, 0, -0.4, 0.25, -0.9])
    options = {"maxiter": 900, "xatol": 0.02, "fatol": 1e-3}
    return weights(minimize(loss, start, method="Nelder-Mead", options=options).x)


def _cropped(cases: list[Case]) -> Iterator[Case]:
    """Photographs whole and as crops, whose horizons follow; drawn places as they are."""
    rng = np.random.default_rng(0)
    for case in cases:
        yield case
        for _ in range(CROPS if "/" in case.name else 0):
            full = np.array(case.colours.shape[:2])
            high, wide = (full * rng.uniform(0.6, 1) * (1, rng.uniform(0.8, 1))).astype(int)
            top, left = (
                int(rng.integers(0, full[0] - high + 1)),
                int(rng.integers(0, full[1] - wide + 1)),
            )
            part = case.colours[top : top + high, left : left + wide]
            height = None if case.height is None else (case.height * full[0] - top) / high
            if height is None or -1 < height < 1.2:
                yield Case(case.name, part, height, case.fitted)


def main() -> None:
    """Print the tables, or weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    for source in ("photos", "opencv", "mate"):
        parser.add_argument(f"--{source}", type=Path)
    parser.add_argument("--renders", type=Path, help="a folder by `packshot-render backgrounds`")
    parser.add_argument("--overlays", type=Path)
    parser.add_argument("--fit", action="store_true")
    given = parser.parse_args()
    folders = {
        source: path for source in ("photos", "opencv", "mate") if (path := getattr(given, source))
    }
    folders["skimage"] = Path(skimage.__file__).parent / "data"
    seen = list(photographs(folders))
    rendered = list(renders(given.renders)) if given.renders else []
    if given.fit:
        places = drawn(DRAWN, tuple(kind for kind in KINDS if kind not in HELD_OUT))
        print(fit([*(case for case in (*seen, *rendered) if case.fitted), *places]))
        return
    tables = {
        "drawn places of other kinds": list(drawn(3 * DRAWN, HELD_OUT, first=1000)),
        "rendered places, held out": [case for case in rendered if not case.fitted],
        "photographs, held out": [case for case in seen if not case.fitted],
        "photographs, fitted to": [case for case in seen if case.fitted],
    }
    for title, cases in tables.items():
        if cases:
            print(title, *reliability(cases), sep="\n  ")
    if given.overlays:
        given.overlays.mkdir(parents=True, exist_ok=True)
        for case in seen:
            encoded = cv2.imencode(".jpg", overlay(case))[1].tobytes()
            overwriting.write_result(given.overlays / f"{case.name.replace('/', '-')}.jpg", encoded)


if __name__ == "__main__":
    main()
