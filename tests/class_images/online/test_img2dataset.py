"""What img2dataset writes: shards as folders and as archives, with JSON beside each picture."""

import io
import json
import re
import tarfile

import pillow_heif
import pytest
from PIL import Image

from packshot.class_images.online.collect import download_from
from packshot.class_images.online.download import Fetcher
from packshot.class_images.online.img2dataset import Img2Dataset, is_output
from packshot.class_images.online.licences import FREE
from packshot.errors import ClassImagesError
from tests.class_images.online.server import jpeg

pillow_heif.register_heif_opener()


def parts(number):
    told = {
        "url": f"https://example.org/{number}.jpg", "caption": "a red car", "key": f"{number:09d}",
        "status": "success", "sha256": "0" * 64, "license": "CC BY 2.0", "creator": "Ada",
    }  # fmt: skip
    yield f"{number:09d}.json", json.dumps(told).encode()
    yield f"{number:09d}.jpg", jpeg(number)
    yield f"{number:09d}.txt", b"a red car"


@pytest.fixture
def output(tmp_path):
    """One shard of each kind."""
    folder = tmp_path / "cars"
    (folder / "00000").mkdir(parents=True)
    for number in range(2):
        for name, data in parts(number):
            (folder / "00000" / name).write_bytes(data)
    with tarfile.open(folder / "00001.tar", "w") as archive:
        for number in range(2, 5):
            for name, data in parts(number):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    for shard in ("00000", "00001"):
        (folder / f"{shard}_stats.json").write_text("{}")
        (folder / f"{shard}.parquet").write_bytes(b"PAR1")
    return folder


def listed(folder):
    return list(Img2Dataset(folder).candidates(None))


def test_pictures_of_all_shards(output, tmp_path):
    assert is_output(output) and not is_output(tmp_path)
    found = listed(output)
    assert [one.stored.read() for one in found] == [jpeg(number) for number in range(5)]
    assert {(one.author, one.licence, one.prompt) for one in found} == {
        ("Ada", "CC BY 2.0", "a red car")
    }
    assert found[4].url == found[4].source == "https://example.org/4.jpg"


def test_they_are_gathered_without_a_network(output, project, clock):
    gathered = download_from(
        project, [Img2Dataset(output)], Fetcher("", clock), 4, FREE, min_side=64
    )
    assert [image.file.read_bytes() for image in gathered.images] == [jpeg(n) for n in range(4)]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "HEIF", "AVIF"])
def test_whatever_format_a_name_hides(output, project, clock, kind):
    """Without re-encoding img2dataset calls all of them .jpg."""
    as_it_came = io.BytesIO()
    Image.open(io.BytesIO(jpeg(0))).save(as_it_came, kind)
    (output / "00000" / "000000000.jpg").write_bytes(as_it_came.getvalue())
    gathered = download_from(
        project, [Img2Dataset(output)], Fetcher("", clock), 1, FREE, min_side=64
    )
    assert [image.file.read_bytes() for image in gathered.images] == [as_it_came.getvalue()]


def test_hostile_archives(output):
    with tarfile.open(output / "00001.tar", "w") as archive:
        for name, kind in (("../../evil.jpg", tarfile.REGTYPE), ("1.jpg", tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        member = tarfile.TarInfo("2.json")
        member.size = 6
        archive.addfile(member, io.BytesIO(b"[[[[[["))
    before = {path for path in output.parent.rglob("*")}
    found = listed(output)[2:]
    assert [one.stored.read() for one in found] == [b""]
    assert {path for path in output.parent.rglob("*")} == before


def test_the_words_of_what_cannot_be_read(output, tmp_path):
    (output / "00001.tar").write_bytes(b"damaged" * 100)
    *good, odd = listed(output)
    assert len(good) == 2 and odd.url == str(output / "00001.tar")
    assert re.fullmatch(r"is damaged \(.*\); download it again", odd.reason)
    (tmp_path / "parquet").mkdir()
    with pytest.raises(
        ClassImagesError, match=r"has no shard that Packshot reads\. Run img2dataset"
    ):
        listed(tmp_path / "parquet")


def test_of_an_archive_cut_short_what_is_whole_is_taken(output):
    data = (output / "00001.tar").read_bytes()
    second = data.index(b"000000003.jpg")
    (output / "00001.tar").write_bytes(data[: second + 100])
    found = listed(output)
    assert [one.stored.read() for one in found] == [jpeg(number) for number in range(3)]


def test_a_picture_whose_file_is_gone_meanwhile_costs_itself(output, project, clock):
    class Gone(Img2Dataset):
        def candidates(self, ask):
            for one in super().candidates(ask):
                if one.url.endswith("/1.jpg"):
                    one.stored.path.unlink()
                yield one

    found = download_from(project, [Gone(output)], Fetcher("", clock), 5, FREE, min_side=64)
    assert len(found.images) == 4
    assert "cannot be read (No such file" in found.refused["https://example.org/1.jpg"]
