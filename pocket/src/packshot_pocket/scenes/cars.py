"""Cars, built from a CarSpec: a lofted body and cabin, decals dropped on them, turned wheels.

x points to the front, y to the left, z up; the car stands on z = 0 with its middle at x = y = 0.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils.bvhtree import BVHTree

from packshot_pocket.scenes.car_spec import CarSpec
from packshot_pocket.scenes.colours import COLOURS
from packshot_pocket.scenes.materials import principled, scaled
from packshot_pocket.scenes.mesh import build, decal, surface
from packshot_pocket.scenes.shape import Array, Shape, quad

# body: belt height / height, bonnet edge / belt, deck / belt, foot of the rear window (share),
# front axle (share), rear axle (share), cabin width at the roof / at the belt
STYLE = {
    "suv": (0.615, 0.88, 1.00, 0.975, 0.190, 0.800, 0.83),
    "hatchback": (0.620, 0.80, 0.98, 0.975, 0.190, 0.820, 0.80),
    "sedan": (0.640, 0.80, 1.02, 0.860, 0.185, 0.800, 0.76),
    "pickup": (0.610, 0.89, 0.98, 0.570, 0.170, 0.770, 0.84),
    "van": (0.530, 0.86, 1.00, 0.990, 0.175, 0.800, 0.86),
    "sports car": (0.660, 0.74, 1.02, 0.930, 0.200, 0.800, 0.72),
}


@dataclass(frozen=True)
class Form:
    """Measures that follow from a spec."""

    spec: CarSpec
    belt: float
    bonnet: float
    deck: float
    cowl: float
    roof_front: float
    roof_rear: float
    tail: float
    axles: tuple[float, float]
    taper: float

    @classmethod
    def of(cls, spec: CarSpec) -> Form:
        belt, bonnet, deck, tail, front, rear, taper = STYLE[spec.body]

        def at(share: float) -> float:
            return spec.length * (0.5 - share)

        z = spec.height * belt
        return cls(
            spec,
            z,
            z * bonnet,
            z * deck,
            at(spec.cowl_share),
            at(spec.cowl_share + spec.windscreen_share),
            at(tail - spec.tail_share),
            at(tail),
            (at(front), at(rear)),
            taper,
        )

    @property
    def nose(self) -> float:
        return self.spec.length / 2

    @property
    def arch(self) -> float:
        return self.spec.wheel_radius * 1.13

    def half_width(self, x: Array) -> Array:
        """Half the body's width: full in the middle, drawn in at both ends."""
        ends = (self.nose - np.abs(x)) / (0.16 * self.spec.length)
        inset = np.clip(1 - ends, 0, 1)
        return self.spec.width / 2 * (1 - 0.16 * inset**2.6)

    def top(self, x: Array) -> Array:
        """Height of bonnet, belt and deck along the car."""
        n, lip = self.nose, 0.05
        sloping = self.spec.body in ("sports car", "van")
        xs = [-n, -n + lip, -n + 0.16, self.tail, self.cowl, n - 0.22, n - lip, n]
        rear = self.deck * (0.97 if self.spec.body in ("sedan", "sports car") else 1)
        front = self.bonnet
        zs = [
            rear - 0.10,
            rear - 0.02,
            rear,
            self.deck,
            self.belt,
            front * (1.03 if sloping else 1.0),
            front - 0.05,
            front - 0.15,
        ]
        return np.interp(x, xs, zs)

    def bottom(self, x: Array) -> Array:
        """Underside: the sills, raised at the ends, with wheel arches cut out."""
        n, spec = self.nose, self.spec
        z = np.interp(
            x, [-n, -n + 0.35, n - 0.35, n], spec.clearance + np.array([0.10, 0, 0, 0.08])
        )
        for axle in self.axles:
            inside = np.abs(x - axle) < self.arch
            rise = np.sqrt(np.maximum(self.arch**2 - (x - axle) ** 2, 0)) + spec.wheel_radius
            z = np.where(inside, np.maximum(z, rise), z)
        return z


