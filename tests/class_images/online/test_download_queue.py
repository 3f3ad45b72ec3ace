"""Collecting through a server on this machine that fails as the real ones do."""

import collections
import hashlib
import json
import random
import subprocess
import sys

import pytest
from PIL import Image

from packshot.class_images import list_class_images
from packshot.class_images.online.commons import Commons
from packshot.class_images.online.download import WORKERS
from packshot.class_images.online.licences import FREE
from packshot.class_images.online.openverse import Openverse
from packshot.class_images.online.url_list import UrlList
from packshot.errors import ClassImagesError
from packshot.images.refusals import read_refusals
from packshot.photos.photo_set import add_photos
from tests.class_images.online.server import FastClock, Web, jpeg
from tests.projects import painted

PASSING = ("429", "500", "503", "truncated", "cut", "reset", "slow", "moved")
LASTING = (
    "404", "410", "html", "html as jpeg", "svg", "noai", "huge", "copy", "nearly", "damaged",
    "to http://10.0.0.1/1.jpg", "to http://169.254.169.254/latest/", "to http://[::1]/1.jpg",
    "to http://127.0.0.2/1.jpg", "to file:///etc/passwd", "to /7.jpg",
)  # fmt: skip
API_FAULTS = ("500", "503", "html", "truncated", "reset")


