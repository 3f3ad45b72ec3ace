"""The whole path on a tiny base: what it leaves, what another start redoes, and what it survives."""

import json
import random
import shutil
import sys
from importlib import import_module

import pytest

from packshot.decisions import Decisions
from packshot.errors import PackshotError, ProjectError, StaleRunError
from packshot.generation.generate import generate_images
from packshot.lora import load_lora
from packshot.models.checkpoint import detect_checkpoint
from packshot.photos.photo_set import list_photos
from packshot.plan import load_base, read_plan, write_plan
from packshot.project import Project
from packshot.report import write_report
from packshot.utils import reading
from packshot.weights.helper_models import label
from packshot.workflow import end_to_end
from tests import walking
from tests.captioners import MAKERS, make_clip
from tests.lives import lives
from tests.walking import Listener, make_case, results, walk


@pytest.fixture
def case(tmp_path, tiny_sd1, surroundings):
    surroundings(tmp_path)
    return make_case(tmp_path, tiny_sd1)


@pytest.fixture
def surroundings(monkeypatch):
    def of(folder):
        monkeypatch.setenv("PACKSHOT_CACHE", str(folder / "cache"))
        monkeypatch.setenv("U2NET_HOME", str(folder / "no segmenters"))
        walking.made_quick(monkeypatch.setattr)

    return of


@pytest.fixture(scope="module")
def walked_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("walked")


@pytest.fixture
def walked(walked_folder, tiny_sd1, surroundings):
    """A case whose path was walked to its end, once for all; each test has it as it was then."""
    case, kept = walked_folder / "case", walked_folder / "kept"
    surroundings(case)
    if kept.exists():
        shutil.rmtree(case)
        shutil.copytree(kept, case)
    else:
        case.mkdir()
        walk(make_case(case, tiny_sd1))
        shutil.copytree(case, kept)
    return case


@pytest.mark.slow
def test_photos_in_lora_and_report_out(case, monkeypatch):
    monkeypatch.setattr(import_module("packshot.masks.mask_photos"), "LEAST_COMPARED", 3)
    heard = Listener()
    outcome = walk(case, heard)
    project = outcome.project
    assert heard.events.count("Step") == outcome.plan.steps and heard.events[-1] == "Done"
    assert project.lora_file.is_file() and project.diffusers_lora_file.is_file()
    report = outcome.report_file.read_text()
    assert "ohwx car" in report and "Masks by bundled (3)" in report
    assert all(photo.caption == "a photo of ohwx car" for photo in list_photos(project))
    assert len(list(project.shots_folder.rglob("*-?-*.png"))) == 2 * 2 * (1 + 4)
    assert (project.shots_folder / "sheet.png").is_file() and project.overview_file.is_file()
    decided = set(reading.read_toml(project.decisions_file))
    assert decided >= {
        "captioner", "class_count", "embedder", "precision", "segmenter", "shot_seconds",
        "step_cost", "storage", "threads",
    }  # fmt: skip


RENAMED = {
    "effective_batch_size": "batch", "gradient_accumulation_steps": "accumulation",
    "resolution": "pixels", "target_modules": "targets", "weight_storage": "storage",
    "save_every_n_steps": "checkpoint_every", "[estimate]": "[predicted]", "[inputs]": "[depends]",
    "time_budget": "budget", "images_per_prompt": "seeds",
}  # fmt: skip


def in_the_words_of_0_1(file):
    text = file.read_text()
    for now, before in RENAMED.items():
        text = text.replace(now, before)
    file.write_text(text.replace('storage = "full"', 'storage = "plain"'))


