"""A GPU without bf16: what is chosen there, and that it works."""

import sys
from pathlib import Path

import pytest

from tests.gpu.test_ways import gpu_lives  # noqa: F401  (a fixture)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it forks")


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_a_unet_learns_in_fp16(gpu_lives, tiny_checkpoint, family, tmp_path):  # noqa: F811
    assert gpu_lives.start(_learns, str(tiny_checkpoint(family)), str(tmp_path / "p")) == 0


def test_a_transformer_computes_in_fp32_and_it_is_said(gpu_lives, tiny_checkpoint, tmp_path):  # noqa: F811
    folder = tiny_checkpoint("flux1")
    assert gpu_lives.start(_stays_in_fp32, str(folder), str(tmp_path / "p")) == 0


def _turing(patch):
    """No bf16 but what PyTorch emulates."""
    import torch

    def has_bf16(including_emulation=True):
        return including_emulation

    patch.setattr(torch.cuda, "is_bf16_supported", has_bf16)
    patch.setattr(torch.cuda, "get_device_name", lambda *_: "Tesla T4")
    patch.setattr(torch.cuda, "get_device_capability", lambda *_: (7, 5))


def _loaded(folder, place):
    from packshot.decisions import Decisions
    from packshot.plan.load_base import load_project_base
    from packshot.project import create_project

    project = create_project(Path(place), name="x", class_noun="car", base=folder)
    base = load_project_base(project)
    return base, Decisions(project).latest("precision")


def _learns(_, folder, place):
    import torch

    from packshot.lora import add_adapters, fused
    from packshot.models.loss import per_image_loss
    from packshot.plan.calibration import random_batch
    from packshot.plan.notes import notes_on
    from packshot.training.loss_scale import LossScale
    from tests.gpu import simulated

    with simulated.gpu(), pytest.MonkeyPatch.context() as patch:
        _turing(patch)
        base, decided = _loaded(folder, place)
        assert decided.value == "fp16" and "no fast bf16" in decided.reason
        assert base.dtype == torch.float16 and base.vae.dtype == torch.float32
        assert base.device == simulated.GPU and not notes_on(base)
        latents = base.encode_images(torch.zeros(1, 3, 64, 64))
        adapted = add_adapters(base, "all", rank=2, alpha=2, seed=0)
        with adapted as adapter, base.gradient_checkpointing():
            parameters = list(adapter.named_parameters().values())
            optimizer = torch.optim.AdamW(parameters, lr=1e-3, fused=True)
            scale = LossScale()
            loss = per_image_loss(base, random_batch(base, latents.float(), 1), 0.0).mean()
            (loss * scale.value).backward()
            scale.unscale(parameters)
            norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            assert torch.isfinite(norm) and norm > 0
            assert all(p.grad.dtype == torch.float32 for p in parameters)
            optimizer.step()
            learnt = adapter.to_lora({})
        with fused(base, [(learnt, 0.7)]):
            picture = base.pipeline()(
                prompt=["a car"], num_inference_steps=1, height=64, width=64, output_type="np",
                generator=torch.Generator().manual_seed(0), **base.sampling(3.0, [""]),
            ).images[0]  # fmt: skip
        assert picture.std() > 0.01 and base.vae.dtype == torch.float32


def _stays_in_fp32(_, folder, place):
    import torch

    from packshot.plan.notes import notes_on
    from tests.gpu import simulated

    with simulated.gpu(), pytest.MonkeyPatch.context() as patch:
        _turing(patch)
        base, decided = _loaded(folder, place)
        assert decided.value == "fp32" and base.dtype == torch.float32
        assert "fp16 is too narrow for FLUX.1" in decided.reason
        (note,) = notes_on(base)
        assert "computes in fp32: this GPU has no fast bf16, and fp16 is too narrow for" in note
