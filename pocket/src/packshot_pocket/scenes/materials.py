"""Materials and the sky, as shader nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy

from packshot_pocket.scenes.colours import Colour


def scaled(rgb: Colour, factor: float, most: float = 1.0) -> Colour:
    """A linear colour darkened or brightened by `factor`, no channel above `most`."""
    red, green, blue = (min(most, factor * channel) for channel in rgb)
    return red, green, blue


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """`first` with `share` of `second` in it."""
    red, green, blue = ((1 - share) * a + share * b for a, b in zip(first, second, strict=True))
    return red, green, blue


def _new(name: str) -> tuple[bpy.types.Material, Any, Any]:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    tree = material.node_tree
    return material, tree, tree.nodes["Principled BSDF"]


def principled(
    name: str,
    rgb: Sequence[float],
    rough: float = 0.6,
    metal: float = 0.0,
    coat: float = 0.0,
    glow: float = 0.0,
    glow_rgb: Sequence[float] = (1, 1, 1),
) -> bpy.types.Material:
    """One plain Principled material."""
    material, _, shader = _new(name)
    shader.inputs["Base Color"].default_value = (*rgb, 1)
    shader.inputs["Roughness"].default_value = rough
    shader.inputs["Metallic"].default_value = metal
    shader.inputs["Coat Weight"].default_value = coat
    shader.inputs["Coat Roughness"].default_value = 0.03
    shader.inputs["Emission Color"].default_value = (*glow_rgb, 1)
    shader.inputs["Emission Strength"].default_value = glow
    if glow < 5:
        material.cycles.emission_sampling = "NONE"
    return material


def _noise(tree: Any, scale: float, detail: float, stretch: Sequence[float]) -> Any:
    place = tree.nodes.new("ShaderNodeNewGeometry")
    mapping = tree.nodes.new("ShaderNodeMapping")
    mapping.inputs["Scale"].default_value = stretch
    noise = tree.nodes.new("ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value = scale
    noise.inputs["Detail"].default_value = detail
    tree.links.new(place.outputs["Position"], mapping.inputs["Vector"])
    tree.links.new(mapping.outputs["Vector"], noise.inputs["Vector"])
    return noise


def _ramp(tree: Any, value: Any, stops: Sequence[tuple[float, Sequence[float]]]) -> Any:
    ramp = tree.nodes.new("ShaderNodeValToRGB")
    elements = ramp.color_ramp.elements
    while len(elements) < len(stops):
        elements.new(0.5)
    for element, (position, rgb) in zip(elements, stops, strict=True):
        element.position = position
        element.color = (*rgb, 1)
    tree.links.new(value, ramp.inputs["Fac"])
    return ramp.outputs["Color"]


def _mix(tree: Any, factor: Any, first: Any, second: Any) -> Any:
    mix = tree.nodes.new("ShaderNodeMix")
    mix.data_type = "RGBA"
    tree.links.new(factor, mix.inputs["Factor"])
    for socket, value in ((mix.inputs[6], first), (mix.inputs[7], second)):
        if isinstance(value, tuple):
            socket.default_value = (*value, 1)
        else:
            tree.links.new(value, socket)
    return mix.outputs[2]


def ground(
    name: str,
    colours: Sequence[Colour],
    scale: float,
    bump: float = 0.0,
    rough: float = 0.9,
    stretch: Sequence[float] = (1, 1, 1),
) -> bpy.types.Material:
    """A mottled surface: noise between colours, with an optional bump."""
    material, tree, shader = _new(name)
    noise = _noise(tree, scale, 4, stretch)
    span = max(1, len(colours) - 1)
    stops = [(0.32 + 0.36 * i / span, rgb) for i, rgb in enumerate(colours)]
    tree.links.new(_ramp(tree, noise.outputs["Fac"], stops), shader.inputs["Base Color"])
    shader.inputs["Roughness"].default_value = rough
    if bump:
        _bump(tree, shader, noise.outputs["Fac"], bump)
    return material


def _bump(tree: Any, shader: Any, height: Any, strength: float) -> None:
    bump = tree.nodes.new("ShaderNodeBump")
    bump.inputs["Strength"].default_value = min(1.0, strength)
    bump.inputs["Distance"].default_value = 0.15
    tree.links.new(height, bump.inputs["Height"])
    tree.links.new(bump.outputs["Normal"], shader.inputs["Normal"])


def layered(
    name: str,
    below: Sequence[Colour],
    above: Colour,
    scale: float,
    flat: tuple[float, float],
    line: tuple[float, float] = (-1, 0),
) -> bpy.types.Material:
    """Mottled below, plain above: where the surface is flat (normal's z in a range) and high."""
    material, tree, shader = _new(name)
    noise = _noise(tree, scale, 4, (1, 1, 1))
    rock = _ramp(tree, noise.outputs["Fac"], [(0.35, below[0]), (0.65, below[-1])])
    geometry = tree.nodes.new("ShaderNodeNewGeometry")
    normal = tree.nodes.new("ShaderNodeSeparateXYZ")
    position = tree.nodes.new("ShaderNodeSeparateXYZ")
    tree.links.new(geometry.outputs["Normal"], normal.inputs[0])
    tree.links.new(geometry.outputs["Position"], position.inputs[0])
    factor = _range(tree, normal.outputs["Z"], flat)
    high = _range(tree, position.outputs["Z"], line)
    both = tree.nodes.new("ShaderNodeMath")
    both.operation = "MULTIPLY"
    tree.links.new(factor, both.inputs[0])
    tree.links.new(high, both.inputs[1])
    tree.links.new(_mix(tree, both.outputs[0], rock, above), shader.inputs["Base Color"])
    shader.inputs["Roughness"].default_value = 0.9
    return material


def _range(tree: Any, value: Any, bounds: tuple[float, float]) -> Any:
    node = tree.nodes.new("ShaderNodeMapRange")
    node.inputs["From Min"].default_value, node.inputs["From Max"].default_value = bounds
    tree.links.new(value, node.inputs["Value"])
    return node.outputs["Result"]


def sky(
    stops: Sequence[tuple[float, Colour]],
    cloud: Colour,
    cover: float,
    strength: float,
    drift: float,
) -> None:
    """A gradient from horizon to zenith with noise clouds, as the scene's world."""
    world = bpy.data.worlds.new("sky")
    world.use_nodes = True
    bpy.context.scene.world = world
    world.cycles.sampling_method = "MANUAL"
    world.cycles.sample_map_resolution = 64
    tree = world.node_tree
    background = tree.nodes["Background"]
    place = tree.nodes.new("ShaderNodeTexCoord")
    axes = tree.nodes.new("ShaderNodeSeparateXYZ")
    tree.links.new(place.outputs["Generated"], axes.inputs[0])
    colour = _ramp(tree, axes.outputs["Z"], stops)
    if cover:
        mapping = tree.nodes.new("ShaderNodeMapping")
        mapping.inputs["Scale"].default_value = (1, 1, 3.5)
        mapping.inputs["Location"].default_value = (drift, drift * 0.7, 0)
        noise = tree.nodes.new("ShaderNodeTexNoise")
        noise.inputs["Scale"].default_value = 3.2
        noise.inputs["Detail"].default_value = 5
        tree.links.new(place.outputs["Generated"], mapping.inputs["Vector"])
        tree.links.new(mapping.outputs["Vector"], noise.inputs["Vector"])
        low = 0.64 - 0.25 * cover
        mask = _ramp(tree, noise.outputs["Fac"], [(low, (0, 0, 0)), (low + 0.2, (1, 1, 1))])
        colour = _mix(tree, mask, colour, cloud)
    tree.links.new(colour, background.inputs["Color"])
    background.inputs["Strength"].default_value = strength
