"""What a picture shows, as plain data: pure functions of (seed, index), no Blender needed."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

Colour = tuple[float, float, float]

BODIES = ("suv", "hatchback", "sedan", "pickup", "van", "sports car")
BODY_WEIGHTS = (26, 16, 20, 13, 11, 14)
COLOURS: dict[str, Colour] = {  # linear RGB
    "red": (0.60, 0.010, 0.012),
    "blue": (0.012, 0.075, 0.46),
    "white": (0.82, 0.82, 0.80),
    "black": (0.008, 0.008, 0.010),
    "silver": (0.42, 0.43, 0.45),
    "yellow": (0.83, 0.52, 0.010),
    "green": (0.012, 0.19, 0.040),
    "orange": (0.80, 0.17, 0.008),
}
ROOFS = ("plain", "white", "black")
STRIPES = ("none", "white", "black", "yellow", "red")
SETTINGS = ("mountain", "desert", "beach", "city street", "forest", "snow", "meadow", "studio")
TIMES = ("day", "sunset", "night")
VIEWS: dict[str, tuple[float, float, int]] = {  # nearest and farthest azimuth, weight
    "front": (0.0, 12.0, 14),
    "front three-quarter": (28.0, 58.0, 30),
    "side": (80.0, 100.0, 24),
    "rear three-quarter": (122.0, 150.0, 20),
    "rear": (168.0, 180.0, 12),
}
CAMERAS_PER_SCENE = 4
RIMS = ("five", "ten", "disc", "twin")


@dataclass(frozen=True)
class CarSpec:
    """Everything needed to build a car. Lengths in metres, shares as fractions of the length."""

    body: str
    colour: str
    paint: Colour
    metallic: bool
    roof: str  # one of ROOFS
    stripe: str  # one of STRIPES
    length: float
    width: float
    height: float
    clearance: float
    wheel_radius: float
    cowl_share: float  # where the windscreen begins, from the nose
    windscreen_share: float  # length of the windscreen
    tail_share: float  # length of the rear window
    rim: str  # one of RIMS
    dark_rim: bool = False
    rails: bool = False
    spare: bool = False
    cladding: bool = False
    badge: bool = False  # round yellow badges on grille, doors and spare wheel
    round_lamps: bool = False


@dataclass(frozen=True)
class CameraSpec:
    """Where a picture is taken from; the car turns by the azimuth, 0 shows its front."""

    view: str
    azimuth_degrees: float
    height: float
    fill: float  # share of the picture's width (or height) that the car takes
    focal_mm: float
    jitter: tuple[float, float]  # -1..1, share of the free margin


@dataclass(frozen=True)
class SceneSpec:
    """A car in a place at a time, seen by some cameras. `look` seeds what is left to chance."""

    look: int
    car: CarSpec
    setting: str
    time: str
    cameras: tuple[CameraSpec, ...]


@dataclass(frozen=True)
class Proportions:
    """Ranges from which a body type's measures are drawn, named as in CarSpec."""

    length: tuple[float, float]
    width: tuple[float, float]
    height: tuple[float, float]
    clearance: tuple[float, float]
    wheel_radius: tuple[float, float]
    cowl_share: tuple[float, float]
    windscreen_share: tuple[float, float]
    tail_share: tuple[float, float]


PROPORTIONS = {
    "suv": Proportions(
        (4.2, 4.75),
        (1.84, 1.96),
        (1.70, 1.86),
        (0.25, 0.33),
        (0.37, 0.42),
        (0.25, 0.29),
        (0.09, 0.13),
        (0.03, 0.08),
    ),
    "hatchback": Proportions(
        (3.7, 4.2),
        (1.70, 1.80),
        (1.44, 1.54),
        (0.17, 0.20),
        (0.31, 0.34),
        (0.22, 0.26),
        (0.15, 0.18),
        (0.10, 0.15),
    ),
    "sedan": Proportions(
        (4.55, 4.95),
        (1.78, 1.88),
        (1.40, 1.48),
        (0.16, 0.19),
        (0.32, 0.35),
        (0.28, 0.31),
        (0.13, 0.16),
        (0.12, 0.15),
    ),
    "pickup": Proportions(
        (4.9, 5.4),
        (1.86, 1.98),
        (1.72, 1.84),
        (0.28, 0.35),
        (0.38, 0.42),
        (0.25, 0.28),
        (0.09, 0.12),
        (0.02, 0.04),
    ),
    "van": Proportions(
        (4.6, 5.2),
        (1.88, 2.0),
        (2.0, 2.3),
        (0.20, 0.24),
        (0.33, 0.36),
        (0.10, 0.14),
        (0.12, 0.15),
        (0.01, 0.03),
    ),
    "sports car": Proportions(
        (4.2, 4.5),
        (1.86, 1.96),
        (1.20, 1.28),
        (0.12, 0.14),
        (0.33, 0.36),
        (0.33, 0.37),
        (0.17, 0.20),
        (0.26, 0.32),
    ),
}


def _paint(colour: str, rng: random.Random) -> Colour:
    gain = rng.uniform(0.8, 1.2)
    red, green, blue = (
        min(0.88, channel * gain * rng.uniform(0.9, 1.1)) for channel in COLOURS[colour]
    )
    return red, green, blue


def _differs(paint: str, body: str) -> bool:
    return paint != body and {paint, body} != {"silver", "white"}


def is_held_out(car: CarSpec) -> bool:
    """Red SUVs with a white roof or a yellow stripe are kept for the sample product."""
    return (car.body, car.colour) == ("suv", "red") and (
        car.roof == "white" or car.stripe == "yellow"
    )


