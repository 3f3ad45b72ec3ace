import contextlib
import json
import random
import shutil
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from packshot.class_images import list_class_images
from packshot.datasets import import_dataset, read_dataset
from packshot.errors import DatasetError, NoUsablePhotosError, PackshotError, ProjectError
from packshot.images.refusals import read_refusals
from packshot.photos.photo_set import list_photos
from packshot.project import create_project, open_project
from packshot.utils import hashing
from tests.projects import painted


@pytest.fixture
def root(tmp_path):
    """A small dataset of kohya's: three photos, two class images."""
    img, reg = tmp_path / "kohya" / "img" / "10_ohwx car", tmp_path / "kohya" / "reg" / "1_car"
    for folder, first, count in ((img, 0, 3), (reg, 50, 2)):
        folder.mkdir(parents=True)
        for number in range(count):
            painted(first + number, (208, 160)).save(folder / f"{number}.png")
    (img / "0.txt").write_text('ohwx car, "là", side view\n', encoding="utf-8")
    (reg / "0.txt").write_text("a photo of a blue car")
    return tmp_path / "kohya"


def bytes_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_project_is_made_and_the_dataset_left_as_it_was(root, tmp_path):
    before, said = bytes_of(root), []
    imported = import_dataset(root, tmp_path / "duster", progress=lambda *a: said.append(a))
    assert bytes_of(root) == before
    assert {("photos", 3, 3), ("class images", 2, 2)} <= set(said)
    project = open_project(tmp_path / "duster")
    assert imported.project == project and imported.notes == [] and imported.refused == {}
    assert (project.subject.name, project.subject.phrase) == ("duster", "ohwx car")
    assert imported.photos == list_photos(project)
    assert [photo.source for photo in imported.photos] == ["0.png", "1.png", "2.png"]
    assert [photo.caption for photo in imported.photos] == ['ohwx car, "là", side view', None, None]
    assert imported.class_images == list_class_images(project)
    assert {image.prompt for image in imported.class_images} == {
        "a photo of a blue car", "a photo of a car",
    }  # fmt: skip


def test_run_again_it_changes_nothing(root, tmp_path):
    first = import_dataset(root, tmp_path / "project")
    before = bytes_of(first.project.root)
    assert import_dataset(root, tmp_path / "project") == first
    assert bytes_of(first.project.root) == before


def test_what_stands_in_the_project_stays(root, project, tmp_path):
    import_dataset(root, project.root)
    (project.photos_folder / "0.txt").write_text("mine")
    prompts = {image.sha256: image.prompt for image in list_class_images(project)}
    (root / "img" / "10_ohwx car" / "0.txt").write_text("changed since")
    (root / "img" / "10_ohwx car" / "1.txt").write_text("new since")
    (root / "reg" / "1_car" / "0.txt").write_text("changed since")
    (root / "reg" / "1_car" / "1.png").unlink()
    painted(60, (96, 96)).save(root / "reg" / "1_car" / "2.png")
    import_dataset(root, project.root)
    assert [photo.caption for photo in list_photos(project)] == ["mine", "new since", None]
    now = {image.sha256: image.prompt for image in list_class_images(project)}
    assert len(now) == 3 and now.items() >= prompts.items()


def test_pictures_of_one_name_in_two_folders(root, tmp_path):
    other = root / "img" / "3_ohwx car"
    other.mkdir()
    painted(9, (208, 160)).save(other / "0.png")
    (other / "0.txt").write_text("the other one")
    imported = import_dataset(root, tmp_path / "project")
    assert {photo.source: photo.caption for photo in imported.photos} == {
        "0.png": 'ohwx car, "là", side view', "1.png": None, "2.png": None, "0-2.png": "the other one",
    }  # fmt: skip
    assert imported.notes == [
        "repeats of 3, 10 were left out: Packshot shows all photos equally often"
    ]


def test_photos_are_turned_upright_and_names_made_plain(tmp_path):
    folder = tmp_path / "10_ohwx 車"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    painted(1, (208, 160)).save(folder / "写 真.jpg", exif=exif, quality=95)
    (folder / "写 真.txt").write_text("ohwx 車, 雪\n", encoding="utf-8")
    (photo,) = import_dataset(folder, tmp_path / "project").photos
    assert (photo.width, photo.height, photo.caption) == (160, 208, "ohwx 車, 雪")
    assert photo.file.name == "photo.jpg" and photo.source == "写 真.jpg"


def test_captions_and_masks_of_a_table(tmp_path):
    folder = tmp_path / "data"
    (folder / "drawn").mkdir(parents=True)
    painted(1, (208, 160)).save(folder / "a.png")
    painted(2, (208, 160)).save(folder / "b.png")
    mask = Image.new("L", (208, 160), 255)
    mask.paste(0, (0, 0, 50, 160))
    mask.convert("RGB").save(folder / "drawn" / "x.webp", lossless=True)
    rows = [
        {"file_name": "a.png", "text": 'ohwx car,\n"red"', "mask_file_name": "drawn/x.webp"},
        {"file_name": "b.png", "text": None, "mask_file_name": None},
    ]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    imported = import_dataset(folder, tmp_path / "project", class_noun="car", trigger="sks")
    first, second = imported.photos
    assert (first.caption, second.caption) == ('ohwx car, "red"', None)
    assert second.mask is None and first.mask is not None
    assert (np.asarray(Image.open(first.mask)) == np.asarray(mask)).all()
    assert imported.project.subject.phrase == "sks car"


