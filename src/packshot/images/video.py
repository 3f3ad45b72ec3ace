"""Picking sharp, distinct frames from a video.

Codecs are a large attack surface for hostile files, so videos are decoded in a separate process,
with limits on time and (on Linux) on memory:
`python -m packshot.images.video VIDEO FOLDER COUNT`.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packshot.errors import ImageRejectedError, PackshotError, WriteError
from packshot.images import colour, quality
from packshot.images.containers import colour_codes
from packshot.images.loading import MAX_PIXELS, Picture, encoded, refuse_unfit
from packshot.utils import files, pathnames

if TYPE_CHECKING:
    from PIL import Image

ENDINGS = frozenset((".mp4", ".mov", ".m4v", ".3gp", ".avi", ".mkv", ".webm"))
FRAMES = 12
"""How many frames are taken of a video, if so many differ."""
MAX_BYTES = 8e9
MAX_FRAMES = 18_000
"""How far into a video is looked: ten minutes of 30 frames a second."""
MAX_MEMORY_BYTES = 4 * 2**30
TIMEOUT_SECONDS = 300
DISTINCT = 2 * quality.NEARLY_THE_SAME
"""Bits of the perceptual hash in which two frames must differ: a hand that trembles moves about 30."""
_LOOKS_PER_SECOND = 8
_WINDOW = 4
"""Looks of which the sharpest stands for all: half a second."""
_NEIGHBOURS = 4
"""Windows to each side with which a frame's sharpness is compared."""
_MOST_STRETCHED = 4
"""Of a pixel's sides. Films have 2 at most; more is a damaged header."""
_DEMUXERS = "mov,matroska,avi"
"""No playlists: they would open other files, and addresses in the network."""


def pick_frames(video: Path, into: Path, count: int = FRAMES) -> list[Path]:
    """Write up to `count` sharp, distinct frames of a video into the folder `into`, as JPEGs.

    Upright, by the video's rotation, and named after the video and the time in it.

    Raises:
        ImageRejectedError: not a video, damaged, too large, HDR, or without a sharp frame.
        WriteError: its frames cannot be written.
    """
    refuse_unfit(video, MAX_BYTES)
    result = _of_own_process(video, into, count)
    if "refused" in result:
        raise ImageRejectedError(video.name, result["refused"], result["code"])
    if "failed" in result:
        raise WriteError(result["failed"])
    return [into / name for name in result["frames"]]


