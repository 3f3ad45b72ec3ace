"""Unpacking photos from ZIPs, without trusting their headers."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path, PureWindowsPath
from typing import BinaryIO

from packshot.errors import ImageRejectedError
from packshot.images.loading import refuse_unfit
from packshot.utils import files, pathnames

MAX_MEMBERS = 5_000
MAX_TOTAL_BYTES = 8e9
"""Of an archive, and of all that is unpacked from it."""
MAX_RATIO = 100
"""Unpacked to packed size of a member above a megabyte. Photos and videos hardly shrink at all."""
_MAX_LISTING = 2**20
"""Bytes of the list of contents, which zipfile reads at once: 5,000 members with long names."""
_CHUNK = 2**18
_ARCHIVES = frozenset((".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz"))
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, OverflowError, EOFError,
    ValueError, OSError,
)  # fmt: skip
"""What zipfile raises on archives that are no such thing."""


def unpack(
    path: Path, into: Path, endings: frozenset[str], most: float | None = None
) -> tuple[list[Path], dict[str, str]]:
    """Unpack the members with one of `endings` into the folder `into`, keeping the archive's folders.

    Hidden members and those with other endings are skipped, as in a folder.

    Args:
        most: bytes that may be unpacked, `MAX_TOTAL_BYTES` by default.

    Returns:
        The files, and the refused members with the reasons.

    Raises:
        ImageRejectedError: the archive is damaged, or too large.
        DiskFullError: there is no room to unpack it.
    """
    refuse_unfit(path, MAX_TOTAL_BYTES)
    limit = MAX_TOTAL_BYTES if most is None else most
    unpacked: list[Path] = []
    refused: dict[str, str] = {}
    try:
        with path.open("rb") as file, zipfile.ZipFile(_Careful(file)) as archive:
            for member in _members(path.name, archive, endings, limit):
                try:
                    unpacked.append(_unpacked(archive, member, into))
                except ImageRejectedError as error:
                    refused[f"{path.name}/{member.filename}"] = error.reason
    except _DAMAGE as error:
        raise ImageRejectedError(
            path.name, f"is a damaged ZIP archive ({error})", "damaged"
        ) from error
    return unpacked, refused


def _members(
    archive_name: str, archive: zipfile.ZipFile, endings: frozenset[str], most: float
) -> list[zipfile.ZipInfo]:
    """The members to unpack, after checking their number and sizes."""
    members = [member for member in archive.infolist() if _is_meant(member, endings)]
    total = sum(member.file_size for member in members)
    if len(members) > MAX_MEMBERS:
        raise ImageRejectedError(
            archive_name, f"holds {len(members):,} files, more than {MAX_MEMBERS:,}; split it"
        )
    places = sorted((member.header_offset, member.compress_size) for member in members)
    if any(start + size > after for (start, size), (after, _) in pairwise(places)):
        raise ImageRejectedError(
            archive_name, "has files that lie over each other, as only a bomb's do"
        )
    if total > most:
        raise ImageRejectedError(
            archive_name,
            f"would unpack to {total / 1e9:,.0f} GB, more than {most / 1e9:.0f}; split it",
        )
    return members


def _is_meant(member: zipfile.ZipInfo, endings: frozenset[str]) -> bool:
    name = _name(member)
    wanted = name.suffix.lower() in endings | _ARCHIVES
    return wanted and not member.is_dir() and not name.name.startswith(".")


def _name(member: zipfile.ZipInfo) -> PureWindowsPath:
    """The member's file name; Windows' rules split at / and \\, drives and shares."""
    return PureWindowsPath(member.filename)


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, into: Path) -> Path:
    """Unpack one member. zipfile reads no more bytes than the size that `_members` counted."""
    _refuse_trick(member)
    name = member.filename
    try:
        target = pathnames.safe_join(into, _name(member).as_posix())
        files.write_stream(_chunks(archive, member), target)
    except FileExistsError as error:
        raise ImageRejectedError(
            name, "is in the archive twice; only the first was taken", "duplicate"
        ) from error
    except _DAMAGE as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ImageRejectedError(name, f"cannot be unpacked ({why})", "damaged") from error
    return target


def _refuse_trick(member: zipfile.ZipInfo) -> None:
    reason = None
    if _name(member).anchor or ".." in _name(member).parts:
        reason = "has a name that leads out of the archive"
    elif member.flag_bits & 1:
        reason = "is encrypted; unpack it yourself and add the files"
    elif stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        reason = "is a link or device, not a file"
    elif _name(member).suffix.lower() in _ARCHIVES:
        reason = "is an archive within an archive; unpack it yourself and add the files"
    elif member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        reason = "is compressed in an unusual way; pack it as an ordinary ZIP"
    elif member.file_size > max(2**20, MAX_RATIO * member.compress_size):
        reason = f"unpacks to more than {MAX_RATIO} times its size, as no photo does"
    if reason:
        raise ImageRejectedError(member.filename, reason)


def _chunks(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(member) as packed:
        while chunk := packed.read(_CHUNK):
            yield chunk


class _Careful(io.RawIOBase):
    """A file that limits the size of each read, whatever its headers say."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def read(self, size: int = -1) -> bytes:
        if size > _MAX_LISTING:
            raise zipfile.BadZipFile("its list of contents is too long")
        return self.file.read(size if size >= 0 else _MAX_LISTING)
