"""The rendered world's plans and words; none of this needs Blender."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from packshot.pocket.world import spec
from packshot.pocket.world.captions import caption


@pytest.fixture(scope="module")
def scenes() -> list[spec.SceneSpec]:
    return [spec.scene(index) for index in range(20_000)]


@pytest.fixture(scope="module")
def described(scenes: list[spec.SceneSpec]) -> list[dict[str, str]]:
    return [spec.attributes(scene, camera) for scene in scenes for camera in scene.cameras]


def test_a_scene_is_a_function_of_seed_and_index() -> None:
    assert spec.scene(7) == spec.scene(7)
    assert spec.scene(7) != spec.scene(8)
    assert spec.scene(7) != spec.scene(7, seed=1)


def test_the_products_combination_is_held_out(scenes: list[spec.SceneSpec]) -> None:
    assert not any(spec.is_held_out(scene.car) for scene in scenes)
    red = [s.car for s in scenes if (s.car.body, s.car.colour) == ("suv", "red")]
    assert {car.roof for car in red} == {"plain", "black"}
    assert {car.stripe for car in red} == {"none", "white", "black"}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("body", spec.BODIES),
        ("colour", tuple(spec.COLOURS)),
        ("roof", spec.ROOFS),
        ("stripe", spec.STRIPES),
        ("setting", spec.SETTINGS),
        ("time", spec.TIMES),
        ("view", tuple(spec.VIEWS)),
        ("distance", ("close-up", "normal", "far")),
    ],
)
def test_every_value_occurs(
    described: list[dict[str, str]], name: str, values: tuple[str, ...]
) -> None:
    seen = Counter(attributes[name] for attributes in described)
    assert set(seen) == set(values)
    assert min(seen.values()) > 0.02 * len(described)


def test_a_studio_has_no_sunset(scenes: list[spec.SceneSpec]) -> None:
    assert {scene.time for scene in scenes if scene.setting == "studio"} == {"day"}


def test_views_of_a_scene_differ(scenes: list[spec.SceneSpec]) -> None:
    for scene in scenes[:500]:
        assert len({camera.view for camera in scene.cameras}) == spec.CAMERAS_PER_SCENE


def test_a_side_stripe_is_not_claimed_where_it_cannot_be_seen() -> None:
    scene = next(s for s in spec.product_scenes() if s.cameras[0].view == "front")
    assert spec.attributes(scene, scene.cameras[0])["stripe"] == "none"


def test_a_full_caption_says_everything(described: list[dict[str, str]]) -> None:
    for number, attributes in enumerate(described[:2000]):
        words = caption(attributes, random.Random(number), drop=False)
        assert attributes["body"] in words
        assert attributes["colour"] in words
        assert words == words.lower()
        if attributes["roof"] != "plain":
            assert f"{attributes['roof']} roof" in words
        if attributes["stripe"] != "none":
            assert f"{attributes['stripe']} stripe" in words
        if attributes["time"] != "day":
            assert attributes["time"] in words


def test_captions_vary_and_repeat_with_their_seed() -> None:
    scene = spec.scene(3)
    attributes = spec.attributes(scene, scene.cameras[0])
    written = [caption(attributes, random.Random(number)) for number in range(100)]
    assert len(set(written)) > 30
    assert written == [caption(attributes, random.Random(number)) for number in range(100)]


def test_a_caption_never_names_another_value(described: list[dict[str, str]]) -> None:
    for number, attributes in enumerate(described[:4000]):
        words = caption(attributes, random.Random(number))
        assert not [body for body in spec.BODIES if body in words and body != attributes["body"]]
        if attributes["time"] == "day" or attributes["setting"] == "studio":
            assert "sunset" not in words
            assert "night" not in words


def test_the_product() -> None:
    hero = spec.HERO
    assert (hero.body, hero.colour, hero.roof, hero.stripe) == ("suv", "red", "white", "yellow")
    assert hero.cladding and hero.rails and hero.spare and hero.badge
    assert spec.is_held_out(hero)


def test_the_products_photos_leave_settings_unseen() -> None:
    photos, truth = spec.product_scenes(), spec.truth_scenes()
    assert len(photos) == 12
    assert {scene.setting for scene in photos} == set(spec.PRODUCT_SETTINGS)
    assert {scene.time for scene in photos} == {"day"}
    shown = {(scene.setting, scene.time) for scene in photos}
    assert not shown & {(scene.setting, scene.time) for scene in truth}