def _draw_car(rng: random.Random) -> CarSpec:
    body = rng.choices(BODIES, BODY_WEIGHTS)[0]
    colour = rng.choice(tuple(COLOURS))
    shape: dict[str, Any] = {
        name: rng.uniform(*bounds) for name, bounds in vars(PROPORTIONS[body]).items()
    }
    roof = rng.choice(("white", "black")) if rng.random() < 0.32 else "plain"
    stripe = rng.choice(STRIPES[1:]) if rng.random() < 0.25 else "none"
    rugged = body in ("suv", "pickup")
    return CarSpec(
        body=body,
        colour=colour,
        paint=_paint(colour, rng),
        metallic=colour == "silver" or rng.random() < 0.3,
        roof=roof if _differs(roof, colour) else "plain",
        stripe=stripe if _differs(stripe, colour) else "none",
        rim=rng.choice(RIMS),
        dark_rim=rng.random() < 0.2,
        rails=body in ("suv", "hatchback") and rng.random() < (0.6 if rugged else 0.1),
        spare=body == "suv" and rng.random() < 0.3,
        cladding=rugged and rng.random() < 0.6,
        round_lamps=rng.random() < 0.25,
        **shape,
    )


def car(rng: random.Random) -> CarSpec:
    """A random car outside the held-out combinations."""
    while is_held_out(drawn := _draw_car(rng)):
        pass
    return drawn


def camera(rng: random.Random, view: str) -> CameraSpec:
    """A random camera for a view."""
    nearest, farthest, _ = VIEWS[view]
    return CameraSpec(
        view=view,
        azimuth_degrees=rng.uniform(nearest, farthest) * rng.choice((-1, 1)),
        height=rng.uniform(1.0, 2.4),
        fill=rng.uniform(0.52, 0.86),
        focal_mm=rng.uniform(38, 65),
        jitter=(rng.uniform(-1, 1), rng.uniform(-1, 1)),
    )


def _views(rng: random.Random) -> list[str]:
    """Different views for one scene, the likelier ones more often."""
    left = {view: weight for view, (_, _, weight) in VIEWS.items()}
    chosen = []
    for _ in range(CAMERAS_PER_SCENE):
        view = rng.choices(tuple(left), tuple(left.values()))[0]
        del left[view]
        chosen.append(view)
    return chosen


def scene(index: int, seed: int = 0) -> SceneSpec:
    """The scene of an index: the same for the same (seed, index), everywhere."""
    rng = random.Random(f"{seed}/{index}")
    setting = rng.choice(SETTINGS)
    time = "day" if setting == "studio" else rng.choices(TIMES, (60, 25, 15))[0]
    return SceneSpec(
        look=rng.getrandbits(32),
        car=car(rng),
        setting=setting,
        time=time,
        cameras=tuple(camera(rng, view) for view in _views(rng)),
    )


def attributes(scene: SceneSpec, camera: CameraSpec) -> dict[str, str]:
    """What a picture shows, in words; a side stripe counts only where it can be seen."""
    seen_from_side = camera.view not in ("front", "rear")
    far = "far" if camera.fill < 0.60 else "normal"
    return {
        "body": scene.car.body,
        "colour": scene.car.colour,
        "roof": scene.car.roof,
        "stripe": scene.car.stripe if seen_from_side else "none",
        "setting": scene.setting,
        "time": scene.time,
        "view": camera.view,
        "distance": "close-up" if camera.fill > 0.78 else far,
    }


# The sample product: the "Torvane Ridge", an invented make.
HERO = CarSpec(
    body="suv",
    colour="red",
    paint=(0.60, 0.010, 0.012),
    metallic=False,
    roof="white",
    stripe="yellow",
    length=4.35,
    width=1.88,
    height=1.80,
    clearance=0.31,
    wheel_radius=0.41,
    cowl_share=0.27,
    windscreen_share=0.09,
    tail_share=0.035,
    rim="five",
    rails=True,
    spare=True,
    cladding=True,
    badge=True,
    round_lamps=True,
)
PRODUCT_SETTINGS = ("city street", "meadow", "studio")


def product_scenes() -> list[SceneSpec]:
    """The sample product's photos: 12 scenes of one camera, by day in three settings."""
    views = (
        "front three-quarter",
        "side",
        "rear three-quarter",
        "front three-quarter",
        "front",
        "rear three-quarter",
        "side",
        "front three-quarter",
        "rear",
        "front three-quarter",
        "side",
        "rear three-quarter",
    )
    return [
        _hero_scene(f"product/{i}", PRODUCT_SETTINGS[i % 3], "day", view)
        for i, view in enumerate(views)
    ]


def truth_scenes() -> list[SceneSpec]:
    """The sample product where its photos never show it: ground truth to judge a LoRA with."""
    unseen = [s for s in SETTINGS if s not in PRODUCT_SETTINGS]
    places = [(s, "day") for s in unseen] + [
        ("beach", "sunset"),
        ("city street", "night"),
        ("desert", "sunset"),
        ("snow", "night"),
    ]
    views = ("front three-quarter", "side", "rear three-quarter")
    return [_hero_scene(f"truth/{s}/{t}/{v}", s, t, v) for s, t in places for v in views]


def _hero_scene(name: str, setting: str, time: str, view: str) -> SceneSpec:
    rng = random.Random(name)
    taken = replace(camera(rng, view), fill=rng.uniform(0.66, 0.82))
    return SceneSpec(rng.getrandbits(32), HERO, setting, time, (taken,))
