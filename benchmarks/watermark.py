"""How well watermarks are read after what happens to pictures, and how often they are seen where none is.

    python -m benchmarks.watermark [--photos FOLDER …] [--count 1000] [--unmarked 1000] [--zones 100]
        [--sides 128 192 256 320 384] [--others 0] [--kept FILE] [--seconds 1e9]

Pictures are cut at random out of scikit-image's photographs and of those in the folders: 60 to 100 % of
their sides, half of them mirrored, made 512 to 768 px long. Zones, as of a product with its shadow, are
ellipses as large as squares of these sides, in the same pictures made 1280 px long. With `--others` also
of libraries that are installed beside (invisible-watermark), on the first so many; they take 32 bits
without a check, so all must be right, and they cannot tell whether there is a watermark at all.

Each picture's result is a line of the file `--kept`; what it holds is not measured again, so that the
command may be ended and begun anew, or end itself after `--seconds`. Tables are of all that is in it.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from skimage import data

from packshot.provenance import watermark

Pixels = npt.NDArray[np.uint8]
PHOTOGRAPHS = (
    "astronaut", "brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel",
    "hubble_deep_field", "moon", "retina", "rocket",
)  # fmt: skip
ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}


def jpeg(picture: Pixels, quality: int) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def scaled(picture: Pixels, scale: float) -> Pixels:
    size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def cropped(picture: Pixels) -> Pixels:
    """A tenth of the area less, from all sides unequally."""
    height, width = (round(side * 0.9**0.5) for side in picture.shape[:2])
    top, left = (picture.shape[0] - height) // 3, 2 * (picture.shape[1] - width) // 3
    return picture[top : top + height, left : left + width]


def shifted(picture: Pixels) -> Pixels:
    """Warmer, brighter, with less contrast."""
    values = (picture / 255) ** 0.85 * [1.05, 1.0, 0.88] * 0.92 + 0.04
    return (values.clip(0, 1) * 255).round().astype(np.uint8)


LOSSES: dict[str, Callable[[Pixels], Pixels]] = {
    "nothing": lambda picture: picture,
    "JPEG 90": lambda picture: jpeg(picture, 90),
    "JPEG 75": lambda picture: jpeg(picture, 75),
    "JPEG 50": lambda picture: jpeg(picture, 50),
    "resized to 50 %": lambda picture: scaled(picture, 0.5),
    "to 50 %, JPEG 75": lambda picture: jpeg(scaled(picture, 0.5), 75),
    "cropped by 10 %": cropped,
    "screenshot (to 73 %, JPEG 85)": lambda picture: jpeg(scaled(picture, 0.73), 85),
    "cropped, to 137 %, JPEG 75": lambda picture: jpeg(scaled(cropped(picture), 1.37), 75),
    "colours shifted": shifted,
}


OF_ZONES = ("nothing", "JPEG 75", "resized to 50 %")


def sources(folders: Sequence[Path]) -> list[Image.Image]:
    found = [Image.fromarray(getattr(data, name)()).convert("RGB") for name in PHOTOGRAPHS]
    for folder in folders:
        files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in ENDINGS)
        for file in files:
            picture = Image.open(file).convert("RGB")
            picture.thumbnail((1600, 1600))
            found.append(picture)
    return found


def picture_of(photos: Sequence[Image.Image], number: int) -> Pixels:
    """The same one each time."""
    random = np.random.default_rng(number)
    photo = photos[number % len(photos)]
    width, height = (round(side * random.uniform(0.6, 1)) for side in photo.size)
    left, top = (
        int(random.integers(0, whole - side + 1))
        for whole, side in zip(photo.size, (width, height), strict=True)
    )
    part = photo.crop((left, top, left + width, top + height))
    if random.random() < 0.5:
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return scaled(np.asarray(part), random.uniform(512, 768) / max(width, height))


def ours(picture: Pixels, number: int, weights: Any = None) -> Pixels:
    values = watermark.marked(picture.astype(np.float32) / 255, number, weights)
    return (values * 255).round().astype(np.uint8)


def zone(shape: Sequence[int], side: int, number: int) -> Any:
    """An ellipse as large as a square of this side, anywhere in the picture: a product with its shadow."""
    height, width = shape[:2]
    random = np.random.default_rng([number, side])
    down, right = (side / np.pi**0.5 * flat for flat in (0.8, 1.25))
    middle, centre = (
        random.uniform(min(reach, size / 2), max(size - reach, size / 2))
        for reach, size in ((down, height), (right, width))
    )
    y, x = np.mgrid[:height, :width]
    return (((y - middle) / down) ** 2 + ((x - centre) / right) ** 2 < 1).astype(np.float32)


Mark = Callable[[Pixels, int], Pixels]
Read = Callable[[Pixels], int | None]
Job = tuple[str, int, Callable[[], dict[str, Any]]]
WHOLE, UNMARKED = "whole pictures", "seen where none is"


def of_libraries() -> Iterator[tuple[str, Mark, Read]]:
    """What is installed of other libraries, as functions."""
    try:
        from imwatermark import WatermarkDecoder, WatermarkEncoder
    except ImportError:
        return

    def of(method: str) -> tuple[Mark, Read]:
        if method == "rivaGan":
            WatermarkEncoder.loadModel()

        def mark(picture: Pixels, number: int) -> Pixels:
            encoder = WatermarkEncoder()
            encoder.set_watermark("bytes", number.to_bytes(4, "big"))
            return np.ascontiguousarray(encoder.encode(picture[..., ::-1], method)[..., ::-1])

        def read(picture: Pixels) -> int | None:
            if picture.shape[0] * picture.shape[1] < 256**2:  # which it refuses
                return None
            decoder = WatermarkDecoder("bytes", 32)
            return int.from_bytes(decoder.decode(picture[..., ::-1], method), "big")

        return mark, read

    for method in ("dwtDct", "dwtDctSvd", "rivaGan"):
        yield f"invisible-watermark, {method}", *of(method)


def tried(
    picture: Pixels, number: int, mark: Mark, read: Read, losses: Iterable[str] = LOSSES
) -> dict[str, Any]:
    """Whether it is read after each loss, the loss of quality by it, and the seconds that both take."""
    identifier = int(np.random.default_rng([number, 1]).integers(2**32))
    start = time.process_time()
    marked = mark(picture, identifier)
    written = time.process_time() - start
    after = {name: LOSSES[name](marked) for name in losses}
    start = time.process_time()
    right = {name: read(changed) == identifier for name, changed in after.items()}
    took = (time.process_time() - start) / len(after)
    error = (picture.astype(float) - marked)[(picture != marked).any(axis=2)]
    psnr = 10 * np.log10(255**2 / (error**2).mean())
    return {"right": right, "psnr": psnr, "write": written, "read": took}


def measured(asked: argparse.Namespace, photos: Sequence[Image.Image]) -> Iterator[Job]:
    """All that is asked for, as the name of a table, a number in it, and what measures it."""
    for number in range(max(asked.count, asked.unmarked, asked.zones, asked.others)):
        picture = partial(picture_of, photos, number)
        if number < asked.count:
            yield WHOLE, number, partial(_tried, picture, number, ours, watermark.found)
        if number < asked.unmarked:
            yield UNMARKED, number, partial(_seen, picture)
        for side in asked.sides if number < asked.zones else ():
            yield f"in a zone of {side}²", number, partial(_in_zone, picture, side, number)
        for name, mark, read in of_libraries() if number < asked.others else ():
            yield name, number, partial(_tried, picture, number, mark, read)


def _tried(get: Callable[[], Pixels], number: int, mark: Mark, read: Read) -> dict[str, Any]:
    return tried(get(), number, mark, read)


def _seen(get: Callable[[], Pixels]) -> dict[str, Any]:
    return {"seen": watermark.found(get())}


def _in_zone(get: Callable[[], Pixels], side: int, number: int) -> dict[str, Any]:
    picture = get()
    picture = scaled(picture, 1280 / max(picture.shape))
    mark = partial(ours, weights=zone(picture.shape, side, number))
    return tried(picture, number, mark, watermark.found, OF_ZONES)


def table(name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print how often it is read after each loss, or how often it is seen where none is."""
    if name == UNMARKED:
        print(f"{name}: {sum(row['seen'] is not None for row in rows)} of {len(rows)}")
        return
    psnr, write, read = (
        np.array([row[what] for row in rows]) for what in ("psnr", "write", "read")
    )
    print(f"{name}: {len(rows)} pictures, PSNR {psnr.mean():.1f} dB (least {psnr.min():.1f})")
    print(f"  {1000 * write.mean():.0f} ms to write, {1000 * read.mean():.0f} ms to read")
    for loss in rows[0]["right"]:
        print(f"  {loss}: {100 * np.mean([row['right'][loss] for row in rows]):.1f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, nargs="*", default=[])
    for name, count in (("count", 1000), ("unmarked", 1000), ("zones", 100), ("others", 0)):
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--sides", type=int, nargs="*", default=[128, 192, 256, 320, 384])
    parser.add_argument("--kept", type=Path, default=Path("watermark.jsonl"))
    parser.add_argument("--seconds", type=float, default=1e9)
    asked = parser.parse_args()
    photos, start = sources(asked.photos), time.monotonic()
    kept = [json.loads(line) for line in asked.kept.open()] if asked.kept.exists() else []
    known = {(row["table"], row["number"]) for row in kept}
    with asked.kept.open("a") as file:
        for name, number, measure in measured(asked, photos):
            if time.monotonic() - start > asked.seconds:
                break
            if (name, number) not in known:
                kept.append({"table": name, "number": number, **measure()})
                print(json.dumps(kept[-1]), file=file, flush=True)
    print(f"{len(photos)} photographs")
    for name in dict.fromkeys(row["table"] for row in kept):
        table(name, [row for row in kept if row["table"] == name])


if __name__ == "__main__":
    main()
