"""Choosing and stopping on products that the bundled base has not learnt from: what is lost, what is saved.

    python -m benchmarks.choosing suv=examples/torvane_ridge watch=examples/veldane_tide

A product is CLASS=FOLDER, its photos. Of each, one after the other: the whole recipe is trained, also past
where it would have ended by itself; diffusers' recipe (constant rate, half class images, no masks, rank 4 on
attention, nothing that ends it) is trained for the steps of its README. Every kept LoRA is judged at every
weight on pictures of seeds that the choice never sees. It goes on where it was killed; all of it lies in
--out, and `choosing.json` there has every value. Times are CPU seconds of this process, so other programs
hardly change them. What the recipe's numbers do: `benchmarks.recipes`.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from packshot.captions import caption_photos
from packshot.class_images import collect_class_images
from packshot.generation.generate import GenerationSettings, generate_images
from packshot.judging import measures
from packshot.judging.candidate import WEIGHTS
from packshot.judging.candidates import Sources, propose_candidate, score_candidates
from packshot.judging.choice import MOST_DRIFT
from packshot.judging.drift import prediction_drift
from packshot.judging.effort import EFFORTS
from packshot.judging.intervals import difference, interval
from packshot.judging.judge import Judge, judge_for
from packshot.judging.seen import see_file
from packshot.lora import load_lora
from packshot.lora.weights import Lora
from packshot.masks import mask_photos
from packshot.masks.bundled import BundledSegmenter
from packshot.models import DiffusionModel, load_base
from packshot.photos.photo_set import add_photos
from packshot.plan import Plan, make_plan, read_plan, write_plan
from packshot.project import Project, create_project
from packshot.training import train
from packshot.training.events import Done, Resumed, Sample, StateSaved
from packshot.training.runs import checkpoints, finished, run_of
from packshot.utils import files, reading
from packshot.utils.progress import Observer

CLASS_IMAGES = 48
KEPT = 8
"""Checkpoints of a whole run."""
FRESH_SEEDS = range(1000, 1004)
"""Of the pictures by which all is compared; the choice sees seeds 0, 1, 2."""
THEIRS: dict[str, Any] = {
    "lr_scheduler": "constant", "lr_warmup_steps": 0, "class_image_ratio": 0.5, "prior_loss_weight": 1.0,
    "rank": 4, "alpha": 4, "target_modules": "attention", "min_snr_gamma": 0.0, "caption_dropout_rate": 0.0,
    "crops_per_photo": 1, "unmasked_weight": 1.0, "early_stopping_variance": 0.0,
}  # fmt: skip
"""`train_dreambooth_lora.py` of diffusers by its README, at the base's own learning rate and batch: the
README's rate is for published bases, and learns next to nothing here."""
THEIR_STEPS = 500
"""Of the README."""


