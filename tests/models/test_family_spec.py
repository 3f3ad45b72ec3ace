"""A family is one spec: a made-up one is known everywhere by it, and the real ones hold together."""

import json
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from packshot.errors import InvalidPlanError, LoraError, ModelLoadError
from packshot.lora.adapters import add_adapters
from packshot.lora.files import load_lora
from packshot.lora.keys import kohya_names, other_family
from packshot.models import hub, load_base, registry
from packshot.models.checkpoint import CONFIGS, detect_checkpoint
from packshot.models.companions import VAE, Companion
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.families.stable_diffusion import StableDiffusion1
from packshot.models.family_spec import FamilySpec, Relative
from packshot.plan.recipes import family_recipe, recipe_for
from packshot.training.metadata import metadata_of

MADE_UP = FamilySpec(
    name="made_up",
    title="Made-Up 7",
    model=StableDiffusion1,
    components=("unet", "vae", "text_encoder"),
    denoiser_class="UNet2DConditionModel",
    pipelines=("MadeUp",),
    signature=("made_up_blocks.0.",),
    relatives=(Relative("Made-Up video", pipelines=("MadeUpVideo",)),),
    companions=(Companion("vae", "its made-up autoencoder", VAE, "decoder.conv_in.weight", "odd"),),
    schedule_hints=lambda path, keys: {"prediction_type": "v_prediction", "keys": len(keys)},
    recipe={"learning_rate": 0.003, "exposures": {"5": 77}},
    kohya_base="made_up_v7",
    architecture="made-up-7/lora",
    kohya_uses_original_keys=True,
    lora_title="Made-Up",
    lora_keys=r"made_up_blocks",
    lora_metadata=("made_up",),
)
FAMILIES = registry.families()


@pytest.fixture
def made_up(monkeypatch):
    """The made-up family, as if `registry.py` had one more line."""
    more = FAMILIES | {MADE_UP.name: MADE_UP}
    monkeypatch.setattr(registry, "families", lambda: more)


@pytest.fixture
def folder(made_up, tiny_sd1, tmp_path):
    """A pipeline of the made-up family."""
    shutil.copytree(tiny_sd1, tmp_path / "made-up")
    index = tmp_path / "made-up" / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"_class_name": "MadeUpPipeline"}))
    return tmp_path / "made-up"


@pytest.fixture
def base(folder):
    return load_base(folder, device="cpu", dtype=torch.float32)


def test_a_folder_of_it_is_told_and_loads(folder, base):
    checkpoint = detect_checkpoint(folder)
    assert (checkpoint.family, base.family) == ("made_up", "made_up")
    assert checkpoint.components == tuple(checkpoint.weights) == MADE_UP.components
    assert (base.denoiser_root, base.kohya_uses_original_keys) == ("unet", True)
    index = folder / "model_index.json"
    index.write_text(json.dumps({"_class_name": "MadeUpVideoPipeline"}))
    with pytest.raises(
        ModelLoadError, match=r"is Made-Up video; Packshot knows .* and Made-Up 7\."
    ):
        detect_checkpoint(folder)


def test_a_single_file_of_it_is_told_by_its_keys(made_up, tiny_sd1, tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "made_up").symlink_to(tiny_sd1)
    monkeypatch.setattr("packshot.models.checkpoint.CONFIGS", tmp_path / "configs")
    file = tmp_path / "a.safetensors"
    save_file({"made_up_blocks.0.a": torch.zeros(1)}, file)
    with pytest.raises(ModelLoadError, match="lacks its made-up autoencoder"):
        detect_checkpoint(file)
    save_file({"made_up_blocks.0.a": torch.zeros(1), "vae.a": torch.zeros(1)}, file)
    found = detect_checkpoint(file)
    assert (found.family, found.layout) == ("made_up", "single file")
    assert found.schedule_hints == {"prediction_type": "v_prediction", "keys": 2}


def test_the_hub_is_asked_for_its_parts(made_up):
    assert "tokenizer/tokenizer_config.json" in hub._needed("made_up")
    assert hub._is_small("unet/config.json", "made_up")
    assert not hub._is_small("text_encoder_2/config.json", "made_up")


def test_its_recipe_is_the_usual_one_but_for_what_it_says(made_up, tmp_path):
    recipe, usual = recipe_for("made_up", tmp_path), family_recipe("sd1")
    assert (recipe.learning_rate, recipe.exposures_for(5)) == (0.003, 77)
    assert recipe.rank == usual.rank and usual.learning_rate != 0.003


def test_its_loras_say_what_they_are_for(base):
    plan = SimpleNamespace(
        rank=4, target_modules="attention", learning_rate=1e-4, text_encoder_rank=0, steps=1,
        effective_batch_size=1, seed=0,
        min_snr_gamma=5.0, resolution=64,
    )  # fmt: skip
    subject = SimpleNamespace(name="Cup", phrase="ohwx cup")
    said = metadata_of(subject, base, plan, SimpleNamespace(photos=[], class_images=[]))
    assert said["ss_base_model_version"] == "made_up_v7" and said["ss_v2"] == "False"
    assert said["modelspec.architecture"] == "made-up-7/lora"
    assert other_family(["x"], said, "sdxl") == ("Made-Up", 0)
    assert other_family(["x"], said, "made_up") is None
    assert any(name.startswith("lora_te1_") for name in kohya_names(base)), "text encoders numbered"


def test_its_loras_are_told_by_their_keys(made_up, tiny_base, tmp_path):
    key = "lora_unet_made_up_blocks_0_a.lora_down.weight"
    assert other_family([key], {}, "sd1") == ("Made-Up", 1)
    assert other_family([key], {}, "made_up") is None
    save_file({key: torch.zeros(1, 1)}, tmp_path / "a.safetensors")
    with pytest.raises(LoraError, match="Made-Up"):
        load_lora(tmp_path / "a.safetensors", tiny_base)


def test_errors_that_list_families_list_it(made_up, loaded, tiny_checkpoint, monkeypatch):
    base = loaded(tiny_checkpoint("qwen_image"))
    reads = registry.families() | {"made_up": replace(MADE_UP, learns_text=True)}
    monkeypatch.setattr(registry, "families", lambda: reads)
    with (
        pytest.raises(
            InvalidPlanError, match=r"only the text encoders of .*, SDXL and Made-Up 7\."
        ),
        add_adapters(base, "attention", rank=1, alpha=1, seed=0, text_rank=1),
    ):
        pass


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_is_what_its_shipped_configurations_say(name):
    spec = FAMILIES[name]
    shipped = {path.parent.name: path for path in (CONFIGS / name).glob("*/config.json")}
    assert set(shipped) == set(spec.components)
    classes = {
        part: json.loads(path.read_text()).get("_class_name") for part, path in shipped.items()
    }
    assert classes[spec.denoiser_root] == spec.denoiser_class and classes["vae"] == spec.vae_class
    assert all(part.component in spec.components for part in spec.companions)


@pytest.mark.parametrize("name", FAMILIES)
def test_text_encoders_learn_where_the_spec_says_so(name):
    spec = FAMILIES[name]
    assert spec.learns_text == (spec.model.text_targets is not DiffusionModel.text_targets)
    assert not spec.model.__abstractmethods__


def test_what_reads_specs_is_not_read_by_bases():
    """Families know nothing of recipes, LoRA files and training, which read their specs."""
    for file in CONFIGS.parent.glob("*.py"):
        found = re.search(
            r"^\s*(from|import) packshot\.?( import )?(lora|plan|training)\b",
            file.read_text(),
            re.M,
        )
        assert not found, file
