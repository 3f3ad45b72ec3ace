import json
import os
import re
import shutil

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageFilter

from packshot.errors import (
    DiskFullError,
    ImageRejectedError,
    NoUsablePhotosError,
    ProjectError,
    UnsafePathError,
)
from packshot.images.refusals import read_refusals
from packshot.photos.photo_set import add_photos, list_photos, require_photos, write_captions
from packshot.utils import files, hashing
from tests.projects import painted


def contents(folder):
    """Every file under a folder with its bytes and times."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*")) if path.is_file()
    }  # fmt: skip


def refusal(project, source, name, **options):
    """Why one file is refused, beside one that is not."""
    painted(999).save(source / "zz-fine.png")
    return add_photos(project, source, **options).refused[name]


def test_a_folder_is_taken_in_and_left_as_it_was(project, source):
    pillow_heif.register_heif_opener()
    for number, ending in enumerate(("jpg", "png", "webp", "heic")):
        painted(number).save(source / f"Photo {number}.{ending}")
    (source / "Photo 0.txt").write_text("a photo of ohwx car, side view\n")
    (source / "Photo 1.caption").write_text("a photo of ohwx car, rear view")
    (source / "masks").mkdir()
    Image.new("L", (192, 160), 255).save(source / "masks" / "Photo 2.png")
    (source / "notes.md").write_text("not a photo")
    before, said = contents(source), []
    accepted = add_photos(project, source, lambda *args: said.append(args))
    assert contents(source) == before
    assert said[-1] == ("photos", 4, 4) and accepted.refused == {}
    assert [photo.file.name for photo in accepted.photos] == [
        "Photo-0.jpg", "Photo-1.png", "Photo-2.png", "Photo-3.jpg",
    ]  # fmt: skip
    assert accepted.photos == list_photos(project)
    first, second, third, _ = accepted.photos
    assert first.caption == "a photo of ohwx car, side view"
    assert second.caption == "a photo of ohwx car, rear view"
    assert third.caption is None and third.mask == project.masks_folder / "Photo-2.png"
    assert (first.width, first.height, first.source) == (192, 160, "Photo 0.jpg")
    assert first.sha256 == hashing.sha256(first.file)
    assert re.fullmatch(r"192 x 160 px, sharp \(\d+\), no near copy", first.why)
    assert read_refusals(project.refused_file) == {}
    listed = json.loads(project.photos_manifest.read_text())["photos"][0]
    assert listed["source_sha256"] == hashing.sha256(source / "Photo 0.jpg")


def test_photos_that_are_needed(project, source):
    with pytest.raises(
        NoUsablePhotosError, match=r"has no photos yet\. Add some: packshot photos FOLDER"
    ):
        require_photos(project)
    painted(0).save(source / "a.png")
    add_photos(project, source)
    assert [photo.file.name for photo in require_photos(project)] == ["a.png"]


def test_photos_are_written_upright_without_gps_but_with_their_exif(project, source):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera"
    exif.get_ifd(0x8825)[2] = (46.0, 3.0, 0.0)
    painted(1).save(source / "a.jpg", exif=exif, quality=95)
    photo = add_photos(project, source).photos[0]
    written = Image.open(photo.file)
    assert (photo.width, photo.height) == written.size == (160, 192)
    kept = written.getexif()
    assert kept[0x010F] == "Camera" and 0x0112 not in kept and not kept.get_ifd(0x8825)


def test_one_file_or_several_may_be_named(project, source):
    for number in range(3):
        painted(number).save(source / f"{number}.png")
    assert [p.source for p in add_photos(project, source / "0.png").photos] == ["0.png"]
    taken = add_photos(project, [source / "1.png", source / "2.png"]).photos
    assert [p.source for p in taken] == ["1.png", "2.png"]
    assert len(list_photos(project)) == 3


def test_names_are_plain_and_stems_unique(project, source, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for number, path in enumerate(
        [source / "a.jpg", source / "A.png", source / "../other/a.jpg", source / "caffè & tè.png",
         source / "写真.png", source / "-x-.png", source / "写 真.png"]
    ):  # fmt: skip
        painted(number).save(path)
    names = {photo.file.name for photo in add_photos(project, [source, other]).photos}
    stems = sorted(name.rsplit(".", 1)[0].lower() for name in names)
    assert stems == ["a", "a-2", "a-3", "caffe-te", "photo", "photo-2", "x"]


def test_too_small(project, source):
    painted(1, (320, 96)).save(source / "a.png")
    assert refusal(project, source, "a.png") == (
        "is only 320 x 96 px; its shorter side must have 128: use the original, not a thumbnail"
    )
    assert add_photos(project, source, min_side=64).refused == {}


def test_too_blurred(project, source):
    painted(1).filter(ImageFilter.GaussianBlur(12)).save(source / "a.png")
    assert re.fullmatch(
        r"is blurred, or shows nothing \(sharpness \d+, at least 60 is needed\); "
        "hold still and focus on the product",
        refusal(project, source, "a.png"),
    )
    assert add_photos(project, source, min_sharpness=0).refused == {}


def test_exact_and_near_duplicates(project, source):
    painted(1, (320, 320)).save(source / "b.png")
    shutil.copy(source / "b.png", source / "c.png")
    painted(1, (320, 320)).save(source / "d.webp", lossless=True)
    painted(1, (320, 320)).resize((200, 200)).save(source / "a.jpg", quality=80)
    accepted = add_photos(project, source)
    assert [photo.source for photo in accepted.photos] == ["b.png"]  # the largest stays
    assert accepted.refused == {
        "a.jpg": "is nearly the same image as b.png; one of them is enough",
        "c.png": "is the same file as b.png",
        "d.webp": "is the same image as b.png; one of them is enough",
    }
    assert read_refusals(project.refused_file) == accepted.refused
    assert add_photos(project, source) == accepted


def test_what_cannot_be_opened_is_refused_and_the_rest_taken(project, source):
    painted(1).save(source / "cut.jpg")
    whole = (source / "cut.jpg").read_bytes()
    (source / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (source / "empty.heic").touch()
    painted(3).save(source / "a.gif")
    refusal(project, source, "cut.jpg")
    assert read_refusals(project.refused_file) == {
        "a.gif": "is a GIF; save it as JPEG, PNG, WebP or HEIC",
        "cut.jpg": "is damaged or cut short; copy it again from the camera or the cloud",
        "empty.heic": "is empty (0 bytes); copy it again from the camera or the cloud",
    }
    codes = [reason.code for reason in read_refusals(project.refused_file).values()]
    assert codes == ["rejected", "damaged", "damaged"]


def test_a_mask_of_another_shape_is_refused_and_its_photo_taken(project, source):
    (source / "masks").mkdir()
    painted(1).save(source / "a.png")
    Image.new("L", (10, 10)).save(source / "masks" / "a.png")
    accepted = add_photos(project, source)
    assert accepted.photos[0].mask is None
    assert accepted.refused["masks/a.png"] == (
        "is 10 x 10 px, its upright photo 192 x 160; draw it at the photo's size"
    )


def test_the_words_when_there_is_nothing_to_take(project, source, tmp_path):
    with pytest.raises(
        NoUsablePhotosError, match=r"^There is no nowhere\. Name a folder with photos of your"
    ):
        add_photos(project, [type(source)("nowhere")])
    (source / "a.txt").write_text("words")
    (source / "b.csv").write_text("1,2")
    with pytest.raises(
        NoUsablePhotosError,
        match=r"source holds no photos \(JPEG, PNG, WebP, HEIC or AVIF\), videos or ZIPs\.$",
    ):
        add_photos(project, source)
    (source / "10_ohwx car").mkdir()
    painted(1).save(source / "10_ohwx car" / "a.png")
    with pytest.raises(
        NoUsablePhotosError, match=r"Its folder .*10_ohwx car does: name that one\.$"
    ):
        add_photos(project, source)


def test_when_all_are_refused_each_reason_is_told(project, source):
    painted(1, (64, 64)).save(source / "a.png")
    (source / "b.jpg").write_text("hello")
    with pytest.raises(NoUsablePhotosError) as caught:
        add_photos(project, source)
    assert str(caught.value).splitlines() == [
        f"No photo in {source} can be used:",
        "  a.png: is only 64 x 64 px; its shorter side must have 128: use the original, not a thumbnail",
        "  b.jpg: is not an image that Packshot reads; save it as JPEG, PNG, WebP or HEIC",
    ]
    assert set(read_refusals(project.refused_file)) == {"a.png", "b.jpg"}
    for number in range(30):
        (source / f"{number}.jpg").write_text("hello")
    with pytest.raises(NoUsablePhotosError, match=r"\n  and 12 more, listed in refused\.json$"):
        add_photos(project, source)


def test_run_again_it_writes_nothing(project, source, monkeypatch):
    for number in range(3):
        painted(number).save(source / f"{number}.jpg")
    first = add_photos(project, source)
    before = contents(project.photos_folder)
    monkeypatch.setattr(
        "packshot.photos.ingest.read_picture", lambda path: pytest.fail(f"decoded {path}")
    )
    assert add_photos(project, source) == first
    after = contents(project.photos_folder)
    assert before.pop("refused.json")[0] == after.pop("refused.json")[0] and before == after
    assert add_photos(project, project.photos_folder) == first  # its own folder, too


def test_only_what_changed_is_redone(project, source):
    for number in range(3):
        painted(number).save(source / f"{number}.png")
    add_photos(project, source)
    untouched = contents(project.photos_folder)["1.png"]
    (source / "0.png").unlink()
    painted(2).point(lambda v: min(255, v + 6)).save(source / "2.png")  # retouched
    painted(7).save(source / "new.png")
    add_photos(project, source)
    assert [photo.source for photo in list_photos(project)] == [
        "0.png",
        "1.png",
        "2.png",
        "new.png",
    ]
    assert contents(project.photos_folder)["1.png"] == untouched
    assert np.asarray(Image.open(project.photos_folder / "2.png")).min() >= 6


def test_a_photo_retouched_in_the_project_is_not_written_over(project, source):
    painted(1).save(source / "a.png")
    photo = add_photos(project, source).photos[0]
    painted(1).crop((0, 0, 176, 160)).save(photo.file)
    now = list_photos(project)[0]
    assert (now.width, now.height) == (176, 160) and now.sha256 == hashing.sha256(photo.file)
    painted(1).point(lambda v: min(255, v + 6)).save(source / "a.png")
    with pytest.raises(NoUsablePhotosError, match=r"a\.png: is nearly the same image as a\.png"):
        add_photos(project, source)
    assert list_photos(project) == [now]
    photo.file.write_text("no picture any more")
    with pytest.raises(ImageRejectedError, match=r"a\.png: is not an image that Packshot reads"):
        list_photos(project)


def test_a_photo_taken_out_of_the_project_is_gone_until_added_again(project, source):
    for number in range(2):
        painted(number).save(source / f"{number}.png")
    add_photos(project, source)
    (project.photos_folder / "0.png").unlink()
    assert [photo.source for photo in list_photos(project)] == ["1.png"]
    assert [photo.file.name for photo in add_photos(project, source).photos] == ["0.png", "1.png"]


def test_captions_edited_by_a_person_stay_and_others_follow_the_source(project, source):
    painted(1).save(source / "a.png")
    photo = add_photos(project, source).photos[0]
    write_captions(project, [(photo, "a photo of ohwx car")])
    (source / "a.txt").write_text("from the source")
    assert add_photos(project, source).photos[0].caption == "from the source"
    (source / "a.txt").write_text("from the source, again")
    assert add_photos(project, source).photos[0].caption == "from the source, again"
    photo.file.with_suffix(".txt").write_text("  edited\nby hand ")
    (source / "a.txt").write_text("once more")
    assert add_photos(project, source).photos[0].caption == "edited by hand"
    assert photo.file.with_suffix(".txt").read_text() == "  edited\nby hand "


def test_masks_likewise(project, source):
    painted(1).save(source / "a.png")
    (source / "masks").mkdir()
    for value in (255, 7):
        Image.new("L", (192, 160), value).save(source / "masks" / "a.png")
        photo = add_photos(project, source).photos[0]
        assert Image.open(photo.mask).getpixel((0, 0)) == value
    Image.new("L", (192, 160), 99).save(photo.mask)
    Image.new("L", (192, 160), 1).save(source / "masks" / "a.png")
    add_photos(project, source)
    assert Image.open(photo.mask).getpixel((0, 0)) == 99


def test_killed_between_photo_and_manifest_it_goes_on_cleanly(project, source, monkeypatch):
    for number in range(2):
        painted(number).save(source / f"{number}.jpg")
    real, writes = files._write, []

    def failing(path, data):
        writes.append(path)
        if len(writes) == 4:  # the second photo is there, the manifest does not say so
            raise OSError(28, "No space left on device")
        real(path, data)

    monkeypatch.setattr(files, "_write", failing)
    with pytest.raises(DiskFullError, match=r"No room on the disk for .*manifest\.json"):
        add_photos(project, source)
    monkeypatch.undo()
    assert len(list_photos(project)) == 1
    assert [photo.file.name for photo in add_photos(project, source).photos] == ["0.jpg", "1.jpg"]
    assert sorted(p.name for p in project.photos_folder.glob("*.jpg")) == ["0.jpg", "1.jpg"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_photo_that_may_not_be_read(project, source):
    painted(1).save(source / "a.png")
    (source / "a.png").chmod(0)
    assert refusal(project, source, "a.png").startswith("cannot be read (Permission denied); check")


def test_a_damaged_or_hostile_manifest(project, source):
    assert list_photos(project) == []
    painted(1).save(source / "a.png")
    add_photos(project, source)
    good = json.loads(project.photos_manifest.read_text())
    for bad in ("{", "[]", '{"photos": [{"file": 1}]}'):
        project.photos_manifest.write_text(bad)
        with pytest.raises(
            ProjectError, match=r"manifest\.json is damaged \(.*Move it away and add"
        ):
            list_photos(project)
    good["photos"][0]["file"] = "../../source/a.png"
    project.photos_manifest.write_text(json.dumps(good))
    with pytest.raises(UnsafePathError, match=r"'\.\./\.\./source/a\.png' leads outside"):
        list_photos(project)


@pytest.mark.slow
def test_six_wanted_photos_of_one_product_are_all_taken(project, shared_files):
    folder = shared_files / "photos" / "clock"
    accepted = add_photos(project, folder)
    assert len(accepted.photos) == 6 and accepted.refused == {}


def test_side_cars_with_capital_endings_are_a_persons(project, tmp_path):
    """As some editors write them: they are read, and neither replaced nor hidden by ours."""
    (tmp_path / "given" / "masks").mkdir(parents=True)
    painted(1).save(tmp_path / "given" / "a.png")
    add_photos(project, tmp_path / "given")
    (photo,) = list_photos(project)
    photo.file.with_suffix(".TXT").write_text("a photo of ohwx car by night")
    project.masks_folder.mkdir(exist_ok=True)
    Image.new("L", (photo.width, photo.height), 255).save(project.masks_folder / "a.PNG", "PNG")
    (tmp_path / "given" / "a.Txt").write_text("another")
    Image.new("L", (photo.width, photo.height)).save(tmp_path / "given" / "masks" / "a.png")
    add_photos(project, tmp_path / "given")
    (photo,) = list_photos(project)
    assert (photo.caption, photo.caption_by) == ("a photo of ohwx car by night", "person")
    assert photo.mask == project.masks_folder / "a.PNG" and photo.masked_by is None
