"""Inserting the product into one background, retried with other photos or seeds until checks pass."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from packshot.errors import InsertionError
from packshot.insertion import cutouts, optics, shadows
from packshot.insertion import quality_checks as judged
from packshot.insertion.background import Background, Box, Colours
from packshot.insertion.claim import claim_of
from packshot.insertion.composite import composite, ground_blur
from packshot.insertion.cutouts import CutOut
from packshot.insertion.lighting import UNCLEAR, Light, LightEstimator
from packshot.insertion.mask_faults import MaskFaults, mask_faults
from packshot.insertion.placement import Placement
from packshot.insertion.plate_camera import PlateCamera, camera_of
from packshot.insertion.quality_checks import Check
from packshot.insertion.record import (
    SHEET_ENDING,
    CheckRecord,
    InsertionRecord,
    results_of,
)
from packshot.insertion.scene import Composite, Scene
from packshot.insertion.settings import InsertionSettings
from packshot.insertion.sheet import sheet
from packshot.insertion.viewpoint import Viewpoint
from packshot.insertion.viewpoint_checks import viewpoint_checks, viewpoint_notes
from packshot.photos.photo_set import Photo, require_photos
from packshot.project import Project
from packshot.provenance.marking import LEAST_PIXELS, PNG, TOO_SMALL_TO_MARK, Claim, Marking
from packshot.types import SEEDS
from packshot.utils import hashing, overwriting, pathnames, serialization
from packshot.utils.progress import Progress, silent

if TYPE_CHECKING:
    from packshot.lora import Lora
    from packshot.models.diffusion_model import DiffusionModel
    from packshot.models.embedder import ClipSimilarity

_BLACK = 0.08
"""Brightness of ground on which a shadow is not seen."""


@dataclass(frozen=True)
class Attempt:
    """One try: its seed, its composite, and its checks."""

    seed: int
    result: Composite
    checks: tuple[Check, ...]

    @property
    def missed(self) -> set[str]:
        """The names of the failed checks."""
        return {check.name for check in self.checks if not check.passed}


@dataclass(frozen=True)
class Insertion:
    """A finished insertion: the image file, its sheet, and its checks."""

    file: Path
    sheet: Path
    photo: str
    seed: int
    light: Light
    horizon: float
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()
    """How its place was understood, where that is not plain, and whether its light was."""

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
    """Put the project's product into a background; write the image, the sheet and the JSON record.

    All other pixels of the background are unchanged; its file is never overwritten. The first try
    (other photos with method "composite", other seeds with "inpaint") that passes all checks is
    kept, else the one that fails fewest. No other photo is tried for failures that another photo
    cannot fix, because it would fit the placement less well.

    Args:
        base: for method "inpaint" and for `refine`.
        loras: for method "inpaint" and for `refine`, each with its weight.
        embedder: the CLIP that measures the product's similarity; None skips that check.

    Raises:
        InsertionError: no photo shows the product, there is no LoRA to inpaint with, the
            background's own file would be overwritten or is gone, or the name is too long.
        NoUsablePhotosError: the project has no photos.
        OverwriteError: another file has the name of one of the results.
        CredentialsError: what it is signed with cannot be used.
    """
    settings, name = settings or InsertionSettings(), name or Path(background.name).stem
    if background.source and background.source.resolve() == (folder / f"{name}.png").resolve():
        raise InsertionError(
            f"{background.source} would be overwritten: name another folder than its own with --out."
        )
    if name != pathnames.shortened(name, pathnames.MAX_NAME_BYTES - len(SHEET_ENDING)):
        raise InsertionError(f"The results cannot be named after {name}: give it a shorter name.")
    overwriting.refuse_others(*results_of(folder, name))
    marking = project.marking
    marking.check()
    scene = _scene(background, placement, settings)
    photos = require_photos(project)
    noun = project.subject.class_noun
    faults = mask_faults(photos, noun) if settings.method == "composite" else {}
    ranked = _ranked(project, scene, photos, placement, settings, faults)
    best: Attempt | None = None  # only the best is kept in memory
    for number, (seed, result) in enumerate(_tries(project, scene, ranked, settings, base, loras)):
        progress("insertion", number, settings.tries)
        result = result.behind(scene.image, scene.front)
        attempt = Attempt(seed, result, _checked(scene, result, ranked, embedder, faults))
        best = min(
            best or attempt, attempt, key=lambda each: (len(each.missed), "mask" in each.missed)
        )
        if not attempt.missed or (result.cut and not attempt.missed & judged.OF_THE_PHOTO):
            break
    progress("insertion", settings.tries, settings.tries)
    assert best is not None
    camera = best.result.cut.camera if best.result.cut else None
    unclear = () if scene.light.is_clear else (UNCLEAR,)
    notes = (*placement.notes, *unclear, *viewpoint_notes(scene.seen, camera))
    by_a_model = settings.method == "inpaint" or settings.refine > 0
    try:
        return _written(scene, best, folder, name, notes, marking, by_a_model)
    except FileNotFoundError as error:
        raise InsertionError(
            f"{error.filename} is gone since it was read, so the result cannot say what it was made of. "
            "Put it back, and run the same command again."
        ) from error


@dataclass(frozen=True)
class Sketch:
    """The first try of an insertion, neither judged nor written."""

    background: Background
    photo: str
    light: Light
    horizon: float


def sketch(
    project: Project,
    photos: Sequence[Photo],
    background: Background,
    placement: Placement,
    settings: InsertionSettings,
    seen: Light | None = None,
) -> Sketch:
    """What `insert` would try first with method "composite": for previews.

    Args:
        photos: the project's, or smaller copies of them.
        seen: the background's light, if it was estimated before.

    Raises:
        InsertionError: no photo shows the product.
    """
    scene = _scene(background, placement, settings, seen)
    faults = mask_faults(photos, project.subject.class_noun)
    ranked = _ranked(project, scene, photos, placement, settings, faults)
    _, result = next(_tries(project, scene, ranked, settings, None, ()))
    result = result.behind(scene.image, scene.front)
    photo = result.cut.photo.file.name if result.cut else ""
    horizon = scene.ground.horizon + scene.crop.top
    return Sketch(_background_with(scene, result), photo, scene.light, horizon)


def _ranked(
    project: Project,
    scene: Scene,
    photos: Sequence[Photo],
    placement: Placement,
    settings: InsertionSettings,
    faults: Mapping[str, MaskFaults],
) -> list[CutOut]:
    """Cut-outs of the photos that may be used: the fittest, then those without doubt of their masks."""
    first, *others = cutouts.best_photos(
        cutouts.chosen(photos, settings.photo), placement, settings.view,
        seen=scene.seen, noun=project.subject.class_noun, faults=faults,
    )  # fmt: skip
    doubted = {
        cut.photo.file.name: not judged.mask(cut.photo, faults.get(cut.photo.file.name)).passed
        for cut in others
    }
    return [first, *sorted(others, key=lambda cut: doubted[cut.photo.file.name])]


def _tries(
    project: Project,
    scene: Scene,
    ranked: Sequence[CutOut],
    settings: InsertionSettings,
    base: DiffusionModel | None,
    loras: Sequence[tuple[Lora, float]],
) -> Iterator[tuple[int, Composite]]:
    """Yields tries with their seeds: other seeds with "inpaint", other photos with "composite".

    Seeds with which no product is painted are skipped; if that is so for all, the error is raised.
    """
    paints = settings.method == "inpaint"
    if paints and (base is None or not loras):
        raise InsertionError(
            f"There is no LoRA to inpaint with: {project.lora_file} is missing. Train it "
            "(packshot train), name one with --lora, or use --method composite."
        )
    if settings.refine and base is None:
        raise InsertionError("There is no base to refine the cut-out with: name one with --base.")
    if paints and base is not None:
        yield from _painted(project, scene, settings, base, loras)
        return
    for number in range(min(settings.tries, len(ranked))):
        seed = (settings.seed + number) % SEEDS
        cut = cutouts.with_rim(ranked[seed % len(ranked)])
        result = composite(scene, cut, settings, seed)
        if settings.refine and base is not None:
            from packshot.insertion.refine import refine

            result = refine(project.subject, scene, result, settings, seed, base, loras)
        yield seed, result


def _painted(
    project: Project,
    scene: Scene,
    settings: InsertionSettings,
    base: DiffusionModel,
    loras: Sequence[tuple[Lora, float]],
) -> Iterator[tuple[int, Composite]]:
    from packshot.insertion.inpaint_product import NothingPainted, inpaint_product

    nothing: NothingPainted | None = None
    has_painted = False
    for seed in ((settings.seed + number) % SEEDS for number in range(settings.tries)):
        try:
            result = inpaint_product(project.subject, scene, settings, seed, base, loras)
        except NothingPainted as reason:
            nothing = reason
        else:
            has_painted = True
            yield seed, result
    if nothing and not has_painted:
        raise nothing


def _scene(
    background: Background,
    placement: Placement,
    settings: InsertionSettings,
    seen: Light | None = None,
) -> Scene:
    box = placement.box
    reach = max(box.width, box.height)
    left, top = max(0, box.left - reach), max(0, box.top - reach // 2)
    right, bottom = (
        min(background.width, box.right + reach),
        min(background.height, box.bottom + reach),
    )
    crop = Box(left, top, right - left, bottom - top)
    plate = camera_for(background, placement, settings)
    light = light_for(background, settings, seen)
    whole = shadows.Ground.of(background.width, plate.camera.horizon, box)
    ground = shadows.Ground(whole.horizon - top, whole.middle - left, plate.camera.focal)
    inside = Box(box.left - left, box.top - top, box.width, box.height)
    return Scene(
        background, crop, background.colours(crop), ground, light,
        Placement(inside, placement.mask), Viewpoint.at(plate, box, placement.by_horizon),
        None if placement.front is None else placement.front[crop.region],
    )  # fmt: skip


def light_seen(background: Background) -> Light:
    """The background's light, as it is estimated."""
    return LightEstimator().estimate(background.whole(384)[0])


