"""Which file is a project's assistant, and what is refused before anything is trained."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from packshot.errors import LoraError
from packshot.lora import Lora, LoraWeights, write_lora
from packshot.plan import make_plan, run_cost
from packshot.plan.assistant import choose_assistant, load_assistant
from packshot.plan.calibration import step_cost
from packshot.plan.notes import notes_on
from packshot.plan.recipes import family_recipe, few_step_recipe


def test_it_is_read_from_the_settings(ready_project, tiny_base, assisted):
    assert load_assistant(ready_project, tiny_base) == []
    file = assisted(ready_project)
    ((lora, weight),) = load_assistant(ready_project, tiny_base)
    assert (lora.name, weight) == (Path(file).stem, 1.0) and lora.weights


def test_one_that_is_gone_is_said(ready_project, tiny_base, assisted):
    Path(assisted(ready_project)).unlink()
    with pytest.raises(LoraError, match=r"There is no file .*, the project's assistant\. Name ano"):
        make_plan(ready_project, tiny_base)


def _of_another_family(file):
    module = "lora_unet_double_blocks_0_img_attn_proj"
    save_file({f"{module}.lora_down.weight": torch.zeros(2, 4),
               f"{module}.lora_up.weight": torch.zeros(4, 2)}, file)  # fmt: skip


def _pickle(file):
    file.write_bytes(b"\x80\x04}.")


@pytest.mark.parametrize(
    ("make", "says"),
    [(_of_another_family, "is a LoRA for FLUX"), (_pickle, "is a pickle")],
)
def test_what_does_not_fit_is_refused_and_not_kept(ready_project, tiny_base, tmp_path, make, says):
    file = tmp_path / "other.safetensors"
    make(file)
    with pytest.raises(LoraError, match=says):
        choose_assistant(ready_project, tiny_base, str(file))
    assert ready_project.settings.assistant == "none"


def test_one_for_text_encoders_is_refused(ready_project, tiny_base, tmp_path):
    name = next(
        n for n, _ in tiny_base.text_encoder.named_modules() if n.endswith("self_attn.q_proj")
    )
    rows, columns = tiny_base.text_encoder.get_submodule(name).weight.shape
    weights = LoraWeights(torch.ones(1, columns), torch.ones(rows, 1), 1.0)
    file = tmp_path / "words.safetensors"
    write_lora(Lora({f"text_encoder.{name}": weights}), file, tiny_base)
    with pytest.raises(
        LoraError, match=r"changes text encoders \(1 modules.* only change the unet"
    ):
        choose_assistant(ready_project, tiny_base, str(file))


def test_it_is_chosen_and_left_again(ready_project, tiny_base, assisted):
    file = assisted(ready_project)
    choose_assistant(ready_project, tiny_base, "none")
    assert ready_project.settings.assistant == "none"
    choose_assistant(ready_project, tiny_base, file)
    assert ready_project.settings.assistant == file


def test_steps_are_timed_beside_it(ready_project, tiny_base, assisted, monkeypatch):
    assisted(ready_project)
    timed = []

    def cost(*args, assistant, **asked):
        timed.append([lora.name for lora, _ in assistant])
        return step_cost(*args, assistant=assistant, **asked)

    monkeypatch.setattr(run_cost, "step_cost", cost)
    before = {name: p.clone() for name, p in tiny_base.denoiser.state_dict().items()}
    plan = make_plan(ready_project, tiny_base)
    assert timed == [["assistant-0"]] and plan.inputs.assistant
    assert 'assistant = "' in ready_project.decisions_file.read_text()
    after = tiny_base.denoiser.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_distilled_base_is_trained_shorter_beside_it(ready_project, tiny_base, assisted):
    assisted(ready_project)
    whole = make_plan(ready_project, tiny_base)
    tiny_base.is_step_distilled = True
    short = make_plan(ready_project, tiny_base)
    assert short.steps == whole.steps * 500 / 600


def test_its_recipe_is_the_shorter_of_both():
    recipe = few_step_recipe(family_recipe("z_image"))
    assert [recipe.exposures_for(photos) for photos in (5, 15, 40)] == [500, 900, 1200]
    assert recipe.rank == 16 and recipe.learning_rate == family_recipe("z_image").learning_rate
    brief = family_recipe("sd1").model_copy(update={"exposures": {1: 6}, "rank": 4})
    assert few_step_recipe(brief).exposures_for(15) == 6 and few_step_recipe(brief).rank == 4


def test_the_warning_names_the_option_and_goes_with_it(tiny_base):
    tiny_base.is_step_distilled = True
    (note,) = notes_on(tiny_base)
    assert note.endswith("packshot plan --assistant FILE.")
    assert notes_on(tiny_base, has_assistant=True) == []
