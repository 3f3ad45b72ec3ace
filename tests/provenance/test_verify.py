"""What pictures say of themselves, told of any file from anywhere."""

import http.server
import json
import os
import threading
import zlib

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from PIL import Image

from packshot.cli import app
from packshot.provenance import Claim, Ingredient, Marking, signing_key, verify
from packshot.provenance.marking import COMPOSITE, GENERATED
from tests.provenance.test_marking import CLAIM, FORMATS, picture
from tests.provenance.test_signing_key import KEY, certificate


def signed(tmp_path, kind="PNG", name="a.png"):
    file = tmp_path / name
    file.write_bytes(Marking().signed(picture(kind), FORMATS[kind], CLAIM))
    return file


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_as_it_was_signed_tells_how_it_was_made(tmp_path, kind):
    told = verify(signed(tmp_path, kind))
    assert (told.state, told.why) == ("valid", ())
    assert told.signer == signing_key.current().owner and told.software.startswith("packshot ")
    assert told.actions == ("c2pa.created: trainedAlgorithmicMedia",)
    assert told.details == {"seed": 3, "base": "x"}


@pytest.mark.parametrize("kind", FORMATS)
def test_a_changed_pixel_is_told(tmp_path, kind):
    file = signed(tmp_path, kind)
    data = bytearray(file.read_bytes())
    plain = picture(kind)
    place = data.index(plain[len(plain) // 2 :][:16])
    data[place] ^= 1
    file.write_bytes(data)
    told = verify(file)
    assert told.state == "changed" and any("hash" in why.lower() for why in told.why)


def box_of(data, kind):
    """The part of a file that holds its credentials: chunk caBX of PNG, segments APP11 of JPEG."""
    if kind == "PNG":
        start = data.index(b"caBX") - 4
        return slice(start, start + int.from_bytes(data[start : start + 4], "big") + 12)
    start = end = data.index(b"\xff\xeb")
    while data[end : end + 2] == b"\xff\xeb":
        end += 2 + int.from_bytes(data[end + 2 : end + 4], "big")
    return slice(start, end)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_credentials_of_another_picture_are_told(tmp_path, kind):
    own, other = signed(tmp_path, kind).read_bytes(), picture(kind, seed=5)
    box = box_of(own, kind)
    (tmp_path / "moved").write_bytes(other[: box.start] + own[box] + other[box.start :])
    told = verify(tmp_path / "moved")
    assert told.state == "changed" and "another picture's" in " ".join(told.why)


def signed_when(days, monkeypatch):
    """A picture whose certificate is valid on other days: no program signs with that, so one that is
    valid today stands in its place until the signature is made."""
    today, other = (timely(days) for days in ((-1, 30), days))

    class Signing:
        chain, key, algorithm, timestamp_url = in_pem(today), None, "es256", None

        def sign(self, data):
            return signing_key.SigningKey(self.chain, KEY_PEM).sign(data.replace(*both))

    both = [one.public_bytes(serialization.Encoding.DER) for one in (today, other)]
    monkeypatch.setattr(signing_key, "current", Signing)
    data = Marking().signed(picture(), "image/png", CLAIM).replace(*both)
    box = box_of(data, "PNG")
    checked = data[box.start + 4 : box.stop - 4]
    return data[: box.stop - 4] + zlib.crc32(checked).to_bytes(4, "big") + data[box.stop :]


AUTHORITY = ed25519.Ed25519PrivateKey.generate()  # whose signatures are all of one length
KEY_PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)


def timely(days):
    made = certificate(KEY, days=days)
    built = x509.CertificateBuilder(
        made.issuer, made.subject, made.public_key(), 7,
        made.not_valid_before_utc, made.not_valid_after_utc, list(made.extensions),
    )  # fmt: skip
    return built.sign(AUTHORITY, None)


def in_pem(one):
    return one.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    "days,words", [((-30, -1), "is expired: it was valid until"), ((1, 30), "is not valid yet")]
)
def test_a_certificate_that_is_not_valid_today_is_told(tmp_path, monkeypatch, days, words):
    file = tmp_path / "a.png"
    file.write_bytes(signed_when(days, monkeypatch))
    told = verify(file)
    assert told.state == "untimely" and words in told.why[0]
    data = bytearray(file.read_bytes())
    data[-20] ^= 1
    file.write_bytes(data)
    told = verify(file)
    assert told.state == "changed" and len(told.why) == 2


def test_saved_again_by_another_program_it_has_none(tmp_path):
    file = signed(tmp_path)
    Image.open(file).save(tmp_path / "again.png")
    assert verify(tmp_path / "again.png").state == "none"


def test_the_source_type_is_read_of_pictures_without_credentials(tmp_path):
    from PIL.PngImagePlugin import PngInfo

    chunks = PngInfo()
    chunks.add_itxt("XML:com.adobe.xmp", Marking().xmp(CLAIM).decode())
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png", pnginfo=chunks)
    told = verify(tmp_path / "x.png")
    assert (told.state, told.source_type) == ("none", "trainedAlgorithmicMedia")