def _stations(form: Form) -> Array:
    """Where the body is cut: dense at the ends and round the arches."""
    n = form.nose
    ends = n - np.array([0, 0.02, 0.05, 0.09, 0.15, 0.22, 0.32, 0.5])
    parts = [ends, -ends, np.linspace(-n, n, 31), np.array([form.cowl, form.tail])]
    for axle in form.axles:
        parts.append(axle + form.arch * np.cos(np.linspace(0.002, np.pi - 0.002, 19)))
        parts.append(axle + np.array([-1, 1]) * form.arch * 1.002)
    return np.unique(np.round(np.concatenate(parts), 4))


def _body(form: Form) -> Array:
    """Points of the lower body, (stations, round the section, 3), from right sill to left."""
    x = _stations(form)
    top, bottom, width = form.top(x), form.bottom(x), form.half_width(x)
    radius = 0.07
    fractions = np.array([0, 0.12, 0.3, 0.5, 0.7, 0.86, 1.0])
    bend = np.linspace(0, np.pi / 2, 5)[1:]
    rows = []
    for xi, t, b, w in zip(x, top, bottom, width, strict=True):
        shoulder = t - radius
        z = b + (shoulder - b) * fractions
        middle, reach = form.belt * 0.62, form.belt * 0.55
        y = w * (1 - 0.045 * ((z - middle) / reach) ** 2)
        rows_y = [0, w * 0.88, *y, *(y[-1] - radius * (1 - np.cos(bend))), w * 0.5, 0]
        rows_z = [b, b, *z, *(shoulder + radius * np.sin(bend)), t + 0.025, t + 0.035]
        rows.append(np.stack((np.full(len(rows_y), xi), rows_y, rows_z), -1))
    half = np.array(rows)
    return _both_sides(half)


def _both_sides(half: Array) -> Array:
    """A half section (from the middle below to the middle above) and its mirror image."""
    return np.concatenate((half * (1, -1, 1), half[:, -2::-1]), axis=1)


def _cabin(form: Form) -> Array:
    """Points of the cabin: a prism that narrows to the roof, its edges rounded."""
    spec = form.spec
    low = form.belt - 0.08
    x = np.unique(
        np.concatenate(
            (
                np.linspace(form.tail, form.roof_rear, 8),
                np.linspace(form.roof_rear, form.roof_front, 14),
                np.linspace(form.roof_front, form.cowl, 8),
                form.roof_front + np.array([-0.12, -0.06, 0.03]),
                form.roof_rear + np.array([0.12, 0.06, -0.02]),
            )
        )
    )
    crown = 0.035
    roof = spec.height - crown
    top = np.interp(
        x,
        [
            form.tail,
            form.roof_rear,
            form.roof_rear + 0.12,
            form.roof_front - 0.15,
            form.roof_front,
            form.cowl,
        ],
        [form.deck - 0.02, roof - 0.045, roof - 0.015, roof, roof - 0.035, form.belt - 0.02],
    )
    if spec.body in ("sports car", "hatchback", "sedan"):
        middle = np.clip((x - form.roof_rear) / (form.roof_front - form.roof_rear), 0, 1)
        top = top - 0.03 * (2 * middle - 1.1) ** 2
    radius, bend = 0.06, np.linspace(0, np.pi / 2, 5)[1:]
    rows = []
    for xi, t in zip(x, top, strict=True):
        t = max(t, low + radius + 0.01)
        z = low + (t - radius - low) * np.array([0, 0.35, 0.7, 1])
        y = form_side(form, xi, z)
        rows_y = [0, *y, *(y[-1] - radius * (1 - np.cos(bend))), y[-1] * 0.5, 0]
        rise = crown * (t - low) / (roof - low)
        rows_z = [low, *z, *(t - radius + radius * np.sin(bend)), t + rise * 0.8, t + rise]
        rows.append(np.stack((np.full(len(rows_y), xi), rows_y, rows_z), -1))
    return _both_sides(np.array(rows))


def form_side(form: Form, x: float, z: Array) -> Array:
    """Half width of the cabin at a place."""
    wide = float(form.half_width(np.array(x))) * 0.955
    rise = (z - form.belt) / (form.spec.height - form.belt)
    return wide * (1 - (1 - form.taper) * rise)


def _caps(shape: Shape, points: Array, material: str) -> None:
    """Close both ends of a loft."""
    for row in (points[0], points[-1]):
        shape.add(row, np.arange(len(row))[None], material)


