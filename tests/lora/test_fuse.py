import pytest
import torch

from packshot.errors import LoraError
from packshot.lora import Lora, fused
from packshot.lora.variants import LoHa
from packshot.models.weight_storage import apply_weight_storage, is_quantised


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


def test_streamed_blocks_are_folded_where_they_lie(tiny_base, make_lora):
    lora, noisy = make_lora("all"), torch.randn(1, 4, 8, 8)
    asked = (noisy, torch.tensor([5]), tiny_base.encode_prompts(["a"]))

    def said():
        with torch.no_grad(), fused(tiny_base, [(lora, 1.0)]):
            return tiny_base.predict(*asked)

    expected = said()
    apply_weight_storage(tiny_base.denoiser, "offload", torch.device("cpu"))
    assert torch.equal(said(), expected)
