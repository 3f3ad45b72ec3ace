"""Contact sheets."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

OVERVIEW_COLUMNS = 4
CELL_PIXELS = 256
INK, PAPER = "#333333", "#ffffff"


def in_cell(image: Image.Image, cell_pixels: int = CELL_PIXELS) -> Image.Image:
    """An image fitted into a square cell: all that a sheet needs of it, so of many no more is kept."""
    scale = cell_pixels / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def contact_sheet(
    images: Sequence[Image.Image],
    *,
    columns: int = 4,
    labels: Sequence[str] = (),
    cell_pixels: int = CELL_PIXELS,
    gap: int = 12,
) -> Image.Image:
    """Images in a grid, each fitted into a square cell, with its label wrapped under it."""
    columns = max(1, min(columns, len(images)))
    rows = math.ceil(len(images) / columns)
    font = ImageFont.load_default(13)
    wrapped = [textwrap.wrap(label, max(8, cell_pixels // 7))[:3] for label in labels]
    label_height = 18 * max((len(lines) for lines in wrapped), default=0)
    height = cell_pixels + label_height + gap
    sheet = Image.new("RGB", (columns * (cell_pixels + gap) + gap, rows * height + gap), PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, image in enumerate(images):
        left = gap + index % columns * (cell_pixels + gap)
        top = gap + index // columns * height
        sheet.paste(in_cell(image, cell_pixels), (left, top))
        for line, text in enumerate(wrapped[index] if wrapped else ()):
            draw.text((left, top + cell_pixels + 4 + 18 * line), text, fill=INK, font=font)
    return sheet


def overview(
    photos: Sequence[Image.Image], shots: Sequence[Image.Image], prompts: Sequence[str]
) -> Image.Image:
    """An overview: some photos of the product in the first row, below them generated images."""
    last = OVERVIEW_COLUMNS - 1
    spread = {round((len(photos) - 1) * i / last) for i in range(OVERVIEW_COLUMNS)}
    few = [photos[index] for index in sorted(spread)]
    labels = ["photo"] * len(few) + list(prompts)
    return contact_sheet([*few, *shots], columns=OVERVIEW_COLUMNS, labels=labels)
