"""How far the estimated light can be believed: on drawn, rendered and real pictures it did not learn from.

`python -m benchmarks.light --photos PHOTOS --out FOLDER` writes `light.md`, a table, and `light.png`, the
reliability diagram: of the pictures whose confidence lies in a range, the share whose azimuth is right
within 20 degrees. Pictures whose light has no direction count as wrong, whatever is said of them.
PHOTOS holds the photographs that `benchmarks/light_of_photos.txt` lists. `--world` adds the backgrounds
of `packshot-render insertion`, each as it is and as a photograph of it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np
import numpy.typing as npt

from packshot.insertion.background import Colours, load_background
from packshot.insertion.lighting import CLEAR, Light, LightEstimator
from packshot.utils import files, hashing
from packshot.weights.safetensors_file import read_safetensors
from packshot_pocket.pretrain.sunlit.drawn import draw
from packshot_pocket.pretrain.sunlit.photographed import linear, photographed

LABELS = Path(__file__).with_name("light_of_photos.txt")
RIGHT_DEGREES = 20
LABELLED_DEGREES = 45
"""What a label by eye allows: itself within 25, and 20."""
BELIEVED = 0.8
Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Answers:
    """What was said of a set of pictures.

    Attributes:
        confidence: of each [N].
        error: degrees of azimuth [N]; NaN where the light has no direction.
        right: the error up to which an answer is right.
    """

    name: str
    confidence: Floats
    error: Floats
    right: float = RIGHT_DEGREES

    @property
    def is_right(self) -> npt.NDArray[np.bool_]:
        return np.nan_to_num(self.error, nan=180.0) <= self.right

    def row(self) -> str:
        """A row of the table."""
        directed = ~np.isnan(self.error)
        sure = self.confidence >= BELIEVED
        return (
            f"| {self.name} | {directed.sum()} | {_median(self.error[directed])} "
            f"| {_share(self.confidence[directed] >= CLEAR)} | {_share(self.is_right[sure])} "
            f"| {(~directed).sum()} | {_share(self.confidence[~directed] < CLEAR)} |"
        )


HEADER = (
    f"| pictures | with a directed light | azimuth, median error | believed (≥ {CLEAR}) "
    f"| right where confidence ≥ {BELIEVED} | without | told as unclear (< {CLEAR}) |\n|"
    + "---|"
    * 7
)


def _median(errors: Floats) -> str:
    return f"{np.median(errors):.0f} degrees" if len(errors) else ""


def _share(of: npt.NDArray[np.bool_]) -> str:
    return f"{of.sum()} of {len(of)}" if len(of) else "none"


def answers(
    name: str,
    pictures: Iterator[tuple[Colours, float | None]],
    estimator: LightEstimator,
    right: float = RIGHT_DEGREES,
) -> Answers:
    """Ask about pictures, each with its light's azimuth in degrees; None if it has no direction."""
    told: list[tuple[float, float]] = []
    for colours, azimuth in pictures:
        light: Light = estimator.estimate(colours)
        apart = np.nan if azimuth is None else light.azimuth_degrees - azimuth
        told.append((light.confidence, abs((apart + 180) % 360 - 180)))
    confidence, error = np.array(told, np.float64).reshape(-1, 2).T
    return Answers(name, confidence, error, right)


def drawn(part: str, count: int) -> Iterator[tuple[Colours, float | None]]:
    """Drawn places of a part as photographs."""
    places = draw(part, count, seed=1)
    for number, (light, direction) in enumerate(zip(places.light, places.directions, strict=True)):
        rng = np.random.default_rng([1, number])
        yield _as_colours(photographed(light.astype(np.float32), rng, 128)), _azimuth(direction)


def rendered(world: Path, as_photographs: bool) -> Iterator[tuple[Colours, float | None]]:
    """The empty backgrounds of rendered insertions, by day and at sunset."""
    for record in sorted(world.glob("*/backgrounds/*.json")):
        for entry in json.loads(record.read_text()):
            file = record.with_name(f"{Path(entry['file']).stem}-background.png")
            colours = load_background(file).whole(384)[0]
            if as_photographs:
                rng = np.random.default_rng([2, *file.stem.encode()])
                light = linear((colours * 255).round().astype(np.uint8))
                colours = _as_colours(photographed(light, rng, 256))
            yield colours, _azimuth(np.array(entry["light"]["direction"]))


def labelled(folder: Path) -> Iterator[tuple[Colours, float | None]]:
    """The photographs of the list, but for those whose light cannot be told."""
    for line in LABELS.read_text().splitlines():
        if line.startswith("#"):
            continue
        sha256, name, kind, *azimuth = line.split()
        if kind == "unsure":
            continue
        if hashing.sha256(folder / name) != sha256:
            raise SystemExit(f"{folder / name} is not the photograph that {LABELS.name} lists.")
        yield load_background(folder / name).whole(384)[0], float(azimuth[0]) if azimuth else None


def _as_colours(pixels: npt.NDArray[np.uint8]) -> Colours:
    return pixels.astype(np.float32) / 255


def _azimuth(direction: Floats) -> float | None:
    if not np.abs(direction).sum():
        return None
    return float(np.degrees(np.arctan2(direction[1], direction[0]))) % 360


def diagram(sets: list[Answers]) -> Any:
    """The reliability diagram as a figure: a dot for each range of confidence that has 8 pictures."""
    figure = matplotlib.figure.Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="as confident as right")
    for told in sets:
        place = np.minimum((told.confidence * 8).astype(int), 7)
        ranges = [place == number for number in range(8) if (place == number).sum() >= 8]
        if ranges:
            x, y = (
                [float(np.mean(of[r])) for r in ranges] for of in (told.confidence, told.is_right)
            )
            axes.plot(x, y, marker="o", label=f"{told.name} ({len(told.confidence)})")
    axes.set(
        xlabel="confidence", ylabel=f"share with the azimuth right within {RIGHT_DEGREES} degrees",
        xlim=(0, 1), ylim=(0, 1), title="The estimated light: confidence and truth",
    )  # fmt: skip
    axes.legend()
    return figure


def main() -> None:
    """Ask about all sets, and write the table and the diagram."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.light", description=__doc__)
    parser.add_argument("--photos", type=Path, help="folder of the listed photographs")
    parser.add_argument("--world", type=Path, help="folder of rendered insertions")
    parser.add_argument(
        "--weights", type=Path, help="a file of other weights than the bundled ones"
    )
    parser.add_argument("--drawn", type=int, default=300, help="drawn places")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    estimator = LightEstimator(read_safetensors(given.weights)[0] if given.weights else None)
    sets = [answers("drawn, of kinds not learnt", drawn("test", given.drawn), estimator)]
    if given.world:
        sets.append(answers("rendered", rendered(given.world, False), estimator))
        sets.append(answers("rendered, as photographs", rendered(given.world, True), estimator))
    if given.photos:
        sets.append(
            answers("real photographs", labelled(given.photos), estimator, LABELLED_DEGREES)
        )
    table = "\n".join([HEADER, *(told.row() for told in sets)]) + "\n"
    files.write_text(given.out / "light.md", table)
    diagram(sets).savefig(given.out / "light.png", dpi=110)
    print(table)


if __name__ == "__main__":
    main()
