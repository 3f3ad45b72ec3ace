"""Data sets as each trainer's users make them: read as that trainer reads them, the rest told.

The table in docs/data.md names these tests.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from packshot.class_images import list_class_images
from packshot.datasets import import_dataset, read_dataset
from packshot.datasets.model import Dataset
from packshot.errors import DatasetError, PackshotError
from packshot.images.sources import find, picture_files
from packshot.photos.photo_set import add_photos
from tests.projects import painted

CONFIG = "[[datasets]]\n{0}\n[[datasets.subsets]]\nimage_dir = 'pics'\n"


def pictures(folder, *names, size=(208, 160)):
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        painted(sum(map(ord, str(folder.name) + name)) + number, size).save(folder / name)
    return folder


def captions(dataset):
    return {entry.picture.name: entry.caption for entry in dataset.entries}


def half(size=(208, 160)):
    mask = Image.new("L", size)
    mask.paste(255, (0, 0, size[0] // 2, size[1]))
    return mask


def test_sd_scripts_first_line(tmp_path):
    folder = pictures(tmp_path / "img" / "10_ohwx car", "a.png", "b.png", "c.png")
    (folder / "a.txt").write_text("ohwx car, side\nNOTE: too dark\nby: me\n")
    (folder / "b.txt").write_bytes("\r\nohwx car là\r\n".encode("utf-16"))
    (folder / "c.txt").write_text("")
    dataset = read_dataset(tmp_path)
    assert captions(dataset) == {"a.png": "ohwx car, side", "b.png": "ohwx car là", "c.png": None}
    assert dataset.notes == [
        "the caption of a.png has more than one line: the first is read, the others are left out",
        "the caption of b.png has an empty first line, where sd-scripts stops: the first line with "
        "words is read",
    ]


@pytest.mark.parametrize(
    ("option", "caption", "told"),
    [
        ("enable_wildcard = true", "ohwx car, {x}", "alternatives, {a|b}: the first of each"),
        ("", "{ohwx|sks} car, {{x}}", "{a|b} read as it stands, as by sd-scripts without"),
    ],
)
def test_sd_scripts_wildcards(tmp_path, option, caption, told):
    folder = pictures(tmp_path / "pics", "a.png")
    (folder / "a.txt").write_text("{ohwx|sks} car, {{x}}\n")
    (tmp_path / "c.toml").write_text(CONFIG.format(option))
    dataset = read_dataset(tmp_path / "c.toml")
    assert captions(dataset) == {"a.png": caption} and told in dataset.notes[-1]
    assert captions(read_dataset(folder)) == {"a.png": "ohwx car, {x}"}


@pytest.mark.parametrize("mark", ["|||", "$$"])
def test_sd_scripts_kept_tokens(tmp_path, mark):
    folder = pictures(tmp_path / "pics", "a.png")
    (folder / "a.txt").write_text(f"ohwx car {mark} snow, wet {mark} sharp;;;35mm")
    options = (
        f"keep_tokens_separator = '{mark}'\nsecondary_separator = ';;;'\nshuffle_caption = true"
    )
    (tmp_path / "c.toml").write_text(CONFIG.format(options))
    dataset = read_dataset(tmp_path / "c.toml")
    assert captions(dataset) == {"a.png": "ohwx car, snow, wet, sharp, 35mm"}
    assert "parts to be shuffled: read in their order" in dataset.notes[-1]
    assert "Packshot has nothing for shuffle_caption: left out" in dataset.notes[0]


@pytest.mark.parametrize("names", [("Img", "REG"), ("img", "reg")])
@pytest.mark.parametrize("trigger", ["ohwx", "zwx9", "dstr"])
def test_sd_scripts_class_images_called_as_the_product(tmp_path, names, trigger):
    pictures(tmp_path / names[0] / f"10_{trigger} car", "a.png")
    reg = pictures(tmp_path / names[1] / f"1_{trigger} car", "b.png", "c.png")
    (reg / "b.txt").write_text(f"a photo of {trigger} car")
    result = import_dataset(tmp_path, tmp_path / "project")
    assert result.project.subject.phrase == f"{trigger} car"
    assert [photo.source for photo in result.photos] == ["a.png"]
    assert len(list_class_images(result.project)) == 2
    assert result.notes == [
        f'the class images are called "{trigger} car", as the product is: they were taken for class '
        'images of "car"',
        f"class images with the trigger '{trigger}' in their captions: 1. They would be learnt as the "
        "product: take it out there, and import again",
    ]


@pytest.mark.parametrize(
    ("tokens", "noun", "subject"),
    [
        ("ohwx car", "ohwx car", ("ohwx", "car")),
        ("ohwx red car", "ohwx car", ("ohwx", "car")),
        ("sports car", "sports car", (None, "sports car")),
        ("coffee mug", "coffee mug", (None, "coffee mug")),
        ("red car", "red car", (None, "red car")),
        ("ohwx", "ohwx", (None, "ohwx")),
    ],
)
def test_which_word_is_the_trigger_where_both_folders_have_one_name(tokens, noun, subject):
    assert Dataset(class_tokens=tokens, class_noun=noun).subject() == subject


@pytest.mark.parametrize("tokens", [None, "coffee mug", "zwx"])
def test_a_trigger_that_is_said_is_no_part_of_the_noun(tokens):
    assert Dataset(class_tokens=tokens, class_noun="zwx mug").subject("zwx") == ("zwx", "mug")
    assert Dataset(class_noun="coffee mug").subject("zwx") == (None, "coffee mug")


NAMES = {
    "sub\\a.png": "a.png",
    "C:\\data\\train\\b.png": "b.png",
    "/content/drive/data/c.png": "c.png",
    "D:/x/y/sub/d": "d.png",
    "/mnt/e": "e.png",
}


def test_sd_scripts_metadata_from_another_machine(tmp_path):
    root = pictures(tmp_path / "data", "b.png", "c.png", "e.png", "f.png")
    pictures(root / "sub", "a.png", "d.png")
    (root / "sub" / "b.png").write_bytes((root / "b.png").read_bytes())  # a longer end comes first
    rows = {name: {"caption": f"of {found}\nmore"} for name, found in NAMES.items()}
    again = {"C:\\data\\b": {"caption": "twice"}, "..\\b.png": {"caption": "outside"}}
    (root / "meta.json").write_text(json.dumps(rows | again), encoding="utf-16")
    dataset = read_dataset(root / "meta.json")
    assert captions(dataset) == {found: f"of {found}" for found in NAMES.values()}
    assert dataset.entries[1].picture == root / "b.png"
    assert dataset.refused["C:\\data\\b"] == "is b.png again; what its first entry says is read"
    assert dataset.refused["..\\b.png"].startswith("is not in ")
    assert f"meta.json: found in {root}, not where it says: 4 (such as C:\\data\\train\\b.png)" in (
        dataset.notes
    )
    assert "meta.json does not list all images: 1 left out (f.png)" in dataset.notes
    assert "5 captions (a.png, b.png, c.png, …) have more than one line" in dataset.notes[-1]


@pytest.mark.parametrize(
    ("encoding", "end"), [("utf-8-sig", "\r\n"), ("utf-8-sig", "\n"), ("utf-8", "\n")]
)
def test_sd_scripts_configuration_of_a_windows_editor(tmp_path, encoding, end):
    pictures(tmp_path / "pics", "a.png")
    text = CONFIG.format("resolution = 512").replace("\n", end)
    (tmp_path / "d.toml").write_bytes(text.encode(encoding))
    assert captions(read_dataset(tmp_path / "d.toml")) == {"a.png": None}


@pytest.mark.parametrize("path", ["C:\\Users\\me", "D:\\data", "E:\\xyz"])
def test_a_path_that_toml_cannot_hold_is_told(tmp_path, path):
    (tmp_path / "d.toml").write_text(f'[[datasets]]\n[[datasets.subsets]]\nimage_dir = "{path}"\n')
    with pytest.raises(PackshotError, match=r"Write a path that has .* in it between ' and ', not"):
        read_dataset(tmp_path / "d.toml")


def test_one_stem_with_several_images(tmp_path):
    folder = pictures(tmp_path / "img" / "10_ohwx car", "car.jpg", "car.png", "CAR.JPG", "car.webp")
    (folder / "car.txt").write_text("ohwx car")
    dataset = read_dataset(tmp_path)
    assert captions(dataset) == {
        "CAR.JPG": None, "car.jpg": "ohwx car", "car.png": "ohwx car", "car.webp": "ohwx car",
    }  # fmt: skip
    assert dataset.notes == ["car.jpg, car.png, car.webp share the caption of car"]
    result = import_dataset(tmp_path, tmp_path / "project")
    assert sorted(photo.caption or "" for photo in result.photos) == ["", *["ohwx car"] * 3]


def test_names_in_any_script(tmp_path):
    folder = tmp_path / "img" / "10_ohwx [2024] 汽车 🚗"
    pictures(folder, "фото (1) [x].JPG", "b.c.d.jpeg", "🚗*.png")
    for stem in ("фото (1) [x]", "b.c.d", "🚗*"):
        (folder / f"{stem}.txt").write_text(f"ohwx {stem}", encoding="utf-8")
    result = import_dataset(tmp_path, tmp_path / "project")
    assert {photo.source: photo.caption for photo in result.photos} == {
        "фото (1) [x].JPG": "ohwx фото (1) [x]", "b.c.d.jpeg": "ohwx b.c.d", "🚗*.png": "ohwx 🚗*",
    }  # fmt: skip
    assert result.project.subject.phrase == "ohwx [2024] 汽车 🚗" and result.notes == []


def test_onetrainer_masks(tmp_path):
    folder = pictures(tmp_path / "pics", "a.png", "b.jpg", "lost-masklabel.png", "a-condlabel.png")
    for stem in "ab":
        half().save(folder / f"{stem}-masklabel.png")
    (folder / "a.txt").write_text("ohwx car\nohwx car, other words\n")
    result = import_dataset(folder, tmp_path / "project", class_noun="car")
    assert [photo.source for photo in result.photos] == ["a.png", "b.jpg"]
    assert result.photos[0].caption == "ohwx car"
    for photo in result.photos:
        assert (np.asarray(Image.open(photo.mask)) == np.asarray(half())).all()
    assert result.refused == {
        "a-condlabel.png": "is OneTrainer's image to condition on; Packshot has nothing for it",
        "lost-masklabel.png": "is the mask of a photo that is not there",
    }
    assert result.notes == [
        "the caption of a.png has more than one line: the first is read, the others are left out"
    ]


@pytest.mark.parametrize("kind", ["folder", "zip", "files"])
def test_onetrainer_masks_without_an_import(tmp_path, project, kind):
    folder = pictures(tmp_path / "pics", "a.png")
    half().save(folder / "a-masklabel.png")
    (folder / "a.txt").write_text("{ohwx|sks} car\nmore")
    source = {"folder": folder, "files": sorted(folder.glob("*.png"))}.get(kind)
    if kind == "zip":
        source = Path(shutil.make_archive(str(tmp_path / "pics"), "zip", folder))
    result = add_photos(project, source)
    (photo,) = result.photos
    assert (photo.source, photo.caption) == ("a.png", "ohwx car") and photo.mask
    assert "more than one line" in result.refused["a.txt"]
    assert "alternatives" in result.refused["a.txt"]


def test_a_mask_alone_is_no_photo(tmp_path, project):
    folder = pictures(tmp_path / "pics", "a.png", "b-masklabel.png", "-masklabel.png")
    assert len(list(picture_files(folder))) == len(find([folder])) == 3
    result = add_photos(project, folder)
    assert {photo.source for photo in result.photos} == {"-masklabel.png", "a.png"}
    assert result.refused == {"b-masklabel.png": "is the mask of a photo that is not there"}


def test_ai_toolkit_placeholders_and_lines(tmp_path):
    folder = pictures(tmp_path / "pics", "a.png", "b.png", "c.png")
    (folder / "a.txt").write_text("a photo of [trigger] car,\non a table\n")
    (folder / "b.txt").write_text("[trigger]")
    (folder / "c.txt").write_text("[name] car, {class} [x]")
    result = import_dataset(folder, tmp_path / "project", class_noun="car", trigger="zwx")
    assert [photo.caption for photo in result.photos] == [
        "a photo of zwx car, on a table", "zwx", "zwx car, car [x]",
    ]  # fmt: skip
    assert "joined by commas, as ai-toolkit does" in result.notes[0]


@pytest.mark.parametrize("ending", ["png", "webp"])
def test_ai_toolkit_masks(tmp_path, ending):
    folder = pictures(tmp_path / "pics", "a.png")
    (folder / "masks").mkdir()
    half().convert("RGB").save(folder / "masks" / f"a.{ending}", lossless=True)
    (photo,) = import_dataset(folder, tmp_path / "project", class_noun="car").photos
    assert (np.asarray(Image.open(photo.mask)) == np.asarray(half())).all()


MUSUBI = """
[general]
resolution = [960, 544]
caption_extension = ".txt"
enable_bucket = true
[[datasets]]
image_directory = "pics"
cache_directory = "cache"
num_repeats = 2
[[datasets]]
image_jsonl_file = "more.jsonl"
[[datasets]]
video_directory = "clips"
target_frames = [1, 25]
"""


def test_musubi_tuner_configuration(tmp_path):
    pictures(tmp_path / "pics", "a.png", "b.png")
    (tmp_path / "pics" / "a.txt").write_text("ohwx car,\n{in|on} snow ||| wet\n")
    pictures(tmp_path / "other", "c.png")
    row = {"image_path": "other/c.png", "caption": "ohwx car"}
    (tmp_path / "more.jsonl").write_text(json.dumps(row))
    (tmp_path / "d.toml").write_text(MUSUBI)
    dataset = read_dataset(tmp_path / "d.toml")
    whole = "ohwx car, {in|on} snow ||| wet"
    assert captions(dataset) == {"a.png": whole, "b.png": None, "c.png": "ohwx car"}
    assert [entry.repeats for entry in dataset.entries] == [2, 2, 1]
    assert dataset.notes == ["d.toml: Packshot has nothing for video_directory: left out"]


def test_simpletuner_lines_and_configuration(tmp_path):
    folder = pictures(tmp_path / "pics", "a.png")
    (folder / "a.txt").write_text("ohwx car\nohwx car in snow")
    assert captions(read_dataset(folder)) == {"a.png": "ohwx car"}
    backends = [{"id": "x", "instance_data_dir": str(folder)}, {"dataset_type": "text_embeds"}]
    (tmp_path / "multidatabackend.json").write_text(json.dumps(backends))
    with pytest.raises(DatasetError, match=r"is SimpleTuner's, .* packshot import .*pics"):
        read_dataset(tmp_path / "multidatabackend.json")


CONFIGURATIONS = {
    "multidatabackend.json": [{"dataset_type": "text_embeds"}, {"instance_data_dir": "pics"}],
    "concepts.json": [{"name": "car", "enabled": True, "path": "pics"}],
    "config.json": {
        "job": "extension",
        "config": {"process": [{"type": "sd_trainer", "datasets": [{"folder_path": "pics"}]}]},
    },
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_configurations_that_are_not_read_are_told_with_their_folder(tmp_path, name):
    (tmp_path / name).write_text(json.dumps(CONFIGURATIONS[name]))
    with pytest.raises(DatasetError, match=r"does not read.* packshot import pics$"):
        read_dataset(tmp_path / name)
    (tmp_path / "config.yaml").write_text("config:\n  process: []\n")
    with pytest.raises(DatasetError, match="Import the folder that it names as folder_path"):
        read_dataset(tmp_path / "config.yaml")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_imagefolder_tables_of_a_spreadsheet(tmp_path, separator, encoding):
    folder = pictures(tmp_path / "data", "a.png", "b.png")
    text = f"file_name{separator}text\r\na.png{separator}ohwx è là\r\n"
    (folder / "metadata.csv").write_bytes(text.encode(encoding))
    dataset = read_dataset(folder)
    assert captions(dataset) == {"a.png": "ohwx è là"}
    assert dataset.notes == ["metadata.csv does not list all images: 1 left out (b.png)"]


def test_imagefolder_whole_text(tmp_path):
    folder = pictures(tmp_path / "data", "a.png")
    row = {"file_name": "a.png", "text": "a {ohwx|x} car,\nin snow"}
    (folder / "metadata.jsonl").write_text(json.dumps(row))
    (photo,) = import_dataset(folder, tmp_path / "project", class_noun="car").photos
    assert photo.caption == "a {ohwx|x} car, in snow"


def test_files_that_belong_to_no_image_are_told(tmp_path):
    folder = pictures(tmp_path / "img" / "10_ohwx car", "a.png")
    pictures(folder / "best", "b.png")
    for name in ("a.txt", "a.npz", "a.caption", "gone.txt", "clip.mp4", ".DS_Store"):
        (folder / name).write_bytes(b"x")
    assert read_dataset(tmp_path).notes == [
        f"{folder}: left out, for no image has them: a.caption, clip.mp4, gone.txt",
        f"{folder / 'best'} was skipped: folders within one with repeats are not read",
    ]
    assert read_dataset(folder).notes == read_dataset(tmp_path).notes


def test_a_label_that_is_a_link_elsewhere_costs_its_image_alone(tmp_path):
    folder = pictures(tmp_path / "pics", "a.png", "b.png")
    (tmp_path / "mine.png").write_bytes((folder / "a.png").read_bytes())
    (folder / "a-masklabel.png").symlink_to(tmp_path / "mine.png")
    dataset = read_dataset(folder)
    assert dataset.refused["pics/a.png"].startswith("its side-car is a link that leads out of")
    assert [entry.picture.name for entry in dataset.entries] == ["b.png"]
