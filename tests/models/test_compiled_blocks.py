"""Compiled blocks compute what plain ones do; the compiler is the quick one that writes no kernels."""

import copy

import pytest
import torch
from torch._dynamo.exc import TorchDynamoException
from torch._dynamo.utils import counters

from packshot.lora import add_adapters
from packshot.models import compiled_blocks as module
from packshot.models.compiled_blocks import compiled_blocks, missing_compiler, uncompiled
from packshot.models.loss import per_image_loss
from packshot.plan.calibration import blank_latents, random_batch

COMPILERS = TorchDynamoException("no such instruction\nand more")


@pytest.fixture(autouse=True)
def quick_compiler(monkeypatch):
    monkeypatch.setattr(module, "BACKEND", "aot_eager")
    yield
    torch.compiler.reset()


def batch_of(base, side, size=1):
    torch.manual_seed(3)
    with torch.no_grad():
        return random_batch(base, blank_latents(base, side), size)


def learn(base, batch):
    """The loss, and each LoRA parameter's gradient."""
    with add_adapters(base, "attention+mlp", rank=2, alpha=2, seed=0) as adapter:
        torch.manual_seed(1)
        parameters = adapter.named_parameters()
        with torch.no_grad():
            for parameter in parameters.values():
                parameter.add_(0.02 * torch.randn_like(parameter))
        loss = per_image_loss(base, batch, 0.0).mean()
        loss.backward()
        return loss.item(), {n: p.grad for n, p in parameters.items() if p.grad is not None}


def graphs():
    return counters["stats"]["unique_graphs"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "checkpointing"), [("sd1", False), ("sd1", True), ("flux1", False)]
)
def test_loss_and_gradients_are_those_of_plain_blocks(
    tiny_checkpoint, loaded, family, checkpointing
):
    base = loaded(tiny_checkpoint(family))
    batch = batch_of(base, 64)
    with base.gradient_checkpointing(checkpointing):
        loss, gradients = learn(base, batch)
        counters.clear()
        with compiled_blocks(base.denoiser):
            again, compiled = learn(base, batch)
        assert graphs() > 1 and not counters["graph_break"], "blocks, whole"
    assert again == pytest.approx(loss, rel=1e-5) and compiled.keys() == gradients.keys()
    for name, gradient in gradients.items():
        assert (compiled[name] - gradient).norm() <= 1e-5 * gradient.norm(), name


def test_each_shape_is_compiled_once_and_seldom_ones_not_at_all(tiny_base, monkeypatch):
    parts = module.parts_to_offload
    monkeypatch.setattr(module, "parts_to_offload", lambda blocks: parts(blocks)[:3])
    one, other = batch_of(tiny_base, 64), batch_of(tiny_base, 64, size=2)
    counters.clear()
    with (
        compiled_blocks(tiny_base.denoiser),
        add_adapters(tiny_base, "cross-attention", rank=2, alpha=2, seed=0),
    ):

        def compiled_for(batch):
            before = graphs()
            per_image_loss(tiny_base, batch, 0.0).mean().backward()
            return graphs() - before

        first = compiled_for(one)
        assert first > 1 and compiled_for(one) == 0
        with uncompiled():
            assert compiled_for(other) == 0
        assert compiled_for(other) == first, "no shape for all, which would depend on their order"
        assert compiled_for(one) == compiled_for(other) == 0
    counters.clear()
    per_image_loss(tiny_base, one, 0.0).mean()
    assert graphs() == 0, "plain again"


def test_off_is_plain(tiny_base):
    with compiled_blocks(tiny_base.denoiser, on=False) as compilation, uncompiled(on=False):
        assert not any(one._compiled_call_impl for one in tiny_base.denoiser.modules())
        assert compilation.fault_of(COMPILERS) is None


def test_only_the_compilers_errors_are_its_fault(tiny_base):
    with compiled_blocks(tiny_base.denoiser) as compilation:
        assert compilation.fault_of(COMPILERS) == "TorchDynamoException: no such instruction"
        assert compilation.fault_of(RuntimeError("CUDA error")) is None
        compilation.stop()
        assert not any(one._compiled_call_impl for one in tiny_base.denoiser.modules())
        assert compilation.fault_of(COMPILERS) is None


def test_what_is_lacking_is_said(monkeypatch):
    from torch._inductor import cpp_builder, exc

    def none():
        raise exc.InvalidCxxCompiler

    assert missing_compiler(torch.device("cpu")) is None, "of a compiler that writes nothing"
    monkeypatch.setattr(module, "BACKEND", "inductor")
    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
    assert missing_compiler(torch.device("cpu")) == "there is no C++ compiler"
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    said = missing_compiler(torch.device("cuda"))
    assert said == "the package triton is not installed"
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: copy)
    assert missing_compiler(torch.device("cuda")) is None
