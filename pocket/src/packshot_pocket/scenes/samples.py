"""Products that the base was not trained on: samples for LoRAs, and ground truth to measure them."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from packshot_pocket.scenes import spec
from packshot_pocket.scenes.car_spec import CarSpec
from packshot_pocket.scenes.colours import COLOURS
from packshot_pocket.scenes.spec import Product, SceneSpec
from packshot_pocket.scenes.things import THINGS
from packshot_pocket.scenes.things.prints import Print
from packshot_pocket.scenes.things.snack_pack import SnackPack
from packshot_pocket.scenes.things.watch import Watch

RIDGE = CarSpec(
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
TIDE = Watch(
    colour="green",
    paint=(0.010, 0.13, 0.055),
    strap="leather",
    case="gold",
    dial="white",
    bezel="",
    square=False,
    radius=20.5,
    tall=1.0,
    strap_width=23.0,
    ring=(25.0, 33.0),
    marks="bars",
    time=10 + 9 / 60,
    seconds="red",
    subdials=True,
    tilt_degrees=28.0,
)
CRISPS = SnackPack(
    colour="blue",
    paint=COLOURS["blue"],
    printed=Print("disc", "yellow"),
    top="white",
    top_share=0.3,
    top_arch=0.06,
    food=None,
    width=0.72,
    depth=0.3,
    silver_seams=True,
    teeth=16,
    lean_degrees=4.0,
    crumple=7,
    metallic=0.0,
    gloss=0.8,
)
VIEWS = (
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
)  # of the photos


@dataclass(frozen=True)
class Sample:
    """An invented product, the settings of its photos, and the settings for its LoRA's images."""

    product: Product
    photographed: tuple[str, str, str]
    elsewhere: tuple[tuple[str, str], ...]  # settings and times

    def photos(self, name: str) -> list[SceneSpec]:
        """12 scenes of one camera, by day in three settings."""
        return [
            self._scene(f"{name}/{i}", self.photographed[i % 3], "day", view)
            for i, view in enumerate(VIEWS)
        ]

    def truth(self, name: str) -> list[SceneSpec]:
        """Images of it in other settings than its photos: ground truth to measure a LoRA with."""
        return [
            self._scene(f"{name}/{setting}/{time}/{view}", setting, time, view)
            for setting, time in self.elsewhere
            for view in VIEWS[:3]
        ]

    def _scene(self, name: str, setting: str, time: str, view: str) -> SceneSpec:
        rng = random.Random(name)
        camera = spec.camera(rng, view, self.product.flat)
        taken = replace(camera, fill=rng.uniform(0.66, 0.82))
        return SceneSpec(rng.getrandbits(32), self.product, setting, time, (taken,))


BENCHMARK = (
    "suv",
    "hatchback",
    "sports car",
    "watch",
    "mug",
    "can",
    "snack pack",
    "box",
    "bottle",
    "biscuit",
)  # the products of the quality benchmark
LOOK_ALIKES = 49
KNOWN_SCENES = 3
"""Of the product and of each look-alike, for a judge to know them by."""


def of_noun(noun: str, rng: random.Random) -> Product:
    """A random product of a noun."""
    kind = THINGS[noun].draw if noun in THINGS else CarSpec.draw
    while (drawn := kind(rng)).noun != noun:
        pass
    return drawn


def benchmark_scenes(number: int) -> dict[str, list[SceneSpec]]:
    """A product for a LoRA: its photos, other images of it, and look-alikes.

    Two in five of the others have its colour. "known" shows it (the first) and each other in
    `KNOWN_SCENES` more scenes.
    """
    noun = BENCHMARK[number]
    product = of_noun(noun, random.Random(f"benchmark/{number}"))
    settings = list(spec.SETTINGS if noun in THINGS else spec.CAR_SETTINGS)
    random.Random(f"benchmark/{number}/settings").shuffle(settings)
    rng = random.Random(f"benchmark/{number}/alike")
    others: list[Product] = []
    while len(others) < LOOK_ALIKES:
        other = of_noun(noun, rng)
        if len(others) % 5 > 1 or other.colour == product.colour:
            others.append(other)
    shown = {"photos": [product] * 3, "truth": [product] * 2, "alike": others}
    scenes = {
        kind: [
            _anywhere(f"{number}/{kind}/{k}", one, settings[(k + 3 * (kind != "photos")) % 8])
            for k, one in enumerate(products)
        ]
        for kind, products in shown.items()
    }
    scenes["known"] = [
        _anywhere(f"{number}/known/{k}/{j}", one, settings[(k + 3 * j + 1) % 8])
        for k, one in enumerate([product, *others])
        for j in range(KNOWN_SCENES)
    ]
    return scenes


def _anywhere(
    name: str,
    product: Product,
    setting: str,
    time: str = "day",
    fills: tuple[float, float] = (0, 0),
) -> SceneSpec:
    rng = random.Random(f"benchmark/{name}")
    cameras = [spec.camera(rng, view, product.flat) for view in tuple(spec.VIEWS)[:4]]
    if any(fills):
        cameras = [replace(camera, fill=rng.uniform(*fills)) for camera in cameras]
    return SceneSpec(rng.getrandbits(32), product, setting, time, tuple(cameras))


INSERTED = (0, 2, 4, 6, 7)
"""The benchmark's products that are also put into backgrounds."""


def insertion_scenes(number: int) -> dict[str, list[SceneSpec]]:
    """A product to insert: its photos, and scenes with it smaller and their empty backgrounds."""
    noun = BENCHMARK[number]
    product = of_noun(noun, random.Random(f"benchmark/{number}"))
    places = [*spec.OUTDOORS]
    random.Random(f"insertion/{number}").shuffle(places)
    shown, elsewhere = ("studio", *places[:2]), places[2:]
    times = ("day", "day", "day", "sunset", "sunset")
    return {
        "photos": [
            _anywhere(f"insertion/{number}/photos/{k}", product, p) for k, p in enumerate(shown)
        ],
        "backgrounds": [
            _anywhere(f"insertion/{number}/backgrounds/{k}", product, place, time, (0.3, 0.5))
            for k, (place, time) in enumerate(zip(elsewhere, times, strict=True))
        ],
    }


SAMPLES = {
    "torvane_ridge": Sample(
        RIDGE,
        ("city street", "meadow", "studio"),
        (
            *((setting, "day") for setting in ("mountain", "desert", "beach", "forest", "snow")),
            *(
                ("beach", "sunset"),
                ("city street", "night"),
                ("desert", "sunset"),
                ("snow", "night"),
            ),
        ),
    ),
    "veldane_tide": Sample(
        TIDE,
        ("studio", "table top", "kitchen"),
        (("beach", "day"), ("snow", "day"), ("mountain", "sunset"), ("forest", "day")),
    ),
    "oddlark_crisps": Sample(
        CRISPS,
        ("studio", "table top", "kitchen"),
        (("beach", "day"), ("meadow", "day"), ("city street", "night"), ("desert", "sunset")),
    ),
}
