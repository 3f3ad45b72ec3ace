"""A checkpoint's shapes without its weights, to estimate memory before loading."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from packshot.models import registry
from packshot.models.checkpoint import CONFIGS, Checkpoint
from packshot.models.diffusion_model import DiffusionModel


def default_checkpoint(family: str) -> Checkpoint:
    """A family's checkpoint with the configurations of this package, for `fake_model` only."""
    return Checkpoint(CONFIGS / family, family, "single file", {}, "")


@contextmanager
def fake_model(checkpoint: Checkpoint, dtype: torch.dtype) -> Iterator[DiffusionModel]:
    """The model under FakeTensorMode: run a step to learn shapes and memory without weights.

    All tensors created in the block are fake too. There are no tokenizers: use
    `DiffusionModel.empty_conditioning`.

    Raises:
        ModelLoadError: a configuration cannot be read.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    base = registry.families()[checkpoint.family].model(
        replace(checkpoint, shapes_only=True), torch.device("cpu"), dtype, "full"
    )
    with FakeTensorMode(allow_non_fake_inputs=True):
        for network in (base.denoiser, base.vae, *base.text_encoders.values()):
            own = base.vae_dtype if network is base.vae else dtype
            shapes = {name: weight.shape for name, weight in network.state_dict().items()}
            fakes = {name: torch.empty(shape, dtype=own) for name, shape in shapes.items()}
            network.load_state_dict(fakes, assign=True)
            network.requires_grad_(False)
        yield base
