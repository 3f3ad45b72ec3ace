"""The report: whole, self-contained, and safe with hostile words."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from packshot.photos.photo_set import add_photos, list_photos, write_captions, write_mask
from packshot.project import create_project
from packshot.report import contact_sheet, write_report
from packshot.training.events import Done, Evaluated, Step, as_record, log_of
from packshot.utils import files

EVIL = '<script>alert("1")</script> & "quotes"'


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs


def noise(seed, size=256):
    blocks = np.random.default_rng(seed).integers(0, 255, (size // 16, size // 16, 3), np.uint8)
    return Image.fromarray(blocks.repeat(16, 0).repeat(16, 1))


@pytest.fixture
def project(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for index in range(3):
        noise(index).save(source / f"{index}.png")
    (source / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    made = create_project(tmp_path / "p", name=EVIL, class_noun="car")
    accepted = add_photos(made, source)
    write_captions(made, [(photo, EVIL) for photo in accepted.photos])
    return made


def add_shots(project):
    for kind in ("with", "without", "drift/with", "drift/without"):
        folder = project.shots_folder / kind
        record = {
            "file": "a b#1.png", "prompt": EVIL, "negative_prompt": "", "seed": 0, "steps": 1,
            "guidance_scale": 1.0, "sampler": "", "width": 64, "height": 64, "loras": [["x", 1.0, ""]],
            "base": "", "base_hash": "",
        }  # fmt: skip
        files.write_image(folder / "a b#1.png", noise(9))
        files.write_json(folder / "a b#1.json", record)
    score = {"name": EVIL, "value": 0.5, "embedder": "e", "higher_is_better": True, "meaning": "m"}
    files.write_json(project.shots_folder / "scores.json", [score])


def test_a_project_with_photos_alone_has_a_report(project):
    page = write_report(project).read_text()
    assert "broken.jpg" in page and "Photos and their captions" in page
    assert (
        "No shots with and without the LoRA yet" in page and "Nothing has been trained yet" in page
    )
    assert "0.png: 256 x 256 px, sharp" in page and "What to photograph next" in page


def test_hostile_words_stay_words(project):
    add_shots(project)
    page = Page(write_report(project).read_text())
    assert "script" not in page.tags
    assert not [value for name, value in page.attributes if name.startswith("on")]


def test_nothing_comes_from_elsewhere_and_every_link_leads_to_a_file(project):
    add_shots(project)
    page = Page(write_report(project).read_text())
    sources = [value for name, value in page.attributes if name == "src"]
    links = [value for name, value in page.attributes if name == "href"]
    assert sources and all(value.startswith("data:image/jpeg;base64,") for value in sources)
    assert links and all((project.root / unquote(value)).is_file() for value in links)
    assert not re.search(r"url\(|@import|<link|<iframe", project.report_file.read_text())


def test_it_shows_pairs_scores_and_drift(project):
    add_shots(project)
    page = write_report(project).read_text()
    for words in ("with the LoRA, and without", "0.500", "Others of the class"):
        assert words in page


def test_masks_lie_beside_their_photos(project):
    plain = write_report(project).read_text().count("<img")
    for photo in list_photos(project):
        write_mask(project, photo, Image.new("L", (photo.width, photo.height), 255), "us")
    assert write_report(project).read_text().count("<img") == plain + len(list_photos(project))


def test_a_run_is_told(project, tmp_path):
    run = project.runs_folder / "1"
    from packshot.plan.config import Estimate, Plan, PlanInputs, write_plan

    depends = PlanInputs(base="", photos="", captions="", class_images="", subject="", versions={})
    plan = Plan(
        steps=9, effective_batch_size=1, resolution=64, target_modules="all", rank=1, alpha=1,
        learning_rate=1, seed=0,
        class_image_ratio=0, precision="fp32", sample_every_n_steps=0, save_every_n_steps=1, inputs=depends,
        estimate=Estimate(seconds=61, bytes=2**30, class_images_seen=7, seconds_per_step=1),
    )  # fmt: skip
    write_plan(plan, run / "plan.toml", {"rank": "room for detail"})
    events = [Step(s, 9, 1 / s, 1 / s, None, 1.0, 1.0) for s in range(1, 10)]
    events.append(Done(9, 75.0, 2**31, project.lora_file, project.diffusers_lora_file))
    files.write_json_lines(log_of(run), (as_record(event, run) for event in events))
    page = write_report(project).read_text()
    for words in ("room for detail", "1 min 01 s", "1 min 15 s", "1.00 GiB", "2.00 GiB", "9 steps"):
        assert words in page


def test_an_early_end_is_told_with_its_reason(project):
    from packshot.plan.config import Estimate, Plan, PlanInputs, write_plan

    depends = PlanInputs(base="", photos="", captions="", class_images="", subject="", versions={})
    plan = Plan(
        steps=9, effective_batch_size=1, resolution=64, target_modules="all", rank=1, alpha=1,
        learning_rate=1, seed=0, early_stopping_window=4, early_stopping_variance=0.15,
        class_image_ratio=0, precision="fp32", sample_every_n_steps=0, save_every_n_steps=1, inputs=depends,
        estimate=Estimate(seconds=61, bytes=2**30, class_images_seen=7, seconds_per_step=1),
    )  # fmt: skip
    run = project.runs_folder / "1"
    write_plan(plan, run / "plan.toml")
    steps = [Step(s, 9, 1 / s, 1 / s, None, 1.0, 1.0) for s in range(1, 7)]
    told = [Evaluated(s, 0.1 + 1 / s, None if s < 6 else 0.07, s == 6) for s in range(1, 7)]
    done = Done(6, 75.0, 2**31, project.lora_file, project.diffusers_lora_file)

    def page(*events):
        files.write_json_lines(log_of(run), (as_record(event, run) for event in events))
        return write_report(project).read_text()

    early = page(*steps, *told, done)
    assert "Training ended at step 6 of 9: its held-out loss had settled at 0.2667" in early
    assert "varied by 7% of what it varied in all, less than 15%" in early and "held out" in early
    assert "step 6 of 9: it was ended by --finish" in page(*steps, done)
    whole = done.__class__(9, 75.0, 2**31, project.lora_file, project.diffusers_lora_file)
    assert "Training ended at" not in page(*steps, whole)


def test_contact_sheets_fit_every_picture():
    sheet = contact_sheet([noise(0, 64), noise(1, 128), noise(2)], columns=2, cell_pixels=100)
    assert sheet.size == (2 * 112 + 12, 2 * 112 + 12)
    labelled = contact_sheet([noise(0, 64)], labels=["a long label " * 9], cell_pixels=100)
    assert labelled.height > 100 + 3 * 18
