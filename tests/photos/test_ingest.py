"""Files taken in one by one: their names, their versions, and what is left by who was killed."""

import pytest
from PIL import Image

from packshot.images import quality
from packshot.photos import manifest
from packshot.photos.ingest import Ingest
from packshot.photos.manifest import PERSON
from packshot.utils import hashing
from tests.projects import painted


@pytest.fixture
def take(project, source):
    """Takes files in, each given as name and picture or bytes, in one call; returns the intake."""

    def call(**given):
        intake = Ingest(project, min_side=128, min_sharpness=20)
        for stem, content in given.items():
            path = source / f"{stem}.png"
            if isinstance(content, bytes):
                path.write_bytes(content)
            elif content is not None:
                content.save(path)
            intake.add(path)
        return intake

    return call


def names(intake):
    return [entry.file for entry in intake.manifest.photos]


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("IMG_1", "IMG_1"), ("Photo 1 (2)", "Photo-1-2"), ("é à", "e-a"), ("車", "photo"),
        ("..", "photo"), ("-rf", "rf"), ("a.b", "a-b"), ("x" * 200, "x" * 80), ("con\n\x1b[2J", "con-2J"),
    ],
)  # fmt: skip
def test_names_are_plain(project, stem, name):
    intake = Ingest(project, 1, 0)
    assert intake._free_name(stem, ".png", b"") == f"{name}.png"


def test_names_differ_by_more_than_case_and_ending(project, take, source):
    intake = take(a=painted(0), A=painted(1))
    painted(2).save(source / "a.webp")
    intake.add(source / "a.webp")
    assert (
        names(intake) == ["A-2.png", "a-3.png", "a.png"]
        or len({n.lower() for n in names(intake)}) == 3
    )
    stems = [name.rsplit(".", 1)[0].lower() for name in names(intake)]
    assert sorted(stems) == ["a", "a-2", "a-3"]


def test_a_photo_that_was_written_but_not_listed_is_written_again(project, take):
    intake = take(a=painted(0))
    project.photos_manifest.unlink()  # killed in between
    assert names(take(a=None)) == ["a.png"]
    (project.photos_folder / "b.png").write_bytes(b"a person's")
    assert names(take(b=painted(1))) == ["a.png", "b-2.png"]
    assert (project.photos_folder / "b.png").read_bytes() == b"a person's"
    assert intake.refused == {}


def test_the_manifest_is_whole_after_each_file(project, take, source, monkeypatch):
    intake = take(a=painted(0))
    assert names(intake) == [entry.file for entry in manifest.read(project).photos]
    painted(1).save(source / "b.png")

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(Ingest, "_carry_mask", killed)
    with pytest.raises(KeyboardInterrupt):
        intake.add(source / "b.png")
    assert [entry.file for entry in manifest.read(project).photos] == ["a.png"]
    monkeypatch.undo()
    assert names(take(b=None)) == ["a.png", "b.png"]


def cut_out(number, box=(40, 30, 150, 140)):
    picture = painted(number).convert("RGBA")
    alpha = Image.new("L", picture.size)
    alpha.paste(255, box)
    picture.putalpha(alpha)
    return picture


def test_a_product_that_is_cut_out_already_brings_its_mask(project, take, source):
    (source / "masks").mkdir()
    drawn = Image.new("L", (192, 160))
    drawn.paste(255, (10, 10, 80, 80))
    drawn.save(source / "masks" / "b.png")
    intake = take(a=cut_out(0), b=cut_out(1), c=painted(2))
    masks = project.masks_folder
    assert sorted(path.name for path in masks.iterdir()) == ["a.png", "b.png"]
    assert Image.open(masks / "a.png").tobytes() == cut_out(0).getchannel("A").tobytes()
    assert Image.open(masks / "b.png").tobytes() == drawn.tobytes(), "one beside it comes first"
    assert Image.open(project.photos_folder / "a.png").getpixel((5, 5)) == (255, 255, 255)
    assert [entry.masked_by for entry in intake.manifest.photos] == [None, None, None]


def test_a_mask_of_its_own_that_a_person_changed_stays(project, take):
    take(a=cut_out(0))
    Image.new("L", (192, 160), 9).save(project.masks_folder / "a.png")
    take(a=None)
    take(a=cut_out(0, box=(0, 0, 100, 100)))
    assert Image.open(project.masks_folder / "a.png").getpixel((5, 5)) == 9


def test_the_same_file_and_the_same_picture_are_taken_once(take, source):
    intake = take(a=painted(0), b=painted(0).rotate(0))
    assert names(intake) == ["a.png"] and intake.refused["b.png"].startswith(
        "is the same file as a.png"
    )
    painted(0).save(source / "c.webp", lossless=True)
    intake.add(source / "c.webp")
    assert intake.refused["c.webp"] == "is the same image as a.png; one of them is enough"
    near = painted(0).copy()
    near.putpixel((3, 3), (0, 0, 0))
    assert take(d=near).refused["d.png"].startswith("is nearly the same image as a.png")


def test_a_newer_version_takes_the_place_with_what_belongs_to_it(project, take):
    take(a=painted(0))
    (project.photos_folder / "a.txt").write_text("mine")
    larger = painted(0).resize((384, 320), Image.Resampling.NEAREST)
    intake = take(a=larger)
    assert names(intake) == ["a.png"] and intake.refused == {}
    assert Image.open(project.photos_folder / "a.png").size == (384, 320)
    assert (project.photos_folder / "a.txt").read_text() == "mine"
    refused = take(a=painted(0)).refused  # smaller again
    assert refused == {"a.png": "is nearly the same image as a.png; one of them is enough"}


