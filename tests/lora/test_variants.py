"""Other trainers' kinds, as they lie in files, against peft's own layers and closed forms."""

import copy

import pytest
import torch
from safetensors.torch import save_file

from packshot.errors import LoraError
from packshot.lora import fused, load_lora
from packshot.lora.fuse import weight_of

LINEAR = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
CONV = "down_blocks.0.resnets.0.conv1"


def flat(name):
    return "lora_unet_" + name.replace(".", "_")


def shape_of(base, name):
    return tuple(weight_of(base, f"unet.{name}").shape)


def changes(base, tmp_path, tensors, strength=1.0):
    """What a file of these tensors adds to each weight."""
    save_file(
        {key: value.contiguous() for key, value in tensors.items()}, tmp_path / "a.safetensors"
    )
    lora = load_lora(tmp_path / "a.safetensors", base)
    names = [*lora.weights, *lora.variants]
    before = {name: weight_of(base, name).detach().clone() for name in names}
    with fused(base, [(lora, strength)]):
        return {n.removeprefix("unet."): weight_of(base, n).detach() - before[n] for n in names}


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape))) * 0.3


def peft_delta(base, name, config, adapted):
    """The module by peft: its weights, and what they add to the frozen one's."""
    network = copy.deepcopy(base.denoiser)  # peft's wrappers stay in it
    network.add_adapter(config)
    layer = network.get_submodule(name)
    weights = {}
    for key in adapted:
        store = getattr(layer, key)
        if "default" in store:
            value = store["default"]
            value.data.copy_(noise(*value.shape, seed=len(key) + len(weights)))
            weights[key] = value.detach().clone()
    before = layer.base_layer.weight.detach().clone()
    layer.merge()
    return weights, layer.base_layer.weight.detach() - before


@pytest.mark.parametrize(("name", "tucker"), [(LINEAR, False), (CONV, False), (CONV, True)])
def test_loha_is_pefts(tiny_base, tmp_path, name, tucker):
    from peft import LoHaConfig

    config = LoHaConfig(r=3, alpha=6, target_modules=[name], use_effective_conv2d=tucker)
    keys = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2")
    weights, expected = peft_delta(tiny_base, name, config, keys)
    assert len(weights) == (6 if tucker else 4)
    tensors = {f"{flat(name)}.{key}": value for key, value in weights.items()}
    found = changes(tiny_base, tmp_path, tensors | {f"{flat(name)}.alpha": torch.tensor(6.0)})
    assert torch.allclose(found[name], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        (LINEAR, {}),
        (LINEAR, {"decompose_both": True}),
        (CONV, {}),
        (CONV, {"use_effective_conv2d": True}),
        (LINEAR, {"r": 64}),
    ],
)
def test_lokr_is_pefts(tiny_base, tmp_path, name, options):
    from peft import LoKrConfig

    config = LoKrConfig(
        **{"r": 2, "alpha": 4, "target_modules": [name], "decompose_factor": 4, **options}
    )
    keys = (
        "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2",
    )  # fmt: skip
    weights, expected = peft_delta(tiny_base, name, config, keys)
    rank = next((len(weights[k]) for k in ("lokr_w1_b", "lokr_w2_b") if k in weights), None)
    alpha = 4.0 if rank else 1.0
    tensors = {f"{flat(name)}.{key}": value for key, value in weights.items()}
    found = changes(tiny_base, tmp_path, tensors | {f"{flat(name)}.alpha": torch.tensor(alpha)})
    scale = 1.0 if rank else 4 / options.get("r", 2)  # peft scales whole factors too
    assert torch.allclose(found[name] * scale, expected, atol=1e-5)


def test_dora_by_outputs_is_pefts(tiny_base, tmp_path):
    from peft import LoraConfig

    names = [LINEAR, CONV]
    network = copy.deepcopy(tiny_base.denoiser)
    network.add_adapter(LoraConfig(r=3, lora_alpha=3, target_modules=names, use_dora=True))
    tensors, expected = {}, {}
    for name in names:
        layer = network.get_submodule(name)
        for key, store in (("lora_down", layer.lora_A), ("lora_up", layer.lora_B)):
            value = store["default"].weight
            value.data.copy_(noise(*value.shape, seed=len(key)))
            tensors[f"{flat(name)}.{key}.weight"] = value.detach().clone()
        magnitude = layer.lora_magnitude_vector["default"].weight
        magnitude.data.mul_(1.3)
        tensors[f"{flat(name)}.lora_magnitude_vector.weight"] = magnitude.detach().clone()
        before = layer.base_layer.weight.detach().clone()
        layer.merge()
        expected[name] = layer.base_layer.weight.detach() - before
    found = changes(tiny_base, tmp_path, tensors)
    half = changes(tiny_base, tmp_path, tensors, strength=0.5)
    for name in names:
        assert torch.allclose(found[name], expected[name], atol=1e-5)
        assert torch.allclose(half[name], 0.5 * expected[name], atol=1e-5)


