"""Marking a picture with what it is: C2PA's Content Credentials and IPTC's metadata in XMP."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from math import isfinite
from typing import TYPE_CHECKING, Any

from packshot.errors import CredentialsError
from packshot.images import encoding
from packshot.provenance import signing_key
from packshot.provenance.xmp import SOURCE_TYPES, Rights, kept_packet, xmp_packet

if TYPE_CHECKING:
    import c2pa
    from PIL import Image

    from packshot.provenance.watermark import Values

GENERATED = "trainedAlgorithmicMedia"
COMPOSITE = "compositeCapture"
ENHANCED = "algorithmicallyEnhanced"
COMPOSITE_WITH_MODEL = "compositeWithTrainedAlgorithmicMedia"
PNG = "image/png"
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", PNG), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"),
    (b"II*\0", "image/tiff"), (b"MM\0*", "image/tiff"),
)  # fmt: skip
_BRANDS = {
    b"avif": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
}
LEAST_PIXELS = 192 * 192
"""Marked ones of a picture: an identifier in fewer is seldom read (14 of 40 zones of 128 x 128 px)."""
TOO_SMALL_TO_MARK = (
    "The identifier in the pixels was left out: it is seldom read where product and shadow have less than "
    "192 x 192 px."
)
DETAILS = "io.github.packshot.details"
"""The label of our own assertion."""

_NOBODYS = Rights()


@dataclass(frozen=True)
class Ingredient:
    """A picture that another was made of. Its own credentials are kept as they are.

    Attributes:
        role: "parentOf" for what was edited, "componentOf" for what was put into it.
        data: the bytes of its file.
        mime: of `data`; see `mime_of`.
    """

    title: str
    role: str
    data: bytes = field(repr=False)
    mime: str


@dataclass(frozen=True)
class Claim:
    """What is said of a picture.

    Attributes:
        source_type: IPTC's digital source type, without its address; empty if it is not known.
        details: how it was made: base, LoRAs and files by their SHA-256, seed, settings.
        prompt: told only if `Marking.tells_prompt`.
        watermark: the identifier that the pixels hold, as 8 hexadecimal digits; see `watermark`.
        action: what was done, in C2PA's terms; by default it was edited if it has a parent, else created.
    """

    title: str
    source_type: str
    details: Mapping[str, Any]
    ingredients: tuple[Ingredient, ...] = ()
    prompt: str = ""
    action: str = ""
    watermark: str = ""

    @property
    def is_edit(self) -> bool:
        """Whether it was made by changing another picture."""
        return any(one.role == "parentOf" for one in self.ingredients)


@dataclass(frozen=True)
class Marking:
    """How a project marks its pictures. `is_on` off writes neither credentials nor XMP nor watermarks."""

    is_on: bool = True
    rights: Rights = _NOBODYS
    tells_prompt: bool = False
    has_watermark: bool = True

    def check(self) -> None:
        """Refuse a key that cannot sign, before any work begins.

        Raises:
            CredentialsError: see `signing_key.current`.
        """
        if self.is_on:
            signing_key.current().check()

    def xmp(self, claim: Claim, own: bytes = b"") -> bytes | None:
        """The XMP packet of a picture, for whoever encodes it; None if nothing is to be said.

        Args:
            own: the packet of the photo that was edited, see `xmp_packet`.
        """
        return xmp_packet(claim.source_type, self.rights, own) if self.is_on else kept_packet(own)

    def watermarked(
        self,
        colours: Values,
        identifier: str,
        weights: Values | None = None,
        place: tuple[int, int] = (0, 0),
    ) -> Values:
        """Colours with an identifier, see `watermark.marked`; unchanged if that is off or empty."""
        if not (self.is_on and self.has_watermark and identifier):
            return colours
        from packshot.provenance import watermark

        return watermark.marked(colours, watermark.number_of(identifier), weights, place)

    def as_file(
        self,
        picture: Image.Image,
        claim: Claim,
        kind: encoding.Format = "png",
        *,
        quality: int = 95,
        parameters: str = "",
    ) -> bytes:
        """A picture as a signed file with XMP; see `encoding.encoded`.

        Raises:
            CredentialsError: it cannot be signed.
            PackshotError: as `encoding.encoded`.
        """
        data = encoding.encoded(
            picture, kind, quality=quality, parameters=parameters, xmp=self.xmp(claim)
        )
        return self.signed(data, encoding.MIMES[kind], claim)

    def signed(self, picture: bytes, mime: str, claim: Claim) -> bytes:
        """The picture's file with its Content Credentials; unchanged if marking is off.

        Nothing may be changed in it afterwards: this is done last.

        Raises:
            CredentialsError: it cannot be signed.
        """
        if not self.is_on:
            return picture
        import c2pa

        said = _manifest(claim, self._details(claim))
        signed = io.BytesIO()
        try:
            with c2pa.Builder(said, context=context()) as builder:
                if claim.is_edit:  # then its first action is that the parent was opened
                    builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
                for ingredient in claim.ingredients:
                    told = _plain({"title": ingredient.title, "relationship": ingredient.role})
                    stream = io.BytesIO(ingredient.data)
                    builder.add_ingredient(json.dumps(told), ingredient.mime, stream)
                builder.sign(_signer(signing_key.current()), mime, io.BytesIO(picture), signed)
        except c2pa.C2paError as error:
            raise CredentialsError(
                f"{claim.title} cannot be signed ({error}). To work without: provenance = false in "
                "packshot.toml."
            ) from error
        return signed.getvalue()

    def _details(self, claim: Claim) -> dict[str, Any]:
        more = {
            "prompt": claim.prompt if self.tells_prompt else "",
            "watermark": claim.watermark if self.has_watermark else "",
        }
        return dict(claim.details) | {key: value for key, value in more.items() if value}


def mime_of(data: bytes) -> str | None:
    """The kind of a picture's file by its first bytes; None for what holds no credentials."""
    for magic, mime in _MAGIC:
        if data.startswith(magic):
            return mime
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return _BRANDS.get(data[8:12]) if data[4:8] == b"ftyp" else None


