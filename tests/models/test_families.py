"""One suite for all families: prompts, loss, gradients, files, pictures and resume, each against
diffusers' own computation, on tiny random models of the real classes."""

import itertools
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bitsandbytes import functional
from safetensors.torch import load_file
from torch._subclasses.fake_tensor import FakeTensor

from packshot.lora import fused, inject_lora, load_lora, save
from packshot.models.checkpoint import detect_checkpoint
from packshot.models.conditioning import SizeConditioning, join_conditionings
from packshot.models.diffusion_model import is_called_few_step
from packshot.models.fake import fake_model
from packshot.models.families.flux import Flux1
from packshot.models.loss import Batch, per_image_loss
from packshot.models.registry import families
from packshot.models.weight_storage import apply_weight_storage, denoiser_blocks, is_quantised
from packshot.plan import read_plan, write_plan
from packshot.plan.notes import notes_on
from packshot.training import Step, Stopped, train
from tests.families import MAKERS, PARAMETERS, full_size

PROMPTS = ["a photo of ohwx car, dusk", "a car", ""]


@pytest.fixture(params=MAKERS)
def tiny_base(request, loaded, tiny_checkpoint):
    """Each family in turn, also for the projects that other fixtures make."""
    base = loaded(tiny_checkpoint(request.param))
    base.native_pixels = 64  # Qwen-Image's configuration says nothing of its size
    return base


def batch(base):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        shape = (3, *base.encode_images(torch.zeros(1, 3, 64, 64)).shape[1:])
    shown = [
        SizeConditioning((80, 64), (16, 0), (64, 64)),
        SizeConditioning((64, 64), (0, 0), (64, 64)),
    ]
    times = base.schedule.timesteps_at(torch.tensor([0.01, 0.4, 0.9]), shape[-2] * shape[-1])
    return Batch(
        latents=torch.randn(shape, generator=generator),
        noise=torch.randn(shape, generator=generator),
        timesteps=times,
        conditioning=base.add_size_conditioning(base.encode_prompts(PROMPTS), [*shown, shown[0]]),
        masks=torch.ones(3, 1, *shape[-2:]),
        loss_weights=torch.ones(3),
    )


def flow_reference(pipeline, given):
    """As diffusers' scripts for each family have it, guidance at 1."""
    sigma = (given.timesteps / 1000).view(-1, 1, 1, 1)
    noisy = (1 - sigma) * given.latents + sigma * given.noise
    kind = type(pipeline).__name__
    if kind == "Flux2KleinPipeline":
        context, text_ids = pipeline.encode_prompt(PROMPTS, device="cpu")
        said = pipeline.transformer(
            hidden_states=pipeline._pack_latents(noisy), encoder_hidden_states=context,
            timestep=given.timesteps / 1000, txt_ids=text_ids,
            img_ids=pipeline._prepare_latent_ids(noisy),
        ).sample  # fmt: skip
        said = pipeline._unpack_latents_with_ids(said, pipeline._prepare_latent_ids(noisy))
        return said, given.noise - given.latents
    if kind == "QwenImagePipeline":
        context, mask = pipeline.encode_prompt(PROMPTS, device="cpu")
        said = pipeline.transformer(
            hidden_states=pipeline._pack_latents(noisy, 3, 4, 16, 16),
            encoder_hidden_states=context, encoder_hidden_states_mask=mask,
            timestep=given.timesteps / 1000, img_shapes=[[(1, 8, 8)]] * 3,
        ).sample  # fmt: skip
        said = pipeline._unpack_latents(said, 64, 64, 4)[:, :, 0]
        return said, given.noise - given.latents
    if kind == "ZImagePipeline":
        context, _ = pipeline.encode_prompt(list(PROMPTS), "cpu", False)
        said = pipeline.transformer(
            list(noisy.unsqueeze(2)), (1000 - given.timesteps) / 1000, context
        ).sample
        return -torch.stack(said).squeeze(2), given.noise - given.latents
    if hasattr(pipeline, "text_encoder_3"):
        context, _, pooled, _ = pipeline.encode_prompt(
            PROMPTS, PROMPTS, PROMPTS, device="cpu", do_classifier_free_guidance=False
        )
        said = pipeline.transformer(
            hidden_states=noisy, timestep=given.timesteps, encoder_hidden_states=context,
            pooled_projections=pooled,
        ).sample  # fmt: skip
        return said, given.noise - given.latents
    context, pooled, text_ids = pipeline.encode_prompt(PROMPTS, PROMPTS, device="cpu")
    ids = pipeline._prepare_latent_image_ids(3, 8, 8, "cpu", torch.float32)
    said = pipeline.transformer(
        hidden_states=pipeline._pack_latents(noisy, 3, 4, 16, 16), encoder_hidden_states=context,
        pooled_projections=pooled, timestep=given.timesteps / 1000, img_ids=ids, txt_ids=text_ids,
        guidance=torch.ones(3),
    ).sample  # fmt: skip
    said = pipeline._unpack_latents(said, 16 * 8, 16 * 8, 8)
    return said, given.noise - given.latents


