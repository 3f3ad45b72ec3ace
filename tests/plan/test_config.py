import pytest

from packshot.errors import InvalidPlanError
from packshot.plan.config import (
    Asked,
    Estimate,
    Plan,
    PlanInputs,
    edit_plan,
    read_current_plan,
    read_plan,
    read_plan_if_valid,
    read_reasons,
    write_plan,
)

DEPENDS = PlanInputs(
    base="sd1/x", photos="p", captions="c", class_images="k", subject="s", versions={"torch": "2"}
)


def a_plan(**changes):
    values = {
        "steps": 100, "effective_batch_size": 4, "resolution": 128, "target_modules": "all",
        "rank": 8, "alpha": 8, "learning_rate": 1e-3, "class_image_ratio": 0.5, "precision": "fp32",
        "sample_every_n_steps": 0,
        "save_every_n_steps": 10, "seed": 0, "inputs": DEPENDS,
        "estimate": Estimate(seconds=1, bytes=2, class_images_seen=3, seconds_per_step=0.1),
    }  # fmt: skip
    return Plan.model_validate(values | changes)


def test_a_plan_and_its_reasons_come_back(tmp_path):
    plan = a_plan(asked=Asked(time_budget="4m"))
    write_plan(plan, tmp_path / "plan.toml", {"rank": "room for detail"})
    assert read_plan(tmp_path / "plan.toml") == plan
    assert read_reasons(tmp_path / "plan.toml") == {"rank": "room for detail"}


def test_reasons_are_comments_whatever_stands_in_them_or_in_values(tmp_path):
    file = tmp_path / "plan.toml"
    reasons = {"rank": "1 = #1 # room", "alpha": "= the rank", "gradient_checkpointing": "no"}
    write_plan(a_plan(), file, reasons)
    file.write_text(file.read_text() + 'budget_like = "a = # b"\n')
    assert read_reasons(file) == reasons


def test_an_edit_counts(tmp_path):
    file = tmp_path / "plan.toml"
    write_plan(a_plan(), file)
    file.write_text(file.read_text().replace("rank = 8", "rank = 16"))
    assert read_plan(file).rank == 16


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            ("steps = 100", "steps = 0"),
            r"plan\.toml: steps = 0: input should be greater than or equal to 1$",
        ),
        (
            ("effective_batch_size = 4", "effective_batch_size = 3"),
            r"plan\.toml: effective_batch_size 3 is not a multiple of gradient_accumulation_steps 2$",
        ),
        (("rank = 8", "rnak = 8"), "rnak: there is no such setting"),
        (
            ('"all"', '"everything"'),
            "target_modules = 'everything': input should be 'cross-attention', ",
        ),
        (("lr_warmup_steps = 0", "lr_warmup_steps = 100"), "lr_warmup_steps 100 must be fewer"),
        (("learning_rate = 0.001", "learning_rate = nan"), "learning_rate"),
    ],
)
def test_an_edit_that_makes_no_sense_is_named(tmp_path, edit, words):
    file = tmp_path / "plan.toml"
    write_plan(a_plan(gradient_accumulation_steps=2), file)
    text = file.read_text()
    assert edit[0] in text
    file.write_text(text.replace(*edit))
    with pytest.raises(InvalidPlanError, match=words):
        read_plan(file)


def test_a_plan_of_an_earlier_packshot_is_told_in_one_sentence(tmp_path):
    file = tmp_path / "plan.toml"
    file.write_text(
        "steps = 6\nbatch = 4\npixels = 128\ntargets = 'all'\n[predicted]\nseconds = 1\n"
    )
    with pytest.raises(InvalidPlanError) as refused:
        read_plan(file)
    assert str(refused.value) == (
        f"{file}: written by an earlier Packshot (batch, pixels, … have other names now). "
        "Write it anew: packshot plan"
    )
    assert read_current_plan(file) is None and read_plan_if_valid(file) is None


