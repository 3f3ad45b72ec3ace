"""Blurring faces and license plates in the project's photos; the original files are not changed.

Detected by OpenCV's bundled cascades of Haar features (Viola and Jones 2001,
https://doi.org/10.1109/CVPR.2001.990517): upright faces from the front or the side, and license
plates of European shape. They miss small, tilted and half hidden ones, and now and then detect
something else: check the photos.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from packshot.errors import ImageRejectedError, PackshotError
from packshot.images.loading import encoded, read_picture
from packshot.photos import manifest as photo_manifest
from packshot.photos.manifest import Blurred, Box, Entry
from packshot.photos.photo_set import Photo, list_photos, require_photos
from packshot.project import Project
from packshot.utils import files, hashing
from packshot.utils.progress import Progress, silent

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

KINDS = ("faces", "license-plates")
_CASCADES = {
    "faces": ("haarcascade_frontalface_alt2.xml", "haarcascade_profileface.xml"),
    "license-plates": ("haarcascade_russian_plate_number.xml",),
}
_PIXELS = 1024
"""Longer side of the image for detection; a face or license plate has at least a fortieth of it."""
_VOTES = 8
"""Neighbouring windows that must agree: with 4, 4 of 57 photos without people had a "face", with 8, 2."""
_MARGIN = 0.15
_CELLS = 5
"""Of a blurred box's longer side: fewer than letters or features, so that none can be restored."""


class Detector(Protocol):
    """Detects one kind of thing."""

    name: str
    kind: str

    def find(self, pixels: np.ndarray) -> list[Box]:
        """Boxes (left, upper, width, height) in BGR pixels, uint8 [height, width, 3]."""
        ...


class HaarCascade:
    """Detects upright faces or license plates by OpenCV's bundled cascades."""

    name = "haar"

    def __init__(self, kind: str) -> None:
        """Raises PackshotError if OpenCV has no cascades, like version 5."""
        import cv2
        from cv2.data import haarcascades

        self.kind = kind
        paths = [Path(haarcascades) / name for name in _CASCADES[kind]]
        if not (hasattr(cv2, "CascadeClassifier") and all(path.is_file() for path in paths)):
            raise PackshotError(
                f"OpenCV {cv2.__version__} has nothing that finds {kind}. Install one that has: "
                "pip install 'opencv-python-headless<5'; or, for faces, name a YuNet model with "
                "--face-model."
            )
        self.cascades = [cv2.CascadeClassifier(str(path)) for path in paths]

    def find(self, pixels: np.ndarray) -> list[Box]:
        """See `Detector.find`."""
        import cv2

        grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
        width = grey.shape[1]
        least = max(grey.shape) // 40
        boxes: list[Box] = []
        for cascade in self.cascades:
            for mirrored in (False, True):  # profiles are known from one side only
                seen = cv2.flip(grey, 1) if mirrored else grey
                for x, y, w, h in cascade.detectMultiScale(
                    seen, 1.1, _VOTES, minSize=(least, least)
                ):
                    boxes.append((int(width - x - w if mirrored else x), int(y), int(w), int(h)))
        return boxes


class YuNet:
    """Detects faces by the YuNet network (Wu et al. 2023, https://doi.org/10.1007/s11633-023-1423-y)."""

    kind = "faces"

    def __init__(self, model: Path) -> None:
        """Raises PackshotError if `model`, an ONNX file, is not a YuNet."""
        import cv2

        self.name = model.name
        try:
            self.network = cv2.FaceDetectorYN.create(str(model), "", (320, 320), 0.6)
        except (cv2.error, SystemError) as error:
            raise PackshotError(f"{model} is not a YuNet model that OpenCV loads.") from error

    def find(self, pixels: np.ndarray) -> list[Box]:
        """See `Detector.find`."""
        self.network.setInputSize((pixels.shape[1], pixels.shape[0]))
        faces = self.network.detect(pixels)[1]
        return [tuple(map(int, face[:4])) for face in (faces if faces is not None else ())]  # type: ignore[misc]


