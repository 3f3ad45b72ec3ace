"""The whole path of a product on a simulated GPU: captions, class images, a plan, training with samples, a
kill and another start, shots, both ways of insertion.

`python -m tests.gpu.whole_path [FAMILY ...]` walks it in every way in which a base can lie there and learn,
minutes a family. The suite walks it in some of them.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from packshot.models.weight_storage import STORAGES
from tests.captioners import make_clip
from tests.gpu import simulated
from tests.lives import lives

RECIPE = """
exposures = {1 = 4}
effective_batch_size = 2
least_exposures_share = 0.3
crops_per_photo = 1
target_modules = "cross-attention"
rank = 2
sizes = [1.0]
"""


@dataclass(frozen=True)
class Way:
    """How a base lies on the GPU and learns there; `turns`: its networks are there one by one."""

    storage: str = "full"
    turns: bool = False
    checkpointing: bool = False
    half: bool = True
    text: bool = False

    def __str__(self) -> str:
        told = {"in turn": self.turns, "checkpointing": self.checkpointing, "fp32": not self.half}
        return ", ".join([self.storage, *(name for name, is_so in told.items() if is_so)])


ALL_WAYS = tuple(
    Way(storage, turns, checkpointing)
    for storage, turns, checkpointing in itertools.product(STORAGES, (False, True), (False, True))
    if storage != "offload" or not checkpointing  # there every block is computed again anyway
)


def walk_ways(_: Any, checkpoint: Path, root: Path, ways: Iterable[Way]) -> None:
    """Walk the path on a tiny checkpoint in several ways; in each a killed run ends as a whole one."""
    _prepare(checkpoint, root)
    for number, way in enumerate(ways):
        print(way, file=sys.stderr)
        _one_way(root, root / str(number), way)


def walk_all_ways(_: Any, family: str, root: Path) -> None:
    """The same in every way, each with a line of what came of it.

    Raises:
        SystemExit: it failed in some of them.
    """
    from tests.families import MAKERS

    _prepare(MAKERS[family](root / "made"), root)
    failed = 0
    for number, way in enumerate(ALL_WAYS):
        try:
            _one_way(root, root / str(number), way)
        except Exception:
            traceback.print_exc()
            failed += 1
            print(family, way, "FAILED", sep=" | ", flush=True)
        else:
            print(family, way, "walked, and resumed", sep=" | ", flush=True)
        shutil.rmtree(root / str(number), ignore_errors=True)
    sys.exit(failed)


def _prepare(checkpoint: Path, root: Path) -> None:
    make_clip(root / "clip")
    shutil.copytree(checkpoint, root / "base")
    (root / "base" / "recipe.toml").write_text(RECIPE)
    (root / "base" / "sampler.toml").write_text("steps = 2\n")
    os.environ["PACKSHOT_CACHE"] = str(root / "cache")
    _draw(root)


def _draw(root: Path) -> None:
    """Photos of a red box, and a place to put it."""
    from tests.backgrounds import landscape, product_photo

    (root / "photos" / "masks").mkdir(parents=True)
    for number in range(2):
        for drawn, folder in zip(product_photo(number), ("", "masks"), strict=True):
            drawn.save(root / "photos" / folder / f"{number}.png")
    Image.fromarray(landscape()).save(root / "beach.png")


def _one_way(root: Path, place: Path, way: Way) -> None:
    """All of it, after which the base is as it was loaded, each of its networks in one place."""
    from packshot.insertion import inpaint_product
    from packshot.models import diffusion_model
    from packshot.models.families.qwen_image import QwenImage
    from packshot.plan import calibration, load_base

    with simulated.gpu(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "REPEATS", 1)
        patch.setattr(inpaint_product, "BundledSegmenter", _Middle)
        if way.turns:
            patch.setattr(diffusion_model, "weight_memory_budget", lambda device: 1e5)
        # Its configuration says no size; at the 1328 px of its checkpoints what is real here takes gigabytes.
        patch.setattr(QwenImage, "trained_pixels", lambda base: 64)
        if not way.half:
            patch.setattr(load_base, "best_dtype", lambda *_: torch.float32)
        project = _project(root, place, way)
        base = load_base.load_project_base(project)
        assert base.device == simulated.GPU and base._has_model_offload == way.turns
        assert (base.weight_storage, base.dtype.itemsize) == (way.storage, 2 if way.half else 4)
        weights = _weights(base)
        _plan_a_short_run(project, base, way)
        _kill_and_compare(project, base)
        _make_pictures(project, base, root)
        after = _weights(base)
        assert after.keys() == weights.keys()
        assert all(torch.equal(after[name], weight) for name, weight in weights.items())
        for network in (base.denoiser, base.vae, *base.text_encoders.values()):
            places = {tensor.device for tensor in network.parameters()}
            in_parts = way.storage == "offload" and network is base.denoiser
            assert (len(places) == 1) != in_parts


class _Middle:
    """A segmenter that finds the middle of what it is shown: random weights paint no product."""

    def mask(self, picture: Image.Image) -> Image.Image:
        found = Image.new("L", picture.size)
        width, height = picture.size
        found.paste(255, (width // 4, height // 4, width * 3 // 4, height * 3 // 4))
        return found


def _weights(base: Any) -> dict[str, torch.Tensor]:
    networks = {"denoiser": base.denoiser, "vae": base.vae, **base.text_encoders}
    return {
        f"{name}.{key}": tensor.cpu().clone()
        for name, network in networks.items()
        for key, tensor in network.state_dict().items()
    }


def _project(root: Path, place: Path, way: Way) -> Any:
    """Photos of a red box, with captions."""
    from packshot.captions import caption_photos
    from packshot.captions.plain import Plain
    from packshot.photos.photo_set import add_photos
    from packshot.project import create_project

    project = create_project(
        place, name="Redbox", class_noun="box", base=str(root / "base"), weight_storage=way.storage
    )
    add_photos(project, root / "photos")
    caption_photos(project, captioner=Plain())
    return project


def _plan_a_short_run(project: Any, base: Any, way: Way) -> None:
    """Class images by the base, and three steps with a state and samples at the second."""
    from packshot.class_images import collect_class_images
    from packshot.plan import make_plan, write_plan

    collect_class_images(project, base, count=2)
    plan = make_plan(project, base, train_text_encoder=way.text)
    short = {
        "steps": 3, "lr_warmup_steps": 0, "save_every_n_steps": 2, "sample_every_n_steps": 2,
        "gradient_checkpointing": way.checkpointing,
    }  # fmt: skip
    write_plan(plan.model_copy(update=short), project.plan_file)


def _kill_and_compare(project: Any, base: Any) -> None:
    """A run that lost its third step, in a copy of the project, and one that never was cut short."""
    from packshot.plan.load_base import load_project_base
    from packshot.project import open_project
    from packshot.training import CachingLatents, Resumed, Step, train

    other = open_project(shutil.copytree(project.root, project.root.with_name("killed")))
    events = train(other, base)
    next(event for event in events if isinstance(event, Step) and event.step == 3)
    events.close()
    resumed = [
        e for e in train(other, load_project_base(other)) if not isinstance(e, CachingLatents)
    ]
    assert isinstance(resumed[0], Resumed) and resumed[0].step == 2
    for _ in train(project, base):
        pass
    assert _left_by(other) == _left_by(project)
    shutil.rmtree(other.root)


def _left_by(project: Any) -> dict[str, str]:
    """The hashes of a run's states, samples and LoRA."""
    from packshot.utils import hashing

    (run,) = project.runs()
    kinds = ("checkpoints/*/*", "samples/*/*.png", "*.safetensors")
    found = sorted(file for kind in kinds for file in run.glob(kind))
    assert len(found) == 2 * 3 + 2 * 4 + 2

    def content(file: Path) -> str:  # no two signatures of a picture are the same
        if file.suffix != ".png":
            return hashing.sha256(file)
        with Image.open(file) as sample:
            return hashing.sha256_of(sample.tobytes())

    return {str(file.relative_to(run)): content(file) for file in found}