def light_for(
    background: Background, settings: InsertionSettings, seen: Light | None = None
) -> Light:
    """The background's light, as far as the settings do not say it.

    Where neither they nor the background tell its direction, it is ambient.

    Args:
        seen: as `light_seen` tells it, if that was asked before.
    """
    light = seen or light_seen(background)
    if settings.light_azimuth_degrees is not None:
        light = replace(light, azimuth_degrees=settings.light_azimuth_degrees, confidence=1.0)
    if not light.is_clear:
        light = light.as_ambient()
    if settings.light_elevation_degrees is not None:
        light = replace(light, elevation_degrees=settings.light_elevation_degrees)
    if settings.light_hardness is not None:  # then it also says how dark and soft the shadow is
        light = replace(
            light,
            hardness=settings.light_hardness,
            measured_density=None,
            measured_softness=None,
        )
    return light


def camera_for(
    background: Background, placement: Placement, settings: InsertionSettings
) -> PlateCamera:
    """The background's camera: its horizon from the settings, the placement's quad, or estimated."""
    known = placement.horizon if settings.horizon is None else settings.horizon
    return camera_of(background, known)


def _background_with(scene: Scene, result: Composite) -> Background:
    return scene.background.with_colours(
        scene.crop, result.image, result.changed_mask, result.opacity
    )


