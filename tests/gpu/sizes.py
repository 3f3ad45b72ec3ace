"""A run at published size on a simulated GPU: what happens to its memory, and nothing of its values.

What computes the same again is not gone through again: the memory that it took is. `python -m
tests.gpu.sizes [FAMILY ...] [--gb ...]` goes through GPUs of every usual size; that takes minutes a family.
Outcomes are kept in a file, so it can be stopped and started again.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from PIL import Image
from torch.utils._python_dispatch import _disable_current_modes

from packshot.errors import PackshotError
from packshot.models.device_memory import USABLE
from packshot.models.weight_storage import STORAGES
from tests.gpu import simulated
from tests.gpu.published import write_published

SIZES = (8, 12, 16, 24, 32, 48, 80)
"""Of GPUs, in GB (10^9 bytes)."""
RECIPE = (
    "exposures = {1 = 2}\nclass_image_ratio = 0.5\ncrops_per_photo = 1\nleast_exposures_share = 1\n"
)
CLASS_IMAGES = 4
"""As many as are made together."""


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        way: how the base lies and learns, the side of the pictures, how many at once; "" if it did
            not come to a plan.
        said: the error's words, if it ended in one.
        is_loaded: whether the base was loaded.
        planned: bytes at the peak of a step, by plan.toml.
        counted: bytes at the peak of a step.
        peak: bytes at the peak of everything.
    """

    way: str = ""
    said: str = ""
    is_loaded: bool = False
    planned: int = 0
    counted: int = 0
    peak: int = 0

    def __str__(self) -> str:
        sizes = (f"{size / 1e9:.1f}" for size in (self.planned, self.counted, self.peak))
        return " | ".join([self.way or "-", *sizes, self.said])


class Bench:
    """A family's published checkpoint and a project on it, for runs on GPUs of any size."""

    def __init__(self, family: str, folder: Path) -> None:
        from packshot.models.checkpoint import detect_checkpoint
        from tests.gpu.replay import Replay

        _prepare()
        self._replay = Replay()
        self.family, self.folder, self.runs = family, folder, 0
        self.base = write_published(family, folder / "base")
        (self.base / "recipe.toml").write_text(RECIPE)
        (self.base / "sampler.toml").write_text("steps = 1\n")
        self.checkpoint = detect_checkpoint(self.base)
        self._tokenizers: dict[str, Any] = {}

    def _project(self, storage: str) -> Any:
        from packshot.captions import caption_photos
        from packshot.captions.plain import Plain
        from packshot.photos.photo_set import add_photos
        from packshot.project import create_project, open_project, save_choices
        from packshot.settings import choices_of

        made = self.folder / "project"
        if not made.exists():
            project = create_project(made, name="D", class_noun="car", base=str(self.base))
            (self.folder / "photos").mkdir()
            noise = np.random.default_rng(0).integers(0, 255, (48, 48, 3), np.uint8)
            picture = Image.fromarray(noise.repeat(32, 0).repeat(32, 1))
            picture.save(self.folder / "photos" / "0.png")
            add_photos(project, self.folder / "photos")
            caption_photos(project, captioner=Plain())
        self.runs += 1
        copy = self.folder / f"run{self.runs}"
        shutil.copytree(made, copy)
        project = open_project(copy)
        save_choices(project, choices_of(weight_storage=storage))
        return open_project(copy)

    def run(self, size: float, storage: str = "auto") -> Outcome:
        """Load, make class images, plan, learn, sample, save, be killed, load and go on, shoot and insert,
        on a GPU of so many bytes."""
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
        _KEPT.clear()  # of which files in there tell the places
        os.environ["PACKSHOT_CACHE"] = str(self.folder / "cache")
        project, outcome, self._replay.step_peak = self._project(storage), Outcome(), 0
        kept: list[Any] = []
        with pytest.MonkeyPatch.context() as patch, simulated.gpu(size, values=False) as memory:
            self._make_quick(patch, kept)
            try:
                for known in _until_killed(project):
                    outcome = known
                gc.collect()  # as a process that is killed
                _from_then_on(project, kept)
            except PackshotError as error:
                outcome = replace(outcome, said=str(error))
            gc.collect()
            return replace(outcome, counted=self._replay.step_peak, peak=memory.peak)

    def _make_quick(self, patch: Any, kept: list[Any]) -> None:
        """What takes time and no memory of a GPU is left out."""
        from packshot import lora
        from packshot.lora import files as lora_files
        from packshot.models import components
        from packshot.plan import calibration

        patch.setattr(calibration, "median_seconds", lambda base, work: (work(), 1e-3)[1])

        def save(result: Any, kohya: Path, diffusers: Path, base: Any) -> None:
            for file, kind in ((kohya, "kohya"), (diffusers, "diffusers")):
                lora_files.tensors_of(result, base, kind)
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(b"")
            kept.append(result)

        patch.setattr(lora, "save", save)
        patch.setattr(lora, "try_writing", lambda *given: None)
        tokenizer = components._tokenizer

        def known_tokenizer(checkpoint: Any, encoder: str, config: Any) -> Any:
            if encoder not in self._tokenizers:
                self._tokenizers[encoder] = tokenizer(checkpoint, encoder, config)
            return self._tokenizers[encoder]

        patch.setattr(components, "_tokenizer", known_tokenizer)
        self._replay.install(patch)


