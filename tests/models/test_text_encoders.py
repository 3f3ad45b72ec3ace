"""Text encoders that learn: gradients against peft's, files against diffusers' loader, exact resume."""

import itertools
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from packshot.errors import InvalidPlanError, ModelLoadError
from packshot.lora import add_adapters, fused, load_lora, save
from packshot.models.conditioning import SizeConditioning
from packshot.models.loss import Batch, per_image_loss
from packshot.plan import read_plan, write_plan
from packshot.training import Step, Stopped, train
from tests.families import UNETS

PROMPTS = ["a photo of ohwx car, dusk", "a car", ""]


@pytest.fixture(params=UNETS)
def tiny_base(request, loaded, tiny_checkpoint):
    return loaded(tiny_checkpoint(request.param))


def batch(base):
    """Three pictures, their prompts read as `encode_prompts` reads them now."""
    generator = torch.Generator().manual_seed(0)
    shape = (3, 4, 16, 16)
    shown = [SizeConditioning((64, 64), (0, 0), (64, 64))] * 3
    return Batch(
        latents=torch.randn(shape, generator=generator),
        noise=torch.randn(shape, generator=generator),
        timesteps=base.schedule.timesteps_at(torch.tensor([0.01, 0.4, 0.9]), 256),
        conditioning=base.add_size_conditioning(base.encode_prompts(PROMPTS), shown),
        masks=torch.ones(3, 1, 16, 16),
        loss_weights=torch.ones(3),
    )


def strengthen(adapter):
    state = {
        name: torch.randn(value.shape, generator=torch.Generator().manual_seed(len(name)))
        for name, value in adapter.state().items()
    }
    adapter.load_state({name: 0.2 * value for name, value in state.items()})
    return adapter.state()


def test_text_encoders_learn_as_peft_has_it(tiny_base):
    from peft import LoraConfig, inject_adapter_in_model

    asked = {"rank": 4, "alpha": 4, "seed": 0, "text_rank": 2}
    with add_adapters(tiny_base, "attention", **asked) as adapter:
        state = strengthen(adapter)
        ours = per_image_loss(tiny_base, batch(tiny_base), 0.0).mean()
        ours.backward()
        gradients = {name: p.grad for name, p in adapter.named_parameters().items()}
    assert {name.partition(".")[0] for name in gradients} >= set(tiny_base.text_encoders)
    tiny_base.unet.add_adapter(
        LoraConfig(r=4, lora_alpha=4, target_modules=tiny_base.lora_targets("attention"))
    )
    theirs = {"": tiny_base.unet}
    for encoder, names in tiny_base.text_targets().items():
        config = LoraConfig(r=2, lora_alpha=2, target_modules=names)
        theirs[f"{encoder}."] = inject_adapter_in_model(config, tiny_base.text_encoders[encoder])
    found = {
        start + name.removesuffix(".default.weight").replace(".lora_A", ".down").replace(".lora_B", ".up"): p
        for start, network in theirs.items()
        for name, p in network.named_parameters()
        if "lora_" in name
    }  # fmt: skip
    assert found.keys() == state.keys() == gradients.keys()
    for name, parameter in found.items():
        parameter.data.copy_(state[name])
    loss = per_image_loss(tiny_base, batch(tiny_base), 0.0).mean()
    loss.backward()
    assert torch.allclose(ours, loss, rtol=1e-5)
    for name, parameter in found.items():
        if parameter.grad is None:  # SDXL does not read the first encoder's last block
            assert gradients[name] is None and ".layers.1." in name
        else:
            assert (gradients[name] - parameter.grad).norm() <= 1e-4 * parameter.grad.norm(), name


def picture(pipeline):
    made = pipeline(
        prompt=PROMPTS[0], num_inference_steps=4, guidance_scale=3.0, height=64, width=64,
        generator=torch.Generator().manual_seed(0), output_type="np",
    )  # fmt: skip
    return np.round(made.images[0] * 255)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kohya", "diffusers"])
