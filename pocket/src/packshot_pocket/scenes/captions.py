"""Captions from attributes: many wordings, some facts left out, so that prompts may do so too."""

from __future__ import annotations

import random
from collections.abc import Mapping

from packshot_pocket.scenes.spec import OUTDOORS

PLACES = {
    "mountain": ("in the mountains", "in front of a mountain", "on a mountain road"),
    "desert": ("in the desert", "in a desert", "on desert sand"),
    "beach": ("on a beach", "at the beach", "on the beach"),
    "city street": ("in a city street", "on a city street", "in the city"),
    "forest": ("in a forest", "in the forest"),
    "snow": ("in the snow", "in snow", "in a snowy landscape"),
    "meadow": ("in a meadow", "on a meadow", "on a green meadow with flowers"),
    "studio": ("in a studio", "in a photo studio", "on a studio backdrop"),
    "table top": ("on a table", "on a table top", "on the table"),
    "kitchen": ("in a kitchen", "on a kitchen counter", "in the kitchen"),
}
TIMES = {
    "day": ("by day", "in daylight", "during the day"),
    "sunset": ("at sunset", "at dusk, sunset"),
    "night": ("at night", "by night"),
}
VIEWS = {
    "front": ("front view", "seen from the front"),
    "front three-quarter": ("front three-quarter view", "three-quarter view"),
    "side": ("side view", "seen from the side"),
    "rear three-quarter": ("rear three-quarter view", "three-quarter view from behind"),
    "rear": ("rear view", "seen from behind"),
}
DISTANCES = {"close-up": ("close-up",), "normal": (), "far": ("from a distance", "far away")}
MEDIA = ("a photo of ", "a photo of ", "a picture of ", "photo of ", "")


def _article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def _subject(
    attributes: Mapping[str, str], rng: random.Random, keep: bool
) -> tuple[str, list[str]]:
    """The noun phrase of the product, and words that follow it after commas."""
    noun = attributes["class"] if not keep and rng.random() < 0.1 else attributes["noun"]
    apart: list[str] = []
    if not keep and rng.random() < 0.05:
        phrase = _article(noun)
    elif rng.random() < 0.12:
        phrase, apart = _article(noun), [attributes["colour"]]
    else:
        phrase = _article(f"{attributes['colour']} {noun}")
    details = attributes["details"].split(", ") if attributes["details"] else []
    details = [detail for detail in details if keep or rng.random() < 0.85]
    if details and not apart:
        phrase += " with " + " and ".join(details)
    else:
        apart += [f"with {detail}" for detail in details]
    return phrase, apart


def _when(attributes: Mapping[str, str], rng: random.Random, keep: bool) -> str:
    time, indoors = attributes["time"], attributes["setting"] not in OUTDOORS
    said = 0.25 if time == "day" else 0.95
    if indoors or (not keep and rng.random() > said):
        return ""
    return rng.choice(TIMES[time])


def caption(attributes: Mapping[str, str], rng: random.Random, drop: bool = True) -> str:
    """One caption in lower case. With `drop` false nothing but a normal distance is left out."""
    keep = not drop
    phrase, apart = _subject(attributes, rng, keep)
    place = rng.choice(PLACES[attributes["setting"]]) if keep or rng.random() < 0.94 else ""
    when = _when(attributes, rng, keep)
    view = rng.choice(VIEWS[attributes["view"]]) if keep or rng.random() < 0.6 else ""
    near = DISTANCES[attributes["distance"]]
    distance = rng.choice(near) if near and (keep or rng.random() < 0.5) else ""
    opening = rng.choice(MEDIA)
    tail = [part for part in (view, distance) if part]
    if apart or rng.random() < 0.2:
        parts = [opening + phrase, *apart, place, when, *tail]
    elif when and place and rng.random() < 0.15:
        parts = [f"{opening}{phrase} {when}", place, *tail]
    elif view and not opening and rng.random() < 0.3:
        rest = " ".join(part for part in (phrase, place, when) if part)
        parts = [f"{view} of {rest}" if view.endswith("view") else f"{rest}, {view}", distance]
    else:
        parts = [opening + " ".join(part for part in (phrase, place, when) if part), *tail]
    return ", ".join(part for part in parts if part)