def reference(pipeline, given):
    """The noised latents' prediction and its target as diffusers' training scripts have them."""
    from diffusers import DDPMScheduler

    if hasattr(pipeline, "transformer"):
        return flow_reference(pipeline, given)
    scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
    noisy = scheduler.add_noise(given.latents, given.noise, given.timesteps)
    if hasattr(pipeline, "text_encoder_2"):
        context, _, pooled, _ = pipeline.encode_prompt(
            PROMPTS, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        ids = [[64, 80, 0, 16, 64, 64], [64, 64, 0, 0, 64, 64], [64, 80, 0, 16, 64, 64]]
        told = {"text_embeds": pooled, "time_ids": torch.tensor(ids)}
    else:
        context, _ = pipeline.encode_prompt(PROMPTS, "cpu", 1, False)
        told = None
    said = pipeline.unet(noisy, given.timesteps, context, added_cond_kwargs=told).sample
    if scheduler.config.prediction_type == "v_prediction":
        return said, scheduler.get_velocity(given.latents, given.noise, given.timesteps)
    return said, given.noise


def test_loss_and_gradients_equal_plain_diffusers_and_peft(tiny_base):
    from peft import LoraConfig

    names = tiny_base.lora_targets("attention+mlp")
    network = tiny_base.denoiser
    with inject_lora(network, names, rank=4, alpha=2, seed=0) as adapter:
        state = {
            name: torch.randn(value.shape, generator=torch.Generator().manual_seed(len(name))) * 0.1
            for name, value in adapter.state().items()
        }
        adapter.load_state(state)
        given = batch(tiny_base)
        ours = per_image_loss(tiny_base, given, 0.0).mean()
        ours.backward()
        gradients = {name: p.grad for name, p in adapter.named_parameters().items()}
    network.add_adapter(LoraConfig(r=4, lora_alpha=2, target_modules=names))
    try:
        theirs_by_name = {
            name.removesuffix(".default.weight")
            .replace(".lora_A", ".down")
            .replace(".lora_B", ".up"): parameter
            for name, parameter in network.named_parameters()
            if "lora_" in name
        }
        assert set(theirs_by_name) == set(state)
        for name, parameter in theirs_by_name.items():
            parameter.data.copy_(state[name])
            parameter.requires_grad_(True)
        said, target = reference(tiny_base.pipeline(), given)
        theirs = ((said - target) ** 2).mean(dim=(1, 2, 3)).mean()
        theirs.backward()
        assert torch.allclose(ours, theirs, rtol=1e-4)
        for name, parameter in theirs_by_name.items():
            if parameter.grad is None:  # nothing comes of what a last block says to the text
                assert gradients[name] is None
                continue
            error = (gradients[name] - parameter.grad).norm()
            # Nothing comes of what the last block of SD 3 asks for the text: no gradient at all.
            assert error <= 1e-4 * parameter.grad.norm(), name
    finally:
        network.delete_adapters("default")
        network.requires_grad_(False)


@pytest.mark.slow
def test_checkpointing_changes_no_gradient_and_keeps_less(tiny_base):
    from packshot.plan.step_memory import trace_step

    def gradients(on):
        names = tiny_base.lora_targets("attention+mlp")
        with (
            inject_lora(tiny_base.denoiser, names, rank=4, alpha=2, seed=0) as adapter,
            tiny_base.gradient_checkpointing(on),
        ):
            state = {
                name: torch.randn(value.shape, generator=torch.Generator().manual_seed(len(name)))
                for name, value in adapter.state().items()
            }
            adapter.load_state({name: value * 0.1 for name, value in state.items()})
            kept, _ = trace_step(tiny_base, lambda: batch(tiny_base))
            for parameter in adapter.named_parameters().values():
                parameter.grad = None
            per_image_loss(tiny_base, batch(tiny_base), 0.0).mean().backward()
            return kept, {name: p.grad for name, p in adapter.named_parameters().items()}

    (whole, plain), (less, again) = gradients(False), gradients(True)
    assert less < 0.9 * whole  # the peak of a step; only its activations shrink, not its gradients
    for name, gradient in plain.items():
        if gradient is None:
            assert again[name] is None
        else:
            assert (gradient - again[name]).norm() <= 1e-6 + 1e-6 * gradient.norm(), name


def trained_lora(base, targets="attention+mlp"):
    """A strong random adapter, as data."""
    with inject_lora(base.denoiser, base.lora_targets(targets), rank=2, alpha=2, seed=0) as adapter:
        generator = torch.Generator().manual_seed(0)
        state = {
            name: torch.randn(value.shape, generator=generator) / value[0].numel() ** 0.5
            for name, value in adapter.state().items()
        }
        adapter.load_state(state)
        return adapter.to_lora(base.denoiser_root, {})


@pytest.mark.slow
def test_the_checkpoint_makes_the_picture_that_diffusers_makes_of_it(tiny_base):
    """Loaded by its own loaders, not ours."""
    from diffusers import DiffusionPipeline

    theirs = DiffusionPipeline.from_pretrained(tiny_base.path)
    theirs.scheduler = tiny_base.pipeline().scheduler
    theirs.set_progress_bar_config(disable=True)
    ours = picture(tiny_base.pipeline())
    assert ours.std() > 8
    assert np.abs(picture(theirs) - ours).max() <= 1


@torch.no_grad()
def test_latents_are_scaled_as_diffusers_scales_them_and_decode_to_the_vaes_own_picture(tiny_base):
    import diffusers

    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latents, vae = tiny_base.encode_images(pixels), tiny_base.vae
    video = tiny_base.family == "qwen_image"
    raw = vae.encode(pixels[:, :, None] if video else pixels).latent_dist.mean
    plain = vae.decode(raw).sample.clamp(-1, 1)
    ours = tiny_base.decode_latents(latents)
    assert torch.allclose(ours, plain[:, :, 0] if video else plain, atol=1e-4)
    pipeline = tiny_base.pipeline()
    if tiny_base.family == "flux2":
        theirs = pipeline._encode_vae_image(pixels, None)
    elif video:
        other = SimpleNamespace(vae=vae, latent_channels=4)
        encode = diffusers.QwenImageEditPipeline._encode_vae_image
        theirs = encode(other, pixels[:, :, None], None)
    else:
        theirs = (raw - (vae.config.shift_factor or 0)) * vae.config.scaling_factor
    assert torch.allclose(latents, theirs.reshape(latents.shape), atol=1e-5)


def picture(pipeline):
    made = pipeline(
        prompt=PROMPTS[0], num_inference_steps=4, guidance_scale=3.0, height=64, width=64,
        generator=torch.Generator().manual_seed(0), output_type="np",
    )  # fmt: skip
    return np.round(made.images[0] * 255)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kohya", "diffusers"])
@pytest.mark.parametrize("targets", ["attention+mlp", "all"])
def test_diffusers_makes_the_same_picture_from_either_file(tiny_base, tmp_path, kind, targets):
    if tiny_base.family == "sd3" and kind == "kohya":
        pytest.skip("diffusers reads no kohya files of SD 3; ours are read back below")
    if tiny_base.family == "flux1" and kind == "kohya":
        targets = "cross-attention"  # diffusers splits single blocks only at FLUX's own width
    lora = trained_lora(tiny_base, targets)
    paths = {k: tmp_path / f"{k}.safetensors" for k in ("kohya", "diffusers")}
    save(lora, paths["kohya"], paths["diffusers"], tiny_base)
    plain = picture(tiny_base.pipeline())
    with fused(tiny_base, [(load_lora(paths[kind], tiny_base), 1.0)]):
        ours = picture(tiny_base.pipeline())
    assert np.abs(ours - plain).max() > 8, "the LoRA must be seen, or the comparison says nothing"
    pipeline = tiny_base.pipeline()
    pipeline.load_lora_weights(str(tmp_path), weight_name=paths[kind].name)
    try:
        assert np.abs(picture(pipeline) - ours).max() <= 2
    finally:
        pipeline.unload_lora_weights()
        tiny_base.denoiser.requires_grad_(False)


def test_what_is_asked_for_beside_the_prompt_counts_where_it_is_said_to(tiny_base):
    """Negative prompts and guidance scales, by diffusers' own pictures."""

    def made(scale, negative):
        pipeline = tiny_base.pipeline()
        return pipeline(
            prompt=["a car"], num_inference_steps=2, width=64, height=64, output_type="np",
            generator=[torch.Generator().manual_seed(0)], **tiny_base.sampling(scale, [negative]),
        ).images  # fmt: skip

    for scale in (tiny_base.unguided_scale, 4.0):
        with_one, plain = made(scale, "fog and dusk"), made(scale, "")
        assert np.array_equal(with_one, plain) != tiny_base.takes_negative_prompt(scale), scale
    counts = {tiny_base.counting_guidance(scale) for scale in (2.0, 4.0)}
    assert (len(counts) == 1) == np.array_equal(made(2.0, ""), made(4.0, ""))


@pytest.mark.slow
def test_forty_steps_on_one_picture_halve_the_loss(tiny_base):
    whole = batch(tiny_base)
    one = {name: value[1:2] for name, value in vars(whole).items() if name != "conditioning"}
    given = Batch(**one, conditioning={n: v[1:2] for n, v in whole.conditioning.items()})
    names, history = tiny_base.lora_targets("all"), []
    with inject_lora(tiny_base.denoiser, names, rank=32, alpha=32, seed=0) as adapter:
        rate = 2e-2 if tiny_base.schedule.prediction_type == "flow" else 5e-3
        optimizer = torch.optim.AdamW(adapter.named_parameters().values(), lr=rate)
        for _ in range(40):
            loss = per_image_loss(tiny_base, given, 0.0).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            history.append(loss.item())
    assert history[-1] < history[0] / 2


@pytest.mark.slow
def test_stopping_and_going_on_is_bit_identical(planned_project, tiny_base):
    def lora_bytes():
        return (
            planned_project.lora_file.read_bytes(),
            planned_project.diffusers_lora_file.read_bytes(),
        )

    plan = read_plan(planned_project.plan_file)
    write_plan(
        plan.model_copy(update={"steps": 4, "sample_every_n_steps": 0}), planned_project.plan_file
    )
    assert sum(isinstance(event, Step) for event in train(planned_project, tiny_base)) == 4
    whole = lora_bytes()
    shutil.rmtree(planned_project.runs_folder)
    asked = itertools.chain([False], itertools.repeat(True))
    *_, last = train(planned_project, tiny_base, should_stop=lambda: next(asked))
    assert isinstance(last, Stopped)
    list(train(planned_project, tiny_base))
    assert lora_bytes() == whole


def test_kohyas_file_has_every_module_of_every_scope(tiny_base, tmp_path):
    """Also those whose rows the original stacks: each part comes back as it was."""
    lora = trained_lora(tiny_base, "all")
    save(lora, tmp_path / "k.safetensors", tmp_path / "d.safetensors", tiny_base)
    back = load_lora(tmp_path / "k.safetensors", tiny_base)
    assert back.weights.keys() == lora.weights.keys()
    for name, weights in lora.weights.items():
        assert torch.allclose(back.weights[name].delta(), weights.delta(), atol=1e-6)
    keys = load_file(tmp_path / "k.safetensors").keys()
    if tiny_base.family == "sd3":
        assert "lora_unet_joint_blocks_0_x_block_attn2_qkv.lora_down.weight" in keys
    if tiny_base.family == "flux1":
        assert "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight" in keys
        assert "lora_unet_single_blocks_1_linear1.lora_up.weight" in keys


@pytest.mark.slow
@pytest.mark.parametrize("family", PARAMETERS)
def test_at_full_size_a_lora_on_everything_is_the_one_that_peft_makes(family):
    """And the denoiser has its published size; none of it takes memory."""
    from peft import LoraConfig

    network = full_size(family)
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[family]
    kind = families()[family].model
    itself = SimpleNamespace(transformer=network, denoiser=network, unet=network)
    itself.scopes = getattr(kind, "scopes", None)
    names = kind.lora_targets(itself, "all")
    with inject_lora(network, names, rank=16, alpha=16, seed=0) as adapter:
        ours = {name: p.shape for name, p in adapter.named_parameters().items()}
    network.add_adapter(LoraConfig(r=16, target_modules=names))
    theirs = {
        name.replace(".lora_A.default.weight", ".down").replace(".lora_B.default.weight", ".up"): p
        for name, p in network.named_parameters()
        if "lora_" in name
    }
    assert ours == {name: p.shape for name, p in theirs.items()}
    matrices = {"flux2": 5 * 12 + 20 * 2, "qwen_image": 60 * 14, "z_image": 34 * 7 + 32}
    if family in matrices:
        assert len(names) == matrices[family], "every matrix of every block"


def test_flux_has_as_many_kohya_modules_as_sd_scripts_makes():
    """19 double blocks of 10 and 38 single ones of 3; parameters by closed form from FLUX's width."""
    network = full_size("flux1")
    itself = SimpleNamespace(transformer=network, scopes=Flux1.scopes)
    itself.key_mapping = lambda: Flux1.key_mapping(itself)
    modules = {k: v for k, v in Flux1.original_modules(itself).items() if "_blocks." in k}
    assert len(modules) == 19 * 10 + 38 * 3 == 304
    names = Flux1.lora_targets(itself, "all")
    assert {name for stacked in modules.values() for name in stacked} == set(names)
    rank, width = 16, 3072

    def parameters(modules):
        layers = [[network.get_submodule(name) for name in stacked] for stacked in modules]
        return sum(
            rank * (stacked[0].in_features + sum(layer.out_features for layer in stacked))
            for stacked in layers
        )

    # In and out in widths: modulation, queries to values, projection, and MLP both ways.
    double, single = (
        2 * ((1 + 6) + (1 + 3) + (1 + 1) + (1 + 4) + (4 + 1)),
        (1 + 3) + (1 + 7) + (5 + 1),
    )
    assert parameters(modules.values()) == rank * width * (19 * double + 38 * single) == 76_578_816
    # While it learns, what is stacked there has a detour for each of its parts.
    apart = rank * width * (19 * (double + 2 * 2) + 38 * (single + 3))
    assert parameters([name] for name in names) == apart == 85_917_696


def test_attention_is_masked_only_where_prompts_differ_in_length(tiny_base, monkeypatch):
    """A mask, be it of ones, keeps PyTorch from flash attention."""
    masks, real = [], torch.nn.functional.scaled_dot_product_attention

    def spied(query, key, value, attn_mask=None, **options):
        masks.append(attn_mask)
        return real(query, key, value, attn_mask, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spied)
    alone = [tiny_base.encode_prompts([prompt]) for prompt in PROMPTS]
    noisy = torch.randn(3, *tiny_base.encode_images(torch.zeros(1, 3, 64, 64)).shape[1:])
    times = tiny_base.schedule.timesteps_at(torch.tensor([0.2, 0.5, 0.8]), noisy[0, 0].numel())

    @torch.no_grad()
    def predicted(conditioning):
        masks.clear()
        said = tiny_base.predict(noisy, times, conditioning)
        return said, [mask for mask in masks if mask is not None]

    alike = join_conditionings([alone[0]] * 3)
    said, masked = predicted(alike)
    assert "mask" not in alike and masks and not masked
    ones = torch.ones(alike["context"].shape[:2])
    assert torch.allclose(predicted(alike | {"mask": ones})[0], said, atol=1e-6)
    mixed = join_conditionings(alone)
    differ = len({one["context"].shape[1] for one in alone}) > 1
    said, masked = predicted(mixed)
    assert ("mask" in mixed) == differ == (tiny_base.family in ("qwen_image", "z_image"))
    for row, one in enumerate(alone):  # what follows a shorter prompt is not attended to
        single = tiny_base.predict(noisy[row, None], times[row, None], one)[0]
        assert torch.allclose(said[row], single, atol=1e-5)


LONGEST = "a photo of a car " * 200


def test_empty_conditioning_has_the_shape_of_the_longest_prompts(tiny_base):
    given, empty = tiny_base.encode_prompts([LONGEST] * 2), tiny_base.empty_conditioning(2)
    assert {name: tuple(empty[name].shape) for name in empty} == {
        name: tuple(given[name].shape) for name in empty
    }
    noisy = torch.randn(2, *tiny_base.encode_images(torch.zeros(1, 3, 64, 64)).shape[1:])
    times = tiny_base.schedule.timesteps_at(torch.tensor([0.3, 0.6]), noisy[0, 0].numel())
    with torch.no_grad():
        assert tiny_base.predict(noisy, times, empty).shape == noisy.shape


@pytest.mark.slow
def test_a_sketch_has_the_shapes_of_the_base_and_none_of_its_weights(tiny_base):
    folder = tiny_base.path
    with fake_model(detect_checkpoint(folder), torch.float32) as sketch:
        parameters = dict(sketch.denoiser.named_parameters())
        assert all(isinstance(parameter, FakeTensor) for parameter in parameters.values())
        latents = sketch.encode_images(torch.zeros(1, 3, 64, 64))
        times = sketch.schedule.timesteps_at(torch.tensor([0.5]), latents[0, 0].numel())
        said = sketch.predict(latents, times, sketch.empty_conditioning(1))
    assert {n: p.shape for n, p in parameters.items()} == {
        n: p.shape for n, p in tiny_base.denoiser.named_parameters()
    }
    assert tuple(said.shape) == tuple(tiny_base.encode_images(torch.zeros(1, 3, 64, 64)).shape)


def gradients(base, given):
    names = base.lora_targets("attention+mlp")
    with inject_lora(base.denoiser, names, rank=4, alpha=4, seed=0) as adapter:
        draw = torch.Generator().manual_seed(3)
        for parameter in adapter.named_parameters().values():
            parameter.data.normal_(0, 0.05, generator=draw)
        loss = per_image_loss(base, given, 0.0).mean()
        loss.backward()
        return loss.detach(), [p.grad for p in adapter.named_parameters().values()]


def quantisable(base):
    for block in denoiser_blocks(base.denoiser):
        for module in block.modules():
            if type(module) is torch.nn.Linear and module.in_features % 64 == 0:
                yield module


def round_weights(base, storage):
    """Each weight as bitsandbytes (nf4) or PyTorch (int8) quantises it and back."""
    for module in quantisable(base):
        if storage == "nf4":
            quantised = functional.quantize_4bit(
                module.weight.data, quant_type="nf4", compress_statistics=True
            )
            module.weight.data = functional.dequantize_4bit(*quantised)
        else:
            weight = module.weight.data
            scales, zeros = weight.abs().amax(dim=1) / 127, torch.zeros(len(weight))
            rounded = torch.fake_quantize_per_channel_affine(weight, scales, zeros, 0, -127, 127)
            module.weight.data = rounded


def test_blocks_that_come_when_they_compute_change_nothing(tiny_base):
    """Copies of the blocks are computed with: forwards, backwards, and for pictures."""
    given = batch(tiny_base)

    def said():
        with torch.no_grad():
            return tiny_base.predict(given.latents, given.timesteps, given.conditioning)

    with tiny_base.gradient_checkpointing():  # so that it does not choose another attention either
        loss, before = gradients(tiny_base, given)
    made = said()
    apply_weight_storage(tiny_base.denoiser, "offload", torch.device("cpu"))
    tiny_base.weight_storage = "offload"
    again, after = gradients(tiny_base, given)
    assert torch.equal(loss, again) and torch.equal(made, said())
    for one, other in zip(before, after, strict=True):
        assert (one is None and other is None) or torch.equal(one, other)


@pytest.mark.parametrize("storage", ["int8", "nf4"])
def test_a_quantised_base_learns_as_one_with_its_rounded_weights(tiny_base, storage):
    given = batch(tiny_base)
    weights = {n: w.clone() for n, w in tiny_base.denoiser.state_dict().items()}
    count = len(list(quantisable(tiny_base)))
    round_weights(tiny_base, storage)
    expected, reference = gradients(tiny_base, given)
    tiny_base.denoiser.load_state_dict(weights)
    apply_weight_storage(tiny_base.denoiser, storage, torch.device("cpu"))
    tiny_base.denoiser.to("cpu")
    assert sum(map(is_quantised, tiny_base.denoiser.modules())) == count > 0
    loss, found = gradients(tiny_base, given)
    # A weight half-way between two whole numbers may become either.
    near = {"int8": 5e-4, "nf4": 1e-4}[storage]
    assert loss == pytest.approx(expected.item(), rel=near)
    kept = [(a, b) for a, b in zip(found, reference, strict=True) if b is not None]
    a, b = (torch.cat([one.flatten() for one in side]) for side in zip(*kept, strict=True))
    assert (a - b).norm() < near * b.norm()


@pytest.mark.parametrize(
    ("family", "change", "few"),
    [
        ("sdxl", {"timestep_spacing": "trailing"}, True), ("sdxl", {}, False),
        ("sdxl", {"timestep_spacing": "trailing", "prediction_type": "v_prediction"}, False),
        ("sd2", {"timestep_spacing": "trailing", "prediction_type": "epsilon"}, True),
        ("z_image", {"shift": 3.0}, True), ("z_image", {"shift": 6.0}, False),
    ],
)  # fmt: skip
def test_few_step_bases_are_known_by_their_schedulers(
    tiny_checkpoint, loaded, tmp_path, family, change, few
):
    folder = shutil.copytree(tiny_checkpoint(family), tmp_path / "a base")
    file = folder / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    base = loaded(folder)
    assert base.is_step_distilled == few and (base.sampler.steps < 10) == few
    assert bool(notes_on(base)) == few


@pytest.mark.parametrize("family", sorted(MAKERS.keys() - {"flux2"}))
def test_few_step_bases_of_every_family_are_known_by_their_names(
    tiny_checkpoint, loaded, tmp_path, family
):
    """But FLUX.2's, whose files say it; sampled as others, all would be burnt."""
    base = loaded(shutil.copytree(tiny_checkpoint(family), tmp_path / "my base 8step-Lightning"))
    assert base.is_step_distilled and base.sampler.steps < 10
    assert base.count_passes(base.sampler.guidance_scale) == 1


@pytest.mark.parametrize(
    ("name", "few"),
    [
        ("sd3.5_large_turbo", True), ("sdxl-lightning-4step", True), ("JuggernautXL_Hyper", True),
        ("turbocharged", False), ("hyperrealism", False), ("dreamshaper-xl-turbo.v2", True),
        ("dreamshaperXL_v21TurboDPMSDE", True), ("realvisxlV50_v50LightningBakedvae", True),
        ("dreamshaperXL_lightningDPMSDE", True), ("zImageTurbo_v10", True), ("SDXLTurbo", True),
        ("modelXL_v3DMD2Fp16", True), ("HyperRealismXL", False), ("TurboChargedCars", False),
    ],
)  # fmt: skip
def test_few_step_bases_are_known_by_their_names(name, few):
    assert is_called_few_step(name) == few
