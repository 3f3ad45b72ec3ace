"""Rendering a scene's images, their masks and the list that marks it complete."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from packshot.utils import files
from packshot_pocket.scenes import passes
from packshot_pocket.scenes.cameras import SENSOR_MM, Stand, stand
from packshot_pocket.scenes.car_spec import CarSpec
from packshot_pocket.scenes.cars import build_car
from packshot_pocket.scenes.environments import build_setting
from packshot_pocket.scenes.environments.lamps import cover_sun, turn_sun
from packshot_pocket.scenes.materials import principled
from packshot_pocket.scenes.mesh import build
from packshot_pocket.scenes.shape import Array
from packshot_pocket.scenes.spec import Product, SceneSpec, attributes

THING_SIZE = 1.8  # a thing's largest side, in the settings' metres: it is what one looks at


@dataclass(frozen=True)
class Quality:
    """Render quality: samples and passes per image."""

    pixels: int = 128
    samples: int = 10
    sharp: bool = False  # the denoiser's best quality instead of its fastest
    threads: int = 1
    truth: bool = False  # whether all that is known of a picture is rendered with it


def _prepare(quality: Quality) -> None:
    """An empty file with the renderer's settings."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    render, cycles = scene.render, scene.cycles
    render.engine = "CYCLES"
    render.resolution_x = render.resolution_y = quality.pixels
    render.threads_mode, render.threads = "FIXED", quality.threads
    render.use_persistent_data = True
    render.use_compositing = render.use_sequencer = False
    render.image_settings.file_format = "PNG"
    render.image_settings.color_mode = "RGB"
    render.image_settings.compression = 30
    for stamp in (name for name in dir(render) if name.startswith("use_stamp")):
        setattr(render, stamp, False)  # dates and durations in the file would differ each time
    cycles.device = "CPU"
    cycles.samples, cycles.use_adaptive_sampling = quality.samples, quality.sharp
    cycles.adaptive_threshold = 0.02
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.denoising_input_passes = "RGB_ALBEDO_NORMAL"
    cycles.denoising_quality = "HIGH" if quality.sharp else "FAST"
    cycles.denoising_prefilter = "ACCURATE" if quality.sharp else "NONE"
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 3, 1, 2
    cycles.transmission_bounces = cycles.transparent_max_bounces = 0
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect, cycles.sample_clamp_direct = 4.0, 12.0
    cycles.blur_glossy = 0.5
    cycles.use_light_tree = False
    cycles.seed = 0
    scene.view_settings.view_transform = "Khronos PBR Neutral"
    scene.view_settings.look = "None"


def build_product(product: Product, night: bool) -> tuple[bpy.types.Object, Array]:
    """Build a product and put it into the scene; the lowest and highest corner of its box [2, 3]."""
    if isinstance(product, CarSpec):
        half = np.array([product.length, product.width]) / 2
        box = np.array([[*-half, 0], [*half, product.height * 0.96]])
        return build_car(product, night), box
    model = product.model()
    box = np.stack(model.bounds())
    scale = THING_SIZE / np.ptp(box, axis=0).max()
    materials = {
        name: principled(name, look.rgb, look.rough, look.metal, look.coat)
        for name, look in model.surfaces.items()
    }
    made = build(model.shape, product.noun, materials)
    made.scale = (scale,) * 3
    return made, box * scale


