import gc
import json
import tracemalloc
from types import SimpleNamespace

import pytest
from PIL import Image

from packshot.class_images import collect_class_images, list_class_images
from packshot.class_images.from_folder import from_folder
from packshot.errors import ClassImagesError
from packshot.images.refusals import read_refusals
from packshot.utils import hashing
from packshot.utils.progress import silent
from tests.projects import painted

BASE = SimpleNamespace()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "cars"
    folder.mkdir()
    return folder


def gather(project, folder, count):
    return collect_class_images(project, BASE, count=count, folder=folder)


def numbers(images):
    return {int(image.source.rsplit("/", 1)[1].split(".")[0]) for image in images}


def test_pictures_are_linked_with_their_prompts_and_origin(project, folder):
    for number in range(3):
        painted(number).save(folder / f"{number}.png")
    (folder / "1.txt").write_text("a photo of a red car\n")
    told = {"file": "2.png", "source": "https://example.org/2", "author": "Ada", "licence": "CC0"}
    rows = [told, {"file": "9.png"}]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = []
    images = collect_class_images(
        project, BASE, count=10, folder=folder, progress=lambda *args: said.append(args)
    )
    assert images == list_class_images(project) and said[-1] == ("class images", 3, 3)
    by_hash = {image.sha256: image for image in images}
    first, second, third = (
        by_hash[hashing.sha256(folder / f"{number}.png")] for number in range(3)
    )
    assert (first.prompt, first.author, first.licence) == ("a photo of a car", "unknown", "unknown")
    assert first.source == str(folder.resolve() / "0.png") and (first.width, first.height) == (
        192,
        160,
    )
    assert second.prompt == "a photo of a red car"
    assert (third.source, third.author, third.licence) == ("https://example.org/2", "Ada", "CC0")
    assert first.file.parent == project.class_images_folder
    assert not first.file.samefile(folder / "0.png")


def test_pictures_are_copied(project, folder):
    painted(0).save(folder / "0.png")
    image = gather(project, folder, 1)[0]
    assert not image.file.samefile(folder / "0.png")
    assert image.file.read_bytes() == (folder / "0.png").read_bytes()
    assert not list(project.class_images_folder.glob("*.part"))


def test_a_larger_count_only_adds_and_a_smaller_keeps_an_even_subset(project, folder):
    for number in range(40):
        painted(number).save(folder / f"{number:02d}.png")
    ten = gather(project, folder, 10)
    assert len(ten) == 10
    assert all(numbers(ten) & set(range(start, start + 10)) for start in range(0, 40, 10))
    thirty = gather(project, folder, 30)
    assert thirty[:10] == ten and len(thirty) == 30
    assert gather(project, folder, 10) == ten
    assert gather(project, folder, 0) == []


def test_known_pictures_are_not_decoded_again(project, folder, monkeypatch):
    painted(0).save(folder / "0.png")
    first = gather(project, folder, 5)
    painted(1).save(folder / "1.png")
    from packshot.class_images import from_folder as module

    opened, real = [], module.open_image
    monkeypatch.setattr(module, "open_image", lambda path: opened.append(path.name) or real(path))
    assert len(gather(project, folder, 5)) == len(first) + 1 and opened == ["1.png"]


def test_bad_pictures_are_passed_over_with_a_reason(project, folder):
    painted(0).save(folder / "fine.png")
    (folder / "copy.png").write_bytes((folder / "fine.png").read_bytes())
    (folder / "text.jpg").write_text("hello")
    painted(1, (96, 32)).save(folder / "flat.png")
    assert len(gather(project, folder, 2)) == 1
    refused = read_refusals(project.class_images_refused_file)
    same = {"copy.png": "is the same file as fine.png", "fine.png": "is the same file as copy.png"}
    assert len(refused.items() & same.items()) == 1
    assert (
        refused["text.jpg"]
        == "is not an image that Packshot reads; save it as JPEG, PNG, WebP or HEIC"
    )
    assert refused["flat.png"] == "is only 96 x 32 px; its shorter side must have 64"


def test_the_folder_within_that_holds_the_images_is_named(project, tmp_path):
    """As sd-scripts' reg/ with 1_car in it."""
    for name in ("0_empty", "1_car"):
        (tmp_path / "reg" / name).mkdir(parents=True)
    painted(0, (96, 96)).save(tmp_path / "reg" / "1_car" / "a.png")
    words = r"reg itself holds no images, but 1_car in it does: name that\.$"
    with pytest.raises(ClassImagesError, match=words):
        gather(project, tmp_path / "reg", 1)


def test_the_words_when_nothing_can_be_used(project, folder, tmp_path):
    with pytest.raises(
        ClassImagesError, match=r"^There is no folder .*none\. Name one with images"
    ):
        gather(project, tmp_path / "none", 1)
    with pytest.raises(
        ClassImagesError, match=r"cars holds no images \(JPEG, PNG, WebP, HEIC or AVIF\)\.$"
    ):
        gather(project, folder, 1)
    (folder / "text.jpg").write_text("hello")
    with pytest.raises(
        ClassImagesError, match=r"No image in .*cars can be used:\n  text\.jpg: is not a"
    ):
        gather(project, folder, 1)
    assert list_class_images(project) == []


def live_pictures() -> int:
    gc.collect()
    return sum(isinstance(thing, Image.Image) for thing in gc.get_objects())


@pytest.mark.slow
def test_memory_stays_flat_over_thousands_of_pictures(folder):
    buffer = painted(0, (64, 64)).tobytes()
    for number in range(3500):
        picture = Image.frombytes("RGB", (64, 64), buffer[number:] + buffer[:number])
        picture.save(folder / f"{number:04d}.png", compress_level=0)
    kept = []
    others = live_pictures()
    tracemalloc.start()
    for number, _ in enumerate(from_folder(folder, "car", 3500, {}, {}, silent), start=1):
        if number in (500, 3500):
            gc.collect()
            ours = tracemalloc.take_snapshot().filter_traces(
                [tracemalloc.Filter(True, "*packshot*")]
            )
            kept.append(sum(trace.size for trace in ours.traces))
    tracemalloc.stop()
    # Names and hashes of all may stay; pixels (12 kB each, which Pillow keeps out of Python's sight)
    # go with their pictures.
    assert kept[1] - kept[0] < 1_500_000
    assert live_pictures() < others + 10
