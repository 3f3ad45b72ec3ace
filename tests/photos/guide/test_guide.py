"""The shoot guide: what is missing, and its words in each language."""

import re
import string
import tomllib
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

import packshot.photos.guide
from packshot.errors import PackshotError
from packshot.photos import manifest as photo_manifest
from packshot.photos.guide import LANGUAGES, find_gaps, photo_guide
from packshot.photos.guide.photo_features import PhotoFeatures, extract_features
from packshot.photos.manifest import Blurred
from packshot.photos.photo_set import add_photos, list_photos, write_captions, write_mask
from packshot.project import create_project
from tests.projects import painted

WORDS = {
    language: tomllib.loads(
        Path(packshot.photos.guide.__file__).with_name(f"{language}.toml").read_text()
    )
    for language in LANGUAGES
}
VIEWS = ["front", "rear", "side", "three_quarter"]


def look(number=0, **given):
    """A look of which nothing is to be said."""
    background = np.zeros((6, 8, 8))
    background[number % 6, number % 8, 0] = 1
    return PhotoFeatures(**{
        "captioned": True, "views": frozenset([VIEWS[number % 4]]),
        "light": ["day", "dusk"][number % 2], "taken": None, "dark": False, "bright": False,
        "background": background, "share": 0.3, "cut_off": False, **given,
    })  # fmt: skip


def found(looks, blurred=0):
    return {finding.kind: finding.numbers for finding in find_gaps(looks, blurred)}


def looks(**given):
    return [look(number, **given) for number in range(12)]


def test_of_good_photos_there_is_nothing_to_say():
    assert found(looks()) == {}


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_that_is_missing(view):
    others = frozenset(VIEWS) - {view}
    assert found(looks(views=others)) == {f"no_{view}": {}}


def test_views_are_judged_only_where_they_are_known():
    assert found(looks(views=frozenset())) == {"views_unknown": {"n": 12, "of": 12}}
    some = looks()[:5] + [look(number, views=frozenset()) for number in range(5, 12)]
    assert found(some) == {"views_unknown": {"n": 7, "of": 12}}
    assert found(looks(views=frozenset(), captioned=False)) == {"not_captioned": {}}


@pytest.mark.parametrize("light", ["day", "dusk", "night"])
def test_one_light_alone(light):
    assert found(looks(light=light)) == {f"all_{light}": {}}
    assert found([look(0, light=light), *looks(light=None)[1:]]) == {}


def test_one_session_by_the_cameras_clock():
    start = datetime(2026, 5, 1, 18)
    close = [look(n, taken=start + timedelta(minutes=n), light=None) for n in range(12)]
    assert found(close) == {"one_session": {"n": 12, "minutes": 11}}
    assert found([look(n, taken=start + timedelta(minutes=n)) for n in range(12)]) == {}
    assert found([look(n, taken=start + timedelta(hours=n), light=None) for n in range(12)]) == {}


def test_counts_of_photos():
    assert found(looks()[:5]) == {"few": {"n": 5, "enough": 8}}
    assert found([]) == {"few": {"n": 0, "enough": 8}}
    assert found(looks(), blurred=3) == {"blurred": {"n": 3, "of": 15}}
    assert found([*looks()[1:], look(0, dark=True)]) == {"dark": {"n": 1, "of": 12}}
    assert found([*looks()[1:], look(0, bright=True)]) == {"bright": {"n": 1, "of": 12}}
    assert found([*looks()[2:], *[look(n, share=0.05) for n in range(2)]]) == {}
    assert found([*looks()[3:], *[look(n, share=0.05) for n in range(3)]])["small"] == {
        "n": 3,
        "of": 12,
    }
    assert found(looks(cut_off=True)) == {"cut_off": {"n": 12, "of": 12}}
    same = look().background
    assert found(looks(background=same)) == {"one_background": {"n": 12, "of": 12}}


@pytest.mark.parametrize(
    ("caption", "views", "light"),
    [
        ("a photo of ohwx car in a city street at night, front three-quarter view",
         {"front", "three_quarter"}, "night"),
        ("a photo of ohwx car in front of a mountain at sunset, rear view", {"rear"}, "dusk"),
        ("ohwx mug seen from behind", {"rear"}, None),
        ("ohwx mug behind a window, on the side of the road", set(), None),
        ("ohwx mug in daylight, seen from the side", {"side"}, "day"),
        ("ohwx car on a white background", set(), None),
        ("una foto di ohwx auto di notte, vista frontale", {"front"}, "night"),
        ("ohwx auto al tramonto, di tre quarti da dietro", {"rear", "three_quarter"}, "dusk"),
        ("ohwx auto davanti a una casa, vista laterale", {"side"}, None),
    ],
)  # fmt: skip
def test_what_captions_say(project, tmp_path, caption, views, light):
    painted(2, (256, 256)).save(tmp_path / "IMG_1.png")
    photo = add_photos(project, tmp_path / "IMG_1.png").photos[0]
    write_captions(project, [(photo, caption)])
    seen = extract_features(next(one for one in list_photos(project) if one.source == photo.source))
    assert (seen.views, seen.light) == (frozenset(views), light)


