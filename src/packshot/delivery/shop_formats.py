"""Shop pictures: a cut-out alone in the middle, in the shapes and files that shops ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packshot.images.encoding import XMP_TEXT
from packshot.utils import serialization

if TYPE_CHECKING:
    from PIL import Image

FILL = 0.85
"""Of the picture's width or height, whichever the product fills more of."""
_OPTIONS: dict[str, dict[str, Any]] = {
    ".jpg": {"quality": 95, "subsampling": 0, "optimize": True},
    ".png": {"optimize": True},
    ".webp": {"quality": 95, "alpha_quality": 100, "method": 4},
}


@dataclass(frozen=True)
class ShopFormat:
    """A shape and a kind of file. Sizes are in pixels; colours are sRGB."""

    name: str
    width: int
    height: int
    ending: str
    is_transparent: bool = False
    """Nothing around the product; else white."""


SHOP_FORMATS = {
    one.name: one
    for one in (
        ShopFormat("square", 2000, 2000, ".jpg"),
        ShopFormat("portrait", 1600, 2000, ".jpg"),
        ShopFormat("wide", 2560, 1440, ".jpg"),
        ShopFormat("transparent-png", 2000, 2000, ".png", is_transparent=True),
        ShopFormat("transparent-webp", 2000, 2000, ".webp", is_transparent=True),
    )
}
"""By name: on white 1:1, 4:5 and 16:9; alone 1:1 as PNG and as WebP."""


def shop_picture(product: Image.Image, format: ShopFormat, fill: float = FILL) -> Image.Image:
    """The product in the middle of a shop picture.

    Args:
        product: mode RGBA, no larger than the product itself.
        fill: the share of the picture's width or height that it fills, whichever is more.

    Returns:
        Mode RGBA if the format is transparent, else RGB on white.
    """
    from PIL import Image

    scale = enlargement(product.size, format, fill)
    size = max(1, round(product.width * scale)), max(1, round(product.height * scale))
    # With colours weighted by opacity, what lies outside the product does not bleed into its edge.
    fitted = product.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")
    page = Image.new("RGBA", (format.width, format.height), (255, 255, 255, 0))
    page.paste(fitted, ((format.width - size[0]) // 2, (format.height - size[1]) // 2))
    if format.is_transparent:
        return page
    white = Image.new("RGBA", page.size, "white")
    white.alpha_composite(page)
    return white.convert("RGB")


def enlargement(size: tuple[int, int], format: ShopFormat, fill: float = FILL) -> float:
    """How many times larger a product (width, height) is shown: above 1 it is stretched."""
    return min(fill * format.width / size[0], fill * format.height / size[1])


def encoded(picture: Image.Image, format: ShopFormat, xmp: bytes | None = None) -> bytes:
    """The file of a shop picture, with an sRGB profile and an XMP packet."""
    from PIL import ImageCms
    from PIL.PngImagePlugin import PngInfo

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    told: dict[str, Any] = {"icc_profile": profile, **_OPTIONS[format.ending]}
    if xmp and format.ending == ".png":
        told["pnginfo"] = PngInfo()
        told["pnginfo"].add_itxt(XMP_TEXT, xmp.decode())
    elif xmp:
        told["xmp"] = xmp
    return serialization.image_bytes(format.ending, picture, **told)
