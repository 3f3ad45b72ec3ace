"""Packshot's insertion compared with alternatives, on rendered backgrounds with ground truth.

    python -m packshot_pocket.benchmarks.insertion [--backgrounds N] [--paint N] [--photographs]

Needs `packshot-render insertion` and `packshot-render benchmark`; the judge of identity, whose features
also tell how near pictures are, is trained on the latter first, once; with --no-judge neither is told.
Each product is put where the truth has it: its silhouette's box. Light is estimated, the horizon given.
With --paint a LoRA of each product is trained too, and paints it: ours and diffusers' inpainting.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from packshot.insertion.background import Colours
from packshot.models import load_base
from packshot.utils import files
from packshot_pocket.benchmarks.insertion.cases import cases, project_of
from packshot_pocket.benchmarks.insertion.measures import measured
from packshot_pocket.benchmarks.insertion.photographs import as_photograph
from packshot_pocket.benchmarks.insertion.ways import ways_of
from packshot_pocket.benchmarks.quality.identifier import IdentifierConfig, identifier_for

_CACHE = Path.home() / ".cache" / "packshot"


def main() -> None:
    """Insert, measure, print the table and write insertion.json."""
    parser = argparse.ArgumentParser(
        prog="python -m packshot_pocket.benchmarks.insertion", description=__doc__
    )
    parser.add_argument("--backgrounds", type=int, default=20, help="of each product")
    parser.add_argument("--world", type=Path, default=_CACHE / "world")
    parser.add_argument("--work", type=Path, default=_CACHE / "quality" / "insertion")
    parser.add_argument(
        "--paint", type=int, default=0, help="also with a LoRA, the first so many of each product"
    )
    parser.add_argument(
        "--photographs", action="store_true",
        help="backgrounds and truth as photographs: exposure, colours, blur, noise, JPEG",
    )  # fmt: skip
    parser.add_argument("--no-judge", action="store_true", help="neither identity nor perceptual")
    parser.add_argument("--seconds", type=float, default=180, help="for each LoRA")
    parser.add_argument(
        "--sheet",
        type=Path,
        help="an image: truth, then each way, for a background of each product",
    )
    options = parser.parse_args()
    folders = sorted(path for path in (options.world / "insertion").iterdir() if path.is_dir())
    known = sorted(path.parent for path in (options.world / "benchmark").glob("*/product.json"))
    judge = None
    if not options.no_judge:
        judge, report = identifier_for(known, options.work.parent, IdentifierConfig())
        print("The judge is right on other renders:", report)
    base = load_base("pocket") if options.paint else None

    rows: dict[str, list[dict[str, float]]] = {}
    shown: list[Colours] = []
    for folder in folders:
        project = project_of(folder, options.work)
        ways = ways_of(project, options.work, base, options.seconds)
        for number, case in enumerate(islice(cases(folder), options.backgrounds)):
            if number == options.paint:
                ways = ways_of(project, options.work, None, 0)
            case = as_photograph(case) if options.photographs else case
            made = {name: way(case) for name, way in ways.items()}
            for way, each in made.items():
                rows.setdefault(way, []).append(measured(case, each, judge))
            if number == 0:
                shown.append(np.hstack([each.picture.pixels for each in made.values()]))
    if options.sheet:
        files.write_image(options.sheet, Image.fromarray(np.vstack(shown)).reduce(2))
    _show(rows)
    files.write_json(_CACHE / "quality" / "insertion.json", rows)


def _show(rows: dict[str, list[dict[str, float]]]) -> None:
    names = list(dict.fromkeys(name for each in rows.values() for row in each for name in row))
    table = Table("way", "backgrounds", *names)
    for way, each in rows.items():
        values = [[row[name] for row in each if name in row] for name in names]
        middle = [
            np.median(v) if "degrees" in n else np.mean(v)
            for n, v in zip(names, values, strict=True)
        ]
        table.add_row(way, str(len(each)), *(f"{value:.3g}" for value in middle))
    Console().print(table)


if __name__ == "__main__":
    main()
