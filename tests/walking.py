"""A whole run on a tiny base: photos, a base with a short recipe, and `end_to_end.run` on them."""

from __future__ import annotations

import json
import os
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from packshot.settings import choices_of
from packshot.utils import hashing
from packshot.workflow import end_to_end
from packshot.workflow.observer import RunObserver
from tests.lives import killed_at

RECIPE = "exposures = {1 = 6}\neffective_batch_size = 2\nleast_exposures_share = 0.3\ncrops_per_photo = 1\n"
OPTIONS = {
    "time_budget": "10m", "class_count": 6, "prompts": ("a photo of {subject}",), "images_per_prompt": 2,
    "embedder": "none", "captioner": "plain",
}  # fmt: skip


def make_case(folder: Path, checkpoint: Path, photos: int = 3) -> Path:
    """A folder with `photos` and `base`, beside which a project and a cache will lie."""
    shutil.copytree(checkpoint, folder / "base")
    (folder / "base" / "recipe.toml").write_text(RECIPE)
    (folder / "photos").mkdir()
    for index in range(photos):
        blocks = np.random.default_rng(index).integers(0, 255, (17, 17, 3), np.uint8)
        picture = Image.fromarray(blocks.repeat(16, 0).repeat(16, 1))
        picture.save(folder / "photos" / f"{index}.png")
    return folder


class Listener(RunObserver):
    """Keeps what it is told; stops training after so many steps."""

    def __init__(self, stop_after: int | None = None, agree: bool = False) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.events: list[str] = []
        self.made: list[tuple[str, int, int]] = []
        self._left, self._agree = stop_after, agree

    def say(self, text):
        self.said.append(text)

    def progress(self, what, done, total):
        self.made.append((what, done, total))

    def event(self, event):
        self.events.append(type(event).__name__)

    def agrees(self, question):
        self.asked.append(question)
        return self._agree

    def should_stop(self):
        return self._left is not None and self.events.count("Step") >= self._left


def walk(folder: Path, observer: RunObserver | None = None, finish: bool = False, **options):
    """Run the whole path on a case."""
    chosen = {"base": str(folder / "base"), **OPTIONS, **options}
    return end_to_end.run(
        folder / "photos",
        root=folder / "project",
        name="Duster",
        class_noun="car",
        choices=choices_of(**chosen),
        finish=finish,
        observer=observer,
    )


def results(project: Path) -> dict[str, str]:
    """Hashes of all that is promised to be the same, by file."""
    kinds = ("lora/*.safetensors", "photos/*.txt", "photos/masks/*.png", "class_images/*.png")
    kinds += ("class_images/manifest.jsonl", "shots/**/*.png", "shots/scores.json")
    found = sorted(file for kind in kinds for file in project.glob(kind))
    return {str(file.relative_to(project)): _content(file) for file in found}


def _content(file: Path) -> str:
    """A file's hash; of a shot that of its pixels and settings, for no two signatures are the same."""
    if file.suffix != ".png" or "shots" not in file.parts:
        return hashing.sha256(file)
    with Image.open(file) as shot:
        return hashing.sha256_of(shot.tobytes(), shot.info.get("parameters", "").encode())


def made_quick(patch=setattr) -> None:
    """Load bases in fp32 on the CPU, time once, make masks without comparing photos (half of a walk), and
    pictures in two steps; a choice is quick, and made on slow machines, too.

    Args:
        patch: sets an attribute of an object, as pytest's monkeypatch does.
    """
    import torch

    from packshot.judging import effort
    from packshot.models.diffusion_model import SamplingDefaults
    from packshot.models.families.stable_diffusion import UNetModel
    from packshot.plan import calibration, cpu_threads, load_base

    patch(import_module("packshot.masks.mask_photos"), "LEAST_COMPARED", 1000)
    for module in (calibration, cpu_threads):  # or a timing says with how many threads is computed
        patch(module, "AVAILABLE", 1)
    patch(calibration, "REPEATS", 1)
    patch(effort, "EFFORTS", (effort.QUICK,))
    patch(import_module("packshot.workflow.choosing"), "TIME_SHARE", 0.6)
    patch(load_base, "best_device", lambda: "cpu")
    patch(load_base, "best_dtype", lambda *_: torch.float32)
    patch(UNetModel, "sampler", SamplingDefaults("DPM++ 2M", 2, 4.0))


def counted_loads() -> None:
    """What a worker does first here: quick settings, and a line for each base that is loaded."""
    from packshot.models.families.stable_diffusion import UNetModel

    made_quick()
    load = UNetModel.__init__

    def told(self, *given, **named):
        with open(os.environ["PACKSHOT_CACHE"] + "/loads", "a") as file:
            file.write(f"{os.getpid()}\n")
        load(self, *given, **named)

    UNetModel.__init__ = told


def life(
    shared: Any, folder: str, write: int | None, options: str, told: str | None = None
) -> None:
    """One start of the command (see `tests.lives`), killed as it is about to give the `write`-th file
    its name; how many there were is written to `told`."""
    import torch

    os.environ["PACKSHOT_CACHE"] = f"{folder}/cache"
    torch.set_num_threads(1)
    made_quick()
    count = killed_at(write, (os, "replace"))
    walk(Path(folder), **json.loads(options))
    if told:
        Path(told).write_text(str(count[0]))
