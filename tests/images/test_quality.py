import io
import itertools

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from packshot.images.quality import (
    MIN_SHARPNESS,
    nearly_the_same,
    perceptual_hash,
    pixels_sha256,
    sharpness,
)


def on_a_backdrop(angle, size=480):
    """A small patterned product, turned by `angle`, on one plain studio backdrop with some grain."""
    grain = np.random.default_rng(angle).normal(0, 2, (size, size, 3))
    light = np.linspace(225, 240, size)[:, None, None]
    backdrop = Image.fromarray((light + grain).clip(0, 255).astype(np.uint8))
    product = Image.new("RGBA", (120, 120))
    draw = ImageDraw.Draw(product)
    draw.rectangle((15, 40, 105, 90), fill=(160, 20, 30))
    draw.rectangle((60, 25, 95, 60), fill=(240, 240, 235))
    draw.ellipse((25, 75, 50, 100), fill=(20, 20, 20))
    turned = product.rotate(angle, resample=Image.Resampling.BICUBIC)
    backdrop.paste(turned, (180, 180), turned)
    return backdrop


def copies(image):
    for kind, quality in (("JPEG", 35), ("WEBP", 50)):
        buffer = io.BytesIO()
        image.save(buffer, kind, quality=quality)
        yield Image.open(buffer).convert("RGB")
    yield image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
    yield ImageEnhance.Brightness(image).enhance(1.05)


def test_a_small_product_on_a_plain_backdrop_is_sharp_and_a_blurred_one_is_not():
    image = on_a_backdrop(0)
    assert sharpness(image) > 5 * MIN_SHARPNESS
    assert sharpness(image.filter(ImageFilter.GaussianBlur(3))) < MIN_SHARPNESS
    assert sharpness(Image.new("RGB", (300, 300), "white")) == 0


def test_copies_are_nearly_the_same_and_other_views_are_not():
    image = on_a_backdrop(0)
    look = perceptual_hash(image)
    assert all(nearly_the_same(look, perceptual_hash(copy)) for copy in copies(image))
    views = [perceptual_hash(on_a_backdrop(angle)) for angle in range(0, 360, 30)]
    assert not any(nearly_the_same(a, b) for a, b in itertools.combinations(views, 2))


def test_pixels_count_and_so_does_the_shape():
    assert pixels_sha256(Image.new("RGB", (4, 2))) == pixels_sha256(Image.new("RGB", (4, 2)))
    assert pixels_sha256(Image.new("RGB", (4, 2))) != pixels_sha256(Image.new("RGB", (2, 4)))


@pytest.mark.slow
def test_real_photos_are_all_distinct_and_sharp_and_their_copies_are_found(shared_files):
    folders = [path for path in sorted((shared_files / "photos").glob("*")) if path.is_dir()]
    assert folders
    for folder in folders:
        looks = []
        for path in sorted(folder.glob("*.jpg")):
            image = Image.open(path)
            image.draft("RGB", (700, 700))
            image = image.convert("RGB")
            assert sharpness(image) > 5 * MIN_SHARPNESS, path
            looks.append(perceptual_hash(image))
            small = image.resize((image.width // 3, image.height // 3), Image.Resampling.BICUBIC)
            assert nearly_the_same(looks[-1], perceptual_hash(small)), path
        assert not any(nearly_the_same(a, b) for a, b in itertools.combinations(looks, 2)), folder