def _until_killed(project: Any) -> Iterator[Outcome]:
    """Load, make class images, plan, and learn up to the last step; what is known so far."""
    from packshot.class_images import collect_class_images
    from packshot.plan import load_base, make_plan, write_plan
    from packshot.training import Step, train

    base = load_base.load_project_base(project)
    yield Outcome(is_loaded=True)
    collect_class_images(project, base, count=CLASS_IMAGES)
    plan = make_plan(project, base)
    yield Outcome(_way(base, plan), is_loaded=True, planned=plan.estimate.bytes)
    often = {"save_every_n_steps": 1, "sample_every_n_steps": plan.steps - 1}
    write_plan(plan.model_copy(update=often), project.plan_file)
    events = train(project, base)
    next(event for event in events if isinstance(event, Step) and event.step == plan.steps)
    events.close()


def _from_then_on(project: Any, kept: Sequence[Any]) -> None:
    """Load again, go on to the end, shoot, and insert."""
    from packshot.generation.generate import GenerationSettings, generate_images
    from packshot.insertion.inpaint import inpaint
    from packshot.lora import fused
    from packshot.plan import load_base
    from packshot.training import Done, Resumed, train

    base = load_base.load_project_base(project)
    events = list(train(project, base))
    assert {Resumed, Done} <= set(map(type, events))
    loras = [(kept[0], 1.0)]
    shots = generate_images(
        base, ["a car"] * 4, loras=loras, folder=project.root / "shots",
        settings=GenerationSettings(seeds=(0,), steps=1),
    )  # fmt: skip
    assert all(shot.file.is_file() for shot in shots)
    side = base.native_pixels  # of the part of a photo that both ways of insertion paint
    with fused(base, loras):
        grey, all_of_it = np.full((side, side, 3), 0.5, np.float32), np.ones((side, side))
        inpaint(
            base,
            grey,
            all_of_it,
            "a car",
            seed=0,
            steps=1,
            guidance_scale=base.sampler.guidance_scale,
        )


def _way(base: Any, plan: Any) -> str:
    turns, twice = (
        ", turns" * base._has_model_offload,
        ", checkpointing" * plan.gradient_checkpointing,
    )
    return (
        f"{base.weight_storage}{turns}{twice}, {plan.resolution} px, {plan.images_at_once} at once"
    )


_KEPT: list[Any] = []


