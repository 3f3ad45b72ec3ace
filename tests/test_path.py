"""The whole path on a tiny base, and what running it again redoes."""

import shutil
from functools import partial

import pytest
import torch

from packshot import path
from packshot.bases import load_base
from packshot.captions import load_captioner
from packshot.errors import PackshotError
from packshot.photos import photos
from packshot.plan import fitting, read_plan, write_plan
from tests.captioners import MAKERS


@pytest.fixture
def walk(tmp_path, tiny_sd1, monkeypatch):
    import numpy as np
    from PIL import Image

    monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fitting, "load_base", partial(load_base, device="cpu", dtype=torch.float32))
    recipe = "exposures = {1 = 4}\nbatch = 2\nleast_exposures_share = 0.5\ncrops_per_photo = 1\n"
    base = tmp_path / "base"
    shutil.copytree(tiny_sd1, base)
    (base / "recipe.toml").write_text(recipe)
    source = tmp_path / "photos"
    source.mkdir()
    for index in range(3):
        blocks = np.random.default_rng(index).integers(0, 255, (17, 17, 3), np.uint8)
        Image.fromarray(blocks.repeat(16, 0).repeat(16, 1)).save(source / f"{index}.png")

    def run(**options):
        counted = []
        outcome = path.run(
            source,
            class_noun="car",
            name="Duster",
            base=str(base),
            root=tmp_path / "project",
            prompts=["a photo of {subject}"],
            class_count=2,
            seeds=(0,),
            on_event=lambda event: counted.append(type(event).__name__),
            **options,
        )
        return outcome, counted

    return run


def test_photos_in_lora_and_report_out_and_nothing_twice(walk):
    outcome, events = walk()
    project = outcome.project
    assert events.count("Step") == outcome.plan.steps and events[-1] == "Done"
    assert project.lora_file.is_file() and project.diffusers_lora_file.is_file()
    assert "ohwx car" in outcome.report_file.read_text()
    assert all(photo.with_suffix(".txt").is_file() for photo in project.photos_folder.glob("*.png"))
    made = {file: file.stat().st_mtime_ns for file in project.shots_folder.rglob("*-0-*.png")}
    assert len(made) == 2 + 2 * 4
    assert (project.shots_folder / "sheet.png").is_file() and project.overview_file.is_file()
    lora = project.lora_file.read_bytes()

    again, events = walk()
    assert "Step" not in events and again.plan == outcome.plan
    assert {file: file.stat().st_mtime_ns for file in made} == made
    assert project.lora_file.read_bytes() == lora


def test_an_edited_plan_is_carried_out_and_a_new_caption_plans_anew(walk):
    project = walk()[0].project
    plan = read_plan(project.plan_file)
    write_plan(plan.model_copy(update={"steps": plan.steps + 1}), project.plan_file)
    outcome, events = walk()
    assert outcome.plan.steps == plan.steps + 1 == events.count("Step")
    next(project.photos_folder.glob("*.txt")).write_text("a photo of ohwx car, mine")
    outcome, events = walk()
    assert outcome.plan.depends != plan.depends and events.count("Step") == plan.steps
    assert len(project.runs()) == 3


def test_stopping_leaves_no_report(walk):
    outcome, events = walk(should_stop=lambda: True)
    assert outcome.stopped and outcome.report_file is None and events[-1] == "Stopped"


def test_another_model_captions_and_its_captions_stay(walk, tmp_path):
    folder = MAKERS["blip"](tmp_path / "blip")
    project = walk(captioner=str(folder), should_stop=lambda: True)[0].project
    assert {photo.caption_by for photo in photos(project)} == {
        load_captioner(model=str(folder)).name
    }


def test_a_captioner_that_is_not_there_is_told_before_the_base_is_loaded(walk, tmp_path):
    with pytest.raises(PackshotError, match="nowhere"):
        walk(captioner=str(tmp_path / "nowhere"))
