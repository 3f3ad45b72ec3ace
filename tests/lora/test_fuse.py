import math

import pytest
import torch
from torch.nn import functional as F

from packshot.errors import LoraError
from packshot.lora import Lora, LoraWeights, add_adapters, fused, merge
from packshot.lora.variants import LoHa
from packshot.models.key_mapping import adaptable
from packshot.models.load import load_base
from packshot.models.loss import per_image_loss
from packshot.models.weight_storage import apply_weight_storage, is_quantised
from packshot.plan.calibration import blank_latents, random_batch
from tests.families import MAKERS


def weights(base):
    return {name: p.detach().clone() for name, p in base.denoiser.named_parameters()}


def test_folding_is_the_layers_sum_and_unfolding_is_exact(tiny_base, make_lora):
    lora = make_lora()
    before = weights(tiny_base)
    with fused(tiny_base, [(lora, 0.5)]):
        for name, detour in lora.weights.items():
            weight = tiny_base.denoiser.get_submodule(name.removeprefix("unet.")).weight
            expected = before[name.removeprefix("unet.") + ".weight"] + 0.5 * detour.delta()
            assert torch.allclose(weight, expected, atol=1e-6)
    assert all(torch.equal(before[name], value) for name, value in weights(tiny_base).items())


def test_several_add_up_and_weight_zero_is_the_base(tiny_base, make_lora):
    one, other = make_lora("attention"), make_lora("all", seed=1, text=True)
    before = weights(tiny_base)
    with fused(tiny_base, [(one, 0.0), (other, 0.0)]):
        assert all(torch.equal(before[n], v) for n, v in weights(tiny_base).items())
    with fused(tiny_base, [(one, 1.0), (other, 0.7)]):
        name = next(iter(one.weights))
        weight = tiny_base.denoiser.get_submodule(name.removeprefix("unet.")).weight
        expected = before[name.removeprefix("unet.") + ".weight"]
        expected = expected + one.weights[name].delta() + 0.7 * other.weights[name].delta()
        assert torch.allclose(weight, expected, atol=1e-6)


def test_an_error_inside_still_restores(tiny_base, make_lora):
    before = weights(tiny_base)
    try:
        with fused(tiny_base, [(make_lora(), 1.0)]):
            raise RuntimeError
    except RuntimeError:
        pass
    assert all(torch.equal(before[name], value) for name, value in weights(tiny_base).items())


@pytest.mark.parametrize("storage", ["int8", "nf4"])
def test_a_quantised_layer_gets_a_detour_and_loses_it_again(tiny_base, make_lora, storage):
    one, other = make_lora("attention+mlp"), make_lora("attention+mlp", seed=1)
    apply_weight_storage(tiny_base.denoiser, storage, torch.device("cpu"))
    tiny_base.denoiser.to("cpu")
    layers = {
        name: layer for name, layer in tiny_base.denoiser.named_modules() if is_quantised(layer)
    }
    adapted = {f"unet.{name}": layer for name, layer in layers.items()}
    name, layer = next((n, m) for n, m in adapted.items() if n in one.weights)
    x = torch.randn(3, layer.in_features)
    with torch.no_grad():
        plain = layer(x)
        delta = 0.5 * one.weights[name].delta() - 0.2 * other.weights[name].delta()
        with fused(tiny_base, [(one, 0.5), (other, -0.2)]):
            detoured = tiny_base.denoiser.get_submodule(name.removeprefix("unet."))
            assert torch.allclose(detoured(x), plain + x @ delta.T, atol=1e-4)
    assert all(tiny_base.denoiser.get_submodule(n) is layer for n, layer in layers.items())


def test_other_kinds_are_refused_on_quantised_layers(tiny_base, make_lora):
    apply_weight_storage(tiny_base.denoiser, "nf4", torch.device("cpu"))
    tiny_base.denoiser.to("cpu")
    name = next(n for n, m in tiny_base.denoiser.named_modules() if is_quantised(m))
    factor = (torch.zeros(2, 2), torch.zeros(2, 2), None)
    loha = Lora({}, name="style", variants={f"unet.{name}": LoHa(factor, factor, 1.0)})
    with (
        pytest.raises(LoraError, match=r'style is a LoHa, .* Set weight_storage = "full"'),
        fused(tiny_base, [(loha, 1.0)]),
    ):
        pass
    assert is_quantised(tiny_base.denoiser.get_submodule(name))