def _prepare() -> None:
    """Weights without values, which are neither hashed nor written."""
    from packshot.models import checkpoint, components
    from packshot.plan import memory_estimate
    from packshot.training import latent_cache, run_state
    from packshot.utils import files, serialization
    from packshot.weights import loading
    from packshot.weights.safetensors_file import shapes

    def tensors(weights: list[Path]) -> dict[str, torch.Tensor]:
        return {
            key: simulated.without_values(shape, torch.bfloat16)
            for file in weights
            for key, shape in shapes(file).by_key.items()
        }

    def written(tensors: Any, metadata: Any = None) -> list[bytes]:
        _KEPT.append({name: tensor.detach().cpu() for name, tensor in tensors.items()})
        return [str(len(_KEPT) - 1).encode()]

    def read(file: Any) -> dict[str, torch.Tensor]:
        return dict(_KEPT[int(Path(file).read_text())])

    def elsewhere(work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            with _disable_current_modes():
                return work(*given)

        return call

    components.read_tensors = tensors
    loading.empty_network = elsewhere(loading.empty_network)
    memory_estimate._estimate = elsewhere(memory_estimate._estimate)
    checkpoint._content_hash = lambda path, weights: "0" * 64
    serialization.safetensors_parts = written
    run_state.read_safetensors = lambda file: (read(file), {})
    latent_cache.require_entry = read
    latent_cache.read_entry = lambda file: read(file) if file.is_file() else None
    latent_cache.write_entry = files.write_safetensors


def walk(families: list[str], sizes: list[float], file: Path) -> None:
    """Print what happens to each family on a GPU of each size, and keep it in a file; what is in it by
    now is not gone through again."""
    known = json.loads(file.read_text()) if file.is_file() else {}
    print("family | GPU | way | GB planned | GB counted | GB at the peak | said")
    for family in families:
        missing = [size for size in sizes if f"{family} {size:g}" not in known]
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(family, Path(folder)) if missing else None
            for size in sizes:
                if bench and size in missing:
                    known[f"{family} {size:g}"] = asdict(bench.run(USABLE * size * 1e9))
                    file.write_text(json.dumps(known, indent=1))
                outcome = Outcome(**known[f"{family} {size:g}"])
                print(family, f"{size:g} GB", outcome, sep=" | ", flush=True)


def walk_drawn(families: list[str], count: int, folder: Path) -> None:
    """Walk GPUs of sizes from half a gigabyte on, with any family and any storage that may be asked for,
    until one is found on which it is neither walked nor said."""
    benches: dict[str, Bench] = {}

    @hypothesis.settings(
        max_examples=count, derandomize=True, database=None, deadline=None,
        phases=[hypothesis.Phase.generate],
    )  # fmt: skip
    @hypothesis.given(
        st.sampled_from(families),
        st.sampled_from([2 ** (eighth / 8) for eighth in range(-8, 53)]),
        st.sampled_from(("auto", *STORAGES)),
    )
    def walk(family: str, gigabytes: float, storage: str) -> None:
        if family not in benches:
            benches[family] = Bench(family, folder / family)
        size = USABLE * gigabytes * 1e9
        outcome = benches[family].run(size, storage)
        print(family, f"{gigabytes:.2f} GB, {storage}", outcome, sep=" | ", flush=True)
        if outcome.said:
            assert "memory" in outcome.said.lower()
            assert storage != "auto" or not outcome.is_loaded, "said too late"
        else:
            assert storage in ("auto", outcome.way.split(",")[0])
            assert outcome.counted <= outcome.planned <= size and outcome.peak <= size

    walk()


def main() -> None:
    """`python -m tests.gpu.sizes`, see --help."""
    from tests.families import MAKERS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", default=list(MAKERS))
    parser.add_argument("--gb", nargs="+", type=float, default=SIZES, help="of GPUs, in 10^9 bytes")
    parser.add_argument(
        "--out", type=Path, default=Path("sizes.json"), help="where outcomes are kept"
    )
    parser.add_argument(
        "--drawn", type=int, metavar="N", help="instead: N GPUs and storages, drawn at random"
    )
    given = parser.parse_args()
    simulated.register()
    if given.drawn:
        with tempfile.TemporaryDirectory() as folder:
            walk_drawn(given.families, given.drawn, Path(folder))
    else:
        walk(given.families, given.gb, given.out)


if __name__ == "__main__":
    main()
