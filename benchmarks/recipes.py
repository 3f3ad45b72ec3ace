"""What the numbers of the bundled base's recipe do, over products that it has not learnt from.

    python -m benchmarks.recipes suv=examples/torvane_ridge watch=examples/veldane_tide [--tries NAME ...]

Each try changes numbers of the plan and trains `STEPS` steps, if it names no others; its LoRA is judged by
pictures of seeds that no choice sees. `recipes.json` in --out has every value, `recipes.md` the means over
the products, each beside the first try of the list. It goes on where it was killed. Times are CPU seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.choosing import THEIRS, Trial, judged, options_of, told, trained
from packshot.judging.intervals import interval
from packshot.models import load_base
from packshot.utils import files, reading

STEPS = 476
BEFORE: dict[str, Any] = {
    "target_modules": "all", "rank": 16, "alpha": 16, "learning_rate": 1e-3, "crops_per_photo": 3,
    "caption_dropout_rate": 0.05, "class_image_ratio": 0.25, "prior_loss_weight": 0.5,
}  # fmt: skip
"""The bundled base's recipe until these were tried, of which all tries are changes."""
ATTENTION_AND_MLP: dict[str, Any] = {
    "target_modules": "attention+mlp", "crops_per_photo": 1, "caption_dropout_rate": 0.0,
}  # fmt: skip
TRIES: dict[str, dict[str, Any]] = {
    "the recipe of before": {},
    "attention alone": {"target_modules": "attention"},
    "attention, one crop, no dropout": {
        "target_modules": "attention", "crops_per_photo": 1, "caption_dropout_rate": 0.0,
    },
    "attention and MLP, one crop, no dropout": ATTENTION_AND_MLP,
    "the same, 160 steps": {**ATTENTION_AND_MLP, "steps": 160},
    "the same, 160 steps, rate doubled": {**ATTENTION_AND_MLP, "steps": 160, "learning_rate": 2e-3},
    "the same, 160 steps, rate fourfold": {**ATTENTION_AND_MLP, "steps": 160, "learning_rate": 4e-3},
    "the same, 120 steps, rate fourfold": {**ATTENTION_AND_MLP, "steps": 120, "learning_rate": 4e-3},
    "the same, 240 steps, rate fourfold": {**ATTENTION_AND_MLP, "steps": 240, "learning_rate": 4e-3},
    "the same, 320 steps, rate doubled": {**ATTENTION_AND_MLP, "steps": 320, "learning_rate": 2e-3},
    "the same, 160 steps, rate eightfold": {**ATTENTION_AND_MLP, "steps": 160, "learning_rate": 8e-3},
    "the same, 320 steps of half a batch, rate doubled": {
        **ATTENTION_AND_MLP, "steps": 320, "effective_batch_size": 4, "learning_rate": 2e-3,
    },
    "attention, rate doubled": {"target_modules": "attention", "learning_rate": 2e-3},
    "attention, 300 steps": {"target_modules": "attention", "steps": 300},
    "attention, rate doubled, 300 steps": {
        "target_modules": "attention", "learning_rate": 2e-3, "steps": 300,
    },
    "diffusers' recipe": {**THEIRS, "learning_rate": 1e-3},
    "diffusers' recipe, rate fourfold": {**THEIRS, "learning_rate": 4e-3},
    "rank 4": {"rank": 4, "alpha": 4},
    "rank 32": {"rank": 32, "alpha": 32},
    "constant rate": {"lr_scheduler": "constant"},
    "attention and MLP": {"target_modules": "attention+mlp"},
    "half class images": {"class_image_ratio": 0.5, "prior_loss_weight": 1.0},
    "no class images": {"class_image_ratio": 0.0},
    "no min-SNR weighting": {"min_snr_gamma": 0.0},
    "no caption dropout": {"caption_dropout_rate": 0.0},
    "one crop": {"crops_per_photo": 1},
    "backgrounds like products": {"unmasked_weight": 1.0},
}  # fmt: skip


def tried(trial: Trial, name: str) -> dict[str, Any]:
    """One try of one product: likeness and drift of its end, and the seconds it took."""
    project = trial.project(name.replace(" ", "-"))
    changes = {"steps": STEPS, **BEFORE, **TRIES[name], "early_stopping_variance": 0.0}
    steps = trial.planned(project, changes).steps
    spent = trained(trial, project, whole=True)
    end = judged(trial.judge(project), [1.0], steps=[steps])[steps, 1.0]
    return {**told(name, end), "seconds": spent[steps]}


def table(found: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> str:
    """Means over the products that have all of the tries; differences product by product."""
    whole = [one for one in found.values() if all(name in one for name in names)]

    def of(name: str, figure: str) -> list[float]:
        return [
            one[name]["likeness"]["mean"] if figure == "likeness" else one[name][figure]
            for one in whole
        ]

    lines = [
        f"| {len(whole)} products | likeness | difference to the first | drift | CPU seconds |",
        "|---|---|---|---|---|",
    ]
    first = of(names[0], "likeness")
    for name in names:
        likeness = of(name, "likeness")
        beside = "" if name == names[0] else str(interval(np.subtract(likeness, first).tolist()))
        drift, seconds = np.mean(of(name, "drift")), np.mean(of(name, "seconds"))
        lines.append(
            f"| {name} | {np.mean(likeness):.3f} | {beside} | {drift:.3f} | {seconds:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Try all on each product, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", nargs="+", default=list(TRIES), choices=TRIES, metavar="NAME")
    options = options_of(parser)
    base = load_base("pocket", device="cpu")
    out: Path = options.out
    found: dict[str, dict[str, Any]] = reading.read_json(out / "recipes.json") or {}
    for product in options.products:
        trial = Trial(product, out, base)
        trial.project("ours")  # whose photos, captions, masks and class images the others take
        for name in options.tries:
            of_product = found.setdefault(product, {})
            of_product[name] = tried(trial, name)
            files.write_json(out / "recipes.json", found)
            print(trial.photos.name, name, of_product[name]["likeness"], flush=True)
        files.write_text(out / "recipes.md", table(found, options.tries))


if __name__ == "__main__":
    main()
