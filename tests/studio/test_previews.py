"""The warm process: pictures, faults, newest first, and what happens when it dies."""

import io
import threading

import pytest
from PIL import Image

from packshot.studio.previews import PreviewError, Previews
from tests.studio.shop import cut_out_all, write_plate

pytestmark = pytest.mark.slow
BOX, LIT = "100,100,120,100", {"light_azimuth_degrees": "30"}


@pytest.fixture(scope="module")
def previews():
    made = Previews()
    yield made
    made.close()


@pytest.fixture
def plate(project, tmp_path):
    cut_out_all(project)
    return write_plate(tmp_path / "beach.png")


def test_a_picture_comes_with_what_it_was_made_of(previews, project, plate):
    made = previews.make(project.root, plate, box=BOX, settings=LIT)
    with Image.open(io.BytesIO(made.jpeg)) as seen, Image.open(plate) as before:
        assert seen.size == before.size and seen.format == "JPEG"
    assert made.told["light"]["azimuth_degrees"] == 30
    assert made.told["box"] == dict(left=100, top=100, width=120, height=100)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"box": "1,2"}, "four whole numbers"),
        ({"settings": {"light_hardness": "9"}}, "light_hardness"),
    ],
)
def test_a_fault_is_told_and_the_process_goes_on(previews, project, plate, asked, words):
    with pytest.raises(PreviewError, match=words):
        previews.make(project.root, plate, **({"box": BOX, "settings": LIT} | asked))
    assert previews.make(project.root, plate, box=BOX, settings=LIT)


def test_of_one_pages_wishes_the_newest_is_made(previews, project, plate):
    made = {}

    def ask(number):
        made[number] = previews.make(project.root, plate, box=BOX, settings=LIT, page="one")

    with previews._turn:  # as if one were being made
        threads = []
        for number in range(3):
            threads.append(threading.Thread(target=ask, args=[number]))
            threads[-1].start()
            while previews._newest.get("one", 0) < number + 1:
                pass
    for thread in threads:
        thread.join()
    assert made[2] and not made[0] and not made[1]


def test_one_that_was_killed_is_started_again(previews, project, plate):
    previews.make(project.root, plate, box=BOX, settings=LIT)
    previews._process.kill()
    previews._process.wait()
    assert previews.make(project.root, plate, box=BOX, settings=LIT)


def test_it_ends_with_who_has_started_it(project, plate):
    own = Previews()
    own.warm()
    process = own._process
    own.close()
    assert process.poll() is not None
