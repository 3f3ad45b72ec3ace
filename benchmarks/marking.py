"""What marking costs: milliseconds, bytes, and whether memory grows over a thousand pictures.

    python -m benchmarks.marking [--count 1000]

Of a photograph of 1024 px, as a PNG: a shot has no ingredients, an insertion has two photos that are
signed themselves.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import psutil
from PIL import Image
from skimage import data

from packshot.provenance.marking import COMPOSITE, GENERATED, PNG, Claim, Ingredient, Marking
from packshot.utils import files

REPEATS = 21


def claims(picture: bytes) -> dict[str, Claim]:
    details = {
        "base": "b" * 40,
        "base_sha256": "0" * 64,
        "seed": 1,
        "steps": 30,
        "sampler": "euler",
    }
    made = Claim("shot.png", GENERATED, details, watermark="3fa9c1d2")
    signed = Marking().signed(picture, PNG, made)
    parts = tuple(
        Ingredient(f"{role}.png", role, signed, PNG) for role in ("parentOf", "componentOf")
    )
    put = Claim("insertion.png", COMPOSITE, {"seed": 1}, parts, watermark="3fa9c1d2")
    return {"shot": made, "insertion": put}


def milliseconds(work: Callable[[], object]) -> tuple[float, float]:
    """The median of wall-clock and of processor time."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter(), time.process_time()
        work()
        times.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    wall, busy = (1000 * statistics.median(kind) for kind in zip(*times, strict=True))
    return wall, busy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    count = parser.parse_args().count
    photo = Image.fromarray(data.astronaut()).resize((1024, 1024), Image.Resampling.LANCZOS)
    colours = np.asarray(photo, np.float32) / 255
    plain, marking = files.image_bytes(".png", photo), Marking()
    for name, claim in claims(plain).items():
        size = len(marking.signed(plain, PNG, claim)) - len(plain) + len(marking.xmp(claim) or b"")
        wall, busy = milliseconds(lambda claim=claim: marking.signed(plain, PNG, claim))  # type: ignore[misc]
        print(
            f"{name}: {wall:.0f} ms (processor {busy:.0f}), {size / 1000:.1f} kB to {len(plain) / 1000:.0f}"
        )
    wall, busy = milliseconds(lambda: marking.watermarked(colours, "3fa9c1d2"))
    marked = (marking.watermarked(colours, "3fa9c1d2") * 255).round().astype(np.uint8)
    more = len(files.image_bytes(".png", Image.fromarray(marked))) - len(plain)
    print(
        f"watermark: {wall:.0f} ms (processor {busy:.0f} ms), {more / 1000:.0f} kB of compression lost"
    )
    process, claim = psutil.Process(), claims(plain)["insertion"]
    used = []
    for number in range(count):
        marking.signed(plain, PNG, claim)
        if number in (count // 10, count - 1):
            used.append(process.memory_info().rss / 2**20)
    print(f"memory after {count // 10} and {count} insertions: {used[0]:.0f} and {used[1]:.0f} MiB")


if __name__ == "__main__":
    main()
