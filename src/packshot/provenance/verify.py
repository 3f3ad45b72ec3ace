"""What a picture says of itself, and whether it is true. Any file from anywhere may be asked."""

from __future__ import annotations

import contextlib
import datetime
import io
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from cryptography import x509

from packshot.errors import ImageRejectedError
from packshot.images.loading import read_picture, refuse_unfit
from packshot.provenance.marking import DETAILS, context, mime_of
from packshot.utils import pathnames

State = Literal["trusted", "valid", "untimely", "changed", "none", "unreadable"]
_MAX_BYTES = 2**29
_MAX_TEXT = 2000
_MAX_LISTED = 64
_SOURCE = re.compile(
    rb"DigitalSourceType[^<]{0,80}?[>\"']\s{0,80}(https?://cv\.iptc\.org/[\w/.-]{1,120})"
)
_CHANGED = "it was changed since it was signed, or these credentials are another picture's"
_UNTRUSTED, _UNTIMELY = "signingCredential.untrusted", "signingCredential.expired"
_WORDS = {
    "assertion.dataHash.mismatch": _CHANGED,
    "assertion.bmffHash.mismatch": _CHANGED,
    "assertion.boxesHash.mismatch": _CHANGED,
    "assertion.hashedURI.mismatch": "what its credentials say was changed since it was signed",
    "claimSignature.mismatch": "its credentials were changed since it was signed",
    "signingCredential.invalid": "its certificate is not one for signing pictures",
    "signingCredential.revoked": "its certificate was revoked",
}
"""What C2PA's codes of failures mean (C2PA 2.1, 15.2.2)."""
_ELSEWHERE = "Remote: must fetch"
_FETCHED_BY_NOBODY = "it says that its credentials lie elsewhere, whence none are fetched:"
_CERTIFICATE = re.compile(rb"\x30\x82(..)\x30\x82", re.DOTALL)
_STATES: dict[str, State] = {"Trusted": "trusted", "Valid": "valid", "Invalid": "changed"}


@dataclass(frozen=True)
class Statement:
    """What a file says of itself.

    Attributes:
        state: "trusted" and "valid": it is as it was signed, by one whom this machine's trust list knows
            or by anyone; "untimely": it is, but the certificate is expired, or not valid yet;
            "changed": it is not as it was signed, or not signed as it should be; "none": it
            has no credentials; "unreadable": it is no picture that can be asked.
        why: of "untimely", "changed" and "unreadable", the reasons; of "none", where the picture says that
            its credentials lie, if it does.
        signer, signed_on: whom the certificate names, and when, as far as it is told.
        software: what made it.
        actions: each as "what: kind of source".
        ingredients: each as "role: title".
        source_type: IPTC's, of the XMP; it is not protected by the signature of other makers.
        details: Packshot's own assertion; empty for others' pictures.
        watermark: what the pixels say: 8 hexadecimal digits. It is no proof.
    """

    file: Path
    state: State
    why: tuple[str, ...] = ()
    signer: str = ""
    signed_on: str = ""
    software: str = ""
    actions: tuple[str, ...] = ()
    ingredients: tuple[str, ...] = ()
    source_type: str = ""
    details: dict[str, Any] | None = None
    watermark: str = ""

    @property
    def origin(self) -> str:
        """Its digital source type, by the XMP, else by what was done last; empty if it is not told."""
        done = [said.partition(": ")[2] for said in reversed(self.actions)]
        kinds = (self.source_type, *done)
        return next((kind for kind in kinds if re.fullmatch(r"[A-Za-z]{1,64}", kind)), "")

    @property
    def is_generated(self) -> bool:
        """Whether it says that a trained model made it, or a part of it."""
        return any("rainedAlgorithmicMedia" in said for said in (self.source_type, *self.actions))


def verify(file: Path, *, seeks_watermark: bool = True) -> Statement:
    """Read a picture's Content Credentials, source type and watermark; never an error for what a file holds.

    Args:
        seeks_watermark: whether pixels are looked at, which takes a second or two.
    """
    try:
        refuse_unfit(file, _MAX_BYTES)  # a pipe would never end
        data = file.read_bytes()
    except ImageRejectedError as error:
        return Statement(file, "unreadable", (_text(error.reason),))
    except OSError as error:
        return Statement(file, "unreadable", (error.strerror or str(error),))
    mime = mime_of(data)
    if mime is None:
        return Statement(
            file, "unreadable", ("it is no picture of a kind that can hold credentials",)
        )
    found = _SOURCE.search(data)
    source = found[1].decode().rpartition("/")[2] if found else ""
    told = _read(file, data, mime, source)
    return replace(told, watermark=_watermark(file, data)) if seeks_watermark else told


