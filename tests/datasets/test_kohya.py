import json
import tomllib

import pytest
from PIL import Image

from packshot.datasets import export_dataset, import_dataset, read_dataset
from packshot.datasets.kohya import read_config, read_folders
from packshot.errors import DatasetError, PackshotError
from packshot.photos.photo_set import add_photos
from packshot.project import create_project
from tests.projects import painted

# What library/config_util.py of sd-scripts (48d368f) takes where; it refuses a file with any other.
DATASET_KEYS = {
    "batch_size", "bucket_no_upscale", "bucket_reso_steps", "enable_bucket", "max_bucket_reso",
    "min_bucket_reso", "validation_seed", "validation_split", "resolution", "network_multiplier",
    "resize_interpolation",
}  # fmt: skip
ASCENDING_KEYS = {
    "color_aug", "face_crop_aug_range", "flip_aug", "num_repeats", "random_crop", "shuffle_caption",
    "keep_tokens", "keep_tokens_separator", "secondary_separator", "caption_separator",
    "enable_wildcard", "token_warmup_min", "token_warmup_step", "caption_prefix", "caption_suffix",
    "custom_attributes", "resize_interpolation", "caption_dropout_every_n_epochs",
    "caption_dropout_rate", "caption_tag_dropout_rate", "caption_extension", "class_tokens",
    "cache_info",
}  # fmt: skip
SUBSET_KEYS = ASCENDING_KEYS | {"image_dir", "is_reg", "alpha_mask"}


def names(entries):
    return [entry.picture.name for entry in entries]


@pytest.fixture
def root(tmp_path):
    """The layout of kohya's GUI."""
    root = tmp_path / "kohya"
    for folder, count in (
        ("img/10_ohwx sports car", 3),
        ("img/5_ohwx sports car", 1),
        ("reg/1_car", 2),
    ):
        (root / folder).mkdir(parents=True)
        for number in range(count):
            painted(len(folder) + number, (160, 144)).save(root / folder / f"{number}.png")
    return root


def test_folders_give_repeats_subject_and_class_images(root):
    first = root / "img" / "10_ohwx sports car"
    (first / "0.txt").write_text("ohwx sports car, side view\n")
    (first / "1.caption").write_text("ohwx sports car, rear view")
    (first / "0_sd.npz").write_bytes(b"a cache")
    (root / "log").mkdir()
    dataset = read_folders(root)
    assert names(dataset.entries) == ["0.png", "1.png", "2.png", "0.png"]
    assert [entry.repeats for entry in dataset.entries] == [10, 10, 10, 5]
    assert [entry.caption for entry in dataset.entries] == [
        "ohwx sports car, side view", "ohwx sports car, rear view", None, None,
    ]  # fmt: skip
    assert names(dataset.class_entries) == ["0.png", "1.png"]
    assert dataset.subject() == ("ohwx", "sports car") and dataset.notes == []
    assert read_dataset(root / "img").entries == dataset.entries
    assert read_dataset(first).entries == dataset.entries[:3]


