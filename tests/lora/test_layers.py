"""Our layers against peft's."""

import pytest
import torch
from torch import nn

from packshot.lora import inject_lora


@pytest.mark.parametrize(
    "layer", [nn.Linear(6, 10), nn.Conv2d(6, 10, 3, stride=2, padding=1), nn.Conv2d(6, 10, 1)]
)
def test_output_and_gradients_equal_pefts(layer):
    from peft import LoraConfig, inject_adapter_in_model

    x = torch.randn(2, 6) if isinstance(layer, nn.Linear) else torch.randn(2, 6, 8, 8)
    network = nn.Sequential(layer).requires_grad_(False)
    with inject_lora(network, ["0"], rank=3, alpha=6, seed=0) as adapter:
        state = {name: torch.randn_like(value) for name, value in adapter.state().items()}
        adapter.load_state(state)
        ours = network(x)
        ours.square().sum().backward()
        gradients = {name: p.grad for name, p in adapter.named_parameters().items()}
    theirs_network = inject_adapter_in_model(
        LoraConfig(r=3, lora_alpha=6, target_modules=["0"]), network
    )
    theirs_layer = theirs_network[0]
    theirs_layer.lora_A["default"].weight.data.copy_(state["0.down"])
    theirs_layer.lora_B["default"].weight.data.copy_(state["0.up"])
    theirs = theirs_network(x)
    theirs.square().sum().backward()
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    for name, theirs_side in (("0.down", theirs_layer.lora_A), ("0.up", theirs_layer.lora_B)):
        assert torch.allclose(
            gradients[name], theirs_side["default"].weight.grad, rtol=1e-4, atol=1e-4
        )


def test_injecting_changes_nothing_at_first_and_leaves_no_trace(tiny_base):
    unet = tiny_base.denoiser
    names = tiny_base.lora_targets("all")
    modules = {name: unet.get_submodule(name) for name in names}
    given = (torch.randn(1, 4, 16, 16), torch.tensor([5]), torch.randn(1, 77, 32))
    before = unet(*given).sample
    with inject_lora(unet, names, rank=2, alpha=2, seed=0) as adapter:
        assert torch.equal(unet(*given).sample, before)
        assert {p.dtype for p in adapter.named_parameters().values()} == {torch.float32}
    assert all(unet.get_submodule(name) is module for name, module in modules.items())
    with (
        pytest.raises(RuntimeError, match="boom"),
        inject_lora(unet, names, rank=2, alpha=2, seed=0),
    ):
        raise RuntimeError("boom")
    assert all(unet.get_submodule(name) is module for name, module in modules.items())


def test_only_the_adapter_gets_gradients(tiny_base):
    unet = tiny_base.denoiser
    with inject_lora(unet, tiny_base.lora_targets("attention"), rank=2, alpha=2, seed=0) as adapter:
        unet(
            torch.randn(1, 4, 16, 16), torch.tensor([5]), torch.randn(1, 77, 32)
        ).sample.sum().backward()
        assert all(p.grad is not None for p in adapter.named_parameters().values())
        theirs = {id(p) for p in adapter.named_parameters().values()}
        assert all(p.grad is None for p in unet.parameters() if id(p) not in theirs)


def test_masters_stay_fp32_in_a_bf16_network():
    network = nn.Sequential(nn.Linear(4, 4)).bfloat16().requires_grad_(False)
    with inject_lora(network, ["0"], rank=2, alpha=2, seed=0) as adapter:
        out = network(torch.randn(3, 4).bfloat16())
        out.float().sum().backward()
        assert out.dtype == torch.bfloat16
        assert {p.grad.dtype for p in adapter.named_parameters().values()} == {torch.float32}


def test_start_is_a_function_of_seed_and_name():
    def start(seed):
        network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        with inject_lora(network, ["0", "1"], rank=2, alpha=2, seed=seed) as adapter:
            return adapter.state()

    one, again, other = start(0), start(0), start(1)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["0.down"], other["0.down"])
    assert not torch.equal(one["0.down"], one["1.down"])


def test_other_modules_are_refused():
    with (
        pytest.raises(TypeError, match="GroupNorm"),
        inject_lora(nn.Sequential(nn.GroupNorm(1, 4)), ["0"], rank=2, alpha=2, seed=0),
    ):
        pass