@pytest.mark.slow
def test_a_project_of_packshot_0_1_goes_on(case):
    """Its settings are read, its plan and run stand aside, its LoRA makes pictures."""
    project = walk(case, weight_storage="full").project
    (run,) = project.runs()
    for file in (project.settings_file, project.plan_file, run / "plan.toml"):
        in_the_words_of_0_1(file)
    assert 'storage = "plain"' in project.settings_file.read_text()
    assert "budget = " in project.settings_file.read_text()
    project.refused_file.write_text('{"a.jpg": "is blurred (sharpness 3)"}')
    old_plan, settings = project.plan_file.read_bytes(), project.settings
    assert settings.weight_storage == "full" and settings.time_budget == "10m"

    report = write_report(project).read_text()
    assert "is blurred (sharpness 3)" in report and "Samples by step" in report
    base = load_base.load_project_base(project)
    lora = load_lora(project.lora_file, base)
    made = list(generate_images(base, ["a car"], folder=project.root / "old", loras=[(lora, 1.0)]))
    assert made and all(one.file.is_file() for one in made)

    heard = Listener()
    again = walk(case, heard, weight_storage="full")
    assert any("plan.toml is of an earlier Packshot" in said for said in heard.said)
    assert heard.events[-1] == "Done" and len(project.runs()) == 2
    assert project.plan_file.with_name("plan.before.toml").read_bytes() == old_plan
    assert again.report_file.is_file() and read_plan(project.plan_file) == again.plan


@pytest.mark.slow
def test_started_once_more_it_does_nothing_and_loads_nothing(walked):
    before = Project(walked / "project")
    made = {file: file.stat().st_mtime_ns for file in before.root.rglob("*")}
    heard = Listener()
    again = walk(walked, heard)
    assert again.was_complete and again.report_file == before.report_file
    assert not heard.said and not heard.made and not heard.events
    assert {file: file.stat().st_mtime_ns for file in made} == made
    loaded = "import sys; from packshot.workflow import end_to_end, receipt; print('torch' in sys.modules)"
    import subprocess

    said = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True)
    assert said.stdout.strip() == "False", "what says so needs no PyTorch"


@pytest.mark.slow
def test_an_edited_plan_is_carried_out_and_a_new_caption_plans_anew(walked):
    project = Project(walked / "project")
    plan = read_plan(project.plan_file)
    write_plan(plan.model_copy(update={"steps": plan.steps + 1}), project.plan_file)
    heard = Listener()
    outcome = walk(walked, heard)
    assert outcome.plan.steps == plan.steps + 1 == heard.events.count("Step")
    caption = next(project.photos_folder.glob("*.txt"))
    caption.write_text("a car, mine")
    heard = Listener()
    outcome = walk(walked, heard)
    assert outcome.plan.inputs != plan.inputs and heard.events.count("Step") == plan.steps
    assert any("planned again, for a new run; changed: captions" in text for text in heard.said)
    lacking = f"the trigger 'ohwx' is not in the captions of {caption.stem}.png: "
    assert any(lacking in text for text in heard.said)
    assert len(project.runs()) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "steps", "made_anew"),
    [
        ({"prompts": ("a photo of {subject}", "{subject} in the rain")}, 0, {"shots"}),
        ({"images_per_prompt": 3}, 0, {"shots"}),
        ({"class_count": 8}, 4, {"class_images", "lora", "shots"}),
        ({"time_budget": "11m"}, 0, set()),  # the whole recipe fits both: the same plan
        ({"seed": 3}, 4, {"lora", "shots"}),
        ({"segmenter": "none"}, 0, set()),
    ],
)
def test_other_words_redo_what_depends_on_them_and_are_kept(walked, words, steps, made_anew):
    project = Project(walked / "project")
    before = results(project.root)
    heard = Listener()
    walk(walked, heard, **words)
    assert bool(steps) == ("Step" in heard.events)
    after = results(project.root)
    changed = {name.split("/")[0] for name in before | after if before.get(name) != after.get(name)}
    assert changed <= made_anew | {"shots"} and made_anew - {"shots"} <= changed
    key, value = next(iter(words.items()))
    assert getattr(project.settings, key) == value
    assert any(text.startswith(f"changed: {key.replace('_', ' ')}: ") for text in heard.said)
    assert walk(walked, **words).was_complete