def test_only_who_carries_a_plan_out_stops_at_one_that_makes_no_sense(tmp_path):
    file = tmp_path / "plan.toml"
    assert read_current_plan(file) is None and read_plan_if_valid(file) is None
    file.write_text("steps = 0")
    with pytest.raises(InvalidPlanError, match="steps = 0"):
        read_current_plan(file)
    assert read_plan_if_valid(file) is None


def test_no_plan_says_how_to_make_one(tmp_path):
    with pytest.raises(InvalidPlanError, match="packshot plan"):
        read_plan(tmp_path / "plan.toml")


OTHERS = {
    "steps": 7, "effective_batch_size": 8, "gradient_accumulation_steps": 2, "resolution": 64,
    "target_modules": "attention", "rank": 3, "alpha": 1.0, "learning_rate": 0.5, "lr_scheduler": "constant",
    "lr_warmup_steps": 2,
    "weight_decay": 0.5, "max_grad_norm": 2.0, "class_image_ratio": 0.25,
    "prior_loss_weight": 0.5, "min_snr_gamma": 0.0, "caption_dropout_rate": 0.1, "crops_per_photo": 3,
    "unmasked_weight": 0.5, "precision": "bf16", "sample_every_n_steps": 5, "save_every_n_steps": 3,
    "eval_every_n_steps": 2, "early_stopping_window": 5, "early_stopping_variance": 0.2,
    "seed": 9, "cpu_threads": 2, "gradient_checkpointing": True, "torch_compile": True,
    "weight_storage": "nf4", "text_encoder_rank": 2, "text_encoder_learning_rate": 1e-6,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(Plan.model_fields) - {"estimate", "inputs", "asked"}))
def test_every_number_is_in_the_fingerprint(name):
    assert a_plan(**{name: OTHERS[name]}).fingerprint() != a_plan().fingerprint()


def test_predictions_are_not():
    other = Estimate(seconds=9, bytes=9, class_images_seen=9, seconds_per_step=9)
    assert a_plan(estimate=other).fingerprint() == a_plan().fingerprint()
    assert a_plan(asked=Asked(time_budget="4m")).fingerprint() == a_plan().fingerprint()


def test_differences_are_listed_with_versions():
    now = DEPENDS.model_copy(update={"photos": "q", "versions": {"torch": "3"}})
    assert DEPENDS.differences(now) == ["photos", "torch (2 then, 3 now)"]
    assert DEPENDS.differences(DEPENDS) == []


def test_a_number_is_changed_and_all_else_stays(tmp_path):
    file = tmp_path / "plan.toml"
    write_plan(a_plan(), file, {"rank": "capacity", "steps": "all"})
    before = file.read_text()
    plan = edit_plan(file, {"rank": "32", "learning_rate": "2e-4", "torch_compile": "true",
                            "weight_storage": "full"})  # fmt: skip
    assert (plan.rank, plan.learning_rate, plan.torch_compile) == (32, 2e-4, True)
    assert read_plan(file) == plan
    changed = set(file.read_text().splitlines()) - set(before.splitlines())
    assert {line.split(" = ")[0] for line in changed} <= {
        "rank", "learning_rate", "torch_compile", "weight_storage",
    }  # fmt: skip
    assert read_reasons(file) == {"rank": "capacity", "steps": "all"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rank": "0"}, "rank = 0: "),
        ({"rank": "many"}, "rank: 'many' is no number"),
        ({"rank": "nan"}, "rank = nan: "),
        ({"lr_scheduler": "sine"}, "lr_scheduler = 'sine': "),
        ({"inputs": "x"}, "no number 'inputs'"),
        ({"nonsense": "1"}, "no number 'nonsense'"),
        ({"lr_warmup_steps": "999999"}, "lr_warmup_steps 999999 must be fewer"),
    ],
)
def test_a_change_that_makes_no_sense_changes_nothing(tmp_path, changes, words):
    file = tmp_path / "plan.toml"
    write_plan(a_plan(), file)
    before = file.read_bytes()
    with pytest.raises(InvalidPlanError, match=words):
        edit_plan(file, changes)
    assert file.read_bytes() == before
