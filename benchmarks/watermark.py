"""How well watermarks are read after what happens to pictures, and how often they are seen where none is.

    python -m benchmarks.watermark [--photos FOLDER …] [--count 1000] [--unmarked 1000] [--others 100]

Pictures are cut at random out of scikit-image's photographs and of those in the folders: 60 to 100 % of
their sides, half of them mirrored, made 512 to 768 px long. With `--others` also of libraries that are
installed beside (invisible-watermark, blind-watermark), on the first so many; they take 32 bits without
a check, so all must be right, and they cannot tell whether there is a watermark at all.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

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


def pictures(photos: Sequence[Image.Image], count: int) -> Iterator[Pixels]:
    return (picture_of(photos, number) for number in range(count))


def ours(picture: Pixels, number: int, weights: Any = None) -> Pixels:
    values = watermark.marked(picture.astype(np.float32) / 255, number, weights)
    return (values * 255).round().astype(np.uint8)


def zone(picture: Pixels) -> Any:
    """An ellipse of a sixth of the picture, somewhat below its middle: a product with its shadow."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width]
    inside = ((y / height - 0.6) / 0.23) ** 2 + ((x / width - 0.5) / 0.23) ** 2 < 1
    return inside.astype(np.float32)


Mark = Callable[[Pixels, int], Pixels]
Read = Callable[[Pixels], int | None]


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


def table(name: str, mark: Mark, read: Read, given: Iterator[Pixels]) -> None:
    """Print how often it is read after each loss, and the loss of quality by it."""
    right = dict.fromkeys(LOSSES, 0)
    quality, count, took = [], 0, [0.0, 0.0]
    for count, picture in enumerate(given, 1):
        number = int(np.random.default_rng([count, 1]).integers(2**32))
        start = time.perf_counter()
        marked = mark(picture, number)
        took[0] += time.perf_counter() - start
        quality.append(peak_signal_noise_ratio(picture, marked))
        for loss, change in LOSSES.items():
            changed = change(marked)
            start = time.perf_counter()
            right[loss] += read(changed) == number
            took[1] += time.perf_counter() - start
        if count % 50 == 0:
            print(f"  … {count}: {right}", flush=True)
    print(f"{name}: {count} pictures, PSNR {np.mean(quality):.1f} dB (least {min(quality):.1f})")
    print(f"  {1000 * took[0] / count:.0f} ms to write, {100 * took[1] / count:.0f} ms to read")
    for loss in LOSSES:
        print(f"  {loss}: {100 * right[loss] / count:.1f} %", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, nargs="*", default=[])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--unmarked", type=int, default=1000)
    parser.add_argument("--others", type=int, default=0)
    asked = parser.parse_args()
    photos = sources(asked.photos)
    print(f"{len(photos)} photographs")
    for name, mark, read in of_libraries() if asked.others else ():
        table(name, mark, read, pictures(photos, asked.others))
    table("Packshot", ours, watermark.found, pictures(photos, asked.count))
    seen = sum(watermark.found(one) is not None for one in pictures(photos, asked.unmarked))
    print(f"Packshot, seen where none is: {seen} of {asked.unmarked}", flush=True)

    def in_zone(picture: Pixels, number: int) -> Pixels:
        return ours(picture, number, zone(picture))

    few = max(1, asked.count // 5)
    table("Packshot, in a sixth", in_zone, watermark.found, pictures(photos, few))


if __name__ == "__main__":
    main()
