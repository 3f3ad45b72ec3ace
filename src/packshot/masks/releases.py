"""The ONNX files that rembg (https://github.com/danielgatis/rembg) publishes, fetched by one word.

They lie where rembg keeps them, so that neither fetches what the other has. A file is written only if
it has the MD5 that rembg pins for it; what is in it is judged before it is run (`weights.onnx_file`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from packshot.errors import ModelLoadError
from packshot.utils import caches, copying, files
from packshot.utils.progress import Progress, silent

RELEASES = "https://github.com/danielgatis/rembg/releases/download/v0.0.0"
MAX_BYTES = 2 * 10**9
_CHUNK = 2**20
_SECONDS = 30.0


@dataclass(frozen=True)
class Release:
    """A published file.

    Attributes:
        name: without suffix, as rembg stores it.
        published: its name in the release.
        md5: as rembg pins it.
        licence: of the weights.
        source: whose they are.
        megabytes: about how many are fetched.
    """

    name: str
    published: str
    md5: str
    licence: str
    source: str
    megabytes: int

    @property
    def notice(self) -> str:
        """What is fetched, from where and under which licence."""
        return (
            f"fetching {self.name}.onnx, about {self.megabytes} MB, from {RELEASES}; "
            f"its licence is {self.licence}: {self.source}"
        )


RELEASED = {
    "birefnet": Release(
        "birefnet-general", "BiRefNet-general-epoch_244.onnx", "7a35a0141cbbc80de11d9c9a28f52697",
        "MIT", "https://github.com/ZhengPeng7/BiRefNet", 970,
    ),
    "isnet": Release(
        "isnet-general-use", "isnet-general-use.onnx", "fc16ebd8b0c10d971d3513d564d01e29",
        "Apache-2.0", "https://github.com/xuebinqin/DIS", 180,
    ),
    "u2net": Release(
        "u2net", "u2net.onnx", "60024c5c889badc19c04ad937298a77b",
        "Apache-2.0", "https://github.com/xuebinqin/U-2-Net", 180,
    ),
}  # fmt: skip
"""By kind of network, as `--segmenter` takes it."""


def fetch(release: Release, folder: Path, progress: Progress = silent) -> Path:
    """Fetch a file into `folder`; returns its path. What is there is overwritten.

    Raises:
        ModelLoadError: no connection, or what came is not the file that rembg published.
        DiskFullError: the drive has no room.
    """
    path = folder / f"{release.name}.onnx"
    url = f"{RELEASES}/{release.published}"
    progress(_work(release), 0, release.megabytes)
    try:
        with (
            caches.temporary_folder() as beside,
            httpx.stream("GET", url, follow_redirects=True, timeout=_SECONDS) as response,
        ):
            response.raise_for_status()
            files.write_stream(_checked(response, release, progress), beside / path.name)
            copying.copy(beside / path.name, path)
    except httpx.HTTPError as error:
        raise ModelLoadError(
            f"{url} cannot be fetched ({type(error).__name__}: {error}). Run the same command again "
            f"with a network, or put the file there yourself: {path}"
        ) from error
    return path


def _work(release: Release) -> str:
    return f"MB of {release.name} ({release.licence})"


def _checked(response: httpx.Response, release: Release, progress: Progress) -> Iterator[bytes]:
    """A response's parts; raises before the last one is taken for a whole file, if it is another."""
    digest, got = hashlib.md5(usedforsecurity=False), 0
    whole = int(response.headers.get("content-length") or 0)
    for chunk in response.iter_bytes(_CHUNK):
        got += len(chunk)
        if got > MAX_BYTES:
            raise _another(release, f"is larger than {MAX_BYTES / 10**9:.0f} GB")
        digest.update(chunk)
        progress(_work(release), got // 10**6, max(whole, got) // 10**6)
        yield chunk
    if digest.hexdigest() != release.md5:
        raise _another(release, f"has the MD5 {digest.hexdigest()}, not {release.md5}")


def _another(release: Release, fault: str) -> ModelLoadError:
    return ModelLoadError(
        f"{RELEASES}/{release.published} {fault}: it is not the file that rembg published; nothing "
        "was kept. Try again, or name a file of your own: --segmenter FILE.onnx."
    )