def _closed(points: Array) -> Array:
    """A loft with its ends drawn together, for rays to hit."""
    first, last = points[:1] * (1, 0, 1), points[-1:] * (1, 0, 1)
    return np.concatenate((first, points, last))


def _windows(shape: Shape, form: Form, cabin: BVHTree) -> None:
    """Glass: windscreen, rear window, sides divided by pillars."""
    spec, low, high = form.spec, form.belt + 0.02, form.spec.height - 0.115
    _screen(shape, form, cabin, 1, form.belt + 0.02)
    _screen(shape, form, cabin, -1, form.deck + 0.05)
    span = spec.height - form.belt
    lean_front = (form.cowl - form.roof_front) / span
    lean_rear = (form.roof_rear - form.tail) / span
    front = form.cowl - 0.12
    rear = form.tail + (0.10 if spec.body in ("suv", "van", "pickup") else 0.20)
    length = front - rear - (lean_front + lean_rear) * (high - low) / 2
    panes = {"suv": 3, "hatchback": 2, "sedan": 2, "pickup": 2, "van": 1, "sports car": 1}
    count, pillar = panes[spec.body], 0.035
    cuts = np.linspace(0, 1, count + 1)
    if spec.body == "van":
        cuts = np.array([0, 0.30])
    if spec.body == "suv":
        cuts = np.array([0, 0.40, 0.75, 1])
    for start, stop in itertools.pairwise(cuts):

        def edge(cut: float, inner: float, z: float) -> float:
            f, r = front - lean_front * (z - low), rear + lean_rear * (z - low)
            return f + (r - f) * cut + inner

        a = 0 if start == 0 else -pillar
        b = pillar if stop < 1 else 0
        for sign in (1, -1):
            corners = [
                (edge(stop, b, low), sign, low),
                (edge(start, a, low), sign, low),
                (edge(start, a, high), sign, high),
                (edge(stop, b, high), sign, high),
            ]
            if length > 0:
                decal(shape, cabin, quad(corners, 4, 9), (0, -sign, 0), "glass")


def _screen(shape: Shape, form: Form, cabin: BVHTree, sign: int, low: float) -> None:
    high = form.spec.height - 0.10
    foot = form.cowl if sign > 0 else form.tail
    margin = 0.09
    a = float(form_side(form, foot, np.array(low))) - margin
    roof = form.roof_front if sign > 0 else form.roof_rear
    b = float(form_side(form, roof, np.array(high))) - margin
    corners = [(0, -a, low), (0, a, low), (0, b, high), (0, -b, high)]
    decal(shape, cabin, quad(corners, 7, 9), (-sign, 0, 0), "glass")


def _front(shape: Shape, form: Form, body: BVHTree) -> None:
    """Grille, lamps, bumper and plate, dropped on the nose."""
    spec, top = form.spec, form.bonnet - 0.10
    w = spec.width / 2
    bottom = spec.clearance + 0.09
    height = top - bottom
    grille_low = top - height * (0.36 if spec.body != "sports car" else 0.2)
    back = (-1, 0, 0)

    def panel(y0: float, y1: float, z0: float, z1: float, material: str, lift: float) -> None:
        corners = [(0, y0, z0), (0, y1, z0), (0, y1, z1), (0, y0, z1)]
        decal(shape, body, quad(corners, 4, 11), back, material, lift)

    panel(-w * 0.5, w * 0.5, grille_low, top - 0.01, "trim", 0.012)
    for z in np.linspace(grille_low, top - 0.01, 5)[1:-1]:
        panel(-w * 0.48, w * 0.48, z - 0.008, z + 0.008, "chrome", 0.02)
    panel(-w * 0.8, w * 0.8, bottom + 0.01, bottom + height * 0.30, "trim", 0.03)
    panel(-0.26, 0.26, bottom + height * 0.20, bottom + height * 0.20 + 0.11, "plate", 0.045)
    for side in (1, -1):
        _headlamp(shape, form, body, side, (grille_low, top))
    if spec.badge:
        _disc(shape, body, (0, 0, (grille_low + top) / 2), 0.11, back, "badge", 0.03)