@pytest.mark.slow
def test_3500_pictures_with_faults_and_kills_none_lost_none_asked_for_twice(project):
    """Five kills; a tenth of the pictures and pages fail at first, a twentieth for ever."""
    draw = random.Random(0)
    lasting = {7: "to /7.jpg"} | {n: draw.choice(LASTING[:-1]) for n in range(19, 4600, 20)}
    others = [number for number in range(4600) if number not in lasting]
    passing = {number: draw.choice(PASSING) for number in draw.sample(others, 460)}
    api_faults = {count: draw.choice(API_FAULTS) for count in range(5, 400, 10)}
    kills = (300, 900, 1500, 2222, 3333)
    clock = FastClock(600)
    with Web(clock, bad=lasting, faults=passing, api_faults=api_faults, kills=kills) as web:
        settings = {"root": str(project.root), "port": web.port, "count": 3500, "times": 600}
        runner = [sys.executable, "-m", "tests.class_images.online.runner", json.dumps(settings)]
        done = subprocess.run(runner, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and json.loads(done.stdout) == [9] * 5 + [0], done.stderr
    # The very pictures, in the very order, of a run that nothing had gone wrong in.
    expected = [number for number in range(4600) if number not in lasting][:3500]
    images = list_class_images(project)
    assert [image.source for image in images] == [
        f"https://example.org/photos/{number}" for number in expected
    ]
    assert all(
        image.file.read_bytes() == jpeg(number)
        and image.sha256 == hashlib.sha256(jpeg(number)).hexdigest()
        and image.author == f"Ada {number % 50}"
        for image, number in zip(images, expected, strict=True)
    )
    # Again only what was under way, and not on the disk yet, when it was killed.
    again = sum(times - 1 for times in web.given.values())
    assert web.killed == 5 and again <= 5 * WORKERS
    assert max(web.asked[number] for number in expected) <= 3
    assert sum(times - 1 for times in web.pages_given.values()) <= 5
    assert max(web.asked) <= expected[-1]  # nor more than is needed
    assert web.exceeded == 0 and len(web.requests["oauth2"]) > 100
    refused = read_refusals(project.class_images_refused_file)
    assert refused.keys() == {web.picture(n) for n in lasting if n < expected[-1]}
    reasons = collections.Counter(lasting[int(url.split("/")[-1][:-4])] for url in refused)
    assert reasons.keys() == set(LASTING)


def test_a_larger_count_only_adds_and_nothing_is_asked_for_again(web, gathered):
    few = gathered(5).images
    assert sum(web.asked.values()) == 5
    more = gathered(30).images
    assert more[:5] == few and len(more) == 30
    assert gathered(5).images == few
    assert set(web.asked.values()) == set(web.pages.values()) == {1}


def test_what_was_deleted_is_asked_for_again(project, web, gathered):
    gathered(3)
    for path in project.class_images_downloads_folder.glob("*.jpg"):
        path.unlink()
    assert len(gathered(3).images) == 3 and web.asked[0] == 2


def test_what_did_not_come_is_told_and_asked_for_in_the_next_run(web, gathered):
    web.bad = {1: "503"}
    found = gathered(3)
    reason = "did not come; run this again to ask again (localhost did not answer, asked 5 times: status 503)"
    assert found.refused == {web.picture(1): reason}
    web.bad = {}
    found = gathered(3)
    assert found.refused == {} and found.images[1].title == "Car [1]"


def test_copies_are_dropped_those_of_the_products_own_photos_too(project, web, gathered, tmp_path):
    photo = painted(1, (272, 272))
    (tmp_path / "photos").mkdir()
    photo.save(tmp_path / "photos" / "mine.png")
    add_photos(project, tmp_path / "photos")
    photo.resize((160, 160)).save(tmp_path / "found.jpg", quality=80)
    web.bad = {2: "copy", 4: "nearly", 6: tmp_path / "found.jpg"}
    found = gathered(5)
    assert [image.title for image in found.images] == [f"Car [{n}]" for n in (0, 1, 3, 5, 7)]
    assert found.refused == {
        web.picture(2): f"is the same file as {web.picture(1)}",
        web.picture(4): f"is nearly the same image as {web.picture(3)}",
        web.picture(6): "is nearly the same image as the product's photo mine.png",
    }


class RedIsNoCar:
    name = "a judge: car"

    def __init__(self):
        self.asked = 0

    def score(self, picture):
        self.asked += 1
        red, green, _ = Image.open(picture).resize((1, 1)).getpixel((0, 0))
        return (green - red) / 255


def test_what_is_not_the_class_is_dropped_and_judged_once(gathered):
    judge = RedIsNoCar()
    found = gathered(10, check=judge)
    assert len(found.images) == 10 < judge.asked == 10 + len(found.refused)
    assert all(
        reason.startswith("shows something else than the class (a judge: car: -")
        for reason in found.refused.values()
    )
    asked = judge.asked
    assert gathered(10, check=judge).images == found.images and judge.asked == asked


def test_one_source_after_the_other(web, gathered, tmp_path):
    web.results = 4
    (tmp_path / "urls.txt").write_text(f"{web.picture(0)}\n{web.picture(900)}\n")
    sources = UrlList(tmp_path / "urls.txt"), Commons("car", api=web.commons)
    found = gathered(4, *sources)
    assert [image.source for image in found.images] == [
        web.picture(0), web.picture(900), "https://commons.wikimedia.org/wiki/File:Car_1.jpg",
        "https://commons.wikimedia.org/wiki/File:Car_3.jpg",
    ]  # fmt: skip
    assert (
        found.refused[web.picture(2)]
        == "is under CC BY-SA 4.0, which --class-licences does not name"
    )
    assert not web.asked[2]
    assert [image.licence for image in found.images] == ["unknown"] * 2 + [
        "CC0 1.0",
        "public domain",
    ]


@pytest.mark.slow
def test_the_days_limit_ends_it_and_the_next_day_it_goes_on(project, web, gathered, clock):
    web.results = 20
    began = clock.time
    with pytest.raises(
        ClassImagesError,
        match=r"^800 of 1000 class images so far: openverse allows 200 requests in 24 hours, and they "
        r"are used up until \w+day \d\d:\d\d\. Run the same command later to resume",
    ):
        gathered(1000, Endless("car", FREE, api=web.openverse))
    listed = list_class_images(project)
    assert len(web.requests["anon"]) == 200 and web.exceeded == 0
    assert 9 * 60 <= clock.time - began < 86_400  # twenty a minute
    clock.time = began + 86_400 + 700
    found = gathered(1000, Endless("car", FREE, api=web.openverse))
    assert found.images[: len(listed)] == listed and len(found.images) == 1000
    assert web.exceeded == 0 and set(web.asked.values()) == {1}


class Endless(Openverse):
    """Has as many queries as anybody likes, four new pictures in each."""

    def candidates(self, ask):
        for number in range(10_000):
            yield from self._page(ask, f"car {number}", 1).candidates[-4:]


def test_a_licence_that_is_told_must_be_one_that_is_named(web, gathered, tmp_path):
    said = ("All rights reserved", "https://example.org/terms", "by-nc", "CC BY 4.0", "")
    rows = (f"{web.picture(number)},{licence}\n" for number, licence in enumerate(said))
    (tmp_path / "urls.csv").write_text("url,license\n" + "".join(rows))
    found = gathered(5, UrlList(tmp_path / "urls.csv"))
    assert [image.licence for image in found.images] == ["CC BY 4.0", "unknown"]
    assert found.refused == {
        web.picture(number): f"is under {licence}, which --class-licences does not name"
        for number, licence in enumerate((*said[:2], "CC BY-NC"))
    }
    assert sum(web.asked.values()) == 2
