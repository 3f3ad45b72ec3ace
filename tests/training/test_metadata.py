"""What a LoRA file says of itself, as other tools read it."""

import json
from types import SimpleNamespace

import pytest

from packshot.models import registry
from packshot.settings import Subject
from packshot.training.metadata import metadata_of

SUBJECT = Subject(name='D "ü"', trigger="ohwx", class_noun="car")


def said(family="sd1", prediction="epsilon", captions=("a", "b", "a"), **changes):
    plan = {
        "rank": 8, "target_modules": "attention", "learning_rate": 1e-4, "steps": 100,
        "effective_batch_size": 4, "seed": 7,
        "min_snr_gamma": 5.0, "resolution": 512, "text_encoder_rank": 0,
        "text_encoder_learning_rate": 5e-5,
    }  # fmt: skip
    schedule = SimpleNamespace(prediction_type=prediction)
    base = SimpleNamespace(family=family, name="tiny", schedule=schedule)
    photos = [[SimpleNamespace(prompt=caption)] * 3 for caption in captions]
    data = SimpleNamespace(photos=photos, class_images=[None] * 5)
    return metadata_of(SUBJECT, base, SimpleNamespace(**(plan | changes)), data)


@pytest.mark.parametrize("family", registry.families())
def test_every_family_is_named_as_others_name_it(family):
    told = said(family)
    assert all(isinstance(value, str) for pair in told.items() for value in pair)
    assert told["ss_base_model_version"] and told["modelspec.architecture"].endswith("/lora")
    assert told["ss_v2"] == str(family == "sd2")


def test_no_two_families_are_named_alike():
    specs = registry.families().values()
    for names in ({spec.kohya_base for spec in specs}, {spec.architecture for spec in specs}):
        assert all(names) and len(names) == len(specs)


def test_captions_are_counted_by_photo_not_by_crop():
    told = said()
    assert json.loads(told["ss_tag_frequency"]) == {"1_ohwx car": {"a": 2, "b": 1}}
    assert (told["ss_num_train_images"], told["ss_num_reg_images"]) == ("3", "5")


def test_what_a_run_did_is_told():
    told = said()
    assert "ss_text_encoder_lr" not in told
    told = said(target_modules="all", text_encoder_rank=4)
    assert told["ss_text_encoder_lr"] == "5e-05"
    assert told["modelspec.resolution"] == "512x512" and told["modelspec.title"] == 'D "ü"'


@pytest.mark.parametrize(
    ("prediction", "v", "word"),
    [("epsilon", "False", "epsilon"), ("v_prediction", "True", "v"), ("flow", "False", "flow")],
)
def test_the_target_is_told(prediction, v, word):
    told = said(prediction=prediction)
    assert (told["ss_v_parameterization"], told["modelspec.prediction_type"]) == (v, word)


def test_stable_diffusion_2_is_named_by_what_it_predicts():
    key = "modelspec.architecture"
    assert said("sd2", "epsilon")[key] == "stable-diffusion-v2-512/lora"
    assert said("sd2", "v_prediction")[key] == "stable-diffusion-v2-768-v/lora"
    assert said("sd1", "v_prediction")[key] == "stable-diffusion-v1/lora"


def test_nothing_of_the_moment_is_told():
    assert said() == said()
    assert not any("date" in key or "time" in key for key in said())