def _manifest(claim: Claim, details: dict[str, Any]) -> dict[str, Any]:
    """The manifest (C2PA 2.1): who made it, by what actions, of what."""
    generator = {"name": "packshot", "version": version("packshot")}
    what = claim.action or ("c2pa.edited" if claim.is_edit else "c2pa.created")
    made: dict[str, Any] = {"action": what, "softwareAgent": generator}
    if claim.source_type:
        made["digitalSourceType"] = SOURCE_TYPES + claim.source_type
    assertions = [
        {"label": "c2pa.actions.v2", "data": {"actions": [made]}},
        {"label": DETAILS, "data": details},
    ]
    said = {"claim_generator_info": [generator], "title": claim.title, "assertions": assertions}
    return dict(_plain(said))


def _plain(value: Any) -> Any:
    """A JSON value that C2PA's library takes: numbers of 64 bits with a sign, no infinities, and UTF-8.

    Other numbers, such as the larger seeds, are told in words; of names in other bytes these are replaced.
    """
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {_plain(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    is_whole = isinstance(value, int)
    fits = (
        -(2**63) <= value < 2**63 if is_whole else not isinstance(value, float) or isfinite(value)
    )
    return value if fits else str(value)


@lru_cache
def context() -> c2pa.Context:
    """How C2PA's library is to work: nothing is fetched, whatever address a picture names.

    And without thumbnails, which would be most of what is written.
    """
    import c2pa

    settings = {
        "builder": {"thumbnail": {"enabled": False}},
        "verify": {"verify_after_sign": False, "remote_manifest_fetch": False, "ocsp_fetch": False},
    }
    return c2pa.Context(settings=c2pa.Settings.from_dict(settings))


@lru_cache(maxsize=4)
def _signer(key: signing_key.SigningKey) -> c2pa.Signer:
    import c2pa

    if key.key:
        info = c2pa.C2paSignerInfo(
            alg=key.algorithm.encode(), sign_cert=key.chain, private_key=key.key,
            ta_url=key.timestamp_url.encode() if key.timestamp_url else None,
        )  # fmt: skip
        return c2pa.Signer.from_info(info)
    algorithm = c2pa.C2paSigningAlg[key.algorithm.upper()]
    return c2pa.Signer.from_callback(key.sign, algorithm, key.chain.decode(), key.timestamp_url)