def test_transparency_is_a_mask_only_where_the_configuration_says_so(tmp_path):
    folder = tmp_path / "cars"
    folder.mkdir()
    image, alpha = painted(1, (208, 160)), Image.new("L", (208, 160), 128)
    alpha.paste(0, (0, 0, 100, 160))
    cut_out = image.copy()
    cut_out.putalpha(alpha)
    cut_out.save(folder / "a.png")
    config = '[[datasets]]\n[[datasets.subsets]]\nimage_dir = "cars"\nalpha_mask = {}\n'
    pixels = {}
    for name, value in (("masked", "true"), ("white", "false")):
        (tmp_path / "c.toml").write_text(config.format(value))
        (photo,) = import_dataset(tmp_path / "c.toml", tmp_path / name, class_noun="car").photos
        pixels[name] = np.asarray(Image.open(photo.file))
        assert (photo.mask is not None) == (name == "masked")
    mask = Image.open(tmp_path / "masked" / "photos" / "masks" / "a.png")
    assert (np.asarray(mask) == np.asarray(alpha)).all()
    assert (pixels["masked"] == np.asarray(image)).all()
    assert (pixels["white"][:, :100] == 255).all()


def test_the_project_that_stands_keeps_its_subject(root, tmp_path):
    project = create_project(tmp_path / "project", name="Duster", class_noun="suv", trigger="dstr")
    imported = import_dataset(root, project.root)
    assert imported.project.subject.phrase == "dstr suv"
    assert imported.notes == [
        'the dataset calls the product "ohwx car", the project "dstr suv": captions stay as they are'
    ]
    import_dataset(root, project.root, class_noun="suv")
    with pytest.raises(
        ProjectError, match=r"other settings \(class_noun is 'suv', not 'car'\)\. Leave that out"
    ):
        import_dataset(root, project.root, class_noun="car")


def test_photos_of_several_products_are_told(root, tmp_path):
    """They all become photos of the first: sd-scripts would learn each by its own folder's words."""
    for name, number in (("5_ohwx car front", 10), ("5_sks dog", 11), ("6_sks dog", 12)):
        (root / "img" / name).mkdir()
        painted(number, (208, 160)).save(root / "img" / name / "a.png")
    imported = import_dataset(root, tmp_path / "project")
    assert len(imported.photos) == 6 and imported.project.subject.phrase == "ohwx car"
    assert [note for note in imported.notes if "repeats" not in note] == [
        'the dataset shows "sks dog" beside "ohwx car": all were taken for photos of one product. Import '
        "the folders of another by themselves, into a project of its own"
    ]


def huge():
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    size = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


HOSTILE = {
    "text.jpg": (b"hello", "is not an image that Packshot reads"),
    "pickle.png": (b"\x80\x04\x95\x0a\0\0\0\0\0\0\0.", "is not an image that Packshot reads"),
    "huge.png": (huge(), "has far too many pixels"),
    "zip.webp": (b"PK\x03\x04" + bytes(40), "is a ZIP archive"),
    "old.bmp": (b"BM" + bytes(40), "is a BMP; save it as"),
}


@pytest.mark.parametrize("alpha_mask", [False, True])
@pytest.mark.parametrize("kind", ["img/10_ohwx car", "reg/1_car"])
def test_what_is_no_picture_is_refused_and_the_rest_taken(root, tmp_path, kind, alpha_mask):
    for name, (data, _) in HOSTILE.items():
        (root / kind / name).write_bytes(data)
    (root / "img" / "10_ohwx car" / "0_sd.npz").write_bytes(b"a cache")
    if alpha_mask:
        subsets = "".join(
            f'[[datasets.subsets]]\nimage_dir = "{folder}"\nis_reg = {reg}\nalpha_mask = true\n'
            for folder, reg in (("img/10_ohwx car", "false"), ("reg/1_car", "true"))
        )
        (root / "dataset.toml").write_text("[[datasets]]\n" + subsets)
    imported = import_dataset(root, tmp_path / "project", class_noun="car")
    assert imported.refused.keys() == HOSTILE.keys()
    assert all(imported.refused[name].startswith(why) for name, (_, why) in HOSTILE.items())
    assert len(imported.photos) == 3 and len(imported.class_images) == 2
    listed = imported.project.refused_file if "img" in kind else None
    listed = listed or imported.project.class_images_refused_file
    assert read_refusals(listed) == imported.refused


