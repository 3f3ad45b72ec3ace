"""Pictures to insert, and to insert into: a red box on grey, and a background of sky and ground."""

import numpy as np
from PIL import Image, ImageDraw


def product_photo(number, size=(320, 240)):
    """A red box with a white label somewhere on a dappled background; its mask."""
    rng = np.random.default_rng(number)
    back = rng.integers(90, 160, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    image = Image.fromarray(back.repeat(8, 0).repeat(8, 1))
    mask = Image.new("L", size)
    left, top = 60 + 9 * number, 50 + 3 * number
    box = (left, top, left + 120, top + 90)
    for drawn, fill in ((image, "#c01818"), (mask, 255)):
        ImageDraw.Draw(drawn).rectangle(box, fill=fill)
    ImageDraw.Draw(image).rectangle((left + 30, top + 20, left + 90, top + 50), fill="white")
    return image, mask


def landscape(width=400, height=300, horizon=130, deep=False):
    """Sky over sand, with grain; uint8 or uint16 [height, width, 3]."""
    rng = np.random.default_rng(0)
    picture = np.empty((height, width, 3), np.float32)
    picture[:horizon] = (0.55, 0.7, 0.95)
    picture[horizon:] = (0.75, 0.66, 0.5)
    picture += rng.normal(0, 0.02, picture.shape[:2])[..., None]
    most = 65535 if deep else 255
    return (picture.clip(0, 1) * most).round().astype(np.uint16 if deep else np.uint8)