def _headlamp(
    shape: Shape, form: Form, body: BVHTree, side: int, span: tuple[float, float]
) -> None:
    w = form.spec.width / 2
    low, high = span
    if form.spec.round_lamps:
        centre, size = (0, side * w * 0.68, (low + high) / 2), (high - low) * 0.50
        _disc(shape, body, centre, size * 1.15, (-1, 0, 0), "trim", 0.015)
        _disc(shape, body, centre, size * 0.88, (-1, 0, 0), "lamp", 0.03)
        return
    inner, outer = side * w * 0.52, side * w * 0.86
    low = low + (high - low) * 0.25
    corners = [(0, inner, low + 0.03), (0, outer, low), (0, outer, high), (0, inner, high - 0.02)]
    decal(shape, body, quad(corners, 5, 7), (-1, 0, 0), "lamp", 0.02)


def _rear(shape: Shape, form: Form, body: BVHTree) -> None:
    """Tail lamps, bumper, plate and tailgate line."""
    spec, w = form.spec, form.spec.width / 2
    top = form.deck - 0.10
    bottom = spec.clearance + 0.11
    height = top - bottom
    tall = spec.body in ("suv", "van", "hatchback", "pickup")
    low = bottom + height * (0.45 if tall else 0.62)

    def panel(y0: float, y1: float, z0: float, z1: float, material: str, lift: float) -> None:
        corners = [(0, y0, z0), (0, y1, z0), (0, y1, z1), (0, y0, z1)]
        decal(shape, body, quad(corners, 4, 9), (1, 0, 0), material, lift)

    inner = w * (0.70 if tall else 0.48)
    for side in (1, -1):
        panel(side * inner, side * w * 0.88, low, top - 0.02, "tail", 0.015)
    panel(-w * 0.82, w * 0.82, bottom + 0.01, bottom + height * 0.30, "trim", 0.035)
    panel(-0.26, 0.26, bottom + height * 0.40, bottom + height * 0.40 + 0.12, "plate", 0.02)
    panel(-w * 0.66, w * 0.66, bottom + height * 0.36, bottom + height * 0.375, "gap", 0.008)


def _disc(
    shape: Shape,
    target: BVHTree,
    centre: tuple[float, float, float],
    radius: float,
    direction: tuple[float, float, float],
    material: str,
    lift: float,
) -> None:
    """A round decal."""
    turn = np.linspace(0, 2 * np.pi, 19)
    r = np.array([0.001, 0.55, 1])[:, None] * radius
    u, v = r * np.cos(turn), r * np.sin(turn)
    plane = (u * 0, u, v) if direction[0] else (u, u * 0, v)
    decal(shape, target, np.stack(plane, -1) + np.asarray(centre), direction, material, lift)


def _sides(shape: Shape, form: Form, body: BVHTree) -> None:
    """Door lines, handles, cladding, stripe, badges."""
    spec = form.spec
    sill = spec.clearance
    front, rear = form.axles
    first = min(form.cowl - 0.05, front - form.arch - 0.04)
    last = rear + form.arch * 0.45
    if spec.body in ("sports car", "pickup", "van"):
        last = max(form.tail + 0.1 if spec.body == "pickup" else first - 1.25, rear + form.arch)
    middle = (first + last) / 2
    doors = [first, last] if spec.body in ("sports car", "van") else [first, middle, last]
    waist = form.belt - 0.09
    for side in (1, -1):

        def panel(
            x0: float, x1: float, z0: float, z1: float, material: str, lift: float, s: int = side
        ) -> None:
            corners = [(x0, s, z0), (x1, s, z0), (x1, s, z1), (x0, s, z1)]
            columns = max(2, int(abs(x1 - x0) / 0.08))
            decal(shape, body, quad(corners, 4, columns), (0, -s, 0), material, lift)

        for x in doors:
            panel(x - 0.008, x + 0.008, sill + 0.12, form.belt - 0.06, "gap", 0.004)
        for x in doors[1:]:
            panel(x + 0.07, x + 0.24, waist - 0.045, waist - 0.012, "handle", 0.03)
        if spec.stripe != "none":
            z = sill + (form.belt - sill) * 0.56
            n = form.nose
            panel(-n + 0.1, n - 0.1, z - 0.065, z + 0.065, "stripe", 0.010)
        if spec.cladding:
            panel(rear + form.arch, front - form.arch, sill + 0.01, sill + 0.15, "trim", 0.015)
            for axle in form.axles:
                _arch_trim(shape, form, body, axle, side)
        if spec.badge:
            z = sill + (form.belt - sill) * 0.56
            _disc(shape, body, ((first + middle) / 2, side, z), 0.15, (0, -side, 0), "badge", 0.02)


