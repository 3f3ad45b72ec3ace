"""Photos that pass the checks: sharp, large enough, unlike each other."""

import numpy as np
from PIL import Image


def picture(seed, size=(200, 160)):
    noise = np.random.default_rng(seed).integers(0, 256, (20, 25, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.NEAREST)


def write_photos(folder, count):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        picture(number).save(folder / f"photo-{number}.png")
