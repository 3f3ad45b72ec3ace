"""XMP (ISO 16684-1): IPTC's digital source type and the rights, beside what the photo's own packet says."""

from __future__ import annotations

from importlib.metadata import version
from xml.dom import minidom
from xml.parsers.expat import ExpatError

from pydantic import BaseModel, ConfigDict

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_RDF, _XML = "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "http://www.w3.org/XML/1998/namespace"
_XMLNS = "http://www.w3.org/2000/xmlns/"
_SPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "exifEX": "http://cipa.jp/exif/1.0/",
    "aux": "http://ns.adobe.com/exif/1.0/aux/",
    "dcterms": "http://purl.org/dc/terms/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
    "crs": "http://ns.adobe.com/camera-raw-settings/1.0/",
}
_PREFIXES = {space: prefix for prefix, space in _SPACES.items()}
_NOT_KEPT = frozenset(
    (
        "tiff:Orientation", "exif:PixelXDimension", "exif:PixelYDimension",  # the picture is upright now
        "xmp:Thumbnails", "dcterms:provenance",  # of the photo as it was
        "exif:MakerNote", "aux:SerialNumber", "aux:LensSerialNumber", "aux:ImageNumber", "aux:OwnerName",
        "exifEX:BodySerialNumber", "exifEX:LensSerialNumber", "exifEX:CameraOwnerName",
    )
)  # fmt: skip
"""What is no longer so, and what tells of which camera; nor is `exif:GPS…`, which tells where."""
_HISTORY = frozenset(
    (
        "photoshop:DocumentAncestors", "photoshop:History", "photoshop:TextLayers",
        "xmpMM:History", "xmpMM:Ingredients", "xmpMM:Pantry", "xmpMM:Manifest", "crs:*",
    )
)  # fmt: skip
"""What editors note of their own work in a picture, often hundreds of kilobytes."""
_MAX_BYTES = 2**20
_EMPTY = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}"/></x:xmpmeta>"""
_PACKET = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{}<?xpacket end="w"?>'


class Rights(BaseModel):
    """Whose the pictures are: IPTC's creator, credit and copyright; empty ones are not written.

    `photos` are the rights to the product's photos, in words, for the LoRA's card.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    creator: str = ""
    credit: str = ""
    copyright: str = ""
    photos: str = ""


def xmp_packet(source_type: str, rights: Rights, own: bytes = b"") -> bytes:
    """An XMP packet with IPTC's digital source type, the maker's tool, and the rights.

    Args:
        own: the packet of the photo that was edited. What it says stands, but for what is said anew,
            where it was taken, and by which camera; one that is malformed is passed over.
    """
    document = _read(own) or minidom.parseString(_EMPTY)
    said = (
        ("Iptc4xmpExt:DigitalSourceType", source_type and SOURCE_TYPES + source_type, ""),
        ("xmp:CreatorTool", f"Packshot {version('packshot')}", ""),
        ("dc:creator", rights.creator, "rdf:Seq"),
        ("photoshop:Credit", rights.credit, ""),
        ("dc:rights", rights.copyright, "rdf:Alt"),
    )
    about = document.createElementNS(_RDF, "rdf:Description")
    about.setAttributeNS(_RDF, "rdf:about", "")
    about.setAttributeNS(_XMLNS, "xmlns:rdf", _RDF)
    for name, text, within in said:
        if text:
            _drop(document, {name})
            _say(document, about, name, text, within)
    document.getElementsByTagNameNS(_RDF, "RDF")[0].appendChild(about)
    return _packet(document)


def kept_packet(own: bytes) -> bytes | None:
    """What stands of a photo's own packet where nothing is said anew; None if it has none."""
    document = _read(own)
    return _packet(document) if document else None


def without_history(packet: bytes) -> bytes:
    """A packet without what editors have noted of their work: for files that take short ones alone."""
    document = minidom.parseString(packet.decode())
    _drop(document, _HISTORY)
    return _packet(document)


def _packet(document: minidom.Document) -> bytes:
    body = document.documentElement
    return _PACKET.format(body.toxml() if body else "").encode()


def _read(own: bytes) -> minidom.Document | None:
    """A packet without what is not kept; None for what is no packet, or made to break its readers."""
    try:
        text = own.decode().strip("\0 \r\n\t\ufeff")
        if not text or len(own) > _MAX_BYTES or "<!" in text.replace("<!--", ""):
            return None  # a document type, whose entities could grow without end
        document = minidom.parseString(text)
        if not document.getElementsByTagNameNS(_RDF, "RDF"):
            return None
        _drop(document, _NOT_KEPT)
        _packet(document)
    except (ExpatError, ValueError, RecursionError):
        return None
    return document


def _drop(document: minidom.Document, names: frozenset[str] | set[str]) -> None:
    """Remove properties, which XMP writes as elements or as attributes."""
    for element in list(document.getElementsByTagName("*")):
        for attribute in list(element.attributes.values()):
            if _is_of(attribute, names):
                element.removeAttributeNode(attribute)
        if _is_of(element, names) and element.parentNode:
            element.parentNode.removeChild(element)


def _is_of(node: minidom.Element | minidom.Attr, names: frozenset[str] | set[str]) -> bool:
    prefix = _PREFIXES.get(str(node.namespaceURI), "")
    name = f"{prefix}:{node.localName}"
    is_gps = names is _NOT_KEPT and name.startswith("exif:GPS")
    return name in names or f"{prefix}:*" in names or is_gps


def _say(
    document: minidom.Document, about: minidom.Element, name: str, text: str, within: str
) -> None:
    prefix = name.partition(":")[0]
    element = document.createElementNS(_SPACES[prefix], name)
    about.setAttributeNS(_XMLNS, f"xmlns:{prefix}", _SPACES[prefix])
    about.appendChild(element)
    if within:
        listed = document.createElementNS(_RDF, within)
        item = document.createElementNS(_RDF, "rdf:li")
        if within == "rdf:Alt":
            item.setAttributeNS(_XML, "xml:lang", "x-default")
        listed.appendChild(item)
        element.appendChild(listed)
        element = item
    element.appendChild(document.createTextNode(text))