@pytest.mark.slow
def test_an_assistant_and_what_is_in_its_file_make_a_new_run(walked, make_assistant):
    """The pictures without a LoRA are made without it, too."""
    project, file = Project(walked / "project"), make_assistant()
    before = results(project.root)
    loras = [project.lora_file.read_bytes()]
    for _ in range(2):
        heard = Listener()
        walk(walked, heard, assistant=file)
        assert "Step" in heard.events and "changed: assistant." in " ".join(heard.said)
        loras.append(project.lora_file.read_bytes())
        assert walk(walked).was_complete
        shutil.copy(make_assistant(seed=1), file)  # another one under the same name
    assert len(set(loras)) == 3 and len(project.runs()) == 3
    after = results(project.root)
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert {name.split("/")[0] for name in changed} == {"lora", "shots"}
    assert not any("/without/" in name for name in changed)


@pytest.mark.slow
def test_a_budget_that_comes_again_has_its_run_and_its_lora_again(walked):
    project = Project(walked / "project")
    plan, lora = read_plan(project.plan_file), project.lora_file.read_bytes()
    walk(walked, time_budget="11m", seed=1)
    assert project.lora_file.read_bytes() != lora
    heard = Listener()
    again = walk(walked, heard, seed=0)
    assert again.plan == plan and "Step" not in heard.events
    assert project.lora_file.read_bytes() == lora and len(project.runs()) == 2


@pytest.mark.slow
def test_another_base_has_its_own_run_and_the_one_before_keeps_its_lora(walked, tiny_velocity):
    project = Project(walked / "project")
    kept = [run / project.lora_file.name for run in project.runs()]
    lora = kept[0].read_bytes()
    assert lora == project.lora_file.read_bytes()
    shutil.copytree(tiny_velocity, walked / "other")
    (walked / "other" / "recipe.toml").write_text(walking.RECIPE)
    heard = Listener()
    outcome = walk(walked, heard, base=str(walked / "other"))
    assert "Step" in heard.events and outcome.project.lora_file.read_bytes() != lora
    assert kept[0].read_bytes() == lora and len(project.runs()) == 2
    assert read_plan(project.plan_file).inputs.base.endswith(
        detect_checkpoint(walked / "other").content_hash
    )


def test_folders_whose_names_differ_after_a_dot_are_different_products(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"Bottle_1.5l": "bottle-1-5l", "Bottle_1.0l": "bottle-1-0l", "mug.zip": "mug"}
    for name, project in names.items():
        source = tmp_path / name
        source.touch() if source.suffix == ".zip" else source.mkdir()
        with pytest.raises(ProjectError, match=rf"--class car \({project} is new\)"):
            end_to_end.run(source)


@pytest.mark.slow
def test_another_products_project_is_not_taken(walked):
    project = Project(walked / "project")
    with pytest.raises(ProjectError, match=r"another product: its class noun is 'car', not 'boat'"):
        end_to_end.run(walked / "photos", root=project.root, class_noun="boat")


@pytest.mark.slow
def test_stopping_leaves_no_report_and_finishing_what_was_learnt(case):
    heard = Listener(stop_after=2)
    outcome = walk(case, heard)
    project = outcome.project
    assert outcome.stopped and outcome.report_file is None and heard.events[-1] == "Stopped"
    assert not project.receipt_file.exists()
    heard = Listener()
    outcome = walk(case, heard, finish=True)
    assert "Step" not in heard.events and heard.events[-1] == "Done"
    assert outcome.plan.steps > 2 and outcome.report_file.is_file()
    lora = project.lora_file.read_bytes()
    assert b'"ss_steps":"2"' in lora
    assert walk(case).was_complete, "it is finished"
    shutil.rmtree(project.lora_folder)
    for kept in project.runs()[0].glob("*.safetensors"):
        kept.unlink()
    walk(case)
    assert project.lora_file.read_bytes() == lora, "from its checkpoint"


@pytest.mark.slow
def test_there_must_be_something_to_finish(case):
    with pytest.raises(StaleRunError, match="There is nothing to finish: no step of this plan"):
        walk(case, finish=True)


