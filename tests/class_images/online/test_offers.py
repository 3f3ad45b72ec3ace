"""What is offered, before any of it is fetched."""

import pytest

from packshot.class_images.online.collect import offers_from
from packshot.class_images.online.download import Fetcher
from packshot.class_images.online.licences import FREE
from packshot.class_images.online.offers import read_offers
from packshot.class_images.online.openverse import Openverse
from packshot.errors import ClassImagesError


@pytest.fixture
def offered(project, web, clock):
    def ask(count, licences=FREE):
        fetcher = Fetcher("ada@example.org", clock, web.allow)
        source = Openverse("car", licences, api=web.openverse)
        return offers_from(project, [source], fetcher, count, licences, min_side=64)

    return ask


def test_offers_have_authors_and_licences_and_nothing_is_fetched(project, web, offered):
    offers = offered(6)
    assert offers == read_offers(project) and len(offers) == 6
    first = offers[0]
    assert (first.author, first.licence, first.title) == ("Ada 0", "CC BY 2.0", "Car [0]")
    assert web.pages and not web.asked and not project.class_images_manifest.exists()


def test_fetching_asks_for_no_page_again(project, web, offered, gathered):
    offered(6)
    before = dict(web.pages)
    found = gathered(6)
    assert [image.author for image in found.images] == [one.author for one in read_offers(project)]
    assert dict(web.pages) == before


def test_nothing_that_fits_is_told(project, offered):
    with pytest.raises(ClassImagesError, match="Nothing that fits was found"):
        offered(6, licences=("by-nc-nd",))


def test_a_list_that_was_meddled_with_loses_those_lines(project, offered):
    offered(3)
    file = project.class_images_offers_file
    file.write_text(file.read_text() + '{"url": 1}\n[]\n"x"\n')
    assert len(read_offers(project)) == 3
