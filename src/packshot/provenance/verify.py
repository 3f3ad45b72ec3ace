"""What a picture says of itself, and whether it is true. Any file from anywhere may be asked."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from packshot.provenance.marking import DETAILS, mime_of
from packshot.utils import files

State = Literal["trusted", "valid", "changed", "none", "unreadable"]
_MAX_BYTES = 2**29
_MAX_TEXT = 2000
_MAX_LISTED = 64
_SOURCE = re.compile(
    rb"DigitalSourceType[^<]{0,80}?[>\"']\s*(https?://cv\.iptc\.org/[\w/.-]{1,120})"
)
_STATES: dict[str, State] = {"Trusted": "trusted", "Valid": "valid", "Invalid": "changed"}


@dataclass(frozen=True)
class Statement:
    """What a file says of itself.

    Attributes:
        state: "trusted" and "valid": it is as it was signed, by one whom this machine's trust list knows
            or by anyone; "changed": it is not as it was signed, or not signed as it should be; "none": it
            has no credentials; "unreadable": it is no picture that can be asked.
        why: of "changed" and "unreadable", the reasons.
        signer, signed_on: whom the certificate names, and when, as far as it is told.
        software: what made it.
        actions: each as "what: kind of source".
        ingredients: each as "role: title".
        source_type: IPTC's, of the XMP; it is not protected by the signature of other makers.
        details: Packshot's own assertion; empty for others' pictures.
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

    @property
    def is_generated(self) -> bool:
        """Whether it says that a trained model made it, or a part of it."""
        return any("rainedAlgorithmicMedia" in said for said in (self.source_type, *self.actions))


def verify(file: Path) -> Statement:
    """Read a picture's Content Credentials and source type; never an error for what a file holds."""
    try:
        with file.open("rb") as opened:
            data = opened.read(_MAX_BYTES + 1)
    except OSError as error:
        return Statement(file, "unreadable", (error.strerror or str(error),))
    if len(data) > _MAX_BYTES:
        return Statement(file, "unreadable", (f"it is larger than {_MAX_BYTES // 2**20} MiB",))
    mime = mime_of(data)
    if mime is None:
        return Statement(
            file, "unreadable", ("it is no picture of a kind that can hold credentials",)
        )
    found = _SOURCE.search(data)
    source = found[1].decode().rpartition("/")[2] if found else ""
    return _read(file, data, mime, source)


def _read(file: Path, data: bytes, mime: str, source: str) -> Statement:
    import c2pa

    try:
        with c2pa.Reader(mime, io.BytesIO(data)) as reader:
            state = _STATES.get(str(reader.get_validation_state()), "changed")
            told = json.loads(reader.json())
    except c2pa.C2paError.ManifestNotFound:
        return Statement(file, "none", source_type=source)
    except c2pa.C2paError as error:
        return Statement(file, "changed", (_text(error),), source_type=source)
    except (ValueError, RecursionError, UnicodeError) as error:
        return Statement(file, "unreadable", (_text(error),), source_type=source)
    manifest = _dict(_dict(told.get("manifests")).get(told.get("active_manifest")))
    signature = _dict(manifest.get("signature_info"))
    assertions = {
        str(one.get("label")): one.get("data") for one in _dicts(manifest.get("assertions"))
    }
    details = assertions.get(DETAILS)
    return Statement(
        file,
        state,
        tuple(_reasons(told)) if state == "changed" else (),
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


def _reasons(told: dict[str, Any]) -> Iterator[str]:
    results = _dict(_dict(told.get("validation_results")).get("activeManifest"))
    for failure in _dicts(results.get("failure")):
        if failure.get("code") == "signingCredential.untrusted":  # which alone is no change
            continue
        yield _text(f"{failure.get('code', '')}: {failure.get('explanation', '')}")


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
    return files.printable_name(" ".join(str(value).split())[:_MAX_TEXT])
