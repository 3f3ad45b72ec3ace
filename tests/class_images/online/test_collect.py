"""What a gathering leaves and says."""

import functools
import hashlib
import json

import pytest

from packshot.class_images import list_class_images
from packshot.class_images.online import collect, download_class_images
from packshot.class_images.online.download import Fetcher
from packshot.class_images.online.openverse import Openverse
from packshot.class_images.online.url_list import UrlList
from packshot.errors import ClassImagesError
from packshot.utils import hashing
from tests.class_images.online.server import jpeg


def test_where_a_picture_comes_from_is_told(project, gathered):
    said = []
    found = gathered(6, progress=lambda *args: said.append(args))
    assert said == [("class images", done, 6) for done in range(7)]
    assert found.images == list_class_images(project) and found.refused == {} == json.loads(
        project.class_images_refused_file.read_text()
    )
    image = found.images[0]
    assert image.sha256 == hashing.sha256(image.file) == hashlib.sha256(jpeg(0)).hexdigest()
    assert (image.width, image.height, image.prompt) == (96, 64, "a photo of a car")
    assert (image.source, image.author, image.licence, image.title, image.licence_url) == (
        "https://example.org/photos/0", "Ada 0", "CC BY 2.0", "Car [0]",
        "https://creativecommons.org/licenses/by/2.0/",
    )  # fmt: skip
    text = project.class_images_attribution.read_text()
    assert "| CC BY 2.0 | 4 |\n| CC0 1.0 | 1 |\n| public domain | 1 |\n" in text
    assert (
        f"- [Car \\[0\\]](<https://example.org/photos/0>) by Ada 0 (`{image.file.name}`)\n" in text
    )


def test_fewer_than_asked_for_is_told(web, gathered, tmp_path):
    (tmp_path / "urls.txt").write_text(web.picture(0))
    found = gathered(4, UrlList(tmp_path / "urls.txt"))
    assert len(found.images) == 1 and found.notes == [
        "there are no more than 1; search for something else besides (--class-query), or name another source",
        "the licence of 1 is not told; find it out before you train",
    ]


def test_the_words_when_nothing_can_be_used(project, web, gathered, tmp_path):
    (tmp_path / "urls.txt").write_text(f"{web.picture(0)}\n")
    web.bad = {0: "404"}
    with pytest.raises(
        ClassImagesError,
        match=r"^Nothing that can be used was found\.\n  http://.*/0\.jpg: is not to be had \(status 404\)$",
    ):
        gathered(4, UrlList(tmp_path / "urls.txt"))
    assert list_class_images(project) == []


def test_the_words_of_mistakes(project, tmp_path):
    def online(*sources, **settings):
        return download_class_images(project, sources, count=1, **settings)

    with pytest.raises(ClassImagesError, match=r"want an e-mail address or URL .* none is given"):
        online("commons")
    with pytest.raises(
        ClassImagesError, match=r"^There is no flickr\. Name openverse or commons, a"
    ):
        online("flickr", contact="ada@example.org")
    with pytest.raises(ClassImagesError, match="is a folder of images; name it without other"):
        online("openverse", str(tmp_path), contact="ada@example.org")
    with pytest.raises(
        ClassImagesError,
        match=r"^--class-licences is no licence that is known: mit\. Choose from cc0, pdm",
    ):
        online("openverse", licences=["by", "mit"], contact="ada@example.org")


def test_the_user_is_told_that_nothing_judged_the_class(project, web, clock, monkeypatch):
    monkeypatch.setattr(collect, "Fetcher", lambda contact: Fetcher(contact, clock, web.allow))
    monkeypatch.setattr(collect, "Openverse", functools.partial(Openverse, api=web.openverse))
    found = download_class_images(
        project, ["openverse"], count=2, words="red car", min_side=64, contact="ada@example.org"
    )
    assert len(found.images) == 2 and list(web.queries) == ["red car"]
    assert found.notes == ["no CLIP is at hand (--embedder), so what is no car was not sorted out"]
