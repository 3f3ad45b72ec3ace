"""A training step of diffusers and peft alone, as diffusers' own example trainers write it.

fp32 LoRA layers in a frozen base, under autocast; noising, packing and the denoiser's call are
diffusers'. Latents, embeddings and noise are given, on the device: it has no data to prepare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from packshot.models.diffusion_model import DiffusionModel
from packshot.models.loss import Batch
from packshot.plan.config import Plan


@contextmanager
def plain_loop(base: DiffusionModel, plan: Plan, batch: Batch) -> Iterator[Callable[[], float]]:
    """A function that does a step with the plan's numbers and returns its loss."""
    from diffusers.training_utils import cast_training_params
    from peft import LoraConfig

    network: Any = base.denoiser
    names = base.lora_targets(plan.target_modules)
    network.add_adapter(LoraConfig(r=plan.rank, lora_alpha=plan.alpha, target_modules=names))
    cast_training_params(network, dtype=torch.float32)
    learnt = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        learnt, lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=True
    )
    loss_of = _flow_loss if base.family == "flux1" else _noise_loss
    kind, half = base.device.type, base.dtype != torch.float32

    def step() -> float:
        with torch.autocast(kind, base.dtype if half else torch.bfloat16, enabled=half):
            loss = loss_of(base, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learnt, plan.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    try:
        if plan.gradient_checkpointing:
            network.enable_gradient_checkpointing()
        yield step
    finally:
        network.disable_gradient_checkpointing()
        network.unload_lora()


def _noise_loss(base: DiffusionModel, batch: Batch) -> Tensor:
    """Stable Diffusion's: the UNet tells the noise."""
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler.from_config(base.schedule.config)
    noisy = scheduler.add_noise(batch.latents, batch.noise, batch.timesteps)
    given = batch.conditioning
    sizes = None
    if "pooled" in given:
        sizes = {"text_embeds": given["pooled"], "time_ids": given["time_ids"]}
    predicted = base.denoiser(
        noisy.to(base.dtype), batch.timesteps, given["context"].to(base.dtype),
        added_cond_kwargs=sizes, return_dict=False,
    )[0]  # fmt: skip
    return F.mse_loss(predicted.float(), batch.noise.float())


def _flow_loss(base: DiffusionModel, batch: Batch) -> Tensor:
    """FLUX.1's: the transformer tells the flow, of packed latents."""
    from diffusers import FluxPipeline

    count, channels, height, width = batch.latents.shape
    sigmas = (batch.timesteps / 1000).view(-1, 1, 1, 1)
    noisy = ((1 - sigmas) * batch.latents + sigmas * batch.noise).to(base.dtype)
    given = batch.conditioning
    context = given["context"].to(base.dtype)
    network: Any = base.denoiser
    guided = network.config.guidance_embeds
    predicted = network(
        hidden_states=FluxPipeline._pack_latents(noisy, count, channels, height, width),
        timestep=batch.timesteps / 1000,
        guidance=torch.ones(count, device=base.device) if guided else None,
        pooled_projections=given["pooled"].to(base.dtype),
        encoder_hidden_states=context,
        txt_ids=torch.zeros(context.shape[1], 3, device=base.device, dtype=base.dtype),
        img_ids=FluxPipeline._prepare_latent_image_ids(
            count, height // 2, width // 2, base.device, base.dtype
        ),
        return_dict=False,
    )[0]
    factor = base.vae_factor
    flow = FluxPipeline._unpack_latents(predicted, height * factor, width * factor, factor)
    return F.mse_loss(flow.float(), (batch.noise - batch.latents).float())