def _checked(
    scene: Scene,
    result: Composite,
    ranked: Sequence[CutOut],
    embedder: ClipSimilarity | None,
    faults: Mapping[str, MaskFaults] | None = None,
) -> tuple[Check, ...]:
    after = _background_with(scene, result)
    inserted = result.image[result.box.region]
    foot = (result.box.left + result.box.width / 2, float(result.box.bottom))
    checks = [
        judged.background_unchanged(
            scene.background, after, result.changed_mask, scene.crop.top, scene.crop.left
        )
    ]
    if embedder:
        checks.append(judged.product_similarity(embedder, inserted, result.alpha, ranked))
    silhouette = np.zeros_like(result.changed_mask)
    silhouette[result.box.region] = result.alpha
    front = np.zeros_like(silhouette) if scene.front is None else scene.front
    things = np.maximum(silhouette, front)
    if result.reflection is not None:  # whose outline is the product's own
        things = np.maximum(things, result.reflection)
    hardness = scene.light.hardness if result.cut else 0.0  # a painting's zone ends in no shadow
    checks.append(
        judged.seam_visibility(scene.image, result.image, result.changed_mask, things, hardness)
    )
    if result.cut:
        checks.append(judged.mask(result.cut.photo, (faults or {}).get(result.cut.photo.file.name)))
        checks.append(judged.colour(inserted, result.alpha, result.product))
        standing = _uncovered(silhouette, front, result.box)
        if standing.any():
            slope = scene.ground_at(result.cut, result.box).slope(result.box.bottom)
            checks.append(judged.contact(scene.image, result.image, standing, slope))
            checks.append(judged.ground(scene.image, result.box, scene.front))
    elif scene.front is None:  # what stands before one product may part it in two
        checks.append(judged.count(result.alpha))
    if result.cut and not scene.light.is_clear:
        checks.append(judged.no_shadow_direction())
    else:
        checks.append(judged.shadow_direction(*_shadows(scene, result, silhouette), foot))
    checks.append(judged.sharpness_match(inserted, result.alpha, scene.image))
    checks += viewpoint_checks(
        scene.seen, result.cut.camera if result.cut else None, _turns(scene, foot)
    )
    return tuple(checks)


def _turns(scene: Scene, foot: tuple[float, float]) -> float:
    """Degrees that the shadow turns in the picture within what the horizon may be; 0 if none is cast."""
    if not scene.light.is_clear:
        return 0.0
    light, ground, fall = scene.light, scene.ground, foot[1] - scene.ground.horizon
    steeper, flatter = (
        judged.seen_direction(light, replace(ground, horizon=foot[1] - fall * share), foot)
        for share in scene.seen.shares
    )
    return abs((steeper - flatter + 180) % 360 - 180)


