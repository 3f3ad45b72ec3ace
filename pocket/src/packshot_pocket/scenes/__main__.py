"""Render the world: `python -m packshot_pocket.scenes render` and `... product`."""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from packshot.errors import PackshotError
from packshot.utils import files
from packshot_pocket.scenes import mass, samples, spec

WORLD = Path("~/.cache/packshot/world").expanduser()


def _render(options: argparse.Namespace) -> int:
    batch = mass.Batch(
        options.out or WORLD / options.collection,
        options.collection,
        options.start,
        options.count,
        options.seed,
        options.pixels,
        options.samples,
        options.truth,
    )
    return mass.render_batch(batch, options.workers)


def _product(options: argparse.Namespace) -> int:
    from packshot_pocket.scenes import render

    quality = render.Quality(options.pixels, samples=96, sharp=True, threads=options.threads)
    sample = samples.SAMPLES[options.name]
    jobs = [(options.out, sample.photos("product"))]
    if options.truth:
        jobs.append((options.truth, sample.truth("truth")))
    for folder, scenes in jobs:
        folder.mkdir(parents=True, exist_ok=True)
        for number, scene in enumerate(scenes):
            place = f"{scene.setting}-{scene.time}-{scene.cameras[0].view}".replace(" ", "-")
            path = folder / f"{number:02d}-{place}.jpg"
            if not path.exists():
                render.render_pictures(scene, [path], quality)
                print(path, file=sys.stderr)
    return 0


def _benchmark(options: argparse.Namespace) -> int:
    from packshot_pocket.scenes import render

    numbers = options.only or range(len(samples.BENCHMARK))
    quality = render.Quality(options.pixels)

    def scenes_of(number: int) -> dict[str, list[spec.SceneSpec]]:
        scenes = samples.benchmark_scenes(number)
        return {kind: scenes[kind] for kind in options.kinds or scenes}

    return _products(options.out, numbers, scenes_of, lambda kind: quality)


def _insertion(options: argparse.Namespace) -> int:
    from packshot_pocket.scenes import render

    def quality(kind: str) -> render.Quality:
        return render.Quality(options.pixels, samples=24, truth=kind == "backgrounds")

    return _products(options.out, samples.INSERTED, samples.insertion_scenes, quality)


def _products(
    out: Path,
    numbers: Iterable[int],
    scenes_of: Callable[[int], dict[str, list[spec.SceneSpec]]],
    quality: Callable[[str], Any],
) -> int:
    """Render what is missing of some of the benchmark's products, a folder for each kind of scene."""
    from packshot_pocket.scenes import render

    for number in numbers:
        noun = samples.BENCHMARK[number]
        product = out / f"{number}-{noun.replace(' ', '-')}"
        for kind, scenes in scenes_of(number).items():
            folder = product / kind
            folder.mkdir(parents=True, exist_ok=True)
            for index, scene in enumerate(scenes):
                if not (folder / f"{index:06d}.json").exists():
                    render.render_scene(index, scene, folder, quality(kind))
        files.write_json(product / "product.json", {"noun": noun})
        print(product, file=sys.stderr)
    return 0


def _identity(options: argparse.Namespace) -> int:
    """Of each kind: its fifty in other scenes, and ladders of products that differ by degrees."""
    from packshot_pocket.scenes import alike, render

    jobs = [
        (f"fifty/{noun}", numbers[place], alike.elsewhere(numbers[place]))
        for place in range(alike.FIFTY)
        for noun, numbers in alike.fifties().items()
    ]
    jobs += [
        (f"ladder/{noun}/{number}", index, scene)
        for number in range(alike.LADDERS)
        for noun in alike.fifties()
        for index, scene in enumerate(alike.ladder(noun, number))
    ]
    for name, index, scene in jobs:
        folder = options.out / name
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / f"{index:06d}.json").exists():
            render.render_scene(index, scene, folder, render.Quality())
    return 0


