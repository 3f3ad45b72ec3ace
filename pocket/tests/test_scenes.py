"""The rendered world's plans, shapes and words; none of this needs Blender."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from packshot_pocket.scenes import samples, spec
from packshot_pocket.scenes.cameras import SENSOR_MM, stand
from packshot_pocket.scenes.captions import caption
from packshot_pocket.scenes.car_spec import BODIES, ROOFS, STRIPES, CarSpec
from packshot_pocket.scenes.colours import ALL_COLOURS, COLOURS
from packshot_pocket.scenes.things import THINGS
from packshot_pocket.scenes.things.model import Thing
from packshot_pocket.scenes.things.prints import MOTIFS, Print

SEEDS = range(40)


@pytest.fixture(scope="module", params=spec.COLLECTIONS)
def scenes(request: pytest.FixtureRequest) -> list[spec.SceneSpec]:
    return [spec.COLLECTIONS[request.param](index, 0) for index in range(4_000)]


@pytest.fixture(scope="module")
def described(scenes: list[spec.SceneSpec]) -> list[dict[str, str]]:
    return [spec.attributes(scene, camera) for scene in scenes for camera in scene.cameras]


@pytest.mark.parametrize("draw", spec.COLLECTIONS.values())
def test_a_scene_is_a_function_of_seed_and_index(draw: spec.Draw) -> None:
    assert draw(7, 0) == draw(7, 0)
    assert draw(7, 0) != draw(8, 0)
    assert draw(7, 0) != draw(7, 1)


def test_the_sample_products_are_held_out(scenes: list[spec.SceneSpec]) -> None:
    assert not any(spec.is_held_out(scene.product) for scene in scenes)
    for scene in scenes:
        product = scene.product
        if isinstance(product, CarSpec) and (product.body, product.colour) == ("suv", "red"):
            assert product.roof in ("plain", "black")
            assert product.stripe in ("none", "white", "black")


def test_every_value_occurs(described: list[dict[str, str]]) -> None:
    cars = described[0]["class"] == "car"
    wanted = {
        "noun": BODIES if cars else tuple(THINGS),
        "colour": tuple(COLOURS if cars else ALL_COLOURS),
        "setting": spec.CAR_SETTINGS if cars else spec.SETTINGS,
        "time": spec.TIMES,
        "view": tuple(spec.VIEWS),
        "distance": ("close-up", "normal", "far"),
    }
    for name, values in wanted.items():
        seen = Counter(attributes[name] for attributes in described)
        assert set(seen) == set(values)
        assert min(seen.values()) > 0.01 * len(described), name


def test_cars_have_all_roofs_and_stripes() -> None:
    cars = [CarSpec.draw(random.Random(seed)) for seed in range(500)]
    assert {car.roof for car in cars} == set(ROOFS)
    assert {car.stripe for car in cars} == set(STRIPES)


def test_indoors_it_is_day(scenes: list[spec.SceneSpec]) -> None:
    indoors = [scene for scene in scenes if scene.setting not in spec.OUTDOORS]
    assert {scene.time for scene in indoors} == {"day"}


def test_views_of_a_scene_differ(scenes: list[spec.SceneSpec]) -> None:
    for scene in scenes[:500]:
        assert len({camera.view for camera in scene.cameras}) == spec.CAMERAS_PER_SCENE


def test_a_side_stripe_is_not_claimed_where_it_cannot_be_seen() -> None:
    scene = next(
        scene
        for scene in samples.SAMPLES["torvane_ridge"].photos("product")
        if scene.cameras[0].view == "front"
    )
    assert spec.attributes(scene, scene.cameras[0])["details"] == "a white roof"


def test_a_full_caption_says_everything(described: list[dict[str, str]]) -> None:
    for number, attributes in enumerate(described[:2000]):
        words = caption(attributes, random.Random(number), drop=False)
        assert words == words.lower()
        said = [attributes["noun"], attributes["colour"], *attributes["details"].split(", ")]
        assert all(part in words for part in said)
        if attributes["time"] != "day":
            assert attributes["time"] in words


def test_captions_vary_and_repeat_with_their_seed() -> None:
    scene = spec.car_scene(3)
    attributes = spec.attributes(scene, scene.cameras[0])
    written = [caption(attributes, random.Random(number)) for number in range(100)]
    assert len(set(written)) > 30
    assert written == [caption(attributes, random.Random(number)) for number in range(100)]


def test_a_caption_never_names_another_value(described: list[dict[str, str]]) -> None:
    nouns = (*BODIES, *THINGS)
    for number, attributes in enumerate(described[:4000]):
        words = caption(attributes, random.Random(number)).split(" with ")[0]
        others = [noun for noun in nouns if noun not in (attributes["noun"], attributes["class"])]
        assert not [other for other in others if f" {other} " in f" {words} "]
        if attributes["time"] == "day":
            assert "sunset" not in words
            assert "night" not in words


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_a_sample_product_is_held_out_and_leaves_settings_unseen(name: str) -> None:
    sample = samples.SAMPLES[name]
    assert spec.is_held_out(sample.product)
    photos, truth = sample.photos("product"), sample.truth("truth")
    assert len(photos) == 12
    assert {scene.setting for scene in photos} == set(sample.photographed)
    assert {scene.time for scene in photos} == {"day"}
    shown = {(scene.setting, scene.time) for scene in photos}
    assert not shown & {(scene.setting, scene.time) for scene in truth}
    assert {scene.product for scene in photos + truth} == {sample.product}


@pytest.mark.parametrize("kind", THINGS.values())
def test_a_thing_stands_on_the_ground_in_the_middle(kind: type[Thing]) -> None:
    for seed in SEEDS:
        thing = kind.draw(random.Random(seed))
        low, high = thing.model().bounds()
        size = (high - low).max()
        assert abs(low[2]) < 0.02 * size
        assert abs(high + low)[:2].max() < 0.4 * size  # a mug's handle is on one side
        assert thing == kind.draw(random.Random(seed))


@pytest.mark.parametrize("kind", THINGS.values())
def test_a_things_parts_have_surfaces(kind: type[Thing]) -> None:
    drawn = [kind.draw(random.Random(seed)) for seed in SEEDS]
    assert len({thing.colour for thing in drawn}) > 3
    assert len({tuple(thing.details()) for thing in drawn}) > 5
    for thing in drawn:
        assert thing.colour in ALL_COLOURS
        model = thing.model()
        faces = 0
        for corners, material in model.shape.faces:
            assert material in model.surfaces
            assert corners.min() >= 0 and corners.max() < model.shape.count
            faces += len(corners)
        assert faces < 40_000
        assert all(0 <= v <= 1 for look in model.surfaces.values() for v in look.rgb)


@pytest.mark.parametrize("motif", MOTIFS)
def test_a_motif_leaves_ground_and_ink(motif: str) -> None:
    picture = Print(motif, "red").picture(40, 60, 1.5)
    assert picture.shape == (40, 60)
    assert 0.05 < picture.mean() < 0.7


def test_a_print_shows_on_its_ground() -> None:
    assert {Print.draw(random.Random(seed), "white").ink for seed in range(200)} == set(
        ALL_COLOURS
    ) - {"white", "silver"}


def test_the_camera_sees_the_whole_product_at_the_size_asked_for() -> None:
    box = np.array([[-2.0, -0.9, 0.0], [2.0, 0.9, 1.7]])
    for seed in SEEDS:
        rng = random.Random(seed)
        camera = spec.camera(rng, rng.choice(tuple(spec.VIEWS)))
        at = stand(box, camera)
        seen = _seen(box, at.turn, at.place, at.pitch) * at.focal_mm / SENSOR_MM - at.shift
        assert np.abs(seen).max() < 0.5
        width, height = np.ptp(seen, axis=0)
        assert max(width / camera.fill, height / min(camera.fill, 0.66)) == pytest.approx(
            1, abs=1e-3
        )


def _seen(box: np.ndarray, turn: float, place: tuple[float, ...], pitch: float) -> np.ndarray:
    """Corners of a turned box as a pinhole of focal length 1 sees them, by rotation matrices."""
    corners = np.array(
        [[box[i, 0], box[j, 1], box[k, 2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    )
    cos, sin = np.cos(turn), np.sin(turn)
    turned = corners @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]) - np.array(place)
    up, deep = (
        np.array([0, np.sin(pitch), np.cos(pitch)]),
        np.array([0, np.cos(pitch), -np.sin(pitch)]),
    )
    return np.stack((turned[:, 0], turned @ up), -1) / (turned @ deep)[:, None]


@pytest.mark.parametrize("number", range(len(samples.BENCHMARK)))
def test_a_benchmark_product_has_look_alikes_and_unseen_settings(number: int) -> None:
    scenes = samples.benchmark_scenes(number)
    (product,) = {scene.product for scene in scenes["photos"] + scenes["truth"]}
    others = [scene.product for scene in scenes["alike"]]
    assert {other.noun for other in others} == {product.noun} == {samples.BENCHMARK[number]}
    assert len(set(others)) == samples.LOOK_ALIKES and product not in others
    assert sum(other.colour == product.colour for other in others) >= samples.LOOK_ALIKES * 0.4
    photographed = {scene.setting for scene in scenes["photos"]}
    assert len(photographed) == 3
    assert not photographed & {scene.setting for scene in scenes["truth"]}
    assert [scene.product for scene in scenes["known"][:: samples.KNOWN_SCENES]] == [
        product,
        *others,
    ]
    looks = [scene.look for some in scenes.values() for scene in some]
    assert len(set(looks)) == len(looks), "a judge knows no scene that it judges in"
    assert scenes == samples.benchmark_scenes(number)


@pytest.mark.parametrize("number", samples.INSERTED)
def test_backgrounds_show_the_benchmarks_product_smaller_where_its_photos_do_not(
    number: int,
) -> None:
    scenes = samples.insertion_scenes(number)
    product = samples.benchmark_scenes(number)["photos"][0].product
    assert all(scene.product == product for some in scenes.values() for scene in some)
    shown, elsewhere = (
        {scene.setting for scene in scenes[kind]} for kind in ("photos", "backgrounds")
    )
    assert not shown & elsewhere
    fills = [camera.fill for scene in scenes["backgrounds"] for camera in scene.cameras]
    assert len(fills) == 20
    assert max(fills) <= 0.5
    assert scenes == samples.insertion_scenes(number)