@pytest.mark.parametrize(
    ("img", "reg", "subject"),
    [
        ("10_ohwx car", None, ("ohwx", "car")),
        ("10_ohwx", "1_car", ("ohwx", "car")),
        ("10_ohwx", None, ("ohwx", None)),
        ("1_car", "1_car", (None, "car")),
        ("3_a_b c", None, ("a_b", "c")),
        ("photos", None, (None, None)),
    ],
)
def test_what_stands_for_the_product_and_for_its_class(tmp_path, img, reg, subject):
    for folder in filter(None, (f"img/{img}", reg and f"reg/{reg}")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.png").touch()
    assert read_folders(tmp_path).subject() == subject


def test_what_is_passed_over_is_told(root):
    for name in ("best", "0_ohwx car"):
        (root / "img" / name).mkdir()
        (root / "img" / name / "a.png").touch()
    (root / "img" / "loose.png").touch()
    (root / "img" / "meta_cap.json").write_text("{}")
    assert read_folders(root).notes == [
        f"{root}/img/0_ohwx car was skipped: it is to be repeated 0 times",
        f"{root}/img/best was skipped: its name gives no repeats, as 10_ohwx car does",
        f"images in {root}/img itself were skipped: they are in no folder with repeats",
        f"{root}/img/meta_cap.json was not read: if it holds captions, import it by its name",
    ]


def test_a_caption_that_cannot_be_read(root, monkeypatch):
    (root / "reg" / "1_car" / "0.txt").touch()

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("packshot.images.sidecars.read_text", refuse)
    dataset = read_folders(root)
    reason = (
        "its side-car cannot be read (Permission denied); check that it is there and that you may"
    )
    assert dataset.refused["1_car/0.png"].startswith(reason)
    assert names(dataset.class_entries) == ["1.png"] and len(dataset.entries) == 4


def test_a_name_too_long_for_a_caption_has_none(tmp_path):
    painted(0, (160, 144)).save(tmp_path / ("n" * 251 + ".png"))
    (tmp_path / "c.toml").write_text(
        "[general]\ncaption_extension = '.caption'\n[[datasets]]\n"
        f"subsets = [{{image_dir = '{tmp_path}', class_tokens = 'ohwx car'}}]\n"
    )
    assert [entry.caption for entry in read_config(tmp_path / "c.toml").entries] == [None]


CONFIG = """
[general]
caption_extension = ".cap"
shuffle_caption = true
flip_aug = false
[[datasets]]
resolution = 768
keep_tokens = 1
    [[datasets.subsets]]
    image_dir = "cars"
    conditioning_data_dir = "white"
    class_tokens = "ohwx car"
    num_repeats = 4
    caption_prefix = "photo,"
    caption_suffix = ", 35mm"
    colour_aug = true
    [[datasets.subsets]]
    image_dir = "others"
    is_reg = true
    class_tokens = "car"
[[datasets]]
resolution = 1024
    [[datasets.subsets]]
    image_dir = "cars"
    [[datasets.subsets]]
    image_dir = "white"
    num_repeats = 0
"""


@pytest.fixture
def folders(tmp_path):
    for folder in ("cars", "others", "white"):
        (tmp_path / folder).mkdir()
        painted(len(folder), (160, 144)).save(tmp_path / folder / "a.png")
    (tmp_path / "cars" / "a.cap").write_text("ohwx car")
    (tmp_path / "cars" / "a.txt").write_text("of another tool")
    return tmp_path


@pytest.mark.parametrize("ending", ["toml", "json"])
def test_a_configuration_names_folders_masks_and_class_images(folders, ending):
    text = CONFIG if ending == "toml" else json.dumps(tomllib.loads(CONFIG))
    (folders / f"config.{ending}").write_text(text)
    dataset = read_dataset(folders / f"config.{ending}")
    (entry,) = dataset.entries  # the second dataset is the same pictures at another resolution
    assert entry.picture == folders / "cars" / "a.png"
    assert (entry.caption, entry.repeats) == ("photo, ohwx car , 35mm", 4)
    assert entry.mask == folders / "white" / "a.png"
    assert names(dataset.class_entries) == ["a.png"] and dataset.subject() == ("ohwx", "car")
    assert dataset.notes == [
        f"config.{ending}: Packshot has nothing for colour_aug, keep_tokens, shuffle_caption: left out",
        f"{folders / 'white'} was skipped: it is to be repeated 0 times",
    ]


def test_a_configuration_may_name_a_table_of_captions(folders):
    (folders / "meta.json").write_text(json.dumps({"a": {"caption": "a car", "tags": "red, wet"}}))
    (folders / "c.toml").write_text(
        "[[datasets]]\n[[datasets.subsets]]\nimage_dir = 'cars'\nmetadata_file = 'meta.json'\n"
        "num_repeats = 3\n"
    )
    (entry,) = read_config(folders / "c.toml").entries
    assert (entry.picture.name, entry.caption, entry.repeats) == ("a.png", "a car, red, wet", 3)


@pytest.mark.parametrize("before", ["/gone/data", "C:\\\\train"])
def test_folders_that_were_moved_with_their_configuration_are_found(folders, before):
    (folders / "c.toml").write_text(
        f'[[datasets]]\n[[datasets.subsets]]\nimage_dir = "{before}/cars"\n'
    )
    dataset = read_config(folders / "c.toml")
    assert names(dataset.entries) == ["a.png"]
    assert dataset.notes[0].endswith(f"/cars is not there: {folders / 'cars'} was read instead")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("datasets = [", r"c\.toml is not valid TOML: .* Mend it or delete it\."),
        ("x = " + "[" * 5000, r"c\.toml is not valid TOML: "),
        ("x = " + "9" * 5000, r"c\.toml is not valid TOML: "),
        ("[general]", r"c\.toml is no dataset configuration: datasets is missing"),
        ("datasets = [{subsets = [3]}]", r"is no dataset configuration: datasets\.0\.subsets\.0 = 3: "),
        ("datasets = [{subsets = [{}]}]", "a subset names no image_dir and no metadata_file"),
        (
            "datasets = [{subsets = [{image_dir = 'x', caption_extension = '/../a'}]}]",
            "is no dataset configuration: caption_extension = '/../a': string should match pattern",
        ),
        (
            "datasets = [{subsets = [{image_dir = 'nowhere'}]}]",
            r"c\.toml names nowhere, which is not there; mend the path in it\.",
        ),
        ("datasets = [{subsets = [{image_dir = '" + "x" * 300 + "'}]}]", "which is not there"),
        ('datasets = [{subsets = [{image_dir = "a\\u0000b"}]}]', "which is not there"),
        ("datasets = [{subsets = [{image_dir = 'c.toml'}]}]", r"c\.toml is no folder; name one"),
    ],
)  # fmt: skip
def test_configurations_that_are_refused(tmp_path, text, words):
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(PackshotError, match=words):
        read_config(tmp_path / "c.toml")


