"""The bundled base's quality, as one table.

    python -m packshot_pocket.benchmarks.quality [--prompts N] [--products N] [--compare] [--base FOLDER]

Needs the packed renders that the base learned from (`packshot-pretrain gather`) and the products that
it did not (`packshot-render benchmark`). The judges are trained first, once, in about half an hour on
2 cores; after that 500 prompts take about 15 minutes, each product about 6.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from packshot.cli.console import Console as Progress
from packshot.models import load_base
from packshot.utils import files
from packshot_pocket.benchmarks.quality import base as faithful
from packshot_pocket.benchmarks.quality import classifier as telling
from packshot_pocket.benchmarks.quality import identifier as identifying
from packshot_pocket.benchmarks.quality import lora
from packshot_pocket.pretrain.data import open_packed
from packshot_pocket.pretrain.loop import Budget

RECIPES = (
    lora.Recipe(),
    lora.Recipe("no class images", class_share=0.0),
    lora.Recipe("cross-attention", targets="cross-attention"),
    lora.Recipe("rank 4", rank=4),
    lora.Recipe("5 photos", photos=5),
    lora.Recipe("half the time", budget_seconds=120.0),
)


def _options() -> argparse.Namespace:
    cache = Path.home() / ".cache" / "packshot"
    parser = argparse.ArgumentParser(
        prog="python -m packshot_pocket.benchmarks.quality", description=__doc__
    )
    parser.add_argument("--base", default="pocket")
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--products", type=int, default=10)
    parser.add_argument("--compare", action="store_true", help="also other recipes of the LoRA")
    parser.add_argument("--renders", type=Path, default=cache / "pretrain" / "v1")
    parser.add_argument("--held-out", type=Path, default=cache / "world" / "benchmark")
    parser.add_argument("--work", type=Path, default=cache / "quality")
    return parser.parse_args()


def main() -> None:
    """Train the judges, judge the base, judge LoRAs; print tables and write quality.json."""
    options, config = _options(), telling.ClassifierConfig()
    heads = telling.train_classifier(options.renders, config, Budget())
    classifier = telling.load_classifier(options.renders, config)
    base = load_base(options.base)
    work = options.work / base.content_hash[:12]
    results: dict[str, dict[str, float]] = {"judges": {**heads}}
    with Progress() as console:
        if options.prompts:
            results["base"] = faithful.faithfulness(
                base, classifier, open_packed(options.renders), work / "prompts",
                options.prompts, console.progress,
            )  # fmt: skip
        products = sorted(path.parent for path in options.held_out.glob("*/product.json"))
        products = products[: options.products]
        if products:
            identifier, known = identifying.identifier_for(
                products, options.work, identifying.IdentifierConfig()
            )
            results["judges"] |= known
        for recipe in RECIPES if options.compare else RECIPES[:1]:
            for product in products:
                noun = json.loads((product / "product.json").read_text())["noun"]
                figures = lora.likeness(
                    base, (classifier, identifier), product, noun, recipe,
                    work / recipe.name.replace(" ", "-") / product.name, console.progress,
                )  # fmt: skip
                results[f"{recipe.name}/{product.name}"] = asdict(figures)
                files.write_json(work / "quality.json", results)
    files.write_json(work / "quality.json", results)
    _show(results)


def _show(results: dict[str, dict[str, float]]) -> None:
    console = Console()
    for title in ("judges", "base"):
        if figures := results.get(title):
            table = Table(*figures, title=title)
            table.add_row(*(f"{value:.3f}" for value in figures.values()))
            console.print(table)
    rows = {name: figures for name, figures in results.items() if "/" in name}
    if rows:
        names = list(next(iter(rows.values())))
        table = Table("recipe / product", *names, title="LoRAs")
        for name, figures in rows.items():
            table.add_row(name, *(f"{value:.2f}" for value in figures.values()))
        for recipe in dict.fromkeys(name.split("/")[0] for name in rows):
            some = [f for name, f in rows.items() if name.startswith(f"{recipe}/")]
            means = [np.mean([f[name] for f in some]) for name in names]
            table.add_row(f"{recipe}: mean", *(f"{mean:.2f}" for mean in means), style="bold")
        console.print(table)


if __name__ == "__main__":
    main()
