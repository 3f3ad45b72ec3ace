"""What marking costs: milliseconds, bytes, and whether memory grows over a thousand pictures.

    python -m benchmarks.marking [--count 1000] [--photos FOLDER …]

Of a photograph of 1024 px, as a PNG: a shot has no ingredients, an insertion has two photos that are
signed themselves. Of the photos in the folders, made 1024 px, what all that is written of a shot takes
in each format: the file with identifier, XMP and credentials less the file of the same picture without.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from skimage import data

from benchmarks.watermark import ENDINGS
from packshot.images import encoding
from packshot.provenance.marking import COMPOSITE, GENERATED, PNG, Claim, Ingredient, Marking
from packshot.utils import serialization

REPEATS = 21
SIDE = 1024


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


def written(photo: Image.Image, claim: Claim, kind: encoding.Format) -> int:
    """Bytes of all that is written into a shot."""
    marking = Marking()
    values = marking.watermarked(np.asarray(photo, np.float32) / 255, claim.watermark) * 255
    marked = Image.fromarray(values.round().astype(np.uint8))
    return len(marking.as_file(marked, claim, kind)) - len(encoding.encoded(photo, kind))


def print_written(folders: Sequence[Path], claim: Claim) -> None:
    """What is written into each photo, in each format."""
    named = sorted(file for folder in folders for file in folder.rglob("*"))
    photos = [
        Image.open(file).convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        for file in named
        if file.suffix.lower() in ENDINGS
    ]
    for kind in encoding.ENDINGS if photos else ():
        sizes = sorted(written(photo, claim, kind) / 1000 for photo in photos)
        print(
            f"{kind}: {statistics.mean(sizes):.1f} kB are written into a shot in the mean of "
            f"{len(sizes)}, most {sizes[-1]:.1f}; above 40: {sum(size > 40 for size in sizes)}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--photos", type=Path, nargs="*", default=[])
    asked = parser.parse_args()
    count = asked.count
    photo = Image.fromarray(data.astronaut()).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    colours = np.asarray(photo, np.float32) / 255
    plain, marking = serialization.image_bytes(".png", photo), Marking()
    for name, claim in claims(plain).items():
        size = len(marking.signed(plain, PNG, claim)) - len(plain) + len(marking.xmp(claim) or b"")
        wall, busy = milliseconds(lambda claim=claim: marking.signed(plain, PNG, claim))  # type: ignore[misc]
        print(
            f"{name}: {wall:.0f} ms (processor {busy:.0f}), {size / 1000:.1f} kB to {len(plain) / 1000:.0f}"
        )
    print_written(asked.photos, claims(plain)["shot"])
    wall, busy = milliseconds(lambda: marking.watermarked(colours, "3fa9c1d2"))
    marked = (marking.watermarked(colours, "3fa9c1d2") * 255).round().astype(np.uint8)
    more = len(serialization.image_bytes(".png", Image.fromarray(marked))) - len(plain)
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
