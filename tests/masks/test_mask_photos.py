"""Masks for a project's photos: those that stand are kept, ours are known as ours."""

from __future__ import annotations

import errno
import sys

import pytest
from PIL import Image

from packshot.errors import DiskFullError, NoUsablePhotosError, PackshotError
from packshot.masks import mask_photos, shows_a_product
from packshot.masks.segmenter import Found
from packshot.photos import manifest
from packshot.photos.photo_set import add_photos, list_photos
from packshot.project import create_project
from packshot.utils import files
from tests.projects import painted


class LeftHalf:
    name = "left half"

    def mask(self, picture):
        mask = Image.new("L", picture.size)
        mask.paste(255, (0, 0, picture.width // 2, picture.height))
        return mask


class TopHalf(LeftHalf):
    name = "top half"

    def mask(self, picture):
        return super().mask(picture).transpose(Image.Transpose.ROTATE_270).resize(picture.size)


class Filled:
    def __init__(self, value):
        self.name, self.value = f"all {value}", value

    def mask(self, picture):
        return Image.new("L", picture.size, self.value)


@pytest.fixture
def project(tmp_path):
    source = tmp_path / "source"
    (source / "masks").mkdir(parents=True)
    for number in range(3):
        painted(number, (192, 160)).save(source / f"{number}.png")
    Image.new("L", (192, 160), 255).save(source / "masks" / "1.png")
    project = create_project(tmp_path / "project", name="Duster", class_noun="car")
    add_photos(project, source)
    return project


def test_photos_without_a_mask_get_one(project):
    said = []
    masked = mask_photos(project, LeftHalf(), lambda *args: said.append(args)).photos
    shares = [sum(Image.open(photo.mask).histogram()[255:]) / (192 * 160) for photo in masked]
    assert shares == [0.5, 1.0, 0.5]
    assert said == [("masks", 1, 2), ("masks", 2, 2)]


def test_our_masks_are_remembered_as_ours(project):
    masked = mask_photos(project, LeftHalf()).photos
    assert [photo.masked_by for photo in masked] == ["left half", None, "left half"]
    for photo in masked:
        entries = manifest.read(project).photos
        written = next(e.written_mask for e in entries if e.file == photo.file.name)
        assert manifest.is_ours(photo.mask, written)


def test_masks_that_stand_are_kept(project):
    mask_photos(project, LeftHalf())
    before = [photo.mask.read_bytes() for photo in list_photos(project)]
    mask_photos(project, None)  # would load the bundled segmenter if a mask were missing
    assert [photo.mask.read_bytes() for photo in list_photos(project)] == before


def contents(project):
    return [photo.mask and photo.mask.read_bytes() for photo in list_photos(project)]


def test_again_makes_anew_only_what_a_segmenter_made(project):
    mask_photos(project, LeftHalf())
    first = contents(project)
    drawn = Image.new("L", (192, 160))
    drawn.paste(255, (50, 50, 100, 100))
    drawn.save(list_photos(project)[2].mask)
    mine = list_photos(project)[2].mask.read_bytes()
    masked = mask_photos(project, TopHalf(), overwrite_generated=True).photos
    now = contents(project)
    assert now[0] != first[0] and now[1:] == [first[1], mine]
    assert [photo.masked_by for photo in masked] == ["top half", None, None]
    top = Image.open(masked[0].mask)
    assert top.getpixel((96, 10)) == 255 and top.getpixel((10, 150)) == 0


def test_a_mask_that_a_person_put_in_the_place_of_ours_is_theirs_for_good(project, tmp_path):
    mask_photos(project, LeftHalf())
    source = tmp_path / "source"
    Image.new("L", (192, 160), 200).save(source / "masks" / "0.png")
    add_photos(project, source)  # carried over ours, as the source's always are
    carried = contents(project)[0]
    masked = mask_photos(project, TopHalf(), overwrite_generated=True).photos
    assert contents(project)[0] == carried and masked[0].masked_by is None
    masked[0].mask.unlink()
    assert mask_photos(project, TopHalf()).photos[0].masked_by == "top half"


def test_a_larger_version_of_a_photo_keeps_its_mask_as_ours(project, tmp_path):
    mask_photos(project, LeftHalf())
    painted(0, (192, 160)).resize((384, 320), Image.Resampling.NEAREST).save(tmp_path / "0.png")
    add_photos(project, tmp_path / "0.png")
    assert list_photos(project)[0].width == 384 and list_photos(project)[0].masked_by == "left half"


@pytest.mark.parametrize("value", [0, 127, 255])
def test_what_shows_no_product_is_told_and_not_written(project, value):
    masked = mask_photos(project, Filled(value))
    assert [photo.file.name for photo in masked.without_mask] == ["0.png", "2.png"]
    assert [photo.mask is None for photo in masked.photos] == [True, False, True]


def test_what_stood_there_is_kept_where_nothing_is_found(project):
    mask_photos(project, LeftHalf())
    before = contents(project)
    masked = mask_photos(project, Filled(0), overwrite_generated=True)
    assert len(masked.without_mask) == 2 and contents(project) == before
    assert masked.photos[0].masked_by == "left half"


@pytest.mark.parametrize(
    ("white", "shows"), [(15, False), (16, True), (15_920, True), (15_921, False)]
)
def test_how_much_of_a_photo_a_product_covers(white, shows):
    mask = Image.new("L", (16_000, 1), 127)
    mask.paste(128, (0, 0, white, 1))
    assert shows_a_product(mask) == shows


@pytest.mark.parametrize("cut", range(4))
@pytest.mark.parametrize("redo", [False, True])
def test_killed_between_two_writes_nothing_is_lost(project, monkeypatch, cut, redo):
    """Two masks are written, each after its note: wherever it stops, the same command goes on."""
    if redo:
        mask_photos(project, LeftHalf())
    before, real, count = contents(project), files._write, []

    def killed(path, data):
        count.append(path)
        if len(count) == cut + 1:
            raise KeyboardInterrupt
        real(path, data)

    monkeypatch.setattr(files, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        mask_photos(project, TopHalf(), overwrite_generated=redo)
    stopped = contents(project)
    changed = [one for one, other in zip(stopped, before, strict=True) if one != other]
    assert stopped[1] == before[1] and len(changed) == cut // 2
    monkeypatch.setattr(files, "_write", real)
    masked = mask_photos(project, TopHalf(), overwrite_generated=redo).photos
    assert [photo.masked_by for photo in masked] == ["top half", None, "top half"]
    now = contents(project)
    assert now[1] == before[1] and now[0] == now[2] != before[0]


def test_a_disk_that_fills(project, monkeypatch):
    mask_photos(project, LeftHalf())
    before, real = contents(project), files._write

    def full(path, data):
        if path.suffix == ".png":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, data)

    monkeypatch.setattr(files, "_write", full)
    with pytest.raises(DiskFullError, match=r"What stood there is intact"):
        mask_photos(project, TopHalf(), overwrite_generated=True)
    assert contents(project) == before


def test_a_project_without_photos(tmp_path):
    with pytest.raises(NoUsablePhotosError, match="packshot photos"):
        mask_photos(create_project(tmp_path / "empty", name="Duster", class_noun="car"), LeftHalf())


class Falters(LeftHalf):
    def mask(self, picture):
        if picture.size == (192, 161):
            raise PackshotError("too odd")
        return super().mask(picture)


def test_a_photo_that_cannot_be_searched_costs_itself(project, tmp_path):
    for number in (3, 4):
        painted(number, (192, 160)).save(tmp_path / f"{number}.png")
    add_photos(project, [tmp_path / "3.png", tmp_path / "4.png"])
    (project.photos_folder / "0.png").write_bytes(b"\x89PNG")
    painted(3).resize((192, 161)).save(project.photos_folder / "3.png")
    result = mask_photos(project, Falters())
    assert result.failed.keys() == {"0.png", "3.png"} and result.failed["3.png"] == "too odd"
    assert [photo.file.name for photo in result.photos if photo.mask] == [
        "1.png", "2.png", "4.png",
    ]  # fmt: skip
    assert result.without_mask == []


def test_what_fails_with_all_photos_is_an_error(project):
    class Broken(LeftHalf):
        def mask(self, picture):
            raise PackshotError("does not run")

    with pytest.raises(PackshotError, match="does not run"):
        mask_photos(project, Broken())


class Comparing(LeftHalf):
    """Finds the left half, and remembers what it was given."""

    name = "comparing"

    def compare(self, pictures, known, progress=None):
        self.sizes = [picture.size for picture in pictures]
        self.known = [None if mask is None else mask.size for mask in known]
        return [Found(self.mask(picture), 0.25) for picture in pictures]


def test_photos_are_compared_with_each_other_and_with_what_a_person_drew(project):
    finder = Comparing()
    masked = mask_photos(project, finder).photos
    assert finder.sizes == [(192, 160)] * 3 and finder.known == [None, (192, 160), None]
    assert [photo.mask_doubt for photo in masked] == [0.25, None, 0.25]
    assert sum(Image.open(masked[1].mask).histogram()[255:]) == 192 * 160, "the drawn one stays"


def test_fewer_than_three_photos_are_searched_one_by_one(tmp_path):
    project = create_project(tmp_path / "few", name="Duster", class_noun="car")
    for number in range(2):
        painted(number, (192, 160)).save(tmp_path / f"{number}.png")
    add_photos(project, [tmp_path / "0.png", tmp_path / "1.png"])
    finder = Comparing()
    masked = mask_photos(project, finder).photos
    assert not hasattr(finder, "sizes")
    assert [(photo.masked_by, photo.mask_doubt) for photo in masked] == [("comparing", None)] * 2


def test_a_redrawn_mask_has_no_doubt(project):
    photo = mask_photos(project, Comparing()).photos[0]
    Image.new("L", (192, 160), 255).save(photo.mask)
    assert [photo.mask_doubt for photo in list_photos(project)] == [None, None, 0.25]


def test_a_photo_that_cannot_be_opened_does_not_keep_the_others_from_being_compared(
    project, monkeypatch
):
    module = sys.modules["packshot.masks.mask_photos"]
    real = module.open_image

    def refuse(file):
        if file.name == "2.png":
            raise OSError(errno.EIO, "the drive is gone")
        return real(file)

    monkeypatch.setattr(module, "open_image", refuse)
    masked = mask_photos(project, Comparing())
    assert masked.photos[0].mask_doubt == 0.25
    assert list(masked.failed) == ["2.png"]