def test_dora_by_inputs_is_the_papers_columns(tiny_base, tmp_path):
    """LyCORIS's default: [1, in], eq. 5 with the norm of each column."""
    rows, columns = shape_of(tiny_base, LINEAR)
    down, up, magnitude = noise(2, columns), noise(rows, 2), noise(1, columns).abs() + 0.5
    start = flat(LINEAR)
    tensors = {
        f"{start}.lora_down.weight": down, f"{start}.lora_up.weight": up,
        f"{start}.dora_scale": magnitude, f"{start}.alpha": torch.tensor(1.0),
    }  # fmt: skip
    frozen = weight_of(tiny_base, f"unet.{LINEAR}").detach()
    moved = frozen + 0.5 * up @ down
    expected = magnitude * moved / moved.square().sum(dim=0).sqrt() - frozen
    assert torch.allclose(changes(tiny_base, tmp_path, tensors)[LINEAR], expected, atol=1e-5)


def test_locon_with_a_core_is_a_plain_convolution(tiny_base, tmp_path):
    rows, columns, *kernel = shape_of(tiny_base, CONV)
    down, core, up = noise(3, columns, 1, 1), noise(2, 3, *kernel), noise(rows, 2, 1, 1)
    start = flat(CONV)
    tensors = {
        f"{start}.lora_down.weight": down, f"{start}.lora_up.weight": up,
        f"{start}.lora_mid.weight": core, f"{start}.alpha": torch.tensor(1.0),
    }  # fmt: skip
    expected = torch.einsum("om,mnkl,ni->oikl", up[..., 0, 0], core, down[..., 0, 0]) / 2
    assert torch.allclose(changes(tiny_base, tmp_path, tensors)[CONV], expected, atol=1e-5)


@pytest.mark.slow
def test_stacked_rows_are_each_modules_own(loaded, tiny_checkpoint, tmp_path):
    base = loaded(tiny_checkpoint("flux1"))
    ours = [f"transformer_blocks.0.attn.to_{part}" for part in "qkv"]
    shapes = [tuple(weight_of(base, f"transformer.{name}").shape) for name in ours]
    rows, columns = sum(shape[0] for shape in shapes), shapes[0][1]
    w1a, w1b, w2a, w2b = (
        noise(rows, 2),
        noise(2, columns),
        noise(rows, 2, seed=1),
        noise(2, columns, seed=1),
    )
    start = "lora_unet_double_blocks_0_img_attn_qkv"
    parts = {"hada_w1_a": w1a, "hada_w1_b": w1b, "hada_w2_a": w2a, "hada_w2_b": w2b}
    save_file({f"{start}.{key}": value for key, value in parts.items()}, tmp_path / "a.safetensors")
    lora = load_lora(tmp_path / "a.safetensors", base)
    assert set(lora.variants) == {f"transformer.{name}" for name in ours}
    whole = (w1a @ w1b) * (w2a @ w2b)
    for name, expected in zip(ours, whole.split([s[0] for s in shapes]), strict=True):
        frozen = weight_of(base, f"transformer.{name}").data
        assert torch.allclose(
            lora.variants[f"transformer.{name}"].delta(frozen), expected, atol=1e-5
        )


HOSTILE = {
    "another width": {"hada_w1_b": noise(3, 9)},
    "another rank": {"hada_w1_b": noise(4, 64)},
    "a vector": {"hada_w2_a": noise(64)},
    "nothing": {"hada_w2_b": torch.zeros(0, 64)},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_factors_that_do_not_fit_are_refused(tiny_base, tmp_path, case):
    rows, columns = shape_of(tiny_base, LINEAR)
    parts = {"hada_w1_a": noise(rows, 3), "hada_w1_b": noise(3, columns),
             "hada_w2_a": noise(rows, 3), "hada_w2_b": noise(3, columns)} | HOSTILE[case]  # fmt: skip
    save_file({f"{flat(LINEAR)}.{k}": v for k, v in parts.items()}, tmp_path / "a.safetensors")
    with pytest.raises(LoraError, match="does not fit tiny: its factors at unet"):
        load_lora(tmp_path / "a.safetensors", tiny_base)


def test_what_is_half_there_or_no_number_is_refused(tiny_base, tmp_path):
    rows, columns = shape_of(tiny_base, LINEAR)
    whole = {"lokr_w1": noise(4, 4), "lokr_w2": noise(rows // 4, columns // 4)}
    for parts, words in (
        ({"lokr_w1": whole["lokr_w1"]}, "is incomplete: unet.* has only lokr_w1"),
        (whole | {"lokr_w2": whole["lokr_w2"] * float("nan")}, "no finite numbers"),
        (whole | {"dora_scale": noise(5)}, "does not fit"),
    ):
        save_file({f"{flat(LINEAR)}.{k}": v for k, v in parts.items()}, tmp_path / "a.safetensors")
        with pytest.raises(LoraError, match=words):
            load_lora(tmp_path / "a.safetensors", tiny_base)
