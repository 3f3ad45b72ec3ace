"""One insertion from start to end, tried with other photos or seeds until its checks hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from packshot.errors import InsertionError
from packshot.insertion import cutouts, shadows
from packshot.insertion import quality_checks as judged
from packshot.insertion.background import Background, Box, Colours
from packshot.insertion.composite import composite
from packshot.insertion.cutouts import CutOut
from packshot.insertion.lighting import Light, LightEstimator
from packshot.insertion.placement import Placement, horizon_of
from packshot.insertion.quality_checks import Check
from packshot.insertion.scene import Composite, Scene
from packshot.insertion.settings import InsertionSettings
from packshot.insertion.sheet import sheet
from packshot.photos.photo_set import list_photos
from packshot.project import Project
from packshot.utils import files
from packshot.utils.progress import Progress, silent

if TYPE_CHECKING:
    from packshot.lora import Lora
    from packshot.models.diffusion_model import ClipSimilarity, DiffusionModel

DEFAULT_HORIZON = 0.45
"""Of the height, where a background's lines do not tell."""


@dataclass(frozen=True)
class Attempt:
    """One try: its seed, what was made, and what the checks say of it."""

    seed: int
    made: Composite
    checks: tuple[Check, ...]

    @property
    def missed(self) -> set[str]:
        """The names of the checks that it fails."""
        return {check.name for check in self.checks if not check.passed}


@dataclass(frozen=True)
class Insertion:
    """A background with the product in it: the master, its sheet, and what the checks say."""

    file: Path
    sheet: Path
    photo: str
    seed: int
    light: Light
    horizon: float
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)


def insert(
    project: Project,
    background: Background,
    placement: Placement,
    folder: Path,
    *,
    name: str = "",
    base: DiffusionModel | None = None,
    loras: Sequence[tuple[Lora, float]] = (),
    embedder: ClipSimilarity | None = None,
    settings: InsertionSettings | None = None,
    progress: Progress = silent,
) -> Insertion:
    """Put the project's product into a background, and write the master, the sheet and the record.

    The background is left as it is everywhere else, value for value; its file is never written to. The
    first try (other photos of a cut-out, other seeds of a painting) whose checks all hold is kept;
    if none does, the one that misses fewest. No other photo is tried for what none can mend: it
    would fit the place less well.

    Args:
        base: needed to generate.
        loras: needed to generate: what the base learnt, each with its weight.
        embedder: what measures identity; without, that is not checked.

    Raises:
        InsertionError: no photo shows the product, there is nothing to generate it with, or the
            background's own file would be written over.
    """
    settings, name = settings or InsertionSettings(), name or Path(background.name).stem
    if background.source and background.source.resolve() == (folder / f"{name}.png").resolve():
        raise InsertionError(
            f"{background.source} would be written over: name another folder than its own with --out."
        )
    scene = _scene(background, placement, settings)
    ranked = cutouts.best_photos(list_photos(project), placement, settings.view)
    best: Attempt | None = None  # the others, a crop each, need not be kept
    for number, (seed, made) in enumerate(_tries(project, scene, ranked, settings, base, loras)):
        progress("insertion", number, settings.tries)
        attempt = Attempt(seed, made, _checked(scene, made, ranked, embedder))
        best = min(best or attempt, attempt, key=lambda one: len(one.missed))
        if not attempt.missed or (made.cut and not attempt.missed & judged.OF_THE_PHOTO):
            break
    progress("insertion", settings.tries, settings.tries)
    assert best is not None
    return _written(scene, best, folder, name)


def _tries(
    project: Project,
    scene: Scene,
    ranked: Sequence[CutOut],
    settings: InsertionSettings,
    base: DiffusionModel | None,
    loras: Sequence[tuple[Lora, float]],
) -> Iterator[tuple[int, Composite]]:
    """One try after the other, each with its seed: other seeds of a painting, other photos.

    Seeds with which no product is painted are passed over, unless there is no other.
    """
    paints = settings.method == "inpaint"
    if paints and (base is None or not loras):
        raise InsertionError(
            f"There is no LoRA to paint with: {project.lora_file} is missing. Train it "
            "(packshot train), name one with --lora, or take the cut-out way."
        )
    if settings.refine and base is None:
        raise InsertionError("There is no base to refine the cut-out with: name one with --base.")
    if paints and base is not None:
        yield from _painted(project, scene, settings, base, loras)
        return
    for number in range(min(settings.tries, len(ranked))):
        seed = settings.seed + number
        made = composite(scene, ranked[seed % len(ranked)], settings, seed)
        if settings.refine and base is not None:
            from packshot.insertion.refine import refine

            made = refine(project.subject, scene, made, settings, seed, base, loras)
        yield seed, made


def _painted(
    project: Project,
    scene: Scene,
    settings: InsertionSettings,
    base: DiffusionModel,
    loras: Sequence[tuple[Lora, float]],
) -> Iterator[tuple[int, Composite]]:
    from packshot.insertion.inpaint_product import NothingPainted, inpaint_product

    nothing: NothingPainted | None = None
    painted = False
    for seed in range(settings.seed, settings.seed + settings.tries):
        try:
            made = inpaint_product(project.subject, scene, settings, seed, base, loras)
        except NothingPainted as reason:
            nothing = reason
        else:
            painted = True
            yield seed, made
    if nothing and not painted:
        raise nothing


