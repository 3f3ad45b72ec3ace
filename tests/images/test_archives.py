import copy
import io
import random
import struct
import zipfile

import pytest

from packshot.errors import DiskFullError, ImageRejectedError
from packshot.images import archives, sources
from tests.odd_files import ESCAPES, encrypted, link_member, zipped

GOOD = ("good.png", b"x")


@pytest.fixture
def unpack(tmp_path):
    """Unpacks a ZIP's bytes; returns what was unpacked, by name, and what was refused."""

    def call(data):
        (tmp_path / "a.zip").write_bytes(data)
        into = tmp_path / "into"
        taken, refused = archives.unpack(tmp_path / "a.zip", into, frozenset((".png", ".txt")))
        return {str(path.relative_to(into)): path.read_bytes() for path in taken}, refused

    return call


def why(unpack, data):
    """Why a whole archive is refused."""
    with pytest.raises(ImageRejectedError) as caught:
        unpack(data)
    return caught.value.reason


def test_members_are_unpacked_in_their_folders_and_others_passed_over(unpack):
    data = zipped(
        ("a.png", b"1"), ("shoot/b.PNG", b"22"), ("shoot/b.txt", b"words"), ("notes.md", b""),
        ("__MACOSX/._a.png", b""), ("folder.png/", b""), compression=zipfile.ZIP_DEFLATED,
    )  # fmt: skip
    assert unpack(data) == ({"a.png": b"1", "shoot/b.PNG": b"22", "shoot/b.txt": b"words"}, {})


@pytest.mark.parametrize("name", ESCAPES)
def test_names_that_lead_out_are_refused(unpack, tmp_path, name):
    taken, refused = unpack(zipped((name, b"x"), GOOD))
    assert list(taken) == ["good.png"] and not list(tmp_path.rglob("*out.png"))
    assert list(refused.values()) == ["has a name that leads out of the archive"]


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (link_member("a.png", "/etc/passwd"), "is a link or device, not a file"),
        (("a.zip", zipped(GOOD)), "is an archive within an archive; unpack it yourself and add the"),
        (("a.tgz", b""), "is an archive within an archive; unpack it yourself and add the files"),
        (("a.png", bytes(2**21)), "unpacks to more than 100 times its size, as no photo does"),
        (("good.png", b"y"), "is in the archive twice; only the first was taken"),
        (("n" * 300 + ".png", b""), "cannot be unpacked (File name too long)"),
    ],
)  # fmt: skip
def test_tricks_are_refused_and_the_rest_taken(unpack, member, reason):
    taken, refused = unpack(zipped(GOOD, member, compression=zipfile.ZIP_DEFLATED))
    assert taken == {"good.png": b"x"}
    assert len(refused) == 1 and next(iter(refused.values())).startswith(reason)


def test_members_that_cannot_be_unpacked(unpack):
    whole = zipped(("a.png", b"some bytes"))
    assert unpack(encrypted(whole))[1] == {
        "a.zip/a.png": "is encrypted; unpack it yourself and add the files"
    }
    assert unpack(zipped(GOOD, compression=zipfile.ZIP_LZMA))[1] == {
        "a.zip/good.png": "is compressed in an unusual way; pack it as an ordinary ZIP"
    }
    damaged = unpack(whole.replace(b"some", b"none"))[1]["a.zip/a.png"]
    assert damaged == "cannot be unpacked (Bad CRC-32 for file 'a.png')"


def test_archives_that_are_refused_whole(unpack, monkeypatch):
    assert why(unpack, b"words") == "is a damaged ZIP archive (File is not a zip file)"
    many = zipped(*((f"{number}.png", b"") for number in range(5001)))
    assert why(unpack, many) == "holds 5,001 files, more than 5,000; split it"
    long = zipped(*((f"{number:05}" * 20, b"") for number in range(8000)))
    assert why(unpack, long) == "is a damaged ZIP archive (its list of contents is too long)"
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", 1e4)
    large = zipped(("a.png", bytes(6000)), ("b.png", bytes(6000)), compression=zipfile.ZIP_DEFLATED)
    assert why(unpack, large) == "would unpack to 0 GB, more than 0; split it"


def test_a_member_gives_no_more_than_it_says(unpack):
    """A size that is a lie would get around the limit on all that is unpacked."""
    honest = zipped(("a.png", bytes(range(256)) * 40), compression=zipfile.ZIP_DEFLATED)
    size = struct.pack("<I", 10_240)
    assert honest.count(size) == 2
    taken, refused = unpack(honest.replace(size, struct.pack("<I", 10)))
    assert taken == {} and refused["a.zip/a.png"].startswith("cannot be unpacked (Bad CRC-32")


def test_a_full_disk_is_told(unpack, monkeypatch):
    def full(archive, member):
        yield b"x"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives, "_chunks", full)
    with pytest.raises(
        DiskFullError, match=r"No room on the disk to unpack good\.png in .*free some space"
    ):
        unpack(zipped(GOOD))


def test_files_that_lie_over_each_other_are_refused(tmp_path):
    """A kernel of zeros, told of a hundred times: 60 KB that would be a hundred times its size."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("0.jpg", bytes(50_000))
        info = archive.filelist[0]
        for number in range(1, 100):
            again = copy.copy(info)
            again.filename = again.orig_filename = f"{number}.jpg"
            archive.filelist.append(again)
            archive.NameToInfo[again.filename] = again
    (tmp_path / "bomb.zip").write_bytes(data.getvalue())
    with pytest.raises(ImageRejectedError, match="lie over each other"):
        archives.unpack(tmp_path / "bomb.zip", tmp_path / "out", frozenset((".jpg",)))
    assert not (tmp_path / "out").exists()


def test_several_archives_share_what_may_be_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", 100_000)
    for name in "ab":
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("0.jpg", random.Random(name).randbytes(60_000))
    with sources.unpacked([tmp_path / "a.zip", tmp_path / "b.zip"]) as (pictures, refused):
        assert len(pictures) == 1 and "would unpack to" in refused["b.zip"]