def _backgrounds(options: argparse.Namespace) -> int:
    from packshot_pocket.scenes import render

    options.out.mkdir(parents=True, exist_ok=True)
    draws = list(spec.COLLECTIONS.values())
    for index in range(options.count):
        if not (options.out / f"{index:06d}.json").exists():
            scene = draws[index % 2](index // 2, options.seed)
            quality = render.Quality(options.pixels, samples=8)
            render.render_backgrounds(index, scene, options.out, quality)
    return 0


def _sheet(options: argparse.Namespace) -> int:
    """A contact sheet of random scenes, one a row, to look at while modelling."""
    from packshot_pocket.scenes import render

    scenes = (
        draw(index, options.seed) for draw in spec.COLLECTIONS.values() for index in range(5000)
    )
    wanted = (
        scene
        for scene in scenes
        if options.noun in (None, scene.product.noun) and options.setting in (None, scene.setting)
    )
    side, across = options.pixels, spec.CAMERAS_PER_SCENE
    sheet = Image.new("RGB", (2 * across * side, -(-options.count // 2) * side))
    with tempfile.TemporaryDirectory() as folder:
        for number, scene in enumerate(itertools.islice(wanted, options.count)):
            paths = [Path(folder) / f"{number}-{k}.png" for k in range(across)]
            render.render_pictures(scene, paths, render.Quality(side))
            for k, path in enumerate(paths):
                left, top = (number % 2 * across + k) * side, number // 2 * side
                sheet.paste(Image.open(path), (left, top))
    sheet.save(options.out)
    return 0


def main() -> int:
    """Parse the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m packshot_pocket.scenes", description=__doc__)
    commands = parser.add_subparsers(required=True)
    many = commands.add_parser("render", help="the images that the base model is trained on")
    many.add_argument("--collection", choices=tuple(spec.COLLECTIONS), required=True)
    many.add_argument("--out", type=Path, help=f"default {WORLD}/COLLECTION")
    many.add_argument("--start", type=int, default=0)
    many.add_argument("--count", type=int, default=10_000, help="scenes, four images each")
    many.add_argument("--workers", type=int, default=2)
    many.add_argument("--pixels", type=int, default=128)
    many.add_argument("--samples", type=int, default=10)
    many.add_argument("--seed", type=int, default=0)
    many.add_argument(
        "--truth", action="store_true", help="with empty backgrounds, depth and light"
    )
    many.set_defaults(run=_render)
    hero = commands.add_parser("product", help="those photos of a sample product that are missing")
    hero.add_argument("name", choices=tuple(samples.SAMPLES))
    hero.add_argument("--out", type=Path, required=True)
    hero.add_argument("--truth", type=Path, help="also show it where its photos don't")
    hero.add_argument("--pixels", type=int, default=512)
    hero.add_argument("--threads", type=int, default=2)
    hero.set_defaults(run=_product)
    benchmark = commands.add_parser(
        "benchmark", help="products for packshot_pocket.benchmarks.quality"
    )
    benchmark.add_argument("--out", type=Path, default=WORLD / "benchmark")
    benchmark.add_argument("--only", type=int, nargs="+", help="numbers of products")
    benchmark.add_argument("--kinds", nargs="+", choices=("photos", "truth", "alike", "known"))
    benchmark.add_argument("--pixels", type=int, default=128)
    benchmark.set_defaults(run=_benchmark)
    insertion = commands.add_parser(
        "insertion", help="backgrounds and products for packshot_pocket.benchmarks.insertion"
    )
    insertion.add_argument("--out", type=Path, default=WORLD / "insertion")
    insertion.add_argument("--pixels", type=int, default=256)
    insertion.set_defaults(run=_insertion)
    identity = commands.add_parser(
        "identity", help="look-alikes for packshot_pocket.benchmarks.identity"
    )
    identity.add_argument("--out", type=Path, default=WORLD / "identity")
    identity.set_defaults(run=_identity)
    backgrounds = commands.add_parser(
        "backgrounds", help="scenes without products, for the estimator of light"
    )
    backgrounds.add_argument("--out", type=Path, default=WORLD / "backgrounds")
    backgrounds.add_argument(
        "--count", type=int, default=1500, help="scenes, four backgrounds each"
    )
    backgrounds.add_argument("--pixels", type=int, default=128)
    backgrounds.add_argument("--seed", type=int, default=7)
    backgrounds.set_defaults(run=_backgrounds)
    sheet = commands.add_parser("sheet", help="a contact sheet of random scenes")
    sheet.add_argument("--noun", help="only of this product")
    sheet.add_argument("--setting", choices=spec.SETTINGS, help="only in this setting")
    sheet.add_argument("--out", type=Path, required=True)
    sheet.add_argument("--count", type=int, default=12, help="scenes, four images each")
    sheet.add_argument("--pixels", type=int, default=128)
    sheet.add_argument("--seed", type=int, default=0)
    sheet.set_defaults(run=_sheet)
    options = parser.parse_args()
    try:
        return int(options.run(options))
    except PackshotError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
