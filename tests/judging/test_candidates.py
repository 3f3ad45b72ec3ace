"""Candidates for the project's LoRA: their pictures and scores, and the choice of one."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from packshot.errors import LoraError, OverwriteError, PackshotError
from packshot.generation.prompts import default_prompts
from packshot.judging import measures
from packshot.judging.candidate import (
    Candidate,
    chosen_candidate,
    list_candidates,
    pictures_of,
    read_candidates,
    write_candidate,
)
from packshot.judging.candidates import (
    pictures_with,
    propose_candidate,
    score_candidates,
    sources_of,
)
from packshot.judging.chosen import choose_candidate
from packshot.judging.effort import Effort
from packshot.judging.judge import Judge
from packshot.judging.seen import see_file
from packshot.lora import fused, load_lora
from packshot.models.identity_embedder import IdentityEmbedder
from packshot.photos.photo_set import list_photos
from packshot.photos.removal import remove_photos
from packshot.plan import write_plan
from packshot.project import save_choices
from packshot.settings import choices_of
from packshot.training.events import Done, as_record, log_of
from packshot.training.runs import checkpoint_file, restore_lora
from packshot.utils import copying, files, hashing
from tests.at_once import another_writes_before
from tests.generation.test_metrics import Colours
from tests.projects import samples_in_two_steps
from tests.training.test_dataset import planned


@pytest.fixture
def project(ready_project, make_assistant):
    """A project with two runs that have LoRAs, and one that has none yet."""
    for number, name in enumerate(("first", "second")):
        run = ready_project.runs_folder / name
        files.write_text(run / "plan.toml", "")
        for place in (ready_project.lora_file, ready_project.diffusers_lora_file):
            copying.copy(Path(make_assistant(number)), run / place.name)
    files.write_text(ready_project.runs_folder / "third" / "plan.toml", "")
    return ready_project


def keys(candidates):
    return [(one.run, one.weight) for one in candidates]


def test_each_run_with_a_lora_is_a_candidate_at_each_weight(project):
    found = list_candidates(project, (0.5, 1.0))
    assert keys(found) == [("first", 0.5), ("first", 1.0), ("second", 0.5), ("second", 1.0)]
    assert all(one.likeness is None and one.drift is None for one in found)


class Left:
    """A segmenter that takes the left third for the product."""

    name = "left"

    def mask(self, picture):
        mask = Image.new("L", picture.size)
        mask.paste(255, (0, 0, picture.width // 3, picture.height))
        return mask


@pytest.fixture
def judge(project, tiny_base):
    samples_in_two_steps(tiny_base)
    effort = Effort("of a test", prompts=2, seeds=2, swept=2)
    return Judge(project, tiny_base, Colours(), Colours(), Left(), effort)


@pytest.fixture
def with_step(project, make_assistant):
    """The first run has kept a LoRA of step 5."""
    run = project.runs_folder / "first"
    place = checkpoint_file(run, project.diffusers_lora_file.name, 5)
    copying.copy(Path(make_assistant(7)), place)
    return place


@pytest.mark.slow
def test_candidates_are_measured_by_their_own_pictures(judge, project, with_step):
    scored = score_candidates(judge, (0.5, 1.0))
    told = [(one.run, one.step, one.weight) for one in scored]
    first = [("first", 5, 1.0), ("first", None, 1.0), ("second", None, 1.0)]
    assert told[:3] == first and len(told) == 5, "the best two at the other weight, too"
    ranked = sorted(scored[:3], key=lambda one: -one.likeness)
    assert {(one.run, one.step) for one in scored[3:]} == {(o.run, o.step) for o in ranked[:2]}
    photos = [see_file(photo.file, Left(), photo.mask) for photo in list_photos(project)]
    for one in scored:
        shots = pictures_of(project, one)
        assert len(shots) == 4 and {w for s in shots for _, w, _ in s.loras} == {one.weight}
        own = measures.products(Colours(), [see_file(shot.file, Left()) for shot in shots])
        known = measures.products(Colours(), photos)
        expected = measures.identity(own, known, judge.look_alikes)
        assert sorted(one.values["identity"]) == pytest.approx(sorted(expected))
        assert one.likeness == pytest.approx(sum(expected) / 4) and one.embedder == "colours"
        assert len(one.values["drift"]) == 8 and one.drift > 0
    drifts = {one.key[:3]: one.drift for one in scored}
    run, step = scored[3].run, scored[3].step
    assert drifts[run, step, 1.0] > drifts[run, step, 0.5]
    assert {one.key for one in read_candidates(project)} == {one.key for one in scored}
    proposed = propose_candidate(judge)
    assert proposed.candidate.key in {one.key for one in scored} and proposed.why.endswith(".")
    for of in (scored[0], None):
        assert [len(made) for made in pictures_with(judge, of)] == [4, 8]
    fewer = replace(judge, effort=replace(judge.effort, seeds=1))
    assert [len(made) for made in pictures_with(fewer, scored[0])] == [2, 4], (
        "not all that there are"
    )
    # Another file in the run's place is another candidate, which nobody has measured.
    copying.copy(
        project.runs_folder / "second" / project.lora_file.name,
        project.runs_folder / "first" / project.lora_file.name,
    )
    again = {(one.run, one.step, one.weight): one for one in list_candidates(project, (1.0,))}
    assert again["first", None, 1.0].likeness is None
    assert again["second", None, 1.0].likeness is not None
    assert pictures_of(project, again["first", None, 1.0]) == []


@pytest.mark.slow
def test_a_lora_from_elsewhere_is_compared_and_does_not_become_a_run(
    judge, project, make_assistant
):
    other = Path(make_assistant(3))
    scored = score_candidates(judge, (1.0,), sources_of(judge, [other]))
    assert [one.run for one in scored] == ["first", "second", other.name]
    assert other.name not in {one.run for one in list_candidates(project)}
    assert other.name in {one.run for one in read_candidates(project)}


def test_loras_from_elsewhere_with_one_file_name_are_each_compared(
    judge, project, make_assistant, tmp_path
):
    places = [tmp_path / folder / "pytorch_lora_weights.safetensors" for folder in "abc"]
    for number, place in zip((3, 4, 4), places, strict=True):
        copying.copy(Path(make_assistant(number)), place)
    found = [(run, file) for (run, _), file in sources_of(judge, places).items() if file in places]
    assert {hashing.sha256(file) for _, file in found} == {hashing.sha256(one) for one in places}
    assert all(run.startswith("pytorch_lora_weights-") for run, _ in found)
    assert sources_of(judge, places[:1])[places[0].name, None] == places[0]


class Told(Judge):
    """Measures nothing: each picture is as like as the test says."""

    likeness = 0.5

    def shoot(self, folder, loras=(), prompts=()):
        return []

    def measure(self, shots):
        return {"identity": (self.likeness,) * 4, "count": (1.0,) * 4}


@pytest.fixture
def told(judge, monkeypatch):
    monkeypatch.setattr("packshot.judging.judge.prediction_drift", lambda *_: [0.1])
    fields = {name: getattr(judge, name) for name in ("base", "embedder", "similarity", "effort")}
    return Told(judge.project, segmenter=Left(), **fields)


def _remasked(project):
    photo = list_photos(project)[0]
    mask = Image.new("L", (photo.width, photo.height))
    mask.paste(255, (9, 9, 99, 99))
    files.write_image(project.masks_folder / f"{photo.file.stem}.png", mask)


def _other_prompts(project):
    save_choices(project, choices_of(prompts=("{subject} in the rain", "{subject} at night")))


def _fewer_photos(project):
    remove_photos(project, [list_photos(project)[0].file.name])


@pytest.mark.parametrize("change", [_remasked, _other_prompts, _fewer_photos])
def test_what_was_measured_by_other_photos_or_prompts_is_not_compared(
    told, project, change, monkeypatch
):
    """Of the first run the lighter weight was measured before the change, and looks better."""
    monkeypatch.setattr(Told, "likeness", 0.9)
    score_candidates(told, (0.5,))
    change(project)
    monkeypatch.setattr(Told, "likeness", 0.4)
    anew = replace(told)
    score_candidates(anew, (1.0,))
    chosen = propose_candidate(anew).candidate
    assert (chosen.weight, chosen.likeness) == (1.0, pytest.approx(0.4))
    assert propose_candidate(told).candidate.weight == 0.5


def test_a_lora_whose_predictions_are_no_numbers_is_told_and_harms_no_record(told, monkeypatch):
    done = score_candidates(told, (0.5,))
    drift = iter([[0.1], [float("nan")]])
    monkeypatch.setattr("packshot.judging.judge.prediction_drift", lambda *_: next(drift))
    with pytest.raises(LoraError, match="second, at 1: its predictions are no numbers"):
        score_candidates(told, (1.0,))
    assert {one.key for one in read_candidates(told.project)} > {one.key for one in done}


def test_a_few_prompts_of_a_persons_own_are_filled_up_with_the_usual_ones(judge, project):
    four = replace(judge, effort=replace(judge.effort, prompts=4))
    usual = default_prompts(project.subject)
    assert four.prompts == usual[:4]
    save_choices(project, choices_of(prompts=("{subject} on Mars", usual[1])))
    assert replace(four).prompts == ["{subject} on Mars", usual[1], usual[0], usual[2]]


def test_two_that_measure_at_once_lose_nothing(project, monkeypatch):
    one, other = (Candidate("first", weight, "a" * 64) for weight in (0.6, 1.0))
    with another_writes_before(monkeypatch, lambda: write_candidate(project, other)):
        write_candidate(project, one)
    assert {found.weight for found in read_candidates(project)} == {0.6, 1.0}


@pytest.mark.parametrize("values", [[float("nan")], [0.1] * 5000, ["much"]])
def test_a_record_that_makes_no_sense_is_none(project, values):
    digest = hashing.sha256(project.runs_folder / "first" / project.lora_file.name)
    told = {"run": "first", "weight": 1.0, "sha256": digest, "values": {"identity": [0.1, 0.2]}}
    files.write_json(project.candidates_folder / "scores.json", [told])
    assert read_candidates(project)[0].interval("identity").mean == pytest.approx(0.15)
    place = project.candidates_folder / "scores.json"
    place.write_text(json.dumps([told | {"values": {"identity": values}}]))
    assert read_candidates(project) == []


def test_a_run_is_chosen_and_another_again(project):
    assert chosen_candidate(project) is None
    for run in ("second", "first"):
        choose_candidate(project, run, 1.0, lambda: pytest.fail("no base is needed"))
        assert chosen_candidate(project) == (run, None, 1.0)
        own = project.runs_folder / run / project.lora_file.name
        assert project.lora_file.read_bytes() == own.read_bytes()


@pytest.mark.parametrize(
    ("bases", "has_ended", "stays"),
    [
        (("sd1/a", "sd1/b"), True, True),
        (("sdxl/a", "sd1/b"), True, False),
        (("sd1/a",) * 2, False, False),
    ],
)
def test_another_run_chosen_stays_if_the_plans_has_ended_and_its_base_takes_it(
    project, bases, has_ended, stays
):
    for name, seed, base in zip(("first", "second"), (0, 1), bases, strict=True):
        plan = planned(seed=seed, inputs=planned().inputs.model_copy(update={"base": base}))
        for place in (project.runs_folder / name / "plan.toml", project.plan_file):
            write_plan(plan, place)
    run = project.runs_folder / "second"
    own = run / project.lora_file.name, run / project.diffusers_lora_file.name
    ended = Done(8, 1.0, 1, *own, tuple(map(hashing.sha256, own)))
    if has_ended:
        files.write_json_lines(log_of(run), [as_record(ended, run)])
    choose_candidate(project, "first", 1.0, lambda: pytest.fail("no base is needed"))
    restore_lora(project, run, ended)
    assert chosen_candidate(project) == ("first" if stays else "second", None, 1.0)


def test_the_choice_is_known_by_the_file_alone(project):
    copying.copy(project.runs_folder / "second" / project.lora_file.name, project.lora_file)
    assert chosen_candidate(project) == ("second", None, 1.0)
    files.write_bytes(project.lora_file, b"another's")
    assert chosen_candidate(project) is None


def test_a_weight_is_folded_into_both_files(project, tiny_base):
    choose_candidate(project, "first", 0.5, lambda: tiny_base)
    assert chosen_candidate(project) == ("first", None, 0.5)
    source = load_lora(project.runs_folder / "first" / project.lora_file.name, tiny_base)
    name = next(iter(source.weights))
    weight = dict(tiny_base.denoiser.named_parameters())
    with fused(tiny_base, [(source, 0.5)]):
        expected = {key: value.clone() for key, value in weight.items()}
    for file in (project.lora_file, project.diffusers_lora_file):
        assert load_file(file)
        with fused(tiny_base, [(load_lora(file, tiny_base), 1.0)]):
            far = max(float((weight[key] - expected[key]).abs().max()) for key in weight)
        assert far < 1e-5 < float(torch.as_tensor(source.weights[name].up).abs().max())


def test_what_cannot_be_chosen_or_measured_says_so(project, ready_project, tiny_base):
    with pytest.raises(PackshotError, match="no run 'third' with a LoRA; there are first, second"):
        choose_candidate(project, "third", 1.0, lambda: tiny_base)
    with pytest.raises(LoraError):
        choose_candidate(project, "first", float("nan"), lambda: tiny_base)
    assert not project.lora_file.exists()


def test_a_lora_that_no_run_has_made_is_not_replaced(project):
    choose_candidate(project, "first", 1.0, lambda: pytest.fail("no base is needed"))
    files.write_bytes(project.lora_file, b"a person's own")
    with pytest.raises(OverwriteError, match="was not written by Packshot, or was changed since"):
        choose_candidate(project, "second", 1.0, lambda: pytest.fail("no base is needed"))
    assert project.lora_file.read_bytes() == b"a person's own"


def test_runs_that_learnt_on_another_base_are_left_out(project, judge):
    weights = {"lora_unet_nowhere.lora_down.weight": torch.ones(2, 3)}
    weights |= {"lora_unet_nowhere.lora_up.weight": torch.ones(3, 2)}
    theirs = project.runs_folder / "second" / project.lora_file.name
    save_file(weights, theirs)
    assert set(sources_of(judge)) == {("first", None)}
    with pytest.raises(LoraError):
        sources_of(judge, [theirs])


def test_a_checkpoint_is_chosen_by_its_step(project, tiny_base, with_step):
    choose_candidate(project, "first", 1.0, lambda: tiny_base, step=5)
    assert chosen_candidate(project) == ("first", 5, 1.0)
    source, made = (load_lora(file, tiny_base) for file in (with_step, project.lora_file))
    name = next(iter(source.weights))
    expected, found = (lora.weights[name].delta() for lora in (source, made))
    assert torch.allclose(found, expected, atol=1e-5)
    with pytest.raises(PackshotError, match="first has kept no LoRA of step 6, but of 5"):
        choose_candidate(project, "first", 1.0, lambda: tiny_base, step=6)
    with pytest.raises(PackshotError, match="of step 5, but of its end alone"):
        choose_candidate(project, "second", 1.0, lambda: tiny_base, step=5)


def test_without_a_run_there_is_nothing_to_measure(ready_project, tiny_base):
    judge = Judge(ready_project, tiny_base, Colours(), None, Left())
    with pytest.raises(LoraError, match="train one"):
        score_candidates(judge)


def test_what_knows_products_alone_compares_no_backgrounds(ready_project, tiny_base):
    """With a CLIP at hand; without one there is nothing better."""
    products, pictures = IdentityEmbedder(), Colours()
    judge = Judge(ready_project, tiny_base, products, pictures, Left())
    assert judge.whole is pictures
    assert replace(judge, embedder=pictures, similarity=products).whole is pictures
    assert replace(judge, similarity=None).whole is products