class Trial:
    """The trainings of one product, and what is measured of them."""

    def __init__(self, product: str, out: Path, base: DiffusionModel) -> None:
        self.noun, _, photos = product.partition("=")
        self.photos, self.base = Path(photos), base
        self.out = out / self.photos.name

    def project(self, name: str) -> Project:
        """A project of its own, with the same photos, captions, masks and class images as the first."""
        first = self.out / "ours"
        if name != "ours" and not (self.out / name).exists():
            part = self.out / f".{name}.part"
            shutil.rmtree(part, ignore_errors=True)
            left = (
                "runs",
                "lora",
                "candidates",
                "judged",
                "plan*.toml",
                "seconds.json",
                "ended.json",
            )
            shutil.copytree(first, part, ignore=shutil.ignore_patterns(*left))
            part.rename(self.out / name)
        project = create_project(self.out / name, name=self.photos.name, class_noun=self.noun)
        if name == "ours" and not project.plan_file.exists():
            add_photos(project, self.photos)
            caption_photos(project, self.base)
            mask_photos(project, BundledSegmenter())
            collect_class_images(project, self.base, count=CLASS_IMAGES)
        return project

    def planned(self, project: Project, changes: Mapping[str, Any]) -> Plan:
        """The whole recipe with other numbers, keeping `KEPT` checkpoints."""
        if not project.plan_file.exists():
            make_plan(project, self.base)
            plan = read_plan(project.plan_file)
            changed = {"sample_every_n_steps": max(1, plan.steps // KEPT), **changes}
            write_plan(Plan.model_validate(plan.model_dump() | changed), project.plan_file)
        return read_plan(project.plan_file)

    def judge(self, project: Project) -> Judge:
        """The judge of `packshot run`."""
        similarity = self.base.clip_similarity()
        assert similarity is not None
        return judge_for(project, self.base, similarity, similarity, Observer())


def trained(trial: Trial, project: Project, *, whole: bool) -> dict[int, float]:
    """Train; the CPU seconds that had passed after each step with a saved state or a kept LoRA.

    Args:
        whole: also past where it ends by itself.
    """
    record = project.root / "seconds.json"
    known = {int(step): spent for step, spent in (reading.read_json(record) or {}).items()}
    plan = read_plan(project.plan_file)
    run = run_of(project, plan)
    ended = finished(run) if run else None
    if ended and (not whole or ended.step >= plan.steps):
        return known
    begun, before = time.process_time(), 0.0
    if ended:
        before = known[ended.step]
    for event in train(project, trial.base, go_on=ended is not None):
        if isinstance(event, Resumed):
            before = max((s for step, s in known.items() if step <= event.step), default=0.0)
        if isinstance(event, (Sample, StateSaved, Done)):
            known[event.step] = round(before + time.process_time() - begun, 1)
            files.write_json(record, {str(step): spent for step, spent in sorted(known.items())})
    return trained(trial, project, whole=whole)


def kept(project: Project) -> dict[int, Path]:
    """The LoRA files of the project's run by step, its end the last."""
    run = run_of(project, read_plan(project.plan_file))
    assert run is not None
    ended = finished(run)
    assert ended is not None
    return checkpoints(run, project.diffusers_lora_file.name) | {
        ended.step: run / project.diffusers_lora_file.name
    }


def fresh(judge: Judge, name: str, loras: Sequence[tuple[Lora, float]]) -> dict[str, list[float]]:
    """Likeness and prediction drift on pictures of seeds that no choice sees; measured once."""
    place = judge.project.root / "judged" / name
    if known := reading.read_json(place / "values.json"):
        return dict(known)
    settings = GenerationSettings(seeds=tuple(FRESH_SEEDS))
    shots = generate_images(
        judge.base, judge.prompts, loras=loras, settings=settings, folder=place,
        subject=judge.project.subject, marking=replace(judge.project.marking, has_watermark=False),
    )  # fmt: skip
    seen = [see_file(shot.file, judge.segmenter) for shot in shots]
    products = measures.products(judge.embedder, seen)
    found = {
        "likeness": measures.identity(products, judge.photo_products, judge.look_alikes),
        "drift": prediction_drift(judge.base, loras, judge.class_examples),
    }
    files.write_json(place / "values.json", found)
    return found


def judged(
    judge: Judge, weights: Sequence[float], steps: Container[int] = range(sys.maxsize)
) -> dict[tuple[int, float], dict[str, list[float]]]:
    """`fresh` of each kept LoRA of some steps at each weight."""
    return {
        (step, weight): fresh(judge, f"{step}-{weight:g}", [(load_lora(file, judge.base), weight)])
        for step, file in kept(judge.project).items()
        if step in steps
        for weight in weights
    }


def stopping(trial: Trial) -> tuple[int, dict[int, float]]:
    """Train the recipe: the step at which it ends by itself, and the seconds of the whole."""
    project = trial.project("ours")
    trial.planned(project, {})
    note = project.root / "ended.json"
    if not note.exists():
        trained(trial, project, whole=False)
        files.write_json(note, max(kept(project)))
    return int(reading.read_json(note)), trained(trial, project, whole=True)


def choosing(trial: Trial, ended: int) -> dict[str, Any]:
    """What each effort chooses among what `packshot run` would have had, against all that there is."""
    judge = trial.judge(trial.project("ours"))
    everything = judged(judge, WEIGHTS)
    allowed = {
        key: one for key, one in everything.items() if interval(one["drift"]).mean <= MOST_DRIFT
    }
    best = max(allowed or everything, key=lambda key: interval(everything[key]["likeness"]).mean)
    found: dict[str, Any] = {"best": told(best, everything[best]), "tried": len(everything)}
    for effort in EFFORTS:
        wanted = _as_run_has_them(judge.project, ended)
        one = replace(judge, effort=effort)
        score_candidates(one, sources=wanted)
        proposed = propose_candidate(one)
        assert proposed is not None
        picked = proposed.candidate
        mine = everything[(picked.step or max(kept(judge.project)), picked.weight)]
        behind = difference(everything[best]["likeness"], mine["likeness"])
        found[effort.name] = {
            **told((picked.step or 0, picked.weight), mine), "behind": vars(behind), "why": proposed.why,
            "pictures": effort.pictures(effort.candidates(len(wanted), len(WEIGHTS))),
        }  # fmt: skip
    return found


def _as_run_has_them(project: Project, ended: int) -> Sources:
    """The LoRAs of the steps up to its end that a run keeps: one of each quarter of the plan, and the end."""
    plan = read_plan(project.plan_file)
    run = run_of(project, plan)
    assert run is not None
    usual = 2 * plan.sample_every_n_steps
    return {
        (run.name, step): file
        for step, file in kept(project).items()
        if step == ended or (step < ended and step % usual == 0)
    }


def against_theirs(trial: Trial, seconds: Mapping[int, float]) -> dict[str, Any]:
    """When ours is as like the product as diffusers' recipe is at its end."""
    project = trial.project("theirs")
    trial.planned(
        project, {**THEIRS, "steps": THEIR_STEPS, "sample_every_n_steps": THEIR_STEPS // KEPT}
    )
    their_seconds = trained(trial, project, whole=True)
    ours = judged(trial.judge(trial.project("ours")), [1.0])
    theirs = judged(trial.judge(project), [1.0])
    goal = interval(theirs[max(theirs)]["likeness"]).mean
    there = [step for step, _ in sorted(ours) if interval(ours[step, 1.0]["likeness"]).mean >= goal]
    first_of_theirs = next(
        step for step, _ in sorted(theirs) if interval(theirs[step, 1.0]["likeness"]).mean >= goal
    )
    return {
        "their likeness at their end": told(max(theirs), theirs[max(theirs)]),
        "their seconds": their_seconds[max(their_seconds)],
        "their seconds to it for the first time": their_seconds[first_of_theirs],
        "our step": there[0] if there else None,
        "our seconds": seconds[there[0]] if there else None,
    }


def told(key: Any, values: Mapping[str, list[float]]) -> dict[str, Any]:
    likeness, drift = interval(values["likeness"]), interval(values["drift"])
    return {
        "what": key,
        "likeness": vars(likeness),
        "drift": drift.mean,
        "values": values["likeness"],
    }


def measured(trial: Trial) -> dict[str, Any]:
    """All that is asked of one product; what is done is kept, and not done again."""
    ended, seconds = stopping(trial)
    judge = trial.judge(trial.project("ours"))
    whole = max(seconds)
    early, late = (judged(judge, [1.0])[step, 1.0] for step in (ended, whole))
    found: dict[str, Any] = {
        "stopping": {
            "ended": ended, "of": whole, "saved": 1 - seconds[ended] / seconds[whole],
            "seconds": [seconds[ended], seconds[whole]],
            "early": told((ended, 1.0), early), "late": told((whole, 1.0), late),
            "difference": vars(difference(early["likeness"], late["likeness"])),
        }
    }  # fmt: skip
    asked: dict[str, Callable[[], dict[str, Any]]] = {
        "choosing": lambda: choosing(trial, ended),
        "theirs": lambda: against_theirs(trial, seconds),
    }
    for part, ask in asked.items():
        found[part] = ask()
        files.write_json(trial.out / "choosing.json", found)
        print(trial.photos.name, part, flush=True)
    return found


def main() -> None:
    """Measure each product, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    options = options_of(parser)
    base = load_base("pocket", device="cpu")
    found = {}
    for product in options.products:
        found[product] = measured(Trial(product, options.out, base))
        files.write_json(options.out / "choosing.json", found)


def options_of(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """What is asked of a benchmark of products."""
    parser.add_argument("products", nargs="+", help="CLASS=FOLDER, the folder of its photos")
    cache = Path.home() / ".cache" / "packshot" / "choosing"
    parser.add_argument("--out", type=Path, default=cache)
    return parser.parse_args()


if __name__ == "__main__":
    main()
