"""The whole path with class images from the network: asked for once, then never again."""

import functools

import pytest

from packshot.class_images import list_class_images
from packshot.class_images.online import collect
from packshot.class_images.online.download import Fetcher
from packshot.class_images.online.openverse import Openverse
from packshot.errors import ClassImagesError
from packshot.project import Project
from tests.walking import Listener, made_quick, make_case, walk


@pytest.fixture
def case(tmp_path, tiny_sd1, monkeypatch, web, clock):
    monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(collect, "Fetcher", lambda contact: Fetcher(contact, clock, web.allow))
    monkeypatch.setattr(collect, "Openverse", functools.partial(Openverse, api=web.openverse))
    made_quick(monkeypatch.setattr)
    (tmp_path / "case").mkdir()
    return make_case(tmp_path / "case", tiny_sd1)


@pytest.mark.slow
def test_pictures_of_the_network_are_a_choice_of_the_path_and_asked_for_once(
    case, web, monkeypatch
):
    words = {
        "class_images": ("openverse",), "class_count": 4, "class_min_side": 64,
        "class_query": "red car", "contact": "ada@example.org", "segmenter": "none",
    }  # fmt: skip
    heard = Listener(stop_after=1)
    project = walk(case, heard, **words).project
    images = list_class_images(project)
    assert len(images) == 4 and images[0].author == "Ada 0" and list(web.queries) == ["red car"]
    assert any("no CLIP is at hand (--embedder)" in text for text in heard.said)
    monkeypatch.setattr(collect, "Fetcher", lambda contact: pytest.fail("asked again"))
    walk(case, Listener(stop_after=1), **words)
    assert list_class_images(project) == images


@pytest.mark.slow
def test_a_site_is_not_asked_without_a_contact(case):
    with pytest.raises(ClassImagesError, match=r"--contact you@example\.org"):
        walk(case, class_images=("openverse",))
    assert not Project(case / "project").plan_file.exists()
