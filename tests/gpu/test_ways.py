"""Every way in which a family's networks lie on a GPU: nothing meets what lies elsewhere."""

import sys
from pathlib import Path

import pytest

from tests.families import MAKERS
from tests.lives import lives

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it forks")
WAYS = [
    (storage, turns) for storage in ("full", "int8", "nf4", "offload") for turns in (False, True)
]


def _prepare():
    from tests.gpu import simulated

    simulated.register()


@pytest.fixture(scope="module")
def gpu_lives():
    """Processes with a simulated GPU."""
    with lives(_prepare) as started:
        yield started


@pytest.mark.parametrize("family", MAKERS)
def test_each_way_encodes_learns_decodes_and_makes_a_picture(gpu_lives, tiny_checkpoint, family):
    folder = str(tiny_checkpoint(family))
    assert gpu_lives.start(_each_way, folder) == 0


def _each_way(_, folder):
    for storage, turns in WAYS:
        _one_way(Path(folder), storage, turns)


def _one_way(folder, storage, turns):
    import torch

    from packshot.lora import add_adapters, fused
    from packshot.models import diffusion_model
    from packshot.models.load import load_base
    from packshot.models.loss import per_image_loss
    from packshot.plan.calibration import random_batch
    from tests.gpu import simulated

    with simulated.gpu() as memory, pytest.MonkeyPatch.context() as patch:
        if turns:
            patch.setattr(diffusion_model, "weight_memory_budget", lambda device: 1e5)
        base = load_base(folder, dtype=torch.bfloat16, storage=storage)
        assert base.device == simulated.GPU and (memory.used or turns)
        assert base._has_model_offload or not turns
        latents = base.encode_images(torch.zeros(1, 3, 64, 64))
        told = base.encode_prompts(["a car"])
        assert latents.device == simulated.GPU
        assert all(value.device == simulated.GPU for value in told.values())
        adapted = add_adapters(base, "attention+mlp", rank=2, alpha=2, seed=0)
        with adapted as adapter, base.gradient_checkpointing():
            base.bring_denoiser()
            parameters = list(adapter.named_parameters().values())
            places = {parameter.device for parameter in parameters}
            assert places == {simulated.GPU}
            optimizer = torch.optim.AdamW(parameters, lr=1e-3, fused=True)
            loss = per_image_loss(base, random_batch(base, latents.float(), 1), 0.0).mean()
            loss.backward()
            gradients = [p.grad for p in parameters if p.grad is not None]
            assert {gradient.device for gradient in gradients} == places
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            assert torch.isfinite(loss) and any(bool(p.detach().abs().sum()) for p in parameters)
            learnt = adapter.to_lora({})
        assert base.decode_latents(latents).device == simulated.GPU
        with fused(base, [(learnt, 0.7)]):
            picture = base.pipeline()(
                prompt=["a car"], num_inference_steps=1, height=64, width=64,
                generator=torch.Generator().manual_seed(0), **base.sampling(3.0, [""]),
            ).images[0]  # fmt: skip
        assert picture.size == (64, 64)


def test_a_lora_leaves_a_network_that_has_moved_whole(gpu_lives, tiny_checkpoint):
    assert gpu_lives.start(_moved_while_fused, str(tiny_checkpoint("sd1"))) == 0


def _moved_while_fused(_, folder):
    """In fp32 a LoRA is in the weights themselves, and the base's networks take turns."""
    import torch

    from packshot.lora import add_adapters, fused
    from packshot.models import diffusion_model
    from packshot.models.load import load_base
    from tests.gpu import simulated

    with simulated.gpu(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(diffusion_model, "weight_memory_budget", lambda device: 1e5)
        base = load_base(folder, dtype=torch.float32)
        with add_adapters(base, "cross-attention", rank=2, alpha=2, seed=0) as adapter:
            lora = adapter.to_lora({})
        base.bring_denoiser()
        weights = [weight.cpu() for weight in base.denoiser.parameters()]
        with fused(base, [(lora, 1.0)]), torch.no_grad():
            base.encode_images(torch.zeros(1, 3, 32, 32))
        assert {weight.device.type for weight in base.denoiser.parameters()} == {"cpu"}
        assert all(map(torch.equal, base.denoiser.parameters(), weights))


def _said(base):
    """What a base's encoders and its decoder say of a prompt and a picture."""
    import torch

    latents = base.encode_images(torch.zeros(1, 3, 32, 32))
    return base.encode_prompts(["a car"])["context"].cpu(), base.decode_latents(latents).cpu()


@pytest.mark.parametrize("storage", ["nf4", "offload"])
def test_networks_that_lay_there_together_take_turns_from_then_on(
    gpu_lives, tiny_checkpoint, storage
):
    assert gpu_lives.start(_turns_later, str(tiny_checkpoint("sd1")), storage) == 0


def _turns_later(_, folder, storage):
    """Also from where the encoders are away for a while, to which they do not come back."""
    import torch

    from packshot.lora import add_adapters
    from packshot.models.load import load_base
    from tests.gpu import simulated

    with simulated.gpu() as memory:
        base = load_base(folder, dtype=torch.float32, storage=storage)
        before, used = _said(base), memory.used
        with add_adapters(base, "cross-attention", rank=2, alpha=2, seed=0, text_rank=2):
            assert not base.take_turns(), "text encoders that learn stay"
        with base.encoders_moved_to(torch.device("cpu")):
            assert base.take_turns() and not base.take_turns()
        assert base._has_model_offload and memory.used < used / 2
        assert all(map(torch.equal, before, _said(base)))
        assert {
            weight.device.type for weight in base.text_encoders["text_encoder"].parameters()
        } == {"cpu"}


def test_a_tensor_elsewhere_and_too_large_a_one_are_noticed(gpu_lives):
    assert gpu_lives.start(_misplaced) == 0


def _misplaced(_):
    import torch

    from tests.gpu import simulated

    with simulated.gpu(size=1000) as memory:
        here, there = torch.ones(3), torch.ones(3, device="cuda:0")
        assert torch.equal((there * 2).cpu(), here * 2) and there.to("cuda") is there
        with pytest.raises(RuntimeError, match="same device"):
            here + there
        with pytest.raises(torch.OutOfMemoryError):
            torch.ones(1000, device="cuda:0")
        layer = torch.nn.Linear(3, 3)
        weight = layer.weight
        assert layer.to("cuda:0").weight is weight and weight.device == simulated.GPU
        layer(there).sum().backward()
        assert weight.grad.device == simulated.GPU
        used = memory.used
        del there, here
        assert memory.used < used


@pytest.mark.parametrize("storage", ["full", "nf4", "offload"])
def test_a_base_leaves_the_gpu_and_says_the_same_afterwards(gpu_lives, tiny_checkpoint, storage):
    assert gpu_lives.start(_left_and_returned, str(tiny_checkpoint("sd1")), storage) == 0


def _left_and_returned(_, folder, storage):
    import torch

    from packshot.models.load import load_base
    from tests.gpu import simulated

    with simulated.gpu() as memory:
        base = load_base(folder, dtype=torch.float32, storage=storage)
        before, used = _said(base), memory.used
        base.leave_device()
        assert memory.used < used / 2
        base.return_to_device()
        assert memory.used == used and all(map(torch.equal, before, _said(base)))
        for _ in range(2):  # from then on by turns
            base.make_room()
            assert memory.used < used / 2 and base._has_model_offload
            assert all(map(torch.equal, before, _said(base)))