def test_one_that_was_retouched_in_the_project_is_not_replaced(project, take):
    take(a=painted(0))
    retouched = painted(0)
    retouched.paste((255, 0, 0), (0, 0, 16, 16))
    retouched.save(project.photos_folder / "a.png")
    before = (project.photos_folder / "a.png").read_bytes()
    intake = take(a=painted(0).resize((384, 320), Image.Resampling.NEAREST))
    assert "a.png" in intake.refused
    assert (project.photos_folder / "a.png").read_bytes() == before


def test_one_that_is_gone_comes_again(project, take):
    take(a=painted(0))
    (project.photos_folder / "a.png").unlink()
    assert names(take(a=None)) == ["a.png"] and (project.photos_folder / "a.png").is_file()


def test_one_that_comes_again_brings_its_caption(project, take, source):
    (source / "a.txt").write_text("a photo of ohwx car")
    take(a=painted(0))
    ours = project.photos_folder / "a.txt"
    ours.unlink()
    take(a=None)
    assert not ours.exists(), "whoever deletes a caption alone does not want it"
    (project.photos_folder / "a.png").unlink()
    take(a=None)
    assert ours.read_text() == "a photo of ohwx car\n"
    (project.photos_folder / "a.png").unlink()
    ours.write_text("mine")
    take(a=None)
    assert ours.read_text() == "mine"


def test_one_that_comes_again_in_another_format_is_what_its_name_says(project, take, source):
    take(a=painted(0))
    (project.photos_folder / "a.png").unlink()
    painted(0).save(source / "b.jpg", quality=98)
    intake = Ingest(project, min_side=128, min_sharpness=20)
    intake.add(source / "b.jpg")
    assert names(intake) == ["a.png"]
    with Image.open(project.photos_folder / "a.png") as opened:
        assert opened.format == "PNG"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (painted(0, (192, 112)), "is only 192 x 112 px; its shorter side must have 128"),
        (Image.new("RGB", (192, 160), "grey"), "or shows nothing (sharpness 0, at least 20"),
        (b"", "is empty"), (b"no picture", "is not an image"),
    ],
)  # fmt: skip
def test_what_is_unfit_is_refused_with_a_reason(project, take, content, why):
    intake = take(a=content)
    assert why in intake.refused["a.png"] and intake.manifest.photos == []
    assert not list(project.photos_folder.glob("*.png"))


def test_too_little_memory_refuses_one_file(take, monkeypatch):
    def too_much(image):
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(quality, "sharpness", too_much)
        assert take(a=painted(0)).refused["a.png"].startswith("needs more memory than there is")
    assert names(take(a=None)) == ["a.png"]


def test_side_cars_come_along_until_a_person_edits_ours(project, take, source):
    (source / "a.txt").write_text("  a photo of ohwx car, side view ")
    take(a=painted(0))
    ours = project.photos_folder / "a.txt"
    assert ours.read_text() == "a photo of ohwx car, side view\n"
    assert manifest.read(project).photos[0].caption_by == PERSON
    (source / "a.txt").write_text("a newer one")
    take(a=None)
    assert ours.read_text() == "a newer one\n"
    ours.write_text("edited here")
    (source / "a.txt").write_text("the newest")
    take(a=None)
    assert ours.read_text() == "edited here"


def test_a_side_car_that_cannot_be_read_is_refused_by_itself(project, take, source):
    (source / "a.txt").write_bytes(b"\xff\xfe\x00\xd8\x00")
    (source / "masks").mkdir()
    (source / "masks" / "a.png").write_bytes(b"no picture")
    intake = take(a=painted(0))
    assert names(intake) == ["a.png"] and set(intake.refused) <= {"a.txt", "masks/a.png"}
    assert "masks/a.png" in intake.refused and not (project.masks_folder / "a.png").exists()


def test_a_mask_comes_along_at_the_photos_size_until_a_person_draws_ours(project, take, source):
    (source / "masks").mkdir()
    ours = project.masks_folder / "a.png"
    for grey in (255, 0):
        Image.new("L", (96, 80), grey).save(source / "masks" / "a.png")
        take(a=painted(0))
        assert Image.open(ours).size == (192, 160) and Image.open(ours).getpixel((9, 9)) == grey
    stood = ours.stat().st_mtime_ns
    take(a=None)
    assert ours.stat().st_mtime_ns == stood, "the same is not written again"
    Image.new("L", (192, 160), 7).save(ours)
    Image.new("L", (96, 80), 255).save(source / "masks" / "a.png")
    take(a=None)
    assert Image.open(ours).getpixel((9, 9)) == 7


def test_side_cars_on_a_failing_disk_are_refused_by_themselves(take, source, monkeypatch):
    (source / "a.txt").write_text("a caption")
    real = hashing.sha256

    def failing(path):
        if path.suffix == ".txt":
            raise OSError(5, "Input/output error")
        return real(path)

    monkeypatch.setattr(hashing, "sha256", failing)
    intake = take(a=painted(0))
    assert names(intake) == ["a.png"] and set(intake.refused) == {"a.txt"}
