import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from packshot.lora import add_adapters
from packshot.models.checkpoint import detect_checkpoint
from packshot.models.device_memory import OVERHEAD
from packshot.models.weight_storage import apply_weight_storage, weight_bytes
from packshot.plan import calibration
from packshot.plan.calibration import calibrate
from packshot.plan.memory_estimate import estimate_memory
from packshot.plan.step_memory import Tally, most_pictures, step_bytes, trace_step


def test_a_chain_of_layers_takes_what_its_shapes_say():
    """Of y = W2 relu(W1 x) with x [8, 32], W1 [64, 32], W2 [16, 64], in fp32, forwards."""
    with FakeTensorMode():
        first, second = nn.Linear(32, 64, bias=False), nn.Linear(64, 16, bias=False)
        x = torch.zeros(8, 32)
        weights = [*first.parameters(), *second.parameters()]
        with torch.no_grad(), Tally([*weights, x]) as tally:
            hidden = first(x).relu()
            kept = tally.now
            said = second(hidden)
        assert kept == 4 * 8 * 64, "what relu was made from is gone"
        assert tally.peak == 4 * 8 * (64 + 64) and tally.now == 4 * 8 * (64 + 16)
        assert tally.flops == 2 * 8 * (32 * 64 + 64 * 16)
        del hidden, said
        assert tally.now == 0


def test_the_optimizer_and_the_overhead_are_counted():
    assert step_bytes(1000, 10, 500) == int(1000 + OVERHEAD * (160 + 500))


@pytest.mark.parametrize("pictures", [1, 3])
def test_so_many_pictures_fit_as_their_bytes_say(pictures):
    needed = step_bytes(0, 10**6, pictures * 10**6)
    assert most_pictures(needed + 100, 10**6, 10**6) == pictures
    assert most_pictures(needed - 100, 10**6, 10**6) == pictures - 1
    assert most_pictures(0, 10**6, 10**6) == 0


def test_offloaded_blocks_take_no_more_in_a_step_than_computing_them_twice(tiny_base):
    """What they are copied to lies there for good, and is counted among the weights."""

    def working():
        with (
            add_adapters(tiny_base, "attention", rank=2, alpha=2, seed=0),
            tiny_base.gradient_checkpointing(),
        ):
            latents = calibration.blank_latents(tiny_base, 64)
            return trace_step(tiny_base, lambda: calibration.random_batch(tiny_base, latents, 1))[0]

    plain = working()
    apply_weight_storage(tiny_base.denoiser, "offload", torch.device("cpu"))
    tiny_base.weight_storage = "offload"
    slots = sum(buffer.nbytes for buffer in tiny_base.denoiser.buffers(recurse=False))
    assert 0 < working() <= plain and slots > 0.5 * plain, "which would be seen if it were counted"


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [False, True])
def test_what_is_computed_from_shapes_is_what_a_real_step_takes(
    tiny_base, monkeypatch, checkpointing
):
    """`packshot memory` and `packshot plan` agree: of the same weights they name the same peak."""
    asked = {"targets": "attention+mlp", "rank": 4}
    demand = estimate_memory(
        detect_checkpoint(tiny_base.path), pixels=64, dtype=torch.float32, **asked
    )
    computed = next(way for way in demand.ways if way.checkpointing is checkpointing)
    weights = OVERHEAD * weight_bytes(tiny_base.denoiser)
    monkeypatch.setattr(calibration, "peak_bytes", lambda base: weights)
    for free, most in ((1.02, 1), (0.98, 0)):
        left = free * computed.bytes - weights
        monkeypatch.setattr(calibration, "left_beside", lambda device, left=left: left)
        cost = calibrate(tiny_base, pixels=64, batch=1, checkpointing=checkpointing, **asked)
        assert cost.bytes(1) == pytest.approx(computed.bytes, rel=0.01)
        assert min(cost.most_at_once, 1) == most, "fits and plan contradict each other"
