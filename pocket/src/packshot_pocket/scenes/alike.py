"""Fifty look-alikes of each kind of thing in other scenes, and products that differ by degrees.

They test what tells products apart (`packshot_pocket.benchmarks.identity`). The products are those of
`spec.thing_scene`, whose renders show them in one scene each; here each is in another.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import fields, replace
from functools import lru_cache
from typing import Any

from packshot_pocket.scenes import spec
from packshot_pocket.scenes.samples import of_noun
from packshot_pocket.scenes.spec import SceneSpec
from packshot_pocket.scenes.things import THINGS

FIFTY = 50
DRAWN_FROM = 880
"""So many scenes of things: the fifty of each kind are chosen among them."""
LADDERS = 1
"""Of each kind."""
DEGREES = (0.0, 0.15, 0.3, 0.5, 0.75, 1.0)
"""How far the products of a ladder are on the way from one product to another."""


@lru_cache(maxsize=1)
def fifties() -> dict[str, list[int]]:
    """The numbers of `spec.thing_scene` whose products are the fifty of each kind.

    They have the kind's commonest colours, so that each has about a dozen look-alikes of its colour.
    """
    found: dict[str, list[tuple[int, str]]] = {noun: [] for noun in THINGS}
    for number in range(DRAWN_FROM):
        product = spec.thing_scene(number).product
        found[product.noun].append((number, product.colour))
    chosen = {}
    for noun, each in found.items():
        often = [colour for colour, _ in Counter(colour for _, colour in each).most_common()]
        ordered = sorted(each, key=lambda one: (often.index(one[1]), one[0]))
        chosen[noun] = [number for number, _ in ordered[:FIFTY]]
    return chosen


def elsewhere(number: int) -> SceneSpec:
    """The product of a number in another scene than `spec.thing_scene`'s, by day, seen by one camera."""
    known = spec.thing_scene(number)
    rng = random.Random(f"identity/{number}")
    setting = rng.choice([place for place in spec.SETTINGS if place != known.setting])
    view = rng.choice(tuple(spec.VIEWS)[:4])
    camera = spec.camera(rng, view, known.product.flat)
    return SceneSpec(rng.getrandbits(32), known.product, setting, "day", (camera,))


def between(one: Any, other: Any, share: float, rng: random.Random) -> Any:
    """A product on the way from one to another of its kind (dataclasses, as `spec.Product`).

    Numbers are mixed; of the other fields a share is the other's, at 1 all of them.
    """
    mixed: dict[str, Any] = {}
    for each in fields(one):
        a, b = getattr(one, each.name), getattr(other, each.name)
        turns_at = rng.uniform(0.02, 0.98)
        mixed[each.name] = _mixed(a, b, share, turns_at)
    return replace(one, **mixed)


def _mixed(a: Any, b: Any, share: float, turns_at: float) -> Any:
    if isinstance(a, float) and isinstance(b, float):
        return a + share * (b - a)
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        return tuple(_mixed(x, y, share, turns_at) for x, y in zip(a, b, strict=True))
    return b if share >= turns_at else a


def ladder(noun: str, number: int) -> list[SceneSpec]:
    """Products from one to another of its kind by `DEGREES`, each in a scene of two cameras.

    The first comes twice, in two scenes: what is known of it, and what a perfect likeness is.
    """
    rng = random.Random(f"ladder/{noun}/{number}")
    one, other = of_noun(noun, rng), of_noun(noun, rng)
    when = rng.getrandbits(32)
    places = [rng.choice(spec.SETTINGS) for _ in range(len(DEGREES) + 1)]
    products = [one] + [between(one, other, share, random.Random(when)) for share in DEGREES]
    scenes = []
    for product, place in zip(products, places, strict=True):
        cameras = tuple(spec.camera(rng, view, one.flat) for view in tuple(spec.VIEWS)[:2])
        scenes.append(SceneSpec(rng.getrandbits(32), product, place, "day", cameras))
    return scenes
