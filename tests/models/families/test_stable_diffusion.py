"""The family's arithmetic against diffusers' own."""

import shutil

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from packshot.models import load_base
from packshot.models.families.stable_diffusion import answers_with_noise, lora_target_names


@pytest.fixture(params=["tiny_base", "velocity_base"])
def base(request):
    return request.getfixturevalue(request.param)


def test_the_pipeline_makes_finite_pictures(base):
    picture = base.pipeline()("a car", num_inference_steps=3, output_type="pt", height=64, width=64)
    assert picture.images.shape == (1, 3, 64, 64) and picture.images.isfinite().all()


def test_sizes_come_from_the_configuration(tiny_base):
    assert (tiny_base.native_pixels, tiny_base.pixel_multiple) == (64, 8)


def test_images_and_latents_have_the_pipelines_scale(tiny_base):
    pixels = torch.rand(1, 3, 64, 64) * 2 - 1
    latents = tiny_base.encode_images(pixels)
    expected = tiny_base.vae.encode(pixels).latent_dist.mode() * tiny_base.vae.config.scaling_factor
    assert torch.allclose(latents, expected)
    assert tiny_base.decode_latents(latents).shape == pixels.shape


def test_prompts_are_what_the_pipeline_encodes(tiny_base):
    context = tiny_base.encode_prompts(["a photo of ohwx car"])["context"]
    expected, _ = tiny_base.pipeline().encode_prompt("a photo of ohwx car", "cpu", 1, False)
    assert torch.allclose(context, expected, atol=1e-6)


def test_scopes_grow_and_match_kohyas_count_on_sd15():
    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768)
    counts = [
        len(lora_target_names(unet, scope))
        for scope in ("cross-attention", "attention", "attention+mlp", "all")
    ]
    assert counts[:3] == [64, 128, 192] and counts[3] > 192


def test_a_half_precision_only_folder_loads(tiny_sd1, tiny_base, tmp_path):
    folder = tmp_path / "half"
    shutil.copytree(tiny_sd1, folder)
    for file in folder.glob("*/*.safetensors"):
        halves = {name: weight.half() for name, weight in load_file(file).items()}
        save_file(halves, file.with_suffix(".fp16.safetensors"))
        file.unlink()
    base = load_base(folder, device="cpu", dtype=torch.float32)
    for part in ("unet", "vae", "text_encoder"):
        expected, found = getattr(tiny_base, part).state_dict(), getattr(base, part).state_dict()
        assert expected.keys() == found.keys()
        for name, weight in expected.items():
            halved = weight.half().float() if weight.is_floating_point() else weight
            assert torch.equal(halved, found[name]), name


@pytest.mark.slow
def test_a_folder_as_stable_diffusion_15_was_published_loads(tiny_sd1, tiny_base, tmp_path):
    """The autoencoder's attention by its old names, the vocabulary as two bare files, PNDM."""
    import json

    folder = shutil.copytree(tiny_sd1, tmp_path / "old")
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    renamed = {}
    for key, value in load_file(file.rename(folder / "new")).items():
        for new in old if "mid_block.attentions" in key else ():
            key = key.replace(f".{new}.", f".{old[new]}.")
        renamed[key] = value
    assert any(".proj_attn." in key for key in renamed)
    save_file(renamed, file)

    model = json.loads((folder / "tokenizer" / "tokenizer.json").read_text())["model"]
    shutil.rmtree(folder / "tokenizer")
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = [" ".join(pair) for pair in model["merges"]]
    (folder / "tokenizer" / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")

    scheduler = folder / "scheduler" / "scheduler_config.json"
    config = {
        "_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "beta_start": 0.00085, "num_train_timesteps": 1000,
        "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1,
        "trained_betas": None, "clip_sample": False,
    }  # fmt: skip
    scheduler.write_text(json.dumps(config))

    base = load_base(folder, device="cpu", dtype=torch.float32)
    assert base.schedule.prediction_type == "epsilon"
    expected = tiny_base.vae.state_dict()
    assert all(torch.equal(expected[k], v) for k, v in base.vae.state_dict().items())
    prompts = ["a photo of ohwx car, dusk", ""]
    ours, theirs = (b.encode_prompts(prompts)["context"] for b in (base, tiny_base))
    assert torch.equal(ours, theirs)
    times = torch.tensor([0, 500, 999])
    assert torch.allclose(base.schedule.snr(times), tiny_base.schedule.snr(times))


def test_a_checkpoint_is_frozen_and_loading_draws_no_numbers(tiny_sd1):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    base = load_base(tiny_sd1, device="cpu", dtype=torch.bfloat16)
    assert torch.equal(torch.get_rng_state(), before)
    for network in (base.unet, base.vae, base.text_encoder):
        assert not network.training
        assert {(p.dtype, p.requires_grad) for p in network.parameters()} == {
            (torch.bfloat16, False)
        }


@torch.no_grad()
def test_what_a_unet_that_has_learnt_predicts_is_told_by_its_answer_to_noise(monkeypatch):
    """The bundled base predicts velocity; from that follows the noise that it would predict."""
    base, time = load_base("pocket", device="cpu", dtype=torch.float32), 950

    def is_noise():
        return answers_with_noise(base.unet, time, base.device, base.dtype, side=16)

    assert base.schedule.prediction_type == "v_prediction" and not is_noise()
    signal, sigma = base.schedule._signal_and_noise(torch.zeros(1), torch.tensor([time]))
    forward = base.unet.forward

    def predict_noise(given, *others, **options):
        return (signal * forward(given, *others, **options)[0] + sigma * given,)

    monkeypatch.setattr(base.unet, "forward", predict_noise)
    assert is_noise()
