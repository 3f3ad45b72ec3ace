import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from packshot.errors import NoUsablePhotosError, PackshotError
from packshot.images.loading import open_image
from packshot.photos import anonymize
from packshot.photos.anonymize import HaarCascade, blur_photos
from packshot.photos.photo_set import add_photos, list_photos
from packshot.project import create_project
from packshot.utils import hashing
from tests.projects import painted

cascades = pytest.mark.skipif(
    not hasattr(cv2, "CascadeClassifier"), reason="OpenCV 5 has no Haar cascades"
)
FACE, PLATE = (141, 148, 118, 116), (340, 430, 300, 66)
"""Brows to mouth; the whole plate."""


def scene(seed=0):
    """A drawn face and a drawn number plate before a grey wall, with sharp blocks at the right."""
    image = Image.new("RGB", (800, 560), (150, 155, 160))
    draw = ImageDraw.Draw(image)
    draw.ellipse((110, 60, 290, 160), fill=(60, 50, 45))
    draw.ellipse((125, 110, 275, 300), fill=(190, 170, 155))
    for x in (165, 235):
        draw.rectangle((x - 24, 148, x + 24, 156), fill=(50, 45, 40))
        draw.ellipse((x - 24, 160, x + 24, 190), fill=(100, 85, 80))
        draw.ellipse((x - 8, 165, x + 8, 182), fill=(20, 20, 20))
    draw.polygon(((200, 180), (188, 228), (212, 228)), fill=(205, 185, 170))
    draw.rectangle((186, 226, 214, 232), fill=(120, 100, 90))
    draw.rectangle((170, 252, 230, 264), fill=(110, 80, 80))
    image = image.filter(ImageFilter.GaussianBlur(2))
    draw = ImageDraw.Draw(image)
    left, upper, width, height = PLATE
    draw.rectangle((left, upper, left + width, upper + height), (245, 245, 245), (10, 10, 10), 4)
    font = ImageFont.load_default(int(height * 0.7))
    draw.text((left + 24, upper + 1), "A 123 BC 77", fill=(10, 10, 10), font=font)
    image.paste(painted(seed, (96, 560)), (704, 0))
    return image


@pytest.fixture
def project(tmp_path):
    (tmp_path / "source").mkdir()
    scene().save(tmp_path / "source" / "street.png")
    painted(1, (192, 160)).save(tmp_path / "source" / "plain.png")
    made = create_project(tmp_path / "project", name="Duster", class_noun="car")
    add_photos(made, tmp_path / "source")
    return made


def found_whole(boxes, what):
    """Whether there is one box, and it covers `what` and little more."""
    (left, upper, width, height), *others = boxes
    right, lower = what[0] + what[2], what[1] + what[3]
    covers = (
        left <= what[0] and upper <= what[1] and left + width >= right and upper + height >= lower
    )
    return covers and not others and width < 3 * what[2] and height < 3 * what[3]


class Finder:
    """Finds the same box in every photo."""

    def __init__(self, *boxes, kind="faces", name="finder"):
        self.boxes, self.kind, self.name = list(boxes), kind, name
        self.asked = 0

    def find(self, pixels):
        self.asked += 1
        return self.boxes


@pytest.fixture
def finder(monkeypatch):
    def use(*boxes, **options):
        made = Finder(*boxes, **options)
        monkeypatch.setattr(anonymize, "detectors", lambda kinds, face_model=None: [made])
        return made

    return use


@pytest.mark.slow
@cascades
def test_a_face_and_a_plate_are_found_blurred_and_listed_and_the_source_is_untouched(
    project, tmp_path
):
    before = hashing.sha256(tmp_path / "source" / "street.png")
    plain, street = blur_photos(project)
    found = {one.kind: one.boxes for one in street.blurred}
    assert [one.boxes for one in plain.blurred] == [[], []]
    assert found_whole(found["faces"], FACE)
    assert found_whole(found["license-plates"], PLATE)
    assert hashing.sha256(tmp_path / "source" / "street.png") == before
    shown, was = (np.asarray(image).astype(int) for image in (open_image(street.file), scene()))
    for left, upper, width, height in (found["faces"][0], found["license-plates"][0]):
        area = np.s_[upper : upper + height, left : left + width]
        assert (
            np.abs(np.diff(shown[area], axis=1)).max()
            < np.abs(np.diff(was[area], axis=1)).max() / 3
        )
        shown[area] = was[area] = 0
    assert np.array_equal(shown, was)
    assert not any(
        HaarCascade(kind).find(_bgr(street.file)) for kind in ("faces", "license-plates")
    )


def _bgr(path):
    return np.ascontiguousarray(np.asarray(open_image(path))[..., ::-1])


