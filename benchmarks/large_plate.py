"""Time and peak memory of an insertion into a plate of 6000 x 4000 pixels.

`python -m benchmarks.large_plate PROJECT PLATE --out FOLDER` enlarges PLATE to 6000 x 4000, inserts the
project's product into it, 2400 pixels tall, and prints both. Bars: 90 s and 3 GiB.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

from PIL import Image

from packshot.insertion.background import load_background
from packshot.insertion.insert import insert
from packshot.insertion.placement import in_box
from packshot.project import open_project
from packshot.utils import files

_SIZE = 6000, 4000
_BOX = "2000,1200,2000,2400"


def main() -> None:
    """Insert once and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path)
    parser.add_argument("plate", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    file = given.out / "plate.png"
    with Image.open(given.plate) as image:
        large = image.convert("RGB").resize(_SIZE, Image.Resampling.BICUBIC)
    files.write_image(file, large)
    del large
    wall, cpu = time.perf_counter(), time.process_time()
    background = load_background(file)
    insert(
        open_project(given.project), background, in_box(background, _BOX), given.out, name="large"
    )
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{wall:.0f} s, of which {cpu:.0f} s of CPU; at most {peak:.2f} GiB of memory")


if __name__ == "__main__":
    main()