def _watermark(file: Path, data: bytes) -> str:
    import numpy as np

    from packshot.provenance import watermark

    try:
        picture = read_picture(file, data=data).image
    except ImageRejectedError:
        return ""
    found = watermark.found(np.asarray(picture))
    return "" if found is None else watermark.name_of(found)


def _read(file: Path, data: bytes, mime: str, source: str) -> Statement:
    import c2pa

    try:
        with c2pa.Reader(mime, io.BytesIO(data), context=context()) as reader:
            state = _STATES.get(str(reader.get_validation_state()), "changed")
            told = json.loads(reader.json())
    except c2pa.C2paError.ManifestNotFound:
        return Statement(file, "none", source_type=source)
    except c2pa.C2paError as error:
        if str(error).startswith(_ELSEWHERE):
            said = _text(f"{_FETCHED_BY_NOBODY} {str(error).rpartition(' ')[2]}")
            return Statement(file, "none", (said,), source_type=source)
        return Statement(file, "changed", (_text(error),), source_type=source)
    except (ValueError, RecursionError, UnicodeError) as error:
        return Statement(file, "unreadable", (_text(error),), source_type=source)
    return _stated(file, data, state, told, source)


def _stated(file: Path, data: bytes, state: State, told: dict[str, Any], source: str) -> Statement:
    """What C2PA's reader tells of a file, in our words."""
    manifest = _dict(_dict(told.get("manifests")).get(str(told.get("active_manifest"))))
    signature = _dict(manifest.get("signature_info"))
    assertions = {
        str(one.get("label")): one.get("data") for one in _dicts(manifest.get("assertions"))
    }
    details = assertions.get(DETAILS)
    failures = _failures(told) if state == "changed" else {}
    if failures.keys() == {_UNTIMELY}:
        state = "untimely"
    if _UNTIMELY in failures:
        failures[_UNTIMELY] = _untimely(data, str(signature.get("cert_serial_number")))
    return Statement(
        file,
        state,
        tuple(_text(f"{_WORDS.get(code, told)} ({code})") for code, told in failures.items()),
        _text(signature.get("common_name") or signature.get("issuer") or ""),
        _text(signature.get("time") or ""),
        ", ".join(
            _text(f"{one.get('name', '')} {one.get('version', '')}").strip()
            for one in _dicts(manifest.get("claim_generator_info"))
        ),
        tuple(_actions(assertions)),
        tuple(
            _text(f"{one.get('relationship', '')}: {one.get('title', '')}")
            for one in _dicts(manifest.get("ingredients"))
        ),
        source,
        details if isinstance(details, dict) else None,
    )


def _failures(told: dict[str, Any]) -> dict[str, str]:
    """The codes of what is wrong, with C2PA's own explanations."""
    results = _dict(_dict(told.get("validation_results")).get("activeManifest"))
    found = {
        str(one.get("code")): str(one.get("explanation")) for one in _dicts(results.get("failure"))
    }
    found.pop(_UNTRUSTED, None)  # which alone is no fault
    return found


def _untimely(data: bytes, serial: str) -> str:
    """Why a certificate is not valid today; C2PA's reader tells no dates, so it is looked for in the file."""
    own = _certificate(data, serial)
    if own is None:
        return "its certificate is expired, or not valid yet"
    begin, end = own.not_valid_before_utc, own.not_valid_after_utc
    if datetime.datetime.now(datetime.UTC) < begin:
        return f"its certificate is not valid yet: it will be from {begin:%Y-%m-%d}"
    return (
        f"its certificate is expired: it was valid until {end:%Y-%m-%d}, and no time stamp shows that "
        "the picture was signed before"
    )


def _certificate(data: bytes, serial: str) -> x509.Certificate | None:
    for found in itertools.islice(_CERTIFICATE.finditer(data), _MAX_LISTED):
        end = found.start() + 4 + int.from_bytes(found[1], "big")
        with contextlib.suppress(ValueError):  # something else
            certificate = x509.load_der_x509_certificate(data[found.start() : end])
            if str(certificate.serial_number) == serial:
                return certificate
    return None


def _actions(assertions: dict[str, Any]) -> Iterator[str]:
    for label, data in assertions.items():
        if label.startswith("c2pa.actions"):
            for action in _dicts(_dict(data).get("actions")):
                kind = str(action.get("digitalSourceType") or "").rpartition("/")[2]
                yield _text(f"{action.get('action', '')}{': ' * bool(kind)}{kind}")


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return (
        [one for one in value if isinstance(one, dict)][:_MAX_LISTED]
        if isinstance(value, list)
        else []
    )


def _text(value: object) -> str:
    """One short line that a terminal can show."""
    return pathnames.printable_name(" ".join(str(value).split())[:_MAX_TEXT])