def _of_own_process(video: Path, into: Path, count: int) -> dict[str, Any]:
    """Run `_main` in a separate process; returns its result or the reason why it failed."""
    command = [sys.executable, "-P", "-m", "packshot.images.video", str(video.resolve()), str(into)]
    environment = os.environ | {
        "OPENCV_FFMPEG_CAPTURE_OPTIONS": f"protocol_whitelist;file|format_whitelist;{_DEMUXERS}",
        "OPENCV_FFMPEG_THREADS": "4",
    }
    try:
        done = subprocess.run(
            [*command, str(count)], env=environment, timeout=TIMEOUT_SECONDS,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        result: dict[str, Any] = json.loads(done.stdout)
        return result
    except subprocess.TimeoutExpired:
        minutes = TIMEOUT_SECONDS / 60
        raise ImageRejectedError(
            video.name, f"took longer than {minutes:.0f} minutes to look through; cut it"
        ) from None
    except ValueError:  # it said nothing: a codec crashed, or the memory was not enough
        raise ImageRejectedError(
            video.name, "cannot be decoded; it is damaged, or needs too much memory", "damaged"
        ) from None


@dataclass(frozen=True)
class FrameCandidate:
    """A frame with its sharpness and perceptual hash."""

    frame: int
    """Its number, from 0."""
    sharpness: float
    hash: str


def choose(looks: Sequence[FrameCandidate], count: int) -> list[FrameCandidate]:
    """Up to `count` frames that are sharp compared to their neighbours and unlike each other.

    The sharpest of each half second, unless it has less than half the sharpness of those around
    it; then, starting with the sharpest, always the frame least similar to those already chosen
    (farthest-first traversal, Gonzalez 1985, https://doi.org/10.1016/0304-3975(85)90224-5).
    """
    windows = [looks[start : start + _WINDOW] for start in range(0, len(looks), _WINDOW)]
    best = [max(window, key=lambda look: look.sharpness) for window in windows]
    left = [look for index, look in enumerate(best) if _is_sharp(best, index)]
    chosen: list[FrameCandidate] = []
    nearest = dict.fromkeys(left, 256)
    while left and len(chosen) < count:
        look = max(left, key=lambda look: (nearest[look], look.sharpness))
        if nearest[look] < DISTINCT:
            break
        chosen.append(look)
        left.remove(look)
        nearest = {
            other: min(nearest[other], quality.distance(other.hash, look.hash)) for other in left
        }
    return sorted(chosen, key=lambda look: look.frame)


def _is_sharp(best: Sequence[FrameCandidate], index: int) -> bool:
    around = best[max(0, index - _NEIGHBOURS) : index + _NEIGHBOURS + 1]
    usual = statistics.median(look.sharpness for look in around)
    return best[index].sharpness >= max(quality.MIN_SHARPNESS, usual / 2)


def _frames(video: Path) -> Iterator[tuple[int, float, Callable[[], Image.Image | None]]]:
    """The examined frames: number, seconds, and a function that returns the image, with square pixels.

    Raises:
        ImageRejectedError: the video cannot be opened, or its colours would be wrong.
    """
    import cv2

    capture = cv2.VideoCapture(str(video), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise ImageRejectedError(
            video.name, "is not a video that Packshot reads, or is damaged", "damaged"
        )
    _refuse_unsuited(video, capture)
    per_second = capture.get(cv2.CAP_PROP_FPS)
    per_second = min(max(per_second, 1.0), 240.0) if math.isfinite(per_second) else 30.0
    stride = max(1, round(per_second / _LOOKS_PER_SECOND))
    shape = _pixel_shape(capture)
    for number in range(MAX_FRAMES):
        if not capture.grab():
            return
        if number % stride == 0:
            yield number, number / per_second, functools.partial(_picture, capture, shape)


def _refuse_unsuited(video: Path, capture: Any) -> None:
    """Refuse frames that are too large, and HDR, by its bits or by what the file says."""
    import cv2

    width, height = (
        int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
    )
    if not 0 < width * height * math.prod(_pixel_shape(capture)) <= MAX_PIXELS:
        raise ImageRejectedError(
            video.name, f"has frames of {width} x {height} px; make it smaller first"
        )
    layout = (int(capture.get(cv2.CAP_PROP_CODEC_PIXEL_FORMAT)) & 0xFFFFFFFF).to_bytes(4, "little")
    if layout[:1] == b"Y" and layout[3] in (9, 10, 12, 14, 16):  # FFmpeg's tags: Y 3 11 10
        raise colour.is_hdr(video.name, f"{layout[3]} bits")
    with video.open("rb") as file:
        codes = colour_codes(file)
    if codes and codes[1] in colour.HDR:
        raise colour.is_hdr(video.name, colour.HDR[codes[1]])


def _pixel_shape(capture: Any) -> tuple[float, float]:
    """Width and height of a pixel of the upright frame: of anamorphic videos it is not square."""
    import cv2

    across, down = (capture.get(side) for side in (cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN))
    ratio = across / down if across > 0 and down > 0 else 1.0
    if not 1 / _MOST_STRETCHED <= ratio <= _MOST_STRETCHED:
        return 1.0, 1.0
    lies = round(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 180 == 90
    return (1.0, ratio) if lies else (ratio, 1.0)


def _picture(capture: Any, shape: tuple[float, float]) -> Image.Image | None:
    from PIL import Image

    whole, pixels = capture.retrieve()
    if not whole:
        return None
    frame = Image.fromarray(pixels[..., ::-1])
    if shape == (1.0, 1.0):
        return frame
    size = max(1, round(frame.width * shape[0])), max(1, round(frame.height * shape[1]))
    return frame.resize(size, Image.Resampling.LANCZOS)


def _looks(video: Path) -> Iterator[FrameCandidate]:
    for number, _, shown in _frames(video):
        if picture := shown():
            yield FrameCandidate(
                number, quality.sharpness(picture), quality.perceptual_hash(picture)
            )


def _write(video: Path, into: Path, chosen: Sequence[FrameCandidate]) -> list[str]:
    """Write the chosen frames; decoding once more takes less memory than keeping them all."""
    wanted, names = {look.frame for look in chosen}, []
    for number, seconds, shown in _frames(video):
        if number in wanted and (picture := shown()):
            names.append(
                f"{pathnames.shortened(pathnames.printable_name(video.stem), 80)} at {seconds:06.2f} s.jpg"
            )
            data = encoded(Picture(picture, None, b"", "JPEG"), ".jpg")
            files.write_bytes(into / names[-1], data)
        if len(names) == len(wanted):
            break
    return names


def _main(video: Path, into: Path, count: int) -> dict[str, Any]:
    looks = list(_looks(video))
    chosen = choose(looks, count)
    if not looks:
        raise ImageRejectedError(
            video.name, "is damaged or cut short: not one frame of it can be decoded", "damaged"
        )
    if not chosen:
        sharpest = max(look.sharpness for look in looks)
        raise ImageRejectedError(
            video.name,
            f"is blurred throughout (sharpness {sharpest:.0f} at best, at least "
            f"{quality.MIN_SHARPNESS:.0f} is needed); move more slowly, in more light",
            "blurred",
        )
    return {"frames": _write(video, into, chosen)}


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limit; that on time still holds
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = MAX_MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(hard, MAX_MEMORY_BYTES)
    with contextlib.suppress(ValueError):  # nor has macOS
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    _limit_memory()
    try:
        result = _main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
    except ImageRejectedError as error:
        result = {"refused": error.reason, "code": error.code}
    except PackshotError as error:  # the disk is full, or takes nothing
        result = {"failed": str(error)}
    print(json.dumps(result))
