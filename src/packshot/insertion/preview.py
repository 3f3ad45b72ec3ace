"""Previews of insertions at a small size, quickly one after the other, as a place is looked for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from packshot.images.loading import read_picture
from packshot.images.masks import read_mask
from packshot.insertion.background import Background, Box, load_background
from packshot.insertion.insert import light_seen, sketch
from packshot.insertion.lighting import Light
from packshot.insertion.occlusion import with_front
from packshot.insertion.placement import Placement
from packshot.insertion.request import PlacementRequest
from packshot.insertion.settings import InsertionSettings
from packshot.masks import Segmenter
from packshot.masks.registry import load_segmenter
from packshot.photos.photo_set import Photo, list_photos
from packshot.project import Project
from packshot.utils import files, hashing, serialization

PIXELS = 720
"""The longer side of a preview."""
_LEAST = 96
"""The longer side of a photo's copy, at least."""


@dataclass(frozen=True)
class Preview:
    """An insertion at a small size; lengths are in the background's own pixels.

    Attributes:
        image: mode RGB.
        photo: the name of the photo that was cut out.
        notes: how the place was understood, where that is not plain.
    """

    image: Image.Image
    photo: str
    light: Light
    horizon: float
    box: Box
    notes: tuple[str, ...]


@dataclass
class Previewer:
    """Makes a project's previews. What they share is kept: the background, small copies of the photos.

    Photos are made as much smaller as the background is, so that the same one fits best as in full.

    Attributes:
        folder: where the copies of photos and masks lie.
    """

    project: Project
    folder: Path
    pixels: int = PIXELS
    _backgrounds: tuple[object, Background, Background, Light] | None = field(
        default=None, repr=False
    )

    def preview(
        self, background: Path, place: PlacementRequest, settings: InsertionSettings
    ) -> Preview:
        """The first try of an insertion with method "composite", no larger than `pixels`.

        Raises:
            InsertionError, ImageRejectedError: as `insert` and `load_background`.
        """
        whole, small, seen = self._loaded(background)
        scale = small.width / whole.width
        where = with_front(place.resolve(whole, self.project, settings), whole, place.behind)
        if settings.horizon is not None:
            settings = settings.model_copy(update={"horizon": settings.horizon * scale})
        photos = [self._copied(photo, scale) for photo in list_photos(self.project)]
        made = sketch(self.project, photos, small, _scaled(where, scale, small), settings, seen)
        shown = Image.fromarray((made.background.colours(small.all) * 255).round().astype(np.uint8))
        return Preview(
            shown, made.photo, made.light, made.horizon / scale, where.box, where.notes
        )  # fmt: skip

    def _loaded(self, path: Path) -> tuple[Background, Background, Light]:
        """A background; its small copy, which tells of the camera what its file does; its light."""
        key = (path, hashing.stamp(path))
        if self._backgrounds is None or self._backgrounds[0] != key:
            whole = load_background(path)
            picture = Image.fromarray((whole.whole(self.pixels)[0] * 255).round().astype(np.uint8))
            copy = (
                self.folder / "plates" / hashing.fingerprint([str(path), key[1]])[:16] / "plate.png"
            )
            exif = read_picture(path).exif
            files.write_bytes(copy, serialization.image_bytes(".png", picture, exif=exif))
            small = load_background(copy)
            self._backgrounds = key, whole, small, light_seen(small)
        return self._backgrounds[1:]

    def _copied(self, photo: Photo, scale: float) -> Photo:
        """A photo with its mask, made smaller; the bundled segmenter's mask where it has none."""
        scale = min(1.0, max(scale, _LEAST / max(photo.width, photo.height)))
        size = max(1, round(photo.width * scale)), max(1, round(photo.height * scale))
        made_of = [photo.sha256, photo.mask and hashing.stamp(photo.mask), size]
        folder = self.folder / hashing.fingerprint(made_of)[:16]
        # Named as the photo is, which settings may name; what is in it says that it is a PNG.
        file, mask = folder / photo.file.name, folder / "mask" / "mask.png"
        if not (file.is_file() and mask.is_file()):
            picture = read_picture(photo.file)
            image = picture.image
            drawn = read_mask(photo.mask, image.size) if photo.mask else self._segmenter.mask(image)
            drawn = drawn or Image.new("L", image.size)
            files.write_image(mask, drawn.resize(size, Image.Resampling.BOX))
            small = image.resize(size, Image.Resampling.BOX)
            files.write_bytes(file, serialization.image_bytes(".png", small, exif=picture.exif))
        return replace(photo, file=file, mask=mask, width=size[0], height=size[1])

    @cached_property
    def _segmenter(self) -> Segmenter:
        return load_segmenter()


def _scaled(place: Placement, scale: float, within: Background) -> Placement:
    """A placement in the pixels of a background that is `scale` times as large."""
    box = place.box
    left, top = (min(round(side * scale), most - 1) for side, most in _corner(box, within))
    right = min(within.width, max(left + 1, round(box.right * scale)))
    bottom = min(within.height, max(top + 1, round(box.bottom * scale)))
    small = Box(left, top, right - left, bottom - top)
    mask = place.mask
    if mask is not None:
        mask = cv2.resize(mask, (small.width, small.height), interpolation=cv2.INTER_AREA)
    horizon = None if place.horizon is None else place.horizon * scale
    front = place.front
    if front is not None:
        front = cv2.resize(front, (within.width, within.height), interpolation=cv2.INTER_AREA)
    return replace(place, box=small, mask=mask, horizon=horizon, front=front)


def _corner(box: Box, within: Background) -> tuple[tuple[int, int], tuple[int, int]]:
    return (box.left, within.width), (box.top, within.height)
