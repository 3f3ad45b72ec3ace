"""Folding LoRAs into weights on a GPU: what is copied, and that the base is itself again."""

import sys
from pathlib import Path

import pytest

from tests.gpu.test_ways import _prepare
from tests.lives import lives

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it forks")


@pytest.fixture(scope="module")
def gpu_lives():
    with lives(_prepare) as started:
        yield started


@pytest.mark.parametrize("check", ["_roomy", "_tight", "_in_turns", "_offloaded"])
def test_folding(gpu_lives, tiny_checkpoint, check):
    assert gpu_lives.start(globals()[check], str(tiny_checkpoint("sd1"))) == 0


def _loaded(folder, **how):
    """A base in fp32, a LoRA and a LoHa for its denoiser, and the bytes of their factors and weights."""
    import torch

    from packshot.lora import Lora, LoraWeights
    from packshot.lora.fuse import shape_of
    from packshot.lora.variants import LoHa
    from packshot.models.load import load_base

    base = load_base(Path(folder), dtype=torch.float32, **how)
    torch.manual_seed(0)
    names = [f"unet.{name}" for name in base.lora_targets("attention")]
    sizes = {name: shape_of(base, name) for name in names}
    weights = {
        name: LoraWeights(torch.randn(2, columns), torch.randn(rows, 2), 2.0)
        for name, (rows, columns) in sizes.items()
    }
    rows, columns = sizes[names[0]]
    factor = (torch.randn(rows, 2), torch.randn(2, columns), None)
    loras = [Lora(weights), Lora({}, variants={names[0]: LoHa(factor, factor, 0.5)})]
    factors = sum(4 * (w.down.numel() + w.up.numel()) for w in weights.values())
    factors += 2 * 4 * 2 * (rows + columns)
    folded = sum(4 * rows * columns for rows, columns in sizes.values())
    return base, [(loras[0], 0.7), (loras[1], 0.3)], factors, folded


def _state(base):
    return {name: value.cpu().clone() for name, value in base.denoiser.state_dict().items()}


def _equal(one, other):
    import torch

    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def _folds(folder, *, is_tight):
    """Fold on a GPU; the bytes that went there and back, over what the factors take, per weight's byte."""
    from packshot.lora import fused
    from tests.gpu import simulated

    base, loras, *_ = _loaded(folder, device="cpu")
    before = _state(base)
    with fused(base, loras):
        expected = _state(base)
    with simulated.gpu() as memory:
        base, loras, factors, folded = _loaded(folder)
        if is_tight:
            memory.size = memory.used + 4 * folded - 1
        memory.brought = memory.fetched = 0
        with fused(base, loras):
            copied = memory.brought, memory.fetched
            assert _equal(_state(base), expected)
            memory.brought = memory.fetched = 0
        assert copied[0] == factors, "nothing but the factors goes there to fold"
        restored = memory.brought, memory.fetched
        assert _equal(_state(base), before)
    return copied[1] / folded, restored[0] / folded, restored[1]


def _roomy(_, folder):
    assert _folds(folder, is_tight=False) == (0, 0, 0)


def _tight(_, folder):
    """Where there is no room for the originals, they go to main memory and come back."""
    assert _folds(folder, is_tight=True) == (1, 1, 0)


def _in_turns(_, folder):
    """A network that moves while a LoRA is folded into it is whole afterwards, wherever it lies."""
    from packshot.lora import fused
    from packshot.models import diffusion_model
    from tests.gpu import simulated

    with simulated.gpu(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(diffusion_model, "weight_memory_budget", lambda device: 1e5)
        base, loras, *_ = _loaded(folder)
        assert base._has_model_offload
        before = _state(base)
        for _ in range(2):
            with fused(base, loras):
                base.bring_denoiser()
            assert {value.device for value in base.denoiser.parameters()} == {simulated.GPU}
            assert _equal(_state(base), before)
            base.denoiser.to("cpu")


def _offloaded(_, folder):
    """A LoRA of blocks that wait in main memory stays beside them: only its factors are copied."""
    import torch

    from packshot.lora import fused
    from tests.gpu import simulated

    def say(base):
        with torch.no_grad():
            noisy = torch.ones(1, 4, 8, 8, device=base.device)
            times = torch.tensor([5]).to(base.device)
            told = base.empty_conditioning(1)
            return base.predict(noisy, times, told).cpu()

    base, loras, *_ = _loaded(folder, device="cpu")
    plain = say(base)
    with fused(base, loras):
        expected = say(base)
    with simulated.gpu() as memory:
        base, loras, factors, _ = _loaded(folder, storage="offload")
        before = _state(base)
        memory.brought = memory.fetched = 0
        with fused(base, loras[:1]):
            assert memory.brought < factors and not memory.fetched
        with fused(base, loras):
            assert torch.allclose(say(base), expected, atol=1e-4)
        assert torch.allclose(say(base), plain, atol=1e-5) and _equal(_state(base), before)