def test_when_nothing_can_be_used_each_reason_is_told(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "text.jpg").write_text("hello")
    rows = [{"file_name": "text.jpg"}, {"file_name": "../../etc/passwd"}]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(NoUsablePhotosError) as caught:
        import_dataset(folder, tmp_path / "project", class_noun="car")
    lines = str(caught.value).splitlines()
    assert lines[0] == f"No photo in {folder} can be used:"
    assert lines[1].startswith(f"  ../../etc/passwd: leads outside {folder}")
    assert lines[2].startswith("  text.jpg: is not an image")


def test_what_is_no_dataset(tmp_path):
    with pytest.raises(DatasetError, match=r"^There is no nowhere\. Name a dataset"):
        read_dataset(type(tmp_path)("nowhere"))
    (tmp_path / "cache.npz").touch()
    with pytest.raises(DatasetError, match=r"cache\.npz is no dataset that Packshot reads"):
        read_dataset(tmp_path / "cache.npz")


def test_a_folder_of_pictures_is_only_for_tables(root):
    with pytest.raises(DatasetError, match=r"^--images goes with a table of captions; .* is none"):
        read_dataset(root, root)


def test_class_images_alone(root, tmp_path, project):
    shutil.rmtree(root / "img")
    imported = import_dataset(root, project.root)
    assert imported.photos == [] and len(imported.class_images) == 2
    assert hashing.sha256(imported.class_images[0].file) == imported.class_images[0].sha256


TABLES = {
    "c.toml": '[general]\ncaption_extension = ".txt"\n[[datasets]]\nresolution = 512\n'
    '[[datasets.subsets]]\nimage_dir = "cars"\nclass_tokens = "ohwx car"\nalpha_mask = true\n'
    '[[datasets.subsets]]\nimage_dir = "cars"\nmetadata_file = "m.json"\nnum_repeats = 3\n',
    "c.json": '{"datasets": [{"subsets": [{"image_dir": "cars", "is_reg": true}]}]}',
    "m.json": '{"cars/a.png": {"caption": "a car", "tags": "red", "image_size": [1, 2]}}',
    "m.jsonl": '{"file_name": "cars/a.png", "text": "a", "mask_file_name": "cars/a.png"}\n' * 2,
    "m.csv": 'file_name,text\ncars/a.png,"a, ""b"""\ncars/b.png,\n',
}


@pytest.mark.parametrize("name", TABLES)
def test_mutants_are_read_or_refused(tmp_path, name):
    (tmp_path / "cars").mkdir()
    (tmp_path / "cars" / "a.png").touch()
    draw = random.Random(name)
    pieces = [
        b"\0",
        b"\xff",
        b'"',
        b"[",
        b"{",
        b"\n",
        b"9" * 20,
        b"../",
        b"/",
        b"null",
        b"'",
        b"= 1",
    ]
    read = []
    (tmp_path / "m.json").write_text(TABLES["m.json"])
    for _ in range(300):
        data = bytearray(TABLES[name].encode())
        for _ in range(draw.randint(1, 4)):
            start = draw.randrange(len(data))
            data[start : start + draw.randint(0, 6)] = draw.choice(pieces)
        (tmp_path / name).unlink(missing_ok=True)  # drives are slow to empty a file
        (tmp_path / name).write_bytes(data)
        with contextlib.suppress(PackshotError):
            read.append(read_dataset(tmp_path / name))
    assert 0 < len(read) < 300, "some are read, and some refused"
    for entry in [one for dataset in read for one in (*dataset.entries, *dataset.class_entries)]:
        for file in filter(None, (entry.picture, entry.mask)):
            assert file.resolve() == tmp_path / "cars" / "a.png", "the only picture"


@pytest.mark.parametrize("by", ["name", "link", "linked folder", "mask"])
def test_what_lies_outside_a_dataset_is_taken_only_where_that_is_said(tmp_path, by):
    private, shared = tmp_path / "private", tmp_path / "shared"
    for folder in (private, shared / "10_ohwx car" / "masks"):
        folder.mkdir(parents=True)
    painted(0, (272, 272)).save(private / "me.png")
    painted(1, (272, 272)).save(shared / "10_ohwx car" / "a.png")
    if by == "name":
        told = f'[[datasets]]\n[[datasets.subsets]]\nimage_dir = "{private.as_posix()}"\n'
        (shared / "dataset.toml").write_text(told + 'class_tokens = "ohwx car"\n')
    elif by == "link":
        (shared / "10_ohwx car" / "b.png").symlink_to(private / "me.png")
    elif by == "linked folder":
        (shared / "5_ohwx car").symlink_to(private)
    else:
        (shared / "metadata.jsonl").write_text(
            '{"file_name": "10_ohwx car/a.png", "text": "ohwx car", "mask_file_name": "m.png"}'
        )
        (shared / "m.png").symlink_to(private / "me.png")
    asked = {"class_noun": "car", "trigger": "ohwx"}
    words = r"takes files from outside its folder.*--outside|leads outside"
    with pytest.raises((DatasetError, NoUsablePhotosError), match=words):
        import_dataset(shared, tmp_path / "p", **asked)
    if by != "mask":  # which a table names in its own folder only
        assert import_dataset(shared, tmp_path / "p", outside=True, **asked).photos