def _scene(background: Background, placement: Placement, settings: InsertionSettings) -> Scene:
    box = placement.box
    reach = max(box.width, box.height)
    left, top = max(0, box.left - reach), max(0, box.top - reach // 2)
    right, bottom = (
        min(background.width, box.right + reach),
        min(background.height, box.bottom + reach),
    )
    crop = Box(left, top, right - left, bottom - top)
    horizon = horizon_for(background, placement, settings)
    seen = LightEstimator().estimate(background.whole(384)[0])
    given = settings.light_azimuth_degrees
    told = Light(
        seen.azimuth_degrees if given is None else given,
        settings.light_elevation_degrees or seen.elevation_degrees,
        seen.hardness if settings.light_hardness is None else settings.light_hardness,
        seen.confidence if given is None else 1.0,
    )
    whole = shadows.Ground.of(background.width, horizon, box)
    ground = shadows.Ground(whole.horizon - top, whole.middle - left, whole.focal)
    inside = Box(box.left - left, box.top - top, box.width, box.height)
    return Scene(
        background, crop, background.colours(crop), ground, told, Placement(inside, placement.mask)
    )


def horizon_for(background: Background, placement: Placement, settings: InsertionSettings) -> float:
    """As it is given, as the place on the ground tells it, as the background's lines do, or a guess."""
    for known in (settings.horizon, placement.horizon):
        if known is not None:
            return known
    found = horizon_of(background)
    return background.height * DEFAULT_HORIZON if found is None else found


def _checked(
    scene: Scene, made: Composite, ranked: Sequence[CutOut], embedder: ClipSimilarity | None
) -> tuple[Check, ...]:
    after = scene.background.with_colours(scene.crop, made.image, made.changed_mask)
    inserted = made.image[made.box.region]
    foot = (made.box.left + made.box.width / 2, float(made.box.bottom))
    found = [
        judged.background_unchanged(
            scene.background, after, made.changed_mask, scene.crop.top, scene.crop.left
        )
    ]
    if embedder:
        found.append(judged.product_similarity(embedder, inserted, made.alpha, ranked))
    silhouette = np.zeros_like(made.changed_mask)
    silhouette[made.box.region] = made.alpha
    hardness = scene.light.hardness if made.cut else 0.0  # a painting's zone ends in no shadow
    found.append(
        judged.seam_visibility(scene.image, made.image, made.changed_mask, silhouette, hardness)
    )
    if made.cut:
        found.append(judged.colour(inserted, made.alpha, made.product))
        found.append(judged.contact(scene.image, made.image, silhouette))
    else:
        found.append(judged.count(made.alpha))
    darkening, cast = _shadows(scene, made, silhouette)
    found.append(judged.shadow_direction(darkening, cast, foot))
    found.append(judged.sharpness_match(inserted, made.alpha, scene.image))
    return tuple(found)


def _shadows(scene: Scene, made: Composite, silhouette: Colours) -> tuple[Colours, Colours]:
    """How much darker the ground became, and how much darker the light's shadow makes it.

    But where the product hides it, and beneath and beside its feet, where it is dark in any light.
    """
    before, after = (
        cv2.cvtColor(one.astype(np.float32), cv2.COLOR_RGB2GRAY)
        for one in (scene.image, made.image)
    )
    darkening = ((before - after) / np.maximum(before, 0.05)).clip(0, 1) * (made.shadow > 0)
    stands = made.alpha, made.box, (scene.crop.width, scene.crop.height), scene.ground
    dark = shadows.contact_shadow(*stands) + shadows.underside_shadow(*stands)
    seen = (silhouette < 0.02) & (dark < 0.05)
    return darkening * seen, shadows.cast_shadow(*stands, scene.light) * seen


def _written(scene: Scene, attempt: Attempt, folder: Path, name: str) -> Insertion:
    made, seed, found = attempt.made, attempt.seed, attempt.checks
    after = scene.background.with_colours(scene.crop, made.image, made.changed_mask)
    product = Box(
        made.box.left + scene.crop.left,
        made.box.top + scene.crop.top,
        made.box.width,
        made.box.height,
    )
    file, page = folder / f"{name}.png", folder / f"{name}.sheet.png"
    photo = made.cut.photo.file.name if made.cut else ""
    record = Insertion(
        file, page, photo, seed, scene.light, scene.ground.horizon + scene.crop.top, found
    )
    told = {
        "file": file.name, "background": scene.background.name, "photo": photo, "seed": seed,
        "box": asdict(product), "light": asdict(scene.light), "horizon": record.horizon,
        "checks": [asdict(check) | {"passed": check.passed} for check in found],
    }  # fmt: skip
    files.write_image(
        page, sheet(scene.background, after, made.changed_mask, scene.crop, product, found)
    )
    files.write_json(folder / f"{name}.json", told)
    after.write(file, Software="packshot", Comment=json.dumps(told["box"]))
    return record
