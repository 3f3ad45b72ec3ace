"""Five hundred photos in one project: sending them, and scrolling through them."""

import json
from contextlib import contextmanager

import pytest

from packshot.photos.photo_set import add_photos
from packshot.studio import uploads
from packshot.studio.views import steps
from tests.studio.browser import in_a_browser, settled, wait
from tests.studio.pictures import picture
from tests.studio.test_uploads import png, send

COUNT = 500
ROOTS = "(() => { let sum = 0; for (let i = 0; i < 1.5e8; i++) sum += Math.sqrt(i); return sum })()"
"""What a browser may compute at one stretch, so that it answers to whoever scrolls: some 300 to 500 ms on
any machine, as it is timed beside."""


@pytest.fixture
def many(project, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(COUNT):
        picture(number + 100, (160, 128)).save(folder / f"many-{number:03d}.png")
    add_photos(project, folder, min_side=100)
    return project


@contextmanager
def traced(chromium, page):
    """Yields a list, which then has the most that the page's main thread computed at one stretch, in
    microseconds of its own."""
    longest = []
    chromium.start_tracing(page=page, categories=["toplevel", "devtools.timeline", "__metadata"])
    try:
        yield longest
    finally:
        events = json.loads(chromium.stop_tracing())["traceEvents"]
    mains = {
        (one["pid"], one["tid"])
        for one in events
        if one["name"] == "thread_name" and one["args"]["name"] == "CrRendererMain"
    }
    longest.append(
        max(one["tdur"] for one in events if one.get("tdur") and (one["pid"], one["tid"]) in mains)
    )


@in_a_browser[0]
@in_a_browser[1]
def test_no_task_is_long_while_one_scrolls_through_all(chromium, visit, many, at):
    page = settled(visit())
    with traced(chromium, page) as most:
        page.evaluate(ROOTS)
    with traced(chromium, page) as longest:
        page.goto(page.url.rstrip("/") + f"{at}/photos")
        wait(page, f"document.querySelectorAll('li.photo').length >= {COUNT}")
        page.mouse.move(600, 500)
        while page.evaluate("scrollY + innerHeight < document.documentElement.scrollHeight - 4"):
            page.mouse.wheel(0, 2500)
            page.wait_for_timeout(20)
        loaded = "[...document.querySelectorAll('li.photo img')].filter((one) => one.naturalWidth)"
        wait(page, f"{loaded}.length > 20")
    assert longest[0] < most[0]


def test_what_a_batch_holds_is_counted_and_not_looked_for_at_each_file(studio, at, monkeypatch):
    looked, held = [], uploads._held
    monkeypatch.setattr(uploads, "_held", lambda folder: looked.append(folder) or held(folder))
    for number in range(30):
        assert send(studio, at, f"{number}.png", png()).status_code == 204
    assert len(looked) == 1
    (folder,) = looked
    assert uploads._HELD[folder] == uploads._Held(30, 30 * len(png()))


def test_the_manifest_is_read_once_for_all_pictures_until_it_changes(
    studio, project, at, monkeypatch
):
    read, real = [], steps.manifest.read
    monkeypatch.setattr(steps.manifest, "read", lambda project: read.append(1) or real(project))
    for _ in range(5):
        for number in range(3):
            assert studio.get(f"{at}/pictures/photo/photo-{number}.png?w=160").status_code == 200
    assert len(read) <= 1
    studio.post(f"{at}/photos/photo-0.png/remove")
    assert studio.get(f"{at}/pictures/photo/photo-0.png?w=160").status_code == 404