def _arch_trim(shape: Shape, form: Form, body: BVHTree, axle: float, side: int) -> None:
    turn = np.linspace(0, np.pi, 17)[None]
    r = np.array([1.01, 1.18])[:, None] * form.arch
    points = np.stack(
        (
            axle + r * np.cos(turn),
            np.full_like(r * turn, side),
            form.spec.wheel_radius + r * np.sin(turn),
        ),
        -1,
    )
    decal(shape, body, points, (0, -side, 0), "trim", 0.02)


def _wheel(shape: Shape, form: Form, axle: float, side: int) -> None:
    """Tyre, rim and spokes."""
    r = form.spec.wheel_radius
    outer = form.spec.width / 2 * 0.985
    centre = (axle, side * (outer - 0.11), r)
    s = side
    tyre = np.array(
        [
            (0.60, 0.10),
            (0.66, 0.112),
            (0.80, 0.118),
            (0.93, 0.105),
            (0.99, 0.075),
            (1.0, 0),
            (0.99, -0.08),
            (0.9, -0.11),
            (0.5, -0.11),
        ]
    )
    shape.lathe(tyre * (r, s), centre, "tyre", segments=28)
    lip = np.array([(0.655, 0.108), (0.63, 0.112), (0.60, 0.09), (0.57, 0.02)])
    shape.lathe(lip * (r, s), centre, "rim", segments=28)
    back = np.array([(0.62, 0.045), (0.01, 0.045)])
    shape.lathe(back * (r, s), centre, "rim" if form.spec.rim == "disc" else "trim", segments=20)
    hub = np.array([(0.17, 0.05), (0.17, 0.095), (0.13, 0.105), (0.005, 0.105)])
    shape.lathe(hub * (r, s), centre, "rim", segments=14)
    _spokes(shape, form, centre, side)


def _spokes(shape: Shape, form: Form, centre: tuple[float, float, float], side: int) -> None:
    r = form.spec.wheel_radius
    count, wide = {"five": (5, 0.20), "ten": (10, 0.085), "twin": (6, 0.15), "disc": (8, 0.12)}[
        form.spec.rim
    ]
    inner, outer, material = (0.12, 0.62, "rim")
    if form.spec.rim == "disc":  # a steel wheel: dark holes in a plate
        inner, outer, material = (0.36, 0.48, "trim")
    for k in range(count):
        turn = 2 * np.pi * k / count
        along = np.array([np.cos(turn), 0, np.sin(turn)])
        across = np.array([-np.sin(turn), 0, np.cos(turn)])
        up = np.array([0, side, 0])
        half = wide * r / 2
        deep, shallow = (0.05, 0.055) if material == "trim" else (0.092, 0.085)
        ends = [(inner, half * 1.1, deep), (outer, half * 0.85, shallow)]
        points = [
            [
                np.asarray(centre) + along * a * r + across * w * e + up * d * (0.4 if base else 1)
                for a, w, d in ends
            ]
            for e, base in ((-1, True), (-1, False), (1, False), (1, True))
        ]
        shape.grid(np.array(points), material)


def _extras(shape: Shape, form: Form) -> None:
    """Mirrors, rails, spare wheel, spoiler, underbody, pickup bed."""
    spec, w = form.spec, form.spec.width / 2
    n = form.nose
    shape.box(
        (-n + 0.35, -w * 0.72, spec.clearance + 0.02),
        (n - 0.35, w * 0.72, form.belt * 0.72),
        "trim",
    )
    x = form.cowl - 0.28
    for side in (1, -1):
        y = float(form.half_width(np.array(x))) * 0.95 * side
        low, high = sorted((y, y + side * 0.22))
        shape.box((x - 0.05, low, form.belt + 0.03), (x + 0.06, high, form.belt + 0.19), "mirror")
        if spec.rails:
            y = (float(form_side(form, 0.0, np.array(spec.height))) - 0.06) * side
            z = spec.height
            shape.box(
                (form.roof_rear + 0.1, y - 0.025, z + 0.01),
                (form.roof_front - 0.15, y + 0.025, z + 0.06),
                "rail",
            )
            for post in (form.roof_rear + 0.14, form.roof_front - 0.2):
                shape.box(
                    (post - 0.05, y - 0.02, z - 0.08), (post + 0.05, y + 0.02, z + 0.03), "rail"
                )
    if spec.spare:
        _spare(shape, form)
    if spec.body == "pickup":
        shape.box(
            (-n + 0.10, -w * 0.80, form.deck - 0.25),
            (form.tail - 0.06, w * 0.80, form.deck + 0.037),
            "trim",
        )


