import torch

from packshot.lora import folded


def weights(base):
    return {name: p.detach().clone() for name, p in base.denoiser.named_parameters()}


def test_folding_is_the_layers_sum_and_unfolding_is_exact(tiny_base, make_lora):
    lora = make_lora()
    before = weights(tiny_base)
    with folded(tiny_base, [(lora, 0.5)]):
        for name, detour in lora.weights.items():
            weight = tiny_base.denoiser.get_submodule(name.removeprefix("unet.")).weight
            expected = before[name.removeprefix("unet.") + ".weight"] + 0.5 * detour.delta()
            assert torch.allclose(weight, expected, atol=1e-6)
    assert all(torch.equal(before[name], value) for name, value in weights(tiny_base).items())


def test_several_add_up_and_weight_zero_is_the_base(tiny_base, make_lora):
    one, other = make_lora("attention"), make_lora("all", seed=1, text=True)
    before = weights(tiny_base)
    with folded(tiny_base, [(one, 0.0), (other, 0.0)]):
        assert all(torch.equal(before[n], v) for n, v in weights(tiny_base).items())
    with folded(tiny_base, [(one, 1.0), (other, 0.7)]):
        name = next(iter(one.weights))
        weight = tiny_base.denoiser.get_submodule(name.removeprefix("unet.")).weight
        expected = before[name.removeprefix("unet.") + ".weight"]
        expected = expected + one.weights[name].delta() + 0.7 * other.weights[name].delta()
        assert torch.allclose(weight, expected, atol=1e-6)


def test_an_error_inside_still_restores(tiny_base, make_lora):
    before = weights(tiny_base)
    try:
        with folded(tiny_base, [(make_lora(), 1.0)]):
            raise RuntimeError
    except RuntimeError:
        pass
    assert all(torch.equal(before[name], value) for name, value in weights(tiny_base).items())