def test_no_more_than_a_few_colours_are_left_of_a_box(project, finder):
    finder((340, 310, 300, 66))
    street = blur_photos(project, ["faces"])[1]
    left, upper, width, height = street.blurred[0].boxes[0]
    assert (left, upper, width, height) == (295, 300, 390, 86)
    box = open_image(street.file).crop((left, upper, left + width, upper + height))
    few = box.resize((5, 1), Image.Resampling.BOX).resize(box.size, Image.Resampling.BICUBIC)
    assert np.abs(np.asarray(box).astype(int) - np.asarray(few)).mean() < 12


def test_again_it_writes_nothing_and_looks_only_for_what_is_new(project, finder):
    first = finder((10, 10, 40, 40))
    before = blur_photos(project, ["faces"])
    assert first.asked == 2 and list_photos(project) == before
    assert blur_photos(project, ["faces"]) == before and first.asked == 2
    other = finder(kind="license-plates", name="other")
    assert [[one.by for one in photo.blurred] for photo in blur_photos(project)] == [
        ["finder", "other"]
    ] * 2
    assert other.asked == 2


def test_adding_again_keeps_what_was_blurred(project, finder, tmp_path):
    finder((10, 10, 40, 40))
    before = blur_photos(project, ["faces"])
    assert add_photos(project, tmp_path / "source").photos == before


def test_a_photo_that_was_retouched_is_looked_at_again_and_stays_the_persons(
    project, finder, tmp_path
):
    used = finder((10, 10, 40, 40))
    street = blur_photos(project, ["faces"])[1]
    scene(9).save(street.file)
    blur_photos(project, ["faces"])
    assert used.asked == 3
    assert open_image(street.file).getpixel((30, 30)) == scene(9).getpixel((30, 30))  # grey on grey
    scene(8).save(tmp_path / "source" / "street.png")
    add_photos(project, tmp_path / "source")
    assert np.array_equal(open_image(street.file).crop((704, 0, 800, 560)), painted(9, (96, 560)))


def test_boxes_at_the_edge_and_within_each_other(project, finder):
    finder((-30, -30, 60, 60), (100, 100, 100, 100), (110, 110, 40, 40), (790, 550, 60, 60))
    boxes = blur_photos(project, ["faces"])[1].blurred[0].boxes
    assert boxes == [(0, 0, 39, 39), (85, 85, 130, 130), (781, 541, 19, 19)]


@pytest.mark.slow
def test_a_large_photo_is_searched_small_and_blurred_where_it_was_found(finder, tmp_path):
    painted(1, (3072, 1536)).save(tmp_path / "a.png")
    made = create_project(tmp_path / "project", name="Duster", class_noun="car")
    add_photos(made, tmp_path / "a.png")
    finder((100, 100, 100, 100))
    assert blur_photos(made)[0].blurred[0].boxes == [(255, 255, 390, 390)]


def test_what_cannot_be_asked_for(project, tmp_path, monkeypatch):
    with pytest.raises(
        PackshotError, match=r"^'cats' cannot be blurred; choose of faces, license-plates\.$"
    ):
        blur_photos(project, ["cats"])
    with pytest.raises(PackshotError, match=r"^There is nothing to blur; choose of faces"):
        blur_photos(project, [])
    (tmp_path / "model.onnx").write_bytes(b"words")
    with pytest.raises(
        PackshotError, match=r"model\.onnx is not a YuNet model that OpenCV loads\."
    ):
        blur_photos(project, ["faces"], face_model=tmp_path / "model.onnx")
    monkeypatch.delattr(cv2, "CascadeClassifier", raising=False)
    with pytest.raises(
        PackshotError, match=r"has nothing that finds license-plates\. Install one that has: pip"
    ):
        blur_photos(project, ["license-plates"])
    empty = create_project(tmp_path / "empty", name="x", class_noun="car")
    monkeypatch.setattr(anonymize, "detectors", lambda kinds, face_model: [])
    with pytest.raises(NoUsablePhotosError, match="has no photos yet"):
        blur_photos(empty)


def test_a_yunet_model_takes_the_place_of_the_cascades(project, tmp_path, monkeypatch):
    class Network:
        def setInputSize(self, size):
            self.size = size

        def detect(self, pixels):
            assert pixels.shape == (self.size[1], self.size[0], 3)
            face = np.array([[20, 30, 40, 50, *range(10), 0.9]], dtype=np.float32)
            return 1, face if self.size == (800, 560) else None

    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *args: Network())
    plain, street = blur_photos(project, ["faces"], face_model=tmp_path / "yunet.onnx")
    assert plain.blurred[0].boxes == [] and street.blurred[0].by == "yunet.onnx"
    assert street.blurred[0].boxes == [(14, 22, 52, 66)]


def test_a_photo_that_cannot_be_searched_costs_itself_and_is_told(project, finder):
    finder((10, 10, 40, 40))
    (project.photos_folder / "plain.png").write_bytes(b"\x89PNG")
    told = r"Not searched for faces; the others are:\n  plain\.png: is damaged or cut short"
    with pytest.raises(PackshotError, match=told):
        blur_photos(project, ["faces"])
    (street,) = list_photos(project, {})
    assert [one.by for one in street.blurred] == ["finder"]