def _spare(shape: Shape, form: Form) -> None:
    r = form.spec.wheel_radius * 0.86
    n = form.nose
    centre = (-n + 0.02, 0, min(form.deck - 0.05, form.belt) - r * 0.05)
    tyre = np.array([(0.7, -0.0), (0.95, 0), (1, -0.06), (1, -0.16), (0.94, -0.215), (0.72, -0.22)])
    shape.lathe(tyre * (r, 1), centre, "tyre", axis=0, segments=28)
    cover = np.array([(0.72, -0.22), (0.66, -0.235), (0.38, -0.235)])
    shape.lathe(cover * (r, 1), centre, "paint" if form.spec.badge else "rim", 0, 24)
    disc = np.array([(0.40, -0.235), (0.36, -0.245), (0.005, -0.245)])
    shape.lathe(disc * (r, 1), centre, "badge" if form.spec.badge else "trim", 0, 20)


def _materials(spec: CarSpec, night: bool) -> dict[str, bpy.types.Material]:
    """The car's materials."""
    metal = 0.75 if spec.colour == "silver" else 0.35 if spec.metallic else 0.0
    roof = spec.paint if spec.roof == "plain" else COLOURS[spec.roof]
    stripe = COLOURS.get(spec.stripe, spec.paint)
    paint = principled("paint", spec.paint, 0.32, metal, coat=0.8)
    dark = (0.012, 0.012, 0.013)
    return {
        "paint": paint,
        "roof": principled("roof", roof, 0.32, 0 if spec.roof != "plain" else metal, coat=0.8),
        "stripe": principled("stripe", stripe, 0.4),
        "glass": principled("glass", (0.010, 0.013, 0.016), 0.06),
        "trim": principled("trim", dark, 0.55),
        "gap": principled("gap", scaled(spec.paint, 0.15), 0.6),
        "chrome": principled("chrome", (0.6, 0.6, 0.62), 0.2, 1),
        "handle": paint if spec.metallic else principled("handle", (0.02, 0.02, 0.02), 0.4),
        "mirror": principled("mirror", dark if spec.cladding else spec.paint, 0.35),
        "rail": principled(
            "rail", (0.05, 0.05, 0.05) if spec.badge else (0.35, 0.35, 0.36), 0.3, 1
        ),
        "tyre": principled("tyre", (0.014, 0.014, 0.015), 0.8),
        "rim": principled("rim", (0.04,) * 3 if spec.dark_rim else (0.62, 0.63, 0.65), 0.28, 0.8),
        "lamp": principled(
            "lamp", (0.85, 0.87, 0.9), 0.1, glow=9 if night else 0.25, glow_rgb=(1, 0.95, 0.8)
        ),
        "tail": principled(
            "tail",
            (0.45, 0.008, 0.008),
            0.15,
            glow=1.1 if night else 0.12,
            glow_rgb=(1, 0.02, 0.02),
        ),
        "plate": principled("plate", (0.75, 0.75, 0.72), 0.5),
        "badge": principled("badge", (0.85, 0.55, 0.01), 0.4),
    }


def build_car(spec: CarSpec, night: bool = False) -> bpy.types.Object:
    """Build a car and put it into the scene."""
    form, shape = Form.of(spec), Shape()
    body, cabin = _body(form), _cabin(form)
    shape.grid(body, "paint")
    _caps(shape, body, "paint")
    shape.grid(cabin, "roof")
    _caps(shape, cabin, "roof")
    lower, upper = surface(_closed(body)), surface(_closed(cabin))
    _windows(shape, form, upper)
    _front(shape, form, lower)
    _rear(shape, form, lower)
    _sides(shape, form, lower)
    for axle in form.axles:
        for side in (1, -1):
            _wheel(shape, form, axle, side)
    _extras(shape, form)
    return build(shape, "car", _materials(spec, night), 34)