@dataclass(frozen=True)
class Stage:
    """A built scene: the product, the camera, and where it stands for each picture."""

    product: bpy.types.Object
    eye: bpy.types.Object
    stands: list[Stand]

    @classmethod
    def of(cls, scene: SceneSpec, quality: Quality) -> Stage:
        """Build a scene from nothing."""
        _prepare(quality)
        build_setting(scene)
        product, box = build_product(scene.product, scene.time == "night")
        eye = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
        bpy.context.scene.collection.objects.link(eye)
        bpy.context.scene.camera = eye
        return cls(product, eye, [stand(box, camera) for camera in scene.cameras])

    def shoot(self, paths: list[Path]) -> None:
        """Render one picture for each camera, each atomically."""
        settings = bpy.context.scene.render.image_settings
        if paths[0].suffix == ".jpg":
            settings.file_format, settings.quality = "JPEG", 92
        for at, path in zip(self.stands, paths, strict=True):
            self._aim(at)
            partial = path.with_name(f".{path.stem}-partial{path.suffix}")
            bpy.context.scene.render.filepath = str(partial)
            bpy.ops.render.render(write_still=True)
            os.replace(partial, path)

    def _aim(self, at: Stand) -> None:
        self.product.rotation_euler = (0, 0, at.turn)
        self.eye.location, self.eye.rotation_euler = at.place, (np.pi / 2 - at.pitch, 0, 0)
        lens = self.eye.data
        lens.lens, lens.sensor_width, lens.clip_end = at.focal_mm, SENSOR_MM, 2000
        lens.shift_x, lens.shift_y = at.shift


def render_pictures(scene: SceneSpec, paths: list[Path], quality: Quality) -> None:
    """Render a scene's pictures, one for each camera."""
    Stage.of(scene, quality).shoot(paths)


def render_scene(index: int, scene: SceneSpec, folder: Path, quality: Quality) -> None:
    """Render what is missing of a scene: its pictures and masks, then the list of them.

    With `quality.truth` the empty backgrounds and depths too, and the light goes into the list.
    """
    stage = Stage.of(scene, quality)

    def lacks(suffix: str) -> list[Path]:
        paths = _paths(index, scene, folder, suffix)
        return [] if all(path.exists() for path in paths) else paths

    entries: list[dict[str, Any]] = [
        {"file": path.name, **attributes(scene, camera)}
        for path, camera in zip(_paths(index, scene, folder, ""), scene.cameras, strict=True)
    ]
    if pictures := lacks(""):
        stage.shoot(pictures)
    if quality.truth:
        entries = [
            {**entry, "light": passes.light(), "horizon": round(at.horizon, 4)}
            for entry, at in zip(entries, stage.stands, strict=True)
        ]
    if quality.truth and (backgrounds := lacks("-background")):
        stage.product.hide_render = True
        stage.shoot(backgrounds)
        stage.product.hide_render = False
    if masks := lacks("-mask"):
        passes.show_mask(stage.product)
        _shoot_and_keep(stage, masks, ".rgba.png", passes.keep_mask)
    if quality.truth and (depths := lacks("-depth")):
        passes.show_depth()
        _shoot_and_keep(stage, depths, ".exr", passes.keep_depth)
    files.write_json(folder / f"{index:06d}.json", entries)


def render_backgrounds(index: int, scene: SceneSpec, folder: Path, quality: Quality) -> None:
    """Render a scene's images without the product, and the list of their lights and horizons.

    In the last image an overcast sky hides the sun, in the one before it shines from elsewhere.
    """
    stage, rng = Stage.of(scene, quality), np.random.default_rng(scene.look)
    stage.product.hide_render = True
    paths = _paths(index, scene, folder, "")
    entries = []
    for number, (path, at) in enumerate(zip(paths, stage.stands, strict=True)):
        if number == len(paths) - 2:
            turn_sun(rng.uniform(0, 360))
        if number == len(paths) - 1:
            cover_sun(rng)
        replace(stage, stands=[at]).shoot([path])
        entries.append({
            "file": path.name, "setting": scene.setting, "time": scene.time,
            "light": passes.light(), "horizon": round(at.horizon, 4),
        })  # fmt: skip
    files.write_json(folder / f"{index:06d}.json", entries)


def _paths(index: int, scene: SceneSpec, folder: Path, suffix: str) -> list[Path]:
    return [folder / f"{index:06d}-{camera}{suffix}.png" for camera in range(len(scene.cameras))]


def _shoot_and_keep(
    stage: Stage, paths: list[Path], suffix: str, keep: Callable[[Path, Path], None]
) -> None:
    """Render to files beside `paths`, and make those of them."""
    rendered = [path.with_suffix(suffix) for path in paths]
    stage.shoot(rendered)
    for source, path in zip(rendered, paths, strict=True):
        keep(source, path)
        source.unlink()