@pytest.fixture
def project(tmp_path):
    (tmp_path / "source").mkdir()
    for number, name in enumerate(("00-studio-day-rear", "01-front")):
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9003] = f"2026:05:01 18:{number:02}:00"
        painted(number, (256, 256)).save(tmp_path / "source" / f"{name}.jpg", exif=exif)
    made = create_project(tmp_path / "project", name="Duster", class_noun="car")
    add_photos(made, tmp_path / "source")
    return made


def test_without_a_caption_the_photos_own_name_says_it(project):
    rear, front = (extract_features(photo) for photo in list_photos(project))
    assert (rear.views, rear.light, front.views) == ({"rear"}, "day", {"front"})
    assert front.taken - rear.taken == timedelta(minutes=1)


def test_exposure_and_background(tmp_path):
    shown = {}
    for name, image in {
        "dark": painted(0, (256, 256)).point(lambda v: v // 12),
        "bright": Image.new("RGB", (256, 256), "white"),
        "plain": painted(0, (256, 256)),
        "plain again": painted(0, (256, 256)).rotate(90),
        "other": Image.new("RGB", (256, 256), (0, 60, 200)),
    }.items():
        image.paste(painted(5, (64, 64)), (96, 96))
        image.save(tmp_path / f"{name}.png")
        made = create_project(tmp_path / name, name="x", class_noun="car")
        add_photos(made, tmp_path / f"{name}.png", min_sharpness=0)
        shown[name] = extract_features(list_photos(made)[0])
    assert {name: (one.dark, one.bright) for name, one in shown.items()} == {
        "dark": (True, False), "bright": (False, True), "plain": (False, False),
        "plain again": (False, False), "other": (False, False),
    }  # fmt: skip
    assert shown["plain"].overlap(shown["plain again"]) > 0.9
    assert shown["plain"].overlap(shown["other"]) < 0.2
    assert shown["plain"].share is None and not shown["plain"].small


def test_masks_tell_the_products_place(project):
    middle, edge = list_photos(project)
    for photo, box in ((middle, (110, 110, 150, 150)), (edge, (60, 100, 200, 256))):
        mask = Image.new("L", (256, 256))
        mask.paste(255, box)
        write_mask(project, photo, mask, "bundled")
    middle, edge = (extract_features(photo) for photo in list_photos(project))
    assert middle.share == pytest.approx(1600 / 65536, rel=0.1) and middle.small
    assert not middle.cut_off and edge.cut_off and not edge.small


def test_of_a_project_in_both_languages(project, tmp_path):
    soft = painted(7, (256, 256)).filter(ImageFilter.GaussianBlur(12))
    soft.save(tmp_path / "source" / "soft.jpg")
    add_photos(project, tmp_path / "source")
    said = {
        language: [item.missing for item in photo_guide(project, language)]
        for language in LANGUAGES
    }
    assert said["en"] == [
        "photos: 2; 8 or more are wanted", "blurred: 1 of 3", "no side view", "no three-quarter view",
    ]  # fmt: skip
    assert said["it"] == [
        "foto: 2; ne servono almeno 8", "mosse o sfocate: 1 su 3", "nessuna vista laterale",
        "nessuna vista di tre quarti",
    ]  # fmt: skip
    assert "from behind" not in str(photo_guide(project))
    with pytest.raises(
        PackshotError, match=r"^The guide has no words in 'fr'; choose of en, it\.$"
    ):
        photo_guide(project, "fr")


def test_photos_that_were_not_looked_through_as_the_others_were(project):
    manifest = photo_manifest.read(project)
    manifest.photos[0].blurred = [Blurred(kind="faces", by="haar", boxes=[])]
    photo_manifest.write(project, manifest)
    assert photo_guide(project)[-1].missing == (
        "faces and plates were not looked for in 1, as they were in the others"
    )


def fields(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_each_language_has_words_for_everything_that_is_found():
    source = "".join(
        path.read_text() for path in Path(packshot.photos.guide.__file__).parent.glob("*.py")
    )
    kinds = set(re.findall(r'Finding\("(\w+)"', source)) | {"small", "cut_off", "dark", "bright"}
    kinds |= {f"no_{view}" for view in VIEWS} | {
        f"all_{light}" for light in ("day", "dusk", "night")
    }
    for language, words in WORDS.items():
        assert set(words) == kinds, language
        for kind, texts in words.items():
            assert set(texts) == {"missing", "advice"} and all(texts.values())
            expected = WORDS["en"][kind]
            assert Counter(map(frozenset, map(fields, texts.values()))) == Counter(
                map(frozenset, map(fields, expected.values()))
            )
    assert not {kind for kind in kinds if WORDS["en"][kind] == WORDS["it"][kind]}
