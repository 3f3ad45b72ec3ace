"""Validates HTTP responses and reads bodies up to a size limit."""

from __future__ import annotations

import email.utils
import re

import httpx

from packshot.errors import ClassImagesError

MOST_BYTES, MOST_JSON = 32 * 2**20, 8 * 2**20
_RETRIED = {408, 425, 429, 500, 502, 503, 504}
_PICTURES = (
    "image/jpeg", "image/jpg", "image/png", "image/webp", "image/heic", "image/heif", "image/avif",
)  # fmt: skip
_UNTOLD = ("", "application/octet-stream", "binary/octet-stream")
_BARRING = {"noai", "noimageai", "noindex", "noimageindex", "none"}
_WITH_VALUES = {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}


class PermanentHttpError(ClassImagesError):
    """A permanent failure: retrying is useless; `status` is the server's, or 0."""

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


class RetryLaterError(ClassImagesError):
    """A failure that may be gone on another day."""


class TransientHttpError(Exception):
    """A transient failure, to be retried soon."""


def check_response(response: httpx.Response) -> None:
    """Raise for an error status.

    Raises:
        Transient, Refused
    """
    status = response.status_code
    if status in _RETRIED:
        raise TransientHttpError(f"status {status}")
    if status != 200:
        raise PermanentHttpError(f"is not to be had (status {status})", status)
    # A few bytes of another coding, or of one within one, may become gigabytes.
    coding = response.headers.get("content-encoding", "identity").lower()
    if coding not in ("identity", response.request.headers["accept-encoding"]):
        raise PermanentHttpError("is compressed as it was not asked for")


def check_image_response(response: httpx.Response) -> None:
    """As `check_response`, and raise if it is no image or its headers forbid training."""
    check_response(response)
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _PICTURES + _UNTOLD:
        raise PermanentHttpError(f"is no image that Packshot reads ({kind[:60]})")
    if response.headers.get("tdm-reservation", "").strip() == "1" or _barred(response):
        raise PermanentHttpError("is not to be used for training: its site says so (noai)")


def read_body(response: httpx.Response, most: int) -> bytes:
    """Read the decompressed body.

    Raises:
        PermanentHttpError: the body has more than `most` bytes.
    """
    too_large = PermanentHttpError(f"has more than {most // 2**20} MB")
    if int(response.headers.get("content-length", 0)) > most:
        raise too_large
    data = bytearray()
    for part in response.iter_bytes():
        data += part
        if len(data) > most:
            raise too_large
    return bytes(data)


def retry_after(response: httpx.Response, now: float) -> float:
    """Seconds to wait by the Retry-After header (RFC 9110, 10.2.3), a number or a date; else 0."""
    header = response.headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}", header):
        return float(header)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _barred(response: httpx.Response) -> bool:
    """Whether an X-Robots-Tag for everyone, or for us, forbids training or indexing."""
    for value in response.headers.get_list("x-robots-tag"):
        agent, colon, rules = value.lower().partition(":")
        if not colon or "," in agent or agent.strip() in _WITH_VALUES:
            agent, rules = "", value.lower()
        if agent.strip() in ("", "packshot") and _BARRING & {r.strip() for r in rules.split(",")}:
            return True
    return False
