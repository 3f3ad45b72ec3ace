import io
import shutil

import pytest

from packshot.errors import NoUsablePhotosError
from packshot.images.sources import find, picture_files, unpacked
from packshot.photos.photo_set import add_photos, list_photos
from tests.odd_files import encoded, video, zipped
from tests.projects import painted


def png(seed):
    return encoded(painted(seed), "PNG")


def test_what_is_meant_as_a_source_and_what_is_a_picture(source):
    for name in ("b.JPG", "a.mov", "c.zip", "d.txt", ".e.jpg"):
        (source / name).touch()
    (source / "f.png").mkdir()
    assert [path.name for path in find([source])] == ["a.mov", "b.JPG", "c.zip", "f.png"]
    assert [path.name for path in picture_files(source)] == ["b.JPG"]
    assert find([source / "d.txt"]) == [source / "d.txt"]  # named by the user: it will say why not


@pytest.mark.slow
def test_photos_of_a_zip_come_with_their_captions_and_masks(project, source):
    mask = io.BytesIO()
    painted(0).convert("L").save(mask, "PNG")
    (source / "shoot.zip").write_bytes(
        zipped(
            ("front/a.png", png(1)), ("front/a.txt", b"a photo of ohwx car, front view"),
            ("front/masks/a.png", mask.getvalue()), ("rear/a.png", png(2)), ("rear/b.jpg", b""),
            ("../c.png", png(3)), ("clip.mp4", video(4)),
        )
    )  # fmt: skip
    accepted = add_photos(project, source)
    by_caption = {photo.caption: photo for photo in accepted.photos}
    assert by_caption["a photo of ohwx car, front view"].mask
    assert {photo.source[:8] for photo in accepted.photos} == {"a.png", "clip at "}
    assert len(accepted.photos) >= 5
    assert accepted.refused == {
        "shoot.zip/../c.png": "has a name that leads out of the archive",
        "b.jpg": "is empty (0 bytes); copy it again from the camera or the cloud",
    }
    again = add_photos(project, source)
    assert again.photos == accepted.photos and again.refused == accepted.refused


def test_a_zip_of_masks_to_be_sold_is_one_of_photos(project, source):
    """A folder `masks` holds masks only beside photos."""
    packed = zipped(*((f"carnival/masks/{number}.png", png(number)) for number in range(2)))
    (source / "carnival.zip").write_bytes(packed)
    assert len(add_photos(project, source).photos) == 2


def test_a_zip_and_a_video_that_give_nothing(project, source):
    (source / "a.zip").write_bytes(zipped(("notes.md", b"")))
    (source / "b.mov").write_bytes(b"")
    with pytest.raises(NoUsablePhotosError) as caught:
        add_photos(project, source)
    assert str(caught.value).splitlines()[1:] == [
        "  a.zip: is a ZIP archive without photos or videos in it",
        "  b.mov: is not a video that Packshot reads, or is damaged",
    ]


@pytest.mark.slow
def test_of_a_live_photo_the_photo_is_enough(project, source):
    (source / "IMG_1.jpg").write_bytes(encoded(painted(1), "JPEG"))
    (source / "IMG_1.MOV").write_bytes(video(2, ".mov"))
    (source / "IMG_2.MOV").write_bytes(video(3, ".mov"))
    accepted = add_photos(project, source, frames=2)
    assert accepted.refused == {"IMG_1.MOV": "is the moving part of IMG_1.jpg, which is enough"}
    assert [photo.source[:8] for photo in accepted.photos] == ["IMG_1.jp", "IMG_2 at", "IMG_2 at"]
    assert add_photos(project, source / "IMG_1.MOV", frames=1).photos  # if it is asked for by name


def test_two_videos_of_one_name_are_both_told(source):
    for folder in ("a", "b"):
        (source / folder).mkdir()
        (source / folder / "x.mov").touch()
    with unpacked(find([source / "a", source / "b"])) as (found, refused):
        assert found == [] and list(refused) == ["x.mov", "b/x.mov"]


def test_two_files_of_one_name_are_both_told(project, tmp_path):
    for folder in ("a", "b", "c/a", "c/b"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "x.jpg").write_bytes(b"words")
    with pytest.raises(NoUsablePhotosError) as caught:
        add_photos(project, [tmp_path / folder for folder in ("a", "b", "c/a", "c/b")])
    told = {line.partition(":")[0].strip() for line in str(caught.value).splitlines()[1:]}
    assert len(told) == 4 and told > {"x.jpg", "x.jpg (2)"}


def test_nothing_stays_behind(source, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    (source / "a.zip").write_bytes(zipped(("a.png", png(1))))
    said = []
    with unpacked(find([source]), progress=lambda *args: said.append(args)) as (found, refused):
        assert [path.read_bytes() for path in found] == [png(1)] and refused == {}
    assert not list((tmp_path / "temporary").iterdir())
    assert said == [("unpacking", 1, 1)]
    shutil.rmtree(source)
    with pytest.raises(NoUsablePhotosError, match="There is no"):
        find([source])


def test_odd_names_are_printable_wherever_they_are_told(project, source):
    (source / "new\nline.jpg").write_bytes(b"")
    (source / "red\x1b[31m.png").write_bytes(png(5))
    accepted = add_photos(project, source)
    assert list(accepted.refused) == ["new?line.jpg"]
    assert list_photos(project)[0].source == "red?[31m.png"
    assert list_photos(project)[0].file.name == "red-31m.png"