def test_no_file_is_too_odd(tmp_path):
    for name, data in {
        "empty.png": b"", "text.jpg": b"hello", "head.png": b"\x89PNG\r\n\x1a\n", "zeros.webp": bytes(999)
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(data)
        assert verify(tmp_path / name).state in ("unreadable", "changed", "none")
    assert verify(tmp_path / "missing.png").state == "unreadable"
    assert verify(tmp_path).state == "unreadable"


def damaged(rng, data):
    """Damage of any kind: bits, bytes, cuts, doublings."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 12)):
        place = int(rng.integers(0, max(len(data), 1)))
        match rng.integers(0, 4):
            case 0:
                data[place : place + 1] = rng.bytes(1)
            case 1:
                data[place : place + int(rng.integers(1, 64))] = rng.bytes(int(rng.integers(0, 64)))
            case 2:
                del data[place : place + int(rng.integers(1, 2000))]
            case 3:
                data[place:place] = data[place : place + 300]
    return bytes(data)


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_files_are_told_without_a_traceback(tmp_path, kind):
    """Damage in the manifest most of all. `PACKSHOT_FUZZ=500` tries more of each kind."""
    rng, plain = np.random.default_rng(1), picture(kind)
    parent = Ingredient(
        "plate", "parentOf", Marking().signed(plain, FORMATS[kind], CLAIM), FORMATS[kind]
    )
    whole = Marking().signed(plain, FORMATS[kind], Claim("x", COMPOSITE, {}, (parent,)))
    file = tmp_path / "damaged"
    states = set()
    for _ in range(int(os.environ.get("PACKSHOT_FUZZ", "60"))):
        file.write_bytes(damaged(rng, whole))
        states.add(verify(file).state)
    assert "changed" in states and "trusted" not in states


def test_the_command_tells_it_and_its_exit_code_too(tmp_path, capsys):
    from typer.testing import CliRunner

    file = signed(tmp_path)
    told = CliRunner().invoke(app, ["verify", str(file)])
    assert told.exit_code == 0 and "nobody vouches for" in told.output
    assert "c2pa.created: trainedAlgorithmicMedia" in told.output and "seed: 3" in told.output
    data = bytearray(file.read_bytes())
    data[data.rindex(b"IDAT") + 9] ^= 1
    file.write_bytes(data)
    told = CliRunner().invoke(app, ["verify", "--json", str(file)])
    assert told.exit_code == 1 and json.loads(told.output)[0]["state"] == "changed"
    assert "Signed as:" in CliRunner().invoke(app, ["credentials", "show"]).output


def test_what_others_write_into_a_manifest_does_not_reach_the_terminal(tmp_path):
    claim = Claim("\x1b[2Jevil\x07", GENERATED, {"key\x1b": "\x1b]0;title\x07"})
    file = tmp_path / "evil.png"
    file.write_bytes(Marking().signed(picture(), "image/png", claim))
    from typer.testing import CliRunner

    assert "\x1b" not in CliRunner().invoke(app, ["verify", str(file)]).output


def test_nothing_is_fetched_whatever_address_a_picture_names(tmp_path):
    """An address in the XMP would tell its owner who looks at the picture, and from where."""
    asked = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

    with http.server.HTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/manifest.c2pa"
        xmp = (
            '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
            '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
            f'xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="{address}"/>'
            "</rdf:RDF></x:xmpmeta>"
        )
        Image.new("RGB", (64, 64)).save(tmp_path / "x.jpg", xmp=xmp.encode())
        told = verify(tmp_path / "x.jpg")
        data = (tmp_path / "x.jpg").read_bytes()
        parent = Ingredient("x.jpg", "parentOf", data, "image/jpeg")
        Marking().signed(picture("JPEG"), "image/jpeg", Claim("y", COMPOSITE, {}, (parent,)))
        server.shutdown()
    assert not asked
    assert told.state == "none" and address in told.why[0]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    writer = threading.Timer(5, lambda: (tmp_path / "pipe.png").write_bytes(b"GIF8"))
    writer.daemon = True
    writer.start()  # ends a reader that waits
    told = verify(tmp_path / "pipe.png")
    writer.cancel()
    assert told.state == "unreadable" and "is a pipe" in told.why[0]


def test_a_source_type_is_sought_beside_its_name_alone(tmp_path):
    """Spaces without end would be gone through from each of the places before them."""
    address = b"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    for spaces, kind in ((8, "trainedAlgorithmicMedia"), (10_000, "")):
        Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
        with (tmp_path / "x.png").open("ab") as file:
            file.write(b"DigitalSourceType>" + b" " * spaces + address + b"<")
        assert verify(tmp_path / "x.png").source_type == kind


def test_what_others_write_is_no_line_of_ours(tmp_path):
    words = "b.png: as it was signed, by Acme, whom this machine trusts"
    claim = Claim("x", GENERATED, {"seed": f"3\n{words}", f"base\n{words}": 1, "more": "x" * 10**6})
    file = tmp_path / "a\nb.png: as it was signed.png"
    file.write_bytes(Marking().signed(picture(), "image/png", claim))
    from typer.testing import CliRunner

    told = CliRunner().invoke(app, ["verify", str(file)]).output
    assert [line for line in told.splitlines() if not line.startswith("  ")] == [
        f"{str(file).replace(chr(10), '?')}: as it was signed, by {signing_key.current().owner}, whose name "
        "nobody vouches for"
    ]
    assert len(told) < 10_000
