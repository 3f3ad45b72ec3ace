"""Rendering: a scene's pictures and the list that marks it complete."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from math import atan, cos, radians, sin
from pathlib import Path

import bpy
import numpy as np

from packshot.pocket.world.cars import build_car
from packshot.pocket.world.settings import build_setting
from packshot.pocket.world.spec import CameraSpec, CarSpec, SceneSpec, attributes

SENSOR_MM = 36.0


@dataclass(frozen=True)
class Quality:
    """How much work goes into a picture."""

    pixels: int = 128
    samples: int = 10
    sharp: bool = False  # the denoiser's best quality instead of its fastest
    threads: int = 1


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


def _corners(car: CarSpec, azimuth_degrees: float) -> np.ndarray:
    """The corners of the turned car's box, camera looking along +y."""
    turn = radians(azimuth_degrees) - np.pi / 2
    half_length, half_width = car.length / 2, car.width / 2
    box = [
        (x, y, z)
        for x in (-half_length, half_length)
        for y in (-half_width, half_width)
        for z in (0.0, car.height * 0.96)
    ]
    x, y, z = np.array(box).T
    return np.stack((x * cos(turn) - y * sin(turn), x * sin(turn) + y * cos(turn), z), -1)


def _projected(corners: np.ndarray, distance: float, camera: CameraSpec) -> np.ndarray:
    """Low and high corner of the car in the picture, in picture widths from the middle."""
    aim = 0.75
    pitch = atan((camera.height - aim) / distance)
    x, y, z = corners.T
    y, z = y + distance, z - camera.height
    depth = y * cos(pitch) - z * sin(pitch)
    up = y * sin(pitch) + z * cos(pitch)
    scale = camera.focal_mm / SENSOR_MM / depth
    flat = np.stack((x * scale, up * scale), -1)
    return np.stack((flat.min(0), flat.max(0)))


def _place_camera(eye: bpy.types.Object, car: CarSpec, camera: CameraSpec) -> None:
    """Stand as far away as the fill asks, and shift the lens so that the car is in the middle."""
    corners = _corners(car, camera.azimuth_degrees)
    near, far = 3.5, 40.0
    for _ in range(30):
        distance = (near + far) / 2
        size = np.ptp(_projected(corners, distance, camera), axis=0)
        too_large = size[0] > camera.fill or size[1] > min(camera.fill, 0.66)
        near, far = (distance, far) if too_large else (near, distance)
    low, high = _projected(corners, distance, camera)
    margin = (1 - (high - low)) / 2
    wanted = np.array(camera.jitter) * margin * (0.5, 0.22) - (0, margin[1] * 0.28)
    middle = (low + high) / 2
    eye.location = (0, -distance, camera.height)
    eye.rotation_euler = (np.pi / 2 - atan((camera.height - 0.75) / distance), 0, 0)
    eye.data.lens, eye.data.sensor_width = camera.focal_mm, SENSOR_MM
    eye.data.shift_x, eye.data.shift_y = middle - wanted
    eye.data.clip_end = 2000


def _shoot(path: Path) -> None:
    """Render to a file, atomically."""
    partial = path.with_name(f".{path.stem}-partial{path.suffix}")
    bpy.context.scene.render.filepath = str(partial)
    bpy.ops.render.render(write_still=True)
    os.replace(partial, path)


def build_scene(scene: SceneSpec, quality: Quality) -> tuple[bpy.types.Object, bpy.types.Object]:
    """Build a scene from nothing; the car and the camera are what differs between pictures."""
    _prepare(quality)
    build_setting(scene)
    car = build_car(scene.car, scene.time == "night")
    eye = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    bpy.context.scene.collection.objects.link(eye)
    bpy.context.scene.camera = eye
    return car, eye


def render_pictures(scene: SceneSpec, paths: list[Path], quality: Quality) -> None:
    """Render a scene's pictures, one for each camera."""
    car, eye = build_scene(scene, quality)
    settings = bpy.context.scene.render.image_settings
    jpeg = paths[0].suffix == ".jpg"
    settings.file_format, settings.quality = ("JPEG", 92) if jpeg else ("PNG", 90)
    for camera, path in zip(scene.cameras, paths, strict=True):
        car.rotation_euler = (0, 0, radians(camera.azimuth_degrees) - np.pi / 2)
        _place_camera(eye, scene.car, camera)
        _shoot(path)


def is_complete(index: int, folder: Path) -> bool:
    """Whether a scene's list has been written."""
    return (folder / f"{index:06d}.json").exists()


def render_scene(index: int, scene: SceneSpec, folder: Path, quality: Quality) -> None:
    """Render a scene's pictures, then the list that marks it complete."""
    names = [f"{index:06d}-{camera}.png" for camera in range(len(scene.cameras))]
    render_pictures(scene, [folder / name for name in names], quality)
    entries = [
        {"file": name, **attributes(scene, camera)}
        for name, camera in zip(names, scene.cameras, strict=True)
    ]
    partial = folder / f".{index:06d}.json"
    partial.write_text(json.dumps(entries, indent=1) + "\n")
    os.replace(partial, folder / f"{index:06d}.json")