def test_diffusers_makes_the_same_picture_from_a_file_with_text_encoders(tiny_base, tmp_path, kind):
    with add_adapters(tiny_base, "attention+mlp", rank=2, alpha=2, seed=0, text_rank=2) as adapter:
        strengthen(adapter)
        live = picture(tiny_base.pipeline())
        lora = adapter.to_lora({})
    without = {n: w for n, w in lora.weights.items() if n.startswith("unet.")}
    paths = {k: tmp_path / f"{k}.safetensors" for k in ("kohya", "diffusers")}
    save(lora, paths["kohya"], paths["diffusers"], tiny_base)
    starts = {key.partition("_text_model")[0] for key in load_file(paths["kohya"])}
    numbered = {"lora_te1", "lora_te2"} if tiny_base.family == "sdxl" else {"lora_te"}
    assert {start for start in starts if "_te" in start} == numbered
    back = load_lora(paths[kind], tiny_base)
    with fused(tiny_base, [(back, 1.0)]):
        assert np.abs(picture(tiny_base.pipeline()) - live).max() <= 2
    lora.weights.clear()
    lora.weights.update(without)
    with fused(tiny_base, [(lora, 1.0)]):
        assert np.abs(picture(tiny_base.pipeline()) - live).max() > 8, "or encoders say nothing"
    pipeline = tiny_base.pipeline()
    pipeline.load_lora_weights(str(tmp_path), weight_name=paths[kind].name)
    try:
        assert np.abs(picture(pipeline) - live).max() <= 2
    finally:
        pipeline.unload_lora_weights()


@pytest.mark.slow
def test_a_run_that_was_stopped_ends_with_the_same_text_encoders(planned_project, tiny_base):
    def lora_bytes():
        files = (planned_project.lora_file, planned_project.diffusers_lora_file)
        return [file.read_bytes() for file in files]

    before = {
        encoder: {name: weight.clone() for name, weight in network.state_dict().items()}
        for encoder, network in tiny_base.text_encoders.items()
    }
    plan = read_plan(planned_project.plan_file)
    told = {"steps": 4, "sample_every_n_steps": 2, "text_encoder_rank": 2, "accumulation": 2}
    write_plan(plan.model_copy(update=told), planned_project.plan_file)
    assert sum(isinstance(event, Step) for event in train(planned_project, tiny_base)) == 4
    whole = lora_bytes()
    weights = load_lora(planned_project.lora_file, tiny_base).weights
    moved = {name.partition(".")[0] for name, one in weights.items() if one.up.abs().max() > 0}
    assert moved == {"unet", *tiny_base.text_encoders}
    shutil.rmtree(planned_project.runs_folder)
    asked = itertools.chain([False], itertools.repeat(True))
    *_, last = train(planned_project, tiny_base, should_stop=lambda: next(asked))
    assert isinstance(last, Stopped)
    list(train(planned_project, tiny_base))
    assert lora_bytes() == whole
    for encoder, state in before.items():
        after = tiny_base.text_encoders[encoder].state_dict()
        assert state.keys() == after.keys()
        assert all(torch.equal(state[name], after[name]) for name in state), "the base is as it was"


@pytest.mark.parametrize(
    ("family", "kinds"),
    {
        "flux1": "CLIPTextModel, T5EncoderModel",
        "qwen_image": "Qwen2_5_VLTextModel",
        "z_image": "Qwen3Model",
    }.items(),
)
def test_others_are_refused_by_name(loaded, tiny_checkpoint, family, kinds):
    base = loaded(tiny_checkpoint(family))
    with (
        pytest.raises(
            InvalidPlanError, match=rf"\({family}\) reads prompts with {kinds}, which .* not"
        ),
        add_adapters(base, "attention", rank=2, alpha=2, seed=0, text_rank=2),
    ):
        pass


def test_encoders_that_leave_when_the_unet_computes_cannot_learn(tiny_base):
    tiny_base._has_model_offload = True
    with (
        pytest.raises(ModelLoadError, match="do not fit the GPU together with its UNet"),
        add_adapters(tiny_base, "attention", rank=2, alpha=2, seed=0, text_rank=2),
    ):
        pass