def _make_pictures(project: Any, base: Any, root: Path) -> None:
    """Shots, their scores, and both ways of insertion."""
    from packshot.generation.embedders import embedder_of
    from packshot.generation.generate import GenerationSettings
    from packshot.generation.metrics import read_scores
    from packshot.insertion import InsertionSettings
    from packshot.insertion.request import PlacementRequest, insert_all
    from packshot.lora import load_lora
    from packshot.workflow.steps import shoot_all

    embedder = embedder_of(str(root / "clip"), lambda: base)
    shoot_all(project, base, ["a photo of {subject}"], GenerationSettings(), embedder)
    assert len(read_scores(project)) == 5
    lora = load_lora(project.lora_file, base)
    for settings in (
        InsertionSettings(method="composite", refine=0.6, tries=1),
        InsertionSettings(method="inpaint", tries=1),
    ):
        (made,) = insert_all(
            project, root / "beach.png", PlacementRequest(box="140,140,120,90"), settings,
            base=base, loras=[(lora, 1.0)], embedder=embedder, out=project.root / settings.method,
        )  # fmt: skip
        told = {check.name: check for check in made.checks}
        assert made.file.is_file() and told["background unchanged"].passed


def main() -> None:
    """`python -m tests.gpu.whole_path`, see --help."""
    from tests.families import MAKERS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", default=list(MAKERS))
    failed = []
    with lives(simulated.register) as started:
        for family in parser.parse_args().families:
            with tempfile.TemporaryDirectory() as folder:
                if started.start(walk_all_ways, family, Path(folder)):
                    failed.append(family)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