@pytest.mark.slow
def test_another_model_captions_and_its_captions_stay(case):
    folder = MAKERS["blip"](case / "blip")
    project = walk(case, Listener(stop_after=1), captioner=str(folder)).project
    assert {photo.caption_by for photo in list_photos(project)} == {label(str(folder))}
    captions = [photo.caption for photo in list_photos(project)]
    walk(case, Listener(stop_after=1), captioner=str(folder))
    assert [photo.caption for photo in list_photos(project)] == captions
    (project.photos_folder / "1.txt").write_text("ohwx car, mine")
    walk(case, Listener(stop_after=1), captioner="plain")
    now = [photo.caption for photo in list_photos(project)]
    assert now == ["a photo of ohwx car", "ohwx car, mine", "a photo of ohwx car"]


def test_a_captioner_that_is_not_there_is_told_before_the_base_is_loaded(case, monkeypatch):
    monkeypatch.setattr(load_base, "load_base", None)
    with pytest.raises(PackshotError, match="nowhere"):
        walk(case, captioner=str(case / "nowhere"))


@pytest.mark.slow
def test_photos_that_are_too_small_are_told(case):
    heard = Listener(stop_after=1)
    walk(case, heard)
    assert not any("enlarged" in text for text in heard.said)
    config = case / "base" / "unet" / "config.json"
    told = json.loads(config.read_text())
    config.write_text(json.dumps(told | {"sample_size": 16 * told["sample_size"]}))

    class Enough(Listener):
        def say(self, text):
            super().say(text)
            if "enlarged" in text:
                raise KeyboardInterrupt  # pictures of that size take minutes

    heard = Enough()
    with pytest.raises(KeyboardInterrupt):
        walk(case, heard)
    assert "0.png 272 x 272, 1.png 272 x 272" in heard.said[-1]


def test_a_machine_that_gets_slower_is_told_with_what_to_do():
    from types import SimpleNamespace

    from packshot.workflow.steps import Pace

    said = []
    plan = SimpleNamespace(estimate=SimpleNamespace(seconds_per_step=1.0))
    pace = Pace(plan, said.append)

    def steps(first, count, seconds):
        for step in range(first, first + count):
            pace.step(SimpleNamespace(step=step, steps=300, seconds=seconds))

    steps(1, 50, 1.2)
    pace.step(SimpleNamespace(step=51, steps=300, seconds=60))  # one long one says nothing
    assert not said
    steps(52, 20, 2.0)
    assert len(said) == 1 and "1.6 times as long as planned" in said[0] and "--finish" in said[0]
    steps(72, 20, 2.1)
    assert len(said) == 1
    steps(92, 20, 5.0)
    assert len(said) == 2


@pytest.fixture(scope="module")
def started_lives():
    with lives() as started:
        yield started


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{}, {"segmenter": "none", "class_count": None, "images_per_prompt": 1}, {"embedder": "clip"}],
    ids=["as usual", "with little", "choosing"],
)
def test_killed_at_writes_all_over_the_path_it_goes_on_and_ends_the_same(
    case, options, started_lives
):
    """SIGKILL eight times, each life going on where the one before was killed, then to the end. (Where it
    chooses, which takes long, four times.)

    What was measured is taken from the undisturbed run, so that both plan alike, but not what was chosen
    by pictures: they are made anew. How a decision survives a kill is seen by the number of runs.
    """
    told, decisions = case / "writes", case / "project" / "decisions.toml"
    if "embedder" in options:  # then the run chooses, too
        options = {"embedder": str(make_clip(case / "clip"))}

    def start(write=None):
        return started_lives.start(walking.life, str(case), write, json.dumps(options), str(told))

    assert start() == 0
    undisturbed, writes = results(case / "project"), int(told.read_text())
    Decisions(Project(case / "project")).forget("chosen")
    settled = decisions.read_bytes()
    for left in ("project", "cache"):
        shutil.rmtree(case / left)
    draw = random.Random(0)
    kills = 4 if "embedder" in options else 8
    for _ in range(kills):
        assert start(draw.randint(1, writes // (kills - 2))) == -9
        if decisions.exists():
            decisions.write_bytes(settled)
    assert start() == 0
    assert results(case / "project") == undisturbed
    assert len(list((case / "project" / "runs").iterdir())) == 1
