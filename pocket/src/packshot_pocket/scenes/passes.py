"""Ground truth of a rendered image: the empty background, mask, depth, light.

`show_mask` and `show_depth` change the scene permanently: use them after rendering the image itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Vector
from PIL import Image

from packshot.utils import files
from packshot_pocket.scenes.shape import Array

COUNTS_PER_METRE = 100  # of depth pictures, whose 0 is the sky


def light() -> dict[str, Any]:
    """The sun, or else the strongest lamp: its kind and the unit vector towards it; "overcast" if
    the sun does not shine.

    The axes are the scene's: x to the picture's right, y away from the camera, z up.
    """
    lamps = [made for made in bpy.context.scene.objects if made.type == "LIGHT"]
    strongest = max(lamps, key=lambda lamp: (lamp.data.type == "SUN", lamp.data.energy))
    away = Vector((0, 0, 1))
    away.rotate(strongest.rotation_euler)
    kind = strongest.data.type.lower() if strongest.data.energy else "overcast"
    return {"kind": kind, "direction": [round(v, 4) for v in away]}


def show_mask(product: bpy.types.Object) -> None:
    """Render nothing but the product from now on, and only where nothing hides it."""
    scene = bpy.context.scene
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.max_bounces = 4, False, 0
    scene.render.film_transparent = True
    scene.render.image_settings.color_mode = "RGBA"
    for made in scene.objects:
        made.is_holdout = made is not product


def keep_mask(rendered: Path, path: Path) -> None:
    """Turn an image of `show_mask` into an 8-bit grey mask, 255 on the product."""
    with Image.open(rendered) as picture:
        files.write_image(path, picture.getchannel("A"))


def show_depth() -> None:
    """Let every surface glow by its distance along the camera's axis from now on."""
    material = bpy.data.materials.new("depth")
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    camera, glow, out = (
        tree.nodes.new(f"ShaderNode{kind}") for kind in ("CameraData", "Emission", "OutputMaterial")
    )
    tree.links.new(camera.outputs["View Z Depth"], glow.inputs["Strength"])
    tree.links.new(glow.outputs[0], out.inputs["Surface"])
    bpy.context.view_layer.material_override = material
    scene = bpy.context.scene
    for made in scene.objects:
        made.is_holdout = False
    scene.cycles.samples, scene.cycles.sample_clamp_direct = 1, 0
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "32"


def keep_depth(rendered: Path, path: Path) -> None:
    """Turn an EXR of `show_depth` into 16 bits of grey: centimetres, 0 for the sky."""
    image = bpy.data.images.load(str(rendered))
    width, height = image.size
    values: Array = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(values)
    bpy.data.images.remove(image)
    upright = values.reshape(height, width, 4)[::-1]
    counts = np.where(upright[..., 3] > 0.5, upright[..., 0] * COUNTS_PER_METRE, 0)
    files.write_image(path, Image.fromarray(counts.clip(0, 65_535).astype(np.uint16)))