def test_the_exported_configuration_is_one_that_sd_scripts_takes(full_project, tmp_path):
    config = tomllib.loads(
        (export_dataset(full_project, tmp_path / "out") / "dataset.toml").read_text()
    )
    assert config.keys() == {"general", "datasets"}
    assert config["general"].keys() <= DATASET_KEYS | ASCENDING_KEYS
    (dataset,) = config["datasets"]
    assert dataset.keys() <= DATASET_KEYS | ASCENDING_KEYS | {"subsets"}
    assert dataset["resolution"] == 512  # without one it stops
    img, reg = dataset["subsets"]
    assert img.keys() <= SUBSET_KEYS and reg.keys() <= SUBSET_KEYS
    assert img == {
        "image_dir": str(tmp_path / "out" / "img" / "2_ohwx car"),
        "class_tokens": "ohwx car", "num_repeats": 2, "alpha_mask": True,
    }  # fmt: skip
    assert reg == {
        "image_dir": str(tmp_path / "out" / "reg" / "1_car"),
        "class_tokens": "car", "num_repeats": 1, "is_reg": True,
    }  # fmt: skip


def test_no_class_image_is_left_over(full_project, tmp_path):
    """sd-scripts uses as many class images as there are photos, repeated, and drops the rest."""
    root = export_dataset(full_project, tmp_path / "out")
    (img,), (reg,) = (list((root / kind).iterdir()) for kind in ("img", "reg"))
    photos, others = (len(list(folder.glob("*.png"))) for folder in (img, reg))
    assert int(img.name.split("_")[0]) * photos >= others == 5


def test_a_mask_is_the_photos_transparency_and_back(full_project, tmp_path):
    root = export_dataset(full_project, tmp_path / "out")
    folder = root / "img" / "2_ohwx car"
    masked, plain = Image.open(folder / "1.png"), Image.open(folder / "0.png")
    assert (masked.mode, plain.mode) == ("RGBA", "RGB")
    assert masked.getpixel((0, 0))[3] == 255 and masked.getpixel((200, 0))[3] == 0
    before = Image.open(full_project.photos_folder / "1.png")
    assert masked.convert("RGB").tobytes() == before.tobytes()  # nothing lost beneath


def test_a_noun_that_is_no_folder_name(tmp_path):
    painted(1, (160, 144)).save(tmp_path / "a.png")
    odd = create_project(tmp_path / "odd", name="x", class_noun='../tv "set": 4:3?')
    add_photos(odd, tmp_path / "a.png")
    root = export_dataset(odd, tmp_path / "out")
    assert [path.name for path in (root / "img").iterdir()] == ["1_ohwx .. tv set 4 3"]
    assert import_dataset(root, tmp_path / "again").project.subject.phrase == odd.subject.phrase


def test_a_noun_that_drives_do_not_take_as_it_is(tmp_path):
    painted(1, (160, 144)).save(tmp_path / "a.png")
    for noun, folder in {"🚗" * 80: "1_ohwx " + "🚗" * 48, "car. ..": "1_ohwx car"}.items():
        odd = create_project(tmp_path / folder / "odd", name="x", class_noun=noun)
        add_photos(odd, tmp_path / "a.png")
        root = export_dataset(odd, tmp_path / folder / "out")
        assert [path.name for path in (root / "img").iterdir()] == [folder]


def test_a_folder_with_nothing_in_it(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        DatasetError,
        match=r"empty is no dataset that Packshot reads\. Name a folder with folders",
    ):
        import_dataset(tmp_path / "empty", tmp_path / "project", class_noun="car")
    assert not (tmp_path / "project").exists()
