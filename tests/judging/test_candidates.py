"""Candidates for the project's LoRA: their pictures and scores, and the choice of one."""

from pathlib import Path

import pytest
import torch
from packshot.generation.candidates import (
    choose_candidate,
    chosen_candidate,
    list_candidates,
    pictures_of,
    score_candidates,
)
from safetensors.torch import load_file

from packshot.errors import LoraError, PackshotError
from packshot.generation.metrics import clip_i
from packshot.lora import fused, load_lora
from packshot.photos.photo_set import list_photos
from packshot.utils import files
from tests.generation.test_metrics import Colours


@pytest.fixture
def project(ready_project, make_assistant):
    """A project with two runs that have LoRAs, and one that has none yet."""
    for number, name in enumerate(("first", "second")):
        run = ready_project.runs_folder / name
        files.write_text(run / "plan.toml", "")
        for place in (ready_project.lora_file, ready_project.diffusers_lora_file):
            files.copy(Path(make_assistant(number)), run / place.name)
    files.write_text(ready_project.runs_folder / "third" / "plan.toml", "")
    return ready_project


def keys(candidates):
    return [(one.run, one.weight) for one in candidates]


def test_each_run_with_a_lora_is_a_candidate_at_each_weight(project):
    found = list_candidates(project, (0.5, 1.0))
    assert keys(found) == [("first", 0.5), ("first", 1.0), ("second", 0.5), ("second", 1.0)]
    assert all(one.likeness is None and one.drift is None for one in found)


@pytest.mark.slow
def test_candidates_are_measured_by_their_own_pictures(project, tiny_base):
    scored = score_candidates(project, tiny_base, Colours(), (0.5, 1.0))
    photos = [photo.file for photo in list_photos(project)]
    for one in scored:
        shots = pictures_of(project, one)
        assert len(shots) == 4 and {w for s in shots for _, w, _ in s.loras} == {one.weight}
        own = clip_i(Colours(), [shot.file for shot in shots], photos)
        assert one.likeness == pytest.approx(own) and one.embedder == "colours"
    drifts = {(one.run, one.weight): one.drift for one in scored}
    assert all(drift > 0 for drift in drifts.values())
    assert drifts["first", 1.0] > drifts["first", 0.5]
    # Another file in the run's place is another candidate, which nobody has measured.
    files.copy(
        project.runs_folder / "second" / project.lora_file.name,
        project.runs_folder / "first" / project.lora_file.name,
    )
    again = {(one.run, one.weight): one for one in list_candidates(project, (0.5, 1.0))}
    assert again["first", 1.0].likeness is None and again["second", 1.0].likeness is not None
    assert pictures_of(project, again["first", 1.0]) == []


def test_a_run_is_chosen_and_another_again(project):
    assert chosen_candidate(project) is None
    for run in ("second", "first"):
        choose_candidate(project, run, 1.0, lambda: pytest.fail("no base is needed"))
        assert chosen_candidate(project) == (run, 1.0)
        own = project.runs_folder / run / project.lora_file.name
        assert project.lora_file.read_bytes() == own.read_bytes()


def test_the_choice_is_known_by_the_file_alone(project):
    files.copy(project.runs_folder / "second" / project.lora_file.name, project.lora_file)
    assert chosen_candidate(project) == ("second", 1.0)
    files.write_bytes(project.lora_file, b"another's")
    assert chosen_candidate(project) is None


def test_a_weight_is_folded_into_both_files(project, tiny_base):
    choose_candidate(project, "first", 0.5, lambda: tiny_base)
    assert chosen_candidate(project) == ("first", 0.5)
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


def test_without_a_run_there_is_nothing_to_measure(ready_project, tiny_base):
    with pytest.raises(LoraError, match="train one"):
        score_candidates(ready_project, tiny_base, Colours())
