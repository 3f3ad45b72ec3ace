"""The whole walk as somebody new takes it, in a real browser: from photos that are dropped to the ZIP."""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load

from packshot.models.sampler_file import SAMPLER_FILE
from packshot.training.events import Step as StepDone
from packshot.training.events import read_events
from packshot.weights.installed_bases import BUNDLED, GROUP, installed_base
from tests.studio.browser import in_a_browser, settled, wait

pytestmark = [*in_a_browser, pytest.mark.minutes]

EXAMPLES = Path(__file__).parents[2] / "examples"
PHOTOS = sorted((EXAMPLES / "torvane_ridge").glob("*.jpg"))[:4]
STEPS, EVERY = 40, 20
PATIENCE = 900_000
"""Milliseconds that anything may take: a busy machine is no fault."""


class StudioProcess:
    """`packshot studio` in a process of its own, which can be killed."""

    def __init__(self, folder, packages):
        words = [
            sys.executable,
            "-m",
            "packshot",
            "studio",
            str(folder),
            "--no-browser",
            "--port=0",
        ]
        env = os.environ | {"PYTHONPATH": str(packages)}
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env)
        self.address = re.search(r"http://\S+", self.process.stdout.readline())[0]

    def end(self, how=signal.SIGINT):
        self.process.send_signal(how)
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def quick_base(tmp_path):
    """A folder of packages with the bundled base in it, whose pictures take few steps."""
    packages = tmp_path / "packages"
    base = packages / "base"
    shutil.copytree(installed_base(BUNDLED), base)
    (base / SAMPLER_FILE).write_text("steps = 4")
    (packages / "quick_base.py").write_text(f"FOLDER = {str(base)!r}")
    known = packages / "packshot_pocket-0.dist-info"  # comes before the installed one of this name
    known.mkdir()
    (known / "METADATA").write_text("Name: packshot-pocket\nVersion: 0")
    (known / "entry_points.txt").write_text(f"[{GROUP}]\n{BUNDLED} = quick_base:FOLDER")
    return packages


@contextmanager
def tab(chromium, studio, path=""):
    """A window that has never been there; at its end, its console has had no error."""
    told = []
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, locale="en")
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.on("pageerror", lambda error: told.append(str(error)))
    page.goto(studio.address)
    if path:
        page.goto(studio.address.split("?")[0] + path)
    yield page
    context.close()
    assert told == []


def count(page, selector):
    return page.evaluate(f"document.querySelectorAll({selector!r}).length")


def wait_for_count(page, selector, number, seconds=PATIENCE / 1000):
    wait(page, f"document.querySelectorAll({selector!r}).length >= {number}", seconds)


def go_on(page):
    """To the next view, as the button at the end of each offers it."""
    page.click("nav.next a")
    return settled(page)


def take_photos(page):
    page.fill("#name", "Torvane Ridge")
    page.fill("#class_noun", "suv")
    page.click("button:has-text('Create the project')")
    page.set_input_files("#drop input[multiple]", PHOTOS)
    wait_for_count(page, "li.photo", len(PHOTOS))
    page.click("button.primary:has-text('Write captions')")
    wait(page, "[...document.querySelectorAll('li.photo textarea')].every((one) => one.value)", 120)
    page.click("button.primary:has-text('Cut out the product')")
    wait_for_count(page, "li.photo img.cutout", len(PHOTOS))
    page.wait_for_selector(".steps a.done:has-text('Photos')")


def plan_shortly(page):
    go_on(page)  # class images, which can be done without
    go_on(page)
    page.click("button:has-text('Time this machine')")
    page.wait_for_selector("#at", timeout=PATIENCE)
    page.locator("#at").press("Home")
    page.click("button:has-text('Use this plan')")
    page.click("summary:has-text('All numbers')", timeout=120_000)
    for name, value in (
        ("steps", STEPS), ("sample_every_n_steps", EVERY), ("save_every_n_steps", EVERY),
        ("lr_warmup_steps", 2),
    ):  # fmt: skip
        if settled(page).input_value(f"#n-{name}") == str(value):
            continue  # as it is by the speed of this machine, so that nothing would be sent
        page.fill(f"#n-{name}", str(value))
        page.locator(f"#n-{name}").blur()
        page.wait_for_selector(f".notice.done:has-text('{name}')")
    assert page.inner_text("#plan-summary").startswith(f"{STEPS} steps")
    page.click("a:has-text('Go on to training')")


