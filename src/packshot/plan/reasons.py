"""Why each number of a plan is what it is, in the words that stand beside it in plan.toml."""

from __future__ import annotations

from packshot.plan.compile_gain import CompileGain
from packshot.plan.config import Plan
from packshot.plan.run_cost import RunSize


def reasons_for(plan: Plan, size: RunSize, compiling: CompileGain) -> dict[str, str]:
    """The reason for each key of a plan."""
    work = size.work
    exposures = round(plan.steps * plan.effective_batch_size * (1 - plan.class_image_ratio))
    wanted = work.recipe.exposures_for(work.photos)
    extent = (
        "the whole recipe" if exposures >= wanted else f"the recipe's {wanted} do not fit the time"
    )
    prior = (
        f"{plan.estimate.class_images_seen} of {work.class_images} class images will be seen"
        if plan.class_image_ratio
        else "no class images: the class may drift towards the product"
    )
    each = f"; at least one for each of {work.processes} processes" if work.processes > 1 else ""
    return {
        "steps": f"{exposures} exposures of {work.photos} photos: {extent}",
        "effective_batch_size": f"images of one step, class images included{each}",
        "gradient_accumulation_steps": "micro-batches of one step, so that each fits the memory",
        "resolution": size.why,
        "target_modules": "the layers with a LoRA: cross-attention, attention, attention+mlp, all",
        "rank": "of the LoRA: capacity for detail; costs little time",
        "alpha": "equal to the rank: the LoRA's scale is 1",
        "learning_rate": "the recipe's",
        "text_encoder_rank": "of the LoRA on the text encoders (0: they are not trained)",
        "text_encoder_learning_rate": "of the LoRA on the text encoders, if they are trained",
        "lr_scheduler": "cosine down to a tenth, or constant",
        "lr_warmup_steps": "a tenth of the steps, 20 at most",
        "weight_decay": "AdamW's usual one",
        "max_grad_norm": "gradients are clipped to this norm",
        "class_image_ratio": prior,
        "prior_loss_weight": "loss weight of class images; photos have 1",
        "min_snr_gamma": "min-SNR weighting of the noise levels (0: off)",
        "caption_dropout_rate": "share of photos seen without their caption",
        "crops_per_photo": "the whole image and closer crops; never flipped: badges, dials",
        "unmasked_weight": "loss weight outside the product where a photo has a mask",
        "gradient_checkpointing": "saves memory for about a third more time, where one image would not fit",
        "torch_compile": compiling.why,
        "weight_storage": "precision or offload of the frozen base: full, int8, nf4, offload",
        "precision": "the one in which this machine computes this base fastest",
        "cpu_threads": "the fastest number of CPU threads when this was planned (0: all)",
        "eval_every_n_steps": "steps between evaluations, which take a twentieth of the time (0: none)",
        "early_stopping_window": "evaluations over which that loss must be still for training to be done",
        "early_stopping_variance": "still: their variance is less than this share of the whole's (0: never)",
        "sample_every_n_steps": "steps between sample images (0: none)",
        "save_every_n_steps": "steps between checkpoints: half a minute, more if saving takes over 2 % of it",
        "seed": "same seed, same machine: same LoRA",
    }
