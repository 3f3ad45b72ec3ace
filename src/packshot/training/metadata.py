"""Metadata of LoRA files: kohya's `ss_*` keys and the model specification's `modelspec.*`.

AUTOMATIC1111 hides files whose `ss_base_model_version` does not fit; others show the trigger.
"""

from __future__ import annotations

import json
from collections import Counter
from importlib.metadata import version

from packshot.models import registry
from packshot.models.diffusion_model import DiffusionModel
from packshot.plan.config import Plan
from packshot.settings import Subject
from packshot.training.dataset import TrainingSet

_TARGETS = {"epsilon": "epsilon", "v_prediction": "v", "flow": "flow"}


def metadata_of(
    subject: Subject, base: DiffusionModel, plan: Plan, data: TrainingSet
) -> dict[str, str]:
    """The metadata of a run's LoRA; every value is a string, as safetensors requires.

    It contains no date or time, so that the same run gives the same file.
    """
    family, target = registry.families()[base.family], base.schedule.prediction_type
    of_noise = family.architecture_of_noise if target == "epsilon" else ""
    captions = Counter(crops[0].prompt for crops in data.photos)
    return {
        "ss_v2": str(family.kohya_base == "sd_v2"),
        "ss_base_model_version": family.kohya_base,
        "ss_output_name": subject.name,
        "ss_sd_model_name": base.name,
        "ss_learning_rate": str(plan.learning_rate),
        **(
            {"ss_text_encoder_lr": str(plan.text_encoder_learning_rate)}
            if plan.text_encoder_rank
            else {}
        ),
        "ss_steps": str(plan.steps),
        "ss_total_batch_size": str(plan.effective_batch_size),
        "ss_num_train_images": str(len(data.photos)),
        "ss_num_reg_images": str(len(data.class_images)),
        "ss_seed": str(plan.seed),
        "ss_min_snr_gamma": str(plan.min_snr_gamma),
        "ss_v_parameterization": str(target == "v_prediction"),
        "ss_tag_frequency": json.dumps({f"1_{subject.phrase}": captions}),
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": of_noise or family.architecture,
        "modelspec.implementation": "diffusers",
        "modelspec.title": subject.name,
        "modelspec.resolution": f"{plan.resolution}x{plan.resolution}",
        "modelspec.prediction_type": _TARGETS[target],
        "modelspec.trigger_phrase": subject.phrase,
        "modelspec.description": f"{subject.name}: made with Packshot {version('packshot')}",
    }
