import pytest
import torch

from packshot.lora import Lora, LoraWeights


@pytest.fixture
def make_lora(tiny_base):
    """A strong random LoRA over the base's targets, and optionally its text encoder."""

    def make(scope="all", *, seed=0, text=False, alpha=1.0, strength=0.3):
        generator = torch.Generator().manual_seed(seed)
        weights = {}
        roots = [("unet", tiny_base.denoiser, tiny_base.lora_targets(scope))]
        if text:
            encoder = tiny_base.text_encoder
            names = [
                n for n, _ in encoder.named_modules() if n.endswith(("q_proj", "v_proj", "fc1"))
            ]
            roots.append(("text_encoder", encoder, names))
        for root, network, names in roots:
            for name in names:
                shape = network.get_submodule(name).weight.shape
                down = torch.randn(2, *shape[1:], generator=generator)
                up = torch.randn(shape[0], 2, *(1,) * (len(shape) - 2), generator=generator)
                scale = strength / down.flatten(1).shape[1] ** 0.5
                weights[f"{root}.{name}"] = LoraWeights(down, up * scale, alpha)
        return Lora(weights, {"modelspec.title": "test"})

    return make
