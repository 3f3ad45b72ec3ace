"""Render the world: `python -m packshot.pocket.world render` and `... product`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from packshot.pocket.world import mass, spec

DEFAULT_OUT = Path("~/.cache/packshot/world/v1").expanduser()


def _render(options: argparse.Namespace) -> int:
    batch = mass.Batch(
        options.out, options.start, options.count, options.seed, options.pixels, options.samples
    )
    return mass.render_batch(batch, options.workers)


def _product(options: argparse.Namespace) -> int:
    from packshot.pocket.world import render

    quality = render.Quality(options.pixels, samples=96, sharp=True, threads=options.threads)
    jobs = [(options.out, spec.product_scenes())]
    if options.truth:
        jobs.append((options.truth, spec.truth_scenes()))
    for folder, scenes in jobs:
        folder.mkdir(parents=True, exist_ok=True)
        for number, scene in enumerate(scenes):
            place = f"{scene.setting}-{scene.time}-{scene.cameras[0].view}".replace(" ", "-")
            path = folder / f"{number:02d}-{place}.jpg"
            render.render_pictures(scene, [path], quality)
            print(path, file=sys.stderr)
    return 0


def main() -> int:
    """Parse the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m packshot.pocket.world", description=__doc__)
    commands = parser.add_subparsers(required=True)
    many = commands.add_parser("render", help="the pictures the base model learns from")
    many.add_argument("--out", type=Path, default=DEFAULT_OUT)
    many.add_argument("--start", type=int, default=0)
    many.add_argument("--count", type=int, default=10_000, help="scenes, four pictures each")
    many.add_argument("--workers", type=int, default=2)
    many.add_argument("--pixels", type=int, default=128)
    many.add_argument("--samples", type=int, default=10)
    many.add_argument("--seed", type=int, default=0)
    many.set_defaults(run=_render)
    hero = commands.add_parser("product", help="photos of the sample product")
    hero.add_argument("--out", type=Path, required=True)
    hero.add_argument("--truth", type=Path, help="also show it where its photos don't")
    hero.add_argument("--pixels", type=int, default=512)
    hero.add_argument("--threads", type=int, default=2)
    hero.set_defaults(run=_product)
    options = parser.parse_args()
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main())