@pytest.mark.parametrize("family", MAKERS)
def test_beside_16_bit_weights_every_module_takes_a_lora(tiny_checkpoint, loaded, family):
    """Some networks ask their layers for their weights' dtype (T5, Z-Image's times)."""
    folder = tiny_checkpoint(family)
    exact, narrow = loaded(folder), load_base(folder, device="cpu", dtype=torch.bfloat16)
    networks = {exact.denoiser_root: exact.denoiser} | exact.text_encoders
    generator, weights = torch.Generator().manual_seed(0), {}
    for root, network in networks.items():
        for name in adaptable(network):
            rows, *others = network.get_submodule(name).weight.shape
            down = torch.randn(2, *others, generator=generator) / math.prod(others) ** 0.5
            up = torch.randn(rows, 2, *(1 for _ in others[1:]), generator=generator)
            weights[f"{root}.{name}"] = LoraWeights(down, 0.1 * up, 2.0)

    shape = blank_latents(exact, 64).shape

    def said(base, loras):
        noisy = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        with torch.no_grad(), fused(base, loras):
            told = base.encode_prompts(["a car"])
            times = base.schedule.timesteps_at(torch.tensor([0.5]), 64)
            shown = base.predict(noisy.to(base.dtype), times, told)
        return torch.cat([told["context"].flatten(), shown.flatten()]).float()

    lora = [(Lora(weights), 1.0)]
    expected, found, plain = said(exact, lora), said(narrow, lora), said(exact, [])
    assert (found - expected).norm() < 0.2 * (expected - plain).norm()


def test_streamed_blocks_are_folded_where_they_lie(tiny_base, make_lora):
    lora, noisy = make_lora("all"), torch.randn(1, 4, 8, 8)
    asked = (noisy, torch.tensor([5]), tiny_base.encode_prompts(["a"]))

    def said():
        with torch.no_grad(), fused(tiny_base, [(lora, 1.0)]):
            return tiny_base.predict(*asked)

    expected = said()
    apply_weight_storage(tiny_base.denoiser, "offload", torch.device("cpu"))
    assert torch.equal(said(), expected)


def _losses_and_gradients(base, batch, adapters):
    torch.manual_seed(0)
    losses = per_image_loss(base, batch, 0.0)
    losses.sum().backward()
    gradients = {n: p.grad.clone() for n, p in adapters.named_parameters().items()}
    for parameter in adapters.named_parameters().values():
        parameter.grad = None
    return losses.detach(), gradients


@pytest.mark.parametrize("storage", ["full", "nf4"])
def test_beside_a_lora_that_learns_it_is_counted_and_learns_nothing(tiny_base, make_lora, storage):
    """As if its changes were added to what the frozen layers say."""
    helper = make_lora("attention", strength=3.0)
    batch = random_batch(tiny_base, blank_latents(tiny_base, 64), 2)
    if storage != "full":
        apply_weight_storage(tiny_base.denoiser, storage, torch.device("cpu"))
        tiny_base.denoiser.to("cpu")
    adapted = add_adapters(tiny_base, "attention+mlp", rank=2, alpha=2, seed=0)
    with adapted as adapters:
        for name, parameter in adapters.named_parameters().items():
            if name.endswith("up"):
                torch.nn.init.normal_(parameter, std=0.1)
        learning = set(adapters.named_parameters())
        plain, _ = _losses_and_gradients(tiny_base, batch, adapters)
        with fused(tiny_base, [(helper, 0.5)]):
            assert set(adapters.named_parameters()) == learning
            assert sum(p.requires_grad for p in tiny_base.denoiser.parameters()) == len(learning)
            found, gradients = _losses_and_gradients(tiny_base, batch, adapters)
        hooks = []
        for name, weights in helper.weights.items():
            layer = adapters.denoiser.layers[name.removeprefix("unet.")].frozen
            delta = 0.5 * weights.delta()

            def add(module, given, out, delta=delta):
                if delta.ndim == 2:
                    return out + F.linear(given[0], delta)
                return out + F.conv2d(given[0], delta, None, module.stride, module.padding)

            hooks.append(layer.register_forward_hook(add))
        expected, reference = _losses_and_gradients(tiny_base, batch, adapters)
        for hook in hooks:
            hook.remove()
        assert torch.allclose(found, expected, rtol=1e-5)
        assert not torch.allclose(found, plain, rtol=1e-3)
        for name, gradient in gradients.items():
            assert torch.allclose(gradient, reference[name], rtol=1e-3, atol=1e-6), name
        again, _ = _losses_and_gradients(tiny_base, batch, adapters)
        assert torch.equal(again, plain)


@pytest.mark.parametrize("strength", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_a_weight_that_makes_black_pictures_is_refused(tiny_base, make_lora, strength):
    with (
        pytest.raises(
            LoraError, match=r"lora: .* is not a weight; write a number such as 0\.8, at"
        ),
        fused(tiny_base, [(make_lora("attention"), strength)]),
    ):
        pass
    with pytest.raises(LoraError, match="is not a weight"):
        merge([(make_lora("attention"), strength)], tiny_base)
