"""How well embedders tell products apart, as one table.

    python -m packshot_pocket.benchmarks.identity [EMBEDDER …] [--photos FOLDER --masks FOLDER]

Needs rendered things (`packshot-render render --collection things --count 1782`) and
`packshot-render identity`. An embedder is "bundled", "base" (the CLIP of the bundled base), "histogram",
or whatever `packshot judge --identity` takes. Some minutes each.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from packshot.generation.embedders import image_embedder_of
from packshot.judging.intervals import interval
from packshot.masks.bundled import BundledSegmenter
from packshot.models import load_base
from packshot.utils import files
from packshot_pocket.benchmarks.identity import measures
from packshot_pocket.benchmarks.identity.measures import Embed
from packshot_pocket.pretrain.shots.bank import make_bank
from packshot_pocket.scenes import alike

_BATCH = 32
_DRAWN = 24
_BANK = 777
"""Its textures were not trained on."""


def _options() -> argparse.Namespace:
    world = Path.home() / ".cache" / "packshot" / "world"
    parser = argparse.ArgumentParser(
        prog="python -m packshot_pocket.benchmarks.identity", description=__doc__
    )
    parser.add_argument("embedders", nargs="*", default=["bundled", "base", "histogram"])
    parser.add_argument("--things", type=Path, default=world / "things")
    parser.add_argument("--renders", type=Path, default=world / "identity")
    parser.add_argument("--photos", type=Path, help="a folder of photographs a subject")
    parser.add_argument("--masks", type=Path, default=Path("tests/masks/references"))
    parser.add_argument("--found", action="store_true", help="also with the segmenter's masks")
    parser.add_argument("--out", type=Path, default=world.parent / "identity.json")
    return parser.parse_args()


def _embed(spec: str) -> Embed:
    if spec == "histogram":
        return measures.histogram
    embedder = image_embedder_of(spec, lambda: load_base("pocket"))
    if embedder is None:
        raise SystemExit(f"{spec!r} measures nothing.")
    return lambda products: torch.cat(
        [embedder.embed_images(part).float() for part in products.split(_BATCH)]
    )


def _measured(embed: Embed, options: argparse.Namespace) -> dict[str, list[float]]:
    """Values by measure: 1 or 0 a query, a correlation a ladder."""
    found: dict[str, list[float]] = {}
    segmenters = {"": None} | ({", found": BundledSegmenter()} if options.found else {})
    for suffix, segmenter in segmenters.items():
        for noun in alike.fifties():
            args = noun, options.renders, options.things, embed, segmenter
            for way, rights in zip(("nearest", "mean"), measures.fifty(*args), strict=True):
                found[f"{noun}, {way}{suffix}"] = rights.tolist()
                found.setdefault(f"fifties, {way}{suffix}", []).extend(rights)
    found["degrees, rendered"] = [
        measures.rendered_ladder(noun, number, options.renders, embed)
        for noun in alike.fifties()
        for number in range(alike.LADDERS)
    ]
    bank = make_bank(_BANK)
    found["degrees, drawn"] = [measures.drawn_ladder(bank, k, embed) for k in range(_DRAWN)]
    if options.photos:
        ways = measures.of_photographs(options.photos, options.masks, embed)
        for way, rights in zip(("nearest", "mean"), ways, strict=True):
            found[f"photographs, {way}"] = rights.tolist()
    return found


def main() -> None:
    """Measure each embedder; print a table of means with 95 % intervals, and write all values."""
    options = _options()
    values = {spec: _measured(_embed(spec), options) for spec in options.embedders}
    files.write_json(options.out, values)
    table = Table("measure", *values)
    for name in next(iter(values.values())):
        rows = [each[name] for each in values.values()]
        table.add_row(name, *(str(interval(np.asarray(row).tolist())) for row in rows))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
