"""XMP packets, written anew and beside a photo's own, read back by an XML parser of its own."""

from xml.etree import ElementTree

import pytest

from packshot.provenance.marking import GENERATED
from packshot.provenance.xmp import Rights, kept_packet, without_history, xmp_packet

TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
OWN = f"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
 xmlns:aux="http://ns.adobe.com/exif/1.0/aux/" xmlns:own="urn:own"
 xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmp:Rating="4" xmp:CreatorTool="Camera 1" tiff:Orientation="6" exif:GPSLatitude="45,4N"
 aux:SerialNumber="777" own:more="kept" e:DigitalSourceType="{TYPE}digitalCapture">
<dc:creator xmlns:dc="http://purl.org/dc/elements/1.1/"><rdf:Seq><rdf:li>Bea</rdf:li></rdf:Seq></dc:creator>
<exif:GPSLongitude>9,2E</exif:GPSLongitude></rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>""".encode()


def said(packet):
    """All texts and values of a packet."""
    text = packet.decode()
    root = ElementTree.fromstring(text[text.index("<x:xmpmeta") : text.index("<?xpacket end")])
    return [one.text.strip() for one in root.iter() if (one.text or "").strip()] + [
        value for one in root.iter() for value in one.attrib.values() if value
    ]


def test_source_type_and_rights_are_told_whatever_they_hold():
    rights = Rights(creator='<Ada> & "Co"', credit="Acme", copyright="© 2026 Ada")
    texts = said(xmp_packet(GENERATED, rights))
    assert TYPE + "trainedAlgorithmicMedia" in texts
    assert {'<Ada> & "Co"', "Acme", "© 2026 Ada"} <= set(texts)
    empty = xmp_packet(GENERATED, Rights()).decode()
    assert "creator" not in empty and "rights" not in empty and "Credit" not in empty


def test_what_the_photo_said_stands_but_for_what_is_said_anew():
    texts = said(xmp_packet(GENERATED, Rights(credit="Acme"), OWN))
    assert {"4", "kept", "Bea", "Acme"} <= set(texts)
    types = [text for text in texts if text.startswith(TYPE)]
    assert types == [TYPE + "trainedAlgorithmicMedia"] and "Camera 1" not in texts
    assert "Bea" not in said(xmp_packet(GENERATED, Rights(creator="Ada"), OWN))


@pytest.mark.parametrize("packet", [xmp_packet(GENERATED, Rights(), OWN), kept_packet(OWN)])
def test_it_neither_tells_where_nor_which_camera_nor_turns_the_picture(packet):
    assert not {"45,4N", "9,2E", "777", "6"} & set(said(packet))


def test_switched_off_the_photos_own_packet_stands():
    assert {"4", "Bea", "Camera 1", TYPE + "digitalCapture"} <= set(said(kept_packet(OWN)))
    assert kept_packet(b"") is None


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + OWN[OWN.index(b"<x:xmp") :]


@pytest.mark.parametrize(
    "own",
    [
        b"\xff\xfe<", b"<x", b"<x:xmpmeta/>", b"<a/>", BOMB, OWN + b" " * 2**20,
        b"<a>" * 5000 + b"</a>" * 5000, OWN.decode().encode("utf-16"), bytes(99),
    ],
)  # fmt: skip
def test_packets_that_are_malformed_or_made_to_break_readers_are_passed_over(own):
    assert said(xmp_packet(GENERATED, Rights(), own)) == said(xmp_packet(GENERATED, Rights()))
    assert kept_packet(own) is None


def with_ancestors(count):
    """A photo's packet with what Photoshop notes: the documents that its parts were copied from."""
    listed = "".join(f"<rdf:li>xmp.did:{number:032}</rdf:li>" for number in range(count))
    noted = (
        '<photoshop:DocumentAncestors xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"><rdf:Bag>'
        f"{listed}</rdf:Bag></photoshop:DocumentAncestors></rdf:Description>"
    )
    edited = OWN.decode().replace("own:more=", 'xmlns:c="http://ns.adobe.com/camera-raw-settings/1.0/"\n'
                                  ' c:Tint="12" own:more=')  # fmt: skip
    return edited.replace("</rdf:Description>", noted).encode()


def test_editors_notes_of_their_work_alone_are_left_out_of_a_short_packet():
    texts = said(without_history(xmp_packet(GENERATED, Rights(), with_ancestors(9))))
    assert {"4", "kept", "Bea", TYPE + "trainedAlgorithmicMedia"} <= set(texts)
    assert "12" not in texts and not [text for text in texts if text.startswith("xmp.did")]