def detectors(kinds: Sequence[str], face_model: Path | None = None) -> list[Detector]:
    """The detectors of `kinds`.

    Raises:
        PackshotError: an unknown kind, or no detector for it.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise PackshotError(f"{kind!r} cannot be blurred; choose of {', '.join(KINDS)}.")
    return [
        YuNet(face_model) if face_model and kind == "faces" else HaarCascade(kind) for kind in kinds
    ]


def blur_photos(
    project: Project,
    kinds: Sequence[str] = KINDS,
    *,
    face_model: Path | None = None,
    progress: Progress = silent,
) -> list[Photo]:
    """Detect and blur `kinds` in the project's photos; returns all photos with what was blurred.

    Photos that were searched for the same kinds before are skipped.

    Args:
        face_model: a YuNet model (ONNX), which finds more faces than the bundled cascade.

    Raises:
        PackshotError: no kind, an unknown one, or no detector for it; or, when the others are done,
            photos that could not be searched.
        NoUsablePhotosError: the project has no photos.
        ProjectError: another process works on the project.
    """
    if not kinds:
        raise PackshotError(f"There is nothing to blur; choose of {', '.join(KINDS)}.")
    finding = detectors(kinds, face_model)
    with project.held():
        manifest = photo_manifest.read(project)
        failed: dict[str, str] = {}
        present = require_photos(project, failed)
        entries = {entry.file: entry for entry in manifest.photos}
        for done, photo in enumerate(present, start=1):
            try:
                _blur(photo, entries[photo.file.name], finding)
            except ImageRejectedError as error:
                failed[photo.file.name] = error.reason
            photo_manifest.write(project, manifest)
            progress("blurring", done, len(present))
        if failed:  # nobody may take them for blurred
            lines = "".join(f"\n  {name}: {reason}" for name, reason in failed.items())
            raise PackshotError(f"Not searched for {' and '.join(kinds)}; the others are:{lines}")
        return list_photos(project)


def _blur(photo: Photo, entry: Entry, finding: Sequence[Detector]) -> None:
    """Blur one photo, unless it is unchanged since it was searched."""
    untouched = photo.sha256 == entry.sha256
    before = {(each.kind, each.by) for each in entry.blurred} if untouched else set()
    finding = [each for each in finding if (each.kind, each.name) not in before]
    if not finding:
        return
    picture = read_picture(photo.file)
    pixels, scale = _small(picture.image)
    for detector in finding:
        boxes = [_grown(box, scale, picture.image.size) for box in detector.find(pixels)]
        entry.blurred.append(Blurred(kind=detector.kind, by=detector.name, boxes=_merged(boxes)))
        for box in entry.blurred[-1].boxes:
            _smear(picture.image, box)
    if any(each.boxes for each in entry.blurred[-len(finding) :]):
        files.write_bytes(photo.file, encoded(picture, photo.file.suffix))
        if untouched:  # else a person has retouched it, and it stays theirs
            entry.sha256 = hashing.sha256(photo.file)


def _small(image: Image.Image) -> tuple[np.ndarray, float]:
    """BGR pixels for detection, and the factor from their coordinates to the photo's."""
    import numpy as np
    from PIL import Image

    scale = max(1.0, max(image.size) / _PIXELS)
    size = round(image.width / scale), round(image.height / scale)
    small = image.resize(size, Image.Resampling.BOX) if scale > 1 else image
    return np.ascontiguousarray(np.asarray(small)[..., ::-1]), scale


def _grown(box: Box, scale: float, size: tuple[int, int]) -> Box:
    """A box in the photo's pixels, with a margin, clipped to the photo."""
    left, upper, width, height = (value * scale for value in box)
    x, y = max(0, round(left - _MARGIN * width)), max(0, round(upper - _MARGIN * height))
    right = min(size[0], round(left + (1 + _MARGIN) * width))
    lower = min(size[1], round(upper + (1 + _MARGIN) * height))
    return x, y, right - x, lower - y


def _merged(boxes: Sequence[Box]) -> list[Box]:
    """The boxes in reading order, without those mostly inside a larger one or outside the photo."""
    kept: list[Box] = []
    present = {box for box in boxes if box[2] > 0 and box[3] > 0}
    for box in sorted(present, key=lambda box: (-box[2] * box[3], box)):
        if not any(_overlap(box, other) > 0.5 * box[2] * box[3] for other in kept):
            kept.append(box)
    return sorted(kept, key=lambda box: (box[1], box[0]))


def _overlap(first: Box, second: Box) -> int:
    width, height = (
        min(first[axis] + first[axis + 2], second[axis] + second[axis + 2])
        - max(first[axis], second[axis])
        for axis in (0, 1)
    )
    return max(0, width) * max(0, height)


def _smear(image: Image.Image, box: Box) -> None:
    """Reduce a box to a few cells of mean colour, smoothly interpolated."""
    from PIL import Image

    left, upper, width, height = box
    area = (left, upper, left + width, upper + height)
    cells = [max(1, round(_CELLS * side / max(width, height))) for side in (width, height)]
    few = image.crop(area).resize((cells[0], cells[1]), Image.Resampling.BOX)
    image.paste(few.resize((width, height), Image.Resampling.BICUBIC), area)
