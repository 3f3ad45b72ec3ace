"""Output of img2dataset: shards as folders of files, or as tar archives (webdataset).

It honours `noai` itself. Licence and author of an image are known if its list had them
(`--save_additional_columns`).
"""

from __future__ import annotations

import json
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from packshot.class_images.online.api_search import Ask, Limit
from packshot.class_images.online.candidate import Candidate, Stored, make_candidate
from packshot.class_images.online.http_responses import MOST_BYTES
from packshot.class_images.online.request_log import RejectedUrl
from packshot.errors import ClassImagesError

_PICTURES = (".jpg", ".png", ".webp")
_MOST_JSON = 2**20


def is_output(folder: Path) -> bool:
    """Whether a folder was written by img2dataset, by its statistics file next to each shard."""
    return next(folder.glob("*_stats.json"), None) is not None


class Img2Dataset:
    """The images of all shards, read in place; archives are not unpacked."""

    limits: Sequence[Limit] = ()

    def __init__(self, folder: Path) -> None:
        self.name, self._folder = str(folder), folder

    def candidates(self, ask: Ask) -> Iterator[Candidate | RejectedUrl]:
        has_shard = False
        for shard in sorted(self._folder.iterdir()):
            if shard.is_dir() or shard.suffix == ".tar":
                has_shard = True
                yield from _candidates(shard)
        if not has_shard:
            raise ClassImagesError(
                f"{self._folder} has no shard that Packshot reads. Run img2dataset with "
                "--output_format files or webdataset."
            )


def _candidates(shard: Path) -> Iterator[Candidate | RejectedUrl]:
    by_key: defaultdict[str, dict[str, Stored]] = defaultdict(dict)
    try:
        for name, stored in _in_archive(shard) if shard.suffix == ".tar" else _in_folder(shard):
            by_key[name.stem][name.suffix.lower()] = stored
    except (OSError, tarfile.TarError) as error:  # what was read until then is as it should be
        yield RejectedUrl(url=str(shard), reason=f"is damaged ({error}); download it again")
    for key, parts in by_key.items():
        picture = next((parts[ending] for ending in _PICTURES if ending in parts), None)
        if picture and picture.size <= MOST_BYTES:
            metadata = _metadata(parts.get(".json"))
            url = str(metadata.get("url") or f"{shard}/{key}")
            yield make_candidate(url, metadata, picture)


def _metadata(part: Stored | None) -> dict[str, object]:
    if part is None or part.size > _MOST_JSON:
        return {}
    try:
        metadata = json.loads(part.read())
    except (ValueError, RecursionError, ClassImagesError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _in_folder(shard: Path) -> Iterator[tuple[PurePath, Stored]]:
    for path in sorted(shard.iterdir()):
        if path.is_file() and not path.is_symlink():
            yield path, Stored(path, 0, path.stat().st_size)


def _in_archive(shard: Path) -> Iterator[tuple[PurePath, Stored]]:
    with tarfile.open(shard, "r:") as archive:
        for member in archive:
            if member.isreg() and not member.issparse():
                yield PurePath(member.name), Stored(shard, member.offset_data, member.size)