def standing(page):
    """What the page says of a training: its step, and whether curve, film strip and time are there."""
    settled(page).wait_for_selector("svg.curve polyline.smooth")
    page.wait_for_selector("#run .huge:has-text('left')")
    step = int(re.search(r"step (\d+) of", page.inner_text("#run"))[1])
    return step, count(page, ".film figure")


def choose_and_picture(page):
    page.check("[name=quick]")
    page.click("button:has-text('Make the pictures and measure')")
    page.wait_for_selector("svg.plot", timeout=PATIENCE)
    settled(page)
    assert count(page, ".dot") >= 2 and count(page, ".dot.now") == 1
    go_on(page)
    while (chosen := page.locator(".chip:has(:checked)")).count() > 1:
        chosen.last.click()
    page.fill("#count", "1")
    page.click("button:has-text('Make pictures')")
    page.wait_for_selector(".shot .pictures.both", timeout=PATIENCE)


def insert(page):
    go_on(page)
    page.set_input_files("#plates input[type=file]", EXAMPLES / "plates" / "mountain.jpg")
    page.wait_for_selector(".made:not([hidden])", timeout=PATIENCE)
    page.click("button:has-text('Insert in full size')")
    page.wait_for_selector("li.insertion", timeout=PATIENCE)


def deliver(page):
    go_on(page)
    for format in page.locator("[name=format]").all()[1:]:
        format.uncheck()
    page.click("button:has-text('Make the ZIP')")
    with page.expect_download(timeout=PATIENCE) as download:
        page.click("a:has-text('Download the ZIP')", timeout=PATIENCE)
    return download.value.path()


def check(archive):
    """The ZIP has LoRA files that have learnt, and pictures that open."""
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        files = {name: opened.read(name) for name in opened.namelist()}
    loras = [load(data) for name, data in files.items() if name.endswith(".safetensors")]
    assert len(loras) == 2
    for tensors in loras:
        ups = [t for name, t in tensors.items() if re.search(r"lora(_up|_B|\.up)\.", name)]
        assert ups and all(torch.isfinite(t).all() and t.any() for t in ups)
    for kind in ("shop", "shots", "insertions"):
        pictures = [data for name, data in files.items() if f"{kind}/" in name and "." in name]
        opened = [
            Image.open(io.BytesIO(d))
            for d in pictures
            if d[:4] in (b"\x89PNG", b"\xff\xd8\xff\xe0")
        ]
        assert opened, kind
        for image in opened:
            image.load()


def test_from_photos_to_the_zip_through_a_closed_tab_and_a_killed_studio(
    chromium, tmp_path, quick_base
):
    studio = StudioProcess(tmp_path / "products", quick_base)
    try:
        with tab(chromium, studio) as page:
            take_photos(page)
            plan_shortly(page)
            page.click("button:has-text('Start training')")
            wait_for_count(page, ".film figure", 1)
            step, films = standing(page)
            path = page.url.split("/", 3)[3]
        with tab(chromium, studio, path) as page:  # the tab was closed: all stands in another
            later, more = standing(page)
            assert later >= step and more >= films >= 1
            studio.end(signal.SIGKILL)
            page.wait_for_selector(".notice.fault:has-text('does not answer')")
        studio = StudioProcess(tmp_path / "products", quick_base)
        with tab(chromium, studio, path) as page:
            page.wait_for_selector("#run:has-text('step')")
            assert int(re.search(r"step (\d+) of", page.inner_text("#run"))[1]) >= later
            page.wait_for_selector("#run .good", timeout=PATIENCE)
            (project,) = (tmp_path / "products").iterdir()
            (log,) = project.glob("runs/*")
            steps = [one.step for one in read_events(log) if isinstance(one, StepDone)]
            assert steps == list(range(1, STEPS + 1))  # none was computed twice, none left out
            assert count(settled(page), ".film figure") == STEPS // EVERY
            go_on(page)
            choose_and_picture(page)
            insert(page)
            check(deliver(page))
    finally:
        studio.end()
