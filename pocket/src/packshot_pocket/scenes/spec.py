"""The content of an image as plain data: pure functions of (seed, index), without Blender."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from packshot_pocket.scenes.car_spec import CarSpec
from packshot_pocket.scenes.things import THINGS
from packshot_pocket.scenes.things.model import Thing
from packshot_pocket.scenes.things.prints import MOTIFS

OUTDOORS = ("mountain", "desert", "beach", "city street", "forest", "snow", "meadow")
INDOORS = ("table top", "kitchen")  # where things are and cars are not
CAR_SETTINGS = (*OUTDOORS, "studio")
SETTINGS = (*CAR_SETTINGS, *INDOORS)
TIMES = ("day", "sunset", "night")
VIEWS: dict[str, tuple[float, float, int]] = {  # nearest and farthest azimuth, weight
    "front": (0.0, 12.0, 14),
    "front three-quarter": (28.0, 58.0, 30),
    "side": (80.0, 100.0, 24),
    "rear three-quarter": (122.0, 150.0, 20),
    "rear": (168.0, 180.0, 12),
}
CAMERAS_PER_SCENE = 4
HELD_OUT = (  # noun, colour and detail of the sample products
    ("suv", "red", "a white roof"),
    ("suv", "red", "a yellow stripe"),
    ("watch", "green", "a white dial"),
    ("snack pack", "blue", "a yellow disc"),
)
Product = CarSpec | Thing


@dataclass(frozen=True)
class CameraSpec:
    """Where a picture is taken from; the product turns by the azimuth, 0 shows its front."""

    view: str
    azimuth_degrees: float
    height: float
    fill: float  # share of the picture's width (or height) that the product takes
    focal_mm: float
    jitter: tuple[float, float]  # -1..1, share of the free margin


@dataclass(frozen=True)
class SceneSpec:
    """A product in a place at a time, seen by some cameras. `look` seeds what is left to chance."""

    look: int
    product: Product
    setting: str
    time: str
    cameras: tuple[CameraSpec, ...]


def is_held_out(product: Product) -> bool:
    """Whether a product is too much like a sample product to be trained on."""
    return any(
        (product.noun, product.colour) == (noun, colour) and detail in product.details()
        for noun, colour, detail in HELD_OUT
    )


def draw(kind: Callable[[random.Random], Product], rng: random.Random) -> Product:
    """A random product outside the held-out combinations."""
    while is_held_out(drawn := kind(rng)):
        pass
    return drawn


def camera(rng: random.Random, view: str, flat: bool = False) -> CameraSpec:
    """A random camera for a view; what lies flat is seen from higher up."""
    nearest, farthest, _ = VIEWS[view]
    return CameraSpec(
        view=view,
        azimuth_degrees=rng.uniform(nearest, farthest) * rng.choice((-1, 1)),
        height=rng.uniform(2.0, 4.2) if flat else rng.uniform(1.0, 2.4),
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


def car_scene(index: int, seed: int = 0) -> SceneSpec:
    """The car of an index somewhere: the same for the same (seed, index), everywhere."""
    rng = random.Random(f"{seed}/{index}")
    setting = rng.choice(CAR_SETTINGS)
    time = "day" if setting == "studio" else rng.choices(TIMES, (60, 25, 15))[0]
    return SceneSpec(
        look=rng.getrandbits(32),
        product=draw(CarSpec.draw, rng),
        setting=setting,
        time=time,
        cameras=tuple(camera(rng, view) for view in _views(rng)),
    )


def thing_scene(index: int, seed: int = 0) -> SceneSpec:
    """The thing of an index somewhere: the same for the same (seed, index), everywhere."""
    rng = random.Random(f"{seed}/things/{index}")
    setting = rng.choices(SETTINGS, (*(6,) * len(OUTDOORS), 18, 22, 18))[0]
    outdoors = setting in OUTDOORS
    product = draw(rng.choice(tuple(THINGS.values())).draw, rng)
    return SceneSpec(
        look=rng.getrandbits(32),
        product=product,
        setting=setting,
        time=rng.choices(TIMES, (60, 25, 15))[0] if outdoors else "day",
        cameras=tuple(camera(rng, view, product.flat) for view in _views(rng)),
    )


Draw = Callable[[int, int], SceneSpec]  # of a scene from its index and the seed
COLLECTIONS: dict[str, Draw] = {"cars": car_scene, "things": thing_scene}


def _shows(detail: str, view: str, is_car: bool) -> bool:
    """Whether a detail can be seen from where the camera is."""
    if is_car:
        return "stripe" not in detail or view not in ("front", "rear")
    in_front = (
        "dial" in detail or "picture" in detail or not MOTIFS.keys().isdisjoint(detail.split())
    )
    return "rear" not in view and not (in_front and view == "side")


def attributes(scene: SceneSpec, camera: CameraSpec) -> dict[str, str]:
    """What a picture shows, in words; details count only where they can be seen."""
    is_car = isinstance(scene.product, CarSpec)
    far = "far" if camera.fill < 0.60 else "normal"
    return {
        "class": "car" if is_car else scene.product.noun,
        "noun": scene.product.noun,
        "colour": scene.product.colour,
        "details": ", ".join(d for d in scene.product.details() if _shows(d, camera.view, is_car)),
        "setting": scene.setting,
        "time": scene.time,
        "view": camera.view,
        "distance": "close-up" if camera.fill > 0.78 else far,
    }