def _uncovered(silhouette: Colours, front: Colours, box: Box) -> Colours:
    """The columns of a silhouette whose foot nothing hides; of the others nothing."""
    rows = slice(box.top + box.height // 2, box.bottom + box.height // 8)
    return silhouette * (front[rows].max(axis=0, initial=0) < 0.02)


def _shadows(scene: Scene, result: Composite, silhouette: Colours) -> tuple[Colours, Colours]:
    """The ground's actual darkening, and the darkening expected of the light's cast shadow.

    Both are zero where the product hides the ground, where that is black, and in the contact shadow
    at its feet, which is dark in any light; what a cut-out keeps of the sky's light, which comes from
    no side, is left out.
    """
    before, after = (
        cv2.cvtColor(colours.astype(np.float32), cv2.COLOR_RGB2GRAY)
        for colours in (scene.image, result.image)
    )
    left = 1 - (before - after) / np.maximum(before, 0.05)
    is_lit = before > _BLACK
    del before, after
    whole = cutouts.fitted(result.cut, scene.placement.box)[1] if result.cut else result.alpha
    size = scene.crop.width, scene.crop.height
    standing = whole, result.box, size, scene.ground_at(result.cut, result.box)
    blur = ground_blur(scene, result.box)
    if result.cut:
        sky = optics.out_of_focus(shadows.sky_shadow(*standing), blur)
        left /= 1 - shadows.sky_shade(sky, scene.light)
    darkening = (1 - left).clip(0, 1) * (result.shadow > 0)
    touch = shadows.contact_shadow(*standing, scene.light) + shadows.underside_shadow(*standing)
    dark = optics.out_of_focus(touch, blur)
    visible = (silhouette < 0.02) & (dark < 0.02) & is_lit
    if scene.front is not None:
        visible &= scene.front < 0.02
    if result.reflection is not None:
        visible &= result.reflection < 0.02
    thrown = shadows.cast_shadow(whole, result.box, size, scene.ground, scene.light)
    cast = optics.out_of_focus(thrown, blur)
    return darkening * visible, cast * visible


def _cameras(scene: Scene, result: Composite) -> dict[str, object]:
    """How the place and the photo are seen, for the record; angles in degrees."""
    seen, plate = scene.seen, scene.seen.plate
    record: dict[str, object] = {
        "horizon_confidence": plate.confidence, "horizon_by": plate.by,
        "focal_pixels": plate.camera.focal, "elevation_degrees": seen.elevation,
    }  # fmt: skip
    if result.cut and result.cut.camera:
        record["photo"] = asdict(result.cut.camera)
    return record


def _written(
    scene: Scene,
    attempt: Attempt,
    folder: Path,
    name: str,
    notes: tuple[str, ...],
    marking: Marking,
    by_a_model: bool,
) -> Insertion:
    result, seed, checks = attempt.result, attempt.seed, attempt.checks
    product = Box(
        result.box.left + scene.crop.left,
        result.box.top + scene.crop.top,
        result.box.width,
        result.box.height,
    )
    file, page, _ = results_of(folder, name)
    photo = result.cut.photo.file.name if result.cut else ""
    source = scene.background.source
    wants_mark = marking.is_on and marking.has_watermark
    has_room = result.changed_mask.sum() >= LEAST_PIXELS
    if wants_mark and not has_room:
        notes = (*notes, TOO_SMALL_TO_MARK)
    insertion = Insertion(
        file, page, photo, seed, scene.light, scene.ground.horizon + scene.crop.top, checks, notes
    )
    record = InsertionRecord(
        file=file.name, background=scene.background.name, background_file=source and source.resolve(),
        background_sha256=hashing.sha256(source) if source else None, photo=photo, seed=seed,
        box=asdict(product), light=asdict(scene.light), horizon=insertion.horizon,
        camera=_cameras(scene, result), notes=notes, checks=tuple(map(CheckRecord.of, checks)),
    )  # fmt: skip
    if wants_mark and has_room:
        record = record.model_copy(update={"watermark": record.identifier})
        place = scene.crop.top, scene.crop.left
        image = marking.watermarked(result.image, record.watermark, result.changed_mask, place)
        result = replace(result, image=image)
    after = _background_with(scene, result)
    claim = claim_of(record, scene.background, result.cut, by_a_model)
    shown = sheet(scene.background, after, result.changed_mask, scene.crop, product, checks)
    of_the_sheet = Claim(page.name, claim.source_type, {"shows": file.name})
    overwriting.write_result(page, marking.as_file(shown, of_the_sheet))
    text = serialization.as_json(record.model_dump(mode="json"), indent=2) + "\n"
    overwriting.write_result(folder / f"{name}.json", text.encode("utf-8", "replace"))
    xmp = marking.xmp(claim, scene.background.xmp)
    data = after.as_png(xmp, Software="packshot", Comment=json.dumps(record.box))
    overwriting.write_result(file, marking.signed(data, PNG, claim))
    return insertion
