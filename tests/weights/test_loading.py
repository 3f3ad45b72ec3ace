"""Networks are filled completely or not at all; scaled weights against plain arithmetic."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from packshot.errors import LoraError, ModelLoadError
from packshot.weights.loading import (
    empty_network,
    load_weights_into,
    read_shapes,
    read_tensors,
    refusing,
)

WHERE = Path("somewhere")


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)
        self.register_buffer("position_ids", torch.arange(4))
        self.register_buffer("table", torch.arange(3.0) * 2, persistent=False)


@pytest.fixture
def weights():
    return {name: torch.full_like(one, 3) for name, one in Network().state_dict().items()}


@pytest.fixture
def read(tmp_path):
    """What is read of files with these tensors."""

    def call(*files):
        paths = [tmp_path / f"{number}.safetensors" for number in range(len(files))]
        for path, tensors in zip(paths, files, strict=True):
            save_file(tensors, path)
        return read_tensors(paths), read_shapes(paths)

    return call


def test_shards_are_read_together(read):
    first, second = {"a": torch.ones(2)}, {"b": torch.zeros(3, 1), "c.weight": torch.tensor([1, 2])}
    tensors, sizes = read(first, second)
    assert all(torch.equal(tensors[key], one) for key, one in (first | second).items())
    assert {key: one.shape for key, one in sizes.items()} == {
        key: one.shape for key, one in tensors.items()
    }
    assert all(one.is_meta for one in sizes.values()) and read() == ({}, {})


@pytest.mark.parametrize("name", ["scale_weight", "weight_scale"])
@pytest.mark.parametrize(
    "scale", [torch.tensor(0.5), torch.tensor([2.0]), torch.tensor([[2.0], [3.0]])]
)
def test_weights_of_8_bits_are_scaled_as_a_whole_or_by_rows(read, name, scale):
    weight = torch.tensor([[1.0, -2.0, 0.5], [4.0, 8.0, 0.0]])
    told = {
        "a.weight": weight.to(torch.float8_e4m3fn), f"a.{name}": scale, "a.bias": torch.ones(2),
        "a.input_scale": torch.tensor(1.0), "scaled_fp8": torch.zeros(2),
        "b.weight": weight.to(torch.float8_e4m3fn),
    }  # fmt: skip
    tensors, _ = read(told)
    assert tensors.keys() == {"a.weight", "a.bias", "b.weight"}
    assert tensors["a.weight"].dtype == torch.bfloat16
    assert torch.equal(tensors["a.weight"].float(), weight * scale)
    assert tensors["b.weight"].dtype == torch.float8_e4m3fn, "as it is: nothing scales it"


@pytest.mark.parametrize(
    ("weight", "scale"),
    [
        (torch.zeros(2, 3, dtype=torch.uint8), torch.tensor(1.0)),  # packed
        (torch.zeros(2, 3), torch.ones(3)), (torch.zeros(2, 3), torch.ones(2, 3)),
        (torch.zeros(2, 3), torch.ones(2)),
    ],
)  # fmt: skip
def test_weights_scaled_otherwise_are_refused(read, weight, scale):
    with pytest.raises(ModelLoadError, match=r"a\.weight is packed .* or scaled in parts"):
        read({"a.weight": weight, "a.weight_scale": scale})


def test_a_network_has_every_weight_in_its_dtype_and_none_learns(weights):
    network = load_weights_into(Network, weights, WHERE, torch.bfloat16)
    for name, one in network.state_dict().items():
        assert one.dtype == (torch.bfloat16 if weights[name].is_floating_point() else torch.int64)
        assert torch.equal(one.float(), weights[name].float())
    assert not any(one.requires_grad for one in network.parameters()) and not network.training
    assert torch.equal(network.table, torch.arange(3.0) * 2), "what no file holds is computed"


def test_what_is_missing_is_named_but_for_positions(weights):
    del weights["position_ids"]
    with pytest.raises(
        ModelLoadError, match=r"lacks 2 weights, such as inner\.bias; they would be"
    ):
        load_weights_into(
            Network, {k: v for k, v in weights.items() if "inner" not in k}, WHERE, torch.float32
        )
    load_weights_into(Network, weights, WHERE, torch.float32)


def test_what_has_no_place_is_refused_where_that_is_asked(weights):
    more = weights | {"extra.weight": torch.ones(2), "beside.weight": torch.ones(2)}
    load_weights_into(Network, more, WHERE, torch.float32)
    with pytest.raises(ModelLoadError, match=r"holds 1 weights that .* a Network .*extra\.weight"):
        load_weights_into(Network, more, WHERE, torch.float32, extra_keys=r"beside\.")
    load_weights_into(Network, more, WHERE, torch.float32, extra_keys=r"beside\.|extra")


@pytest.mark.parametrize("shape", [(2, 4), (3, 2), (6,), ()])
def test_another_shape_is_refused(weights, shape):
    with pytest.raises(ModelLoadError, match=r"somewhere cannot be loaded: .*inner\.weight"):
        load_weights_into(
            Network, weights | {"inner.weight": torch.ones(shape)}, WHERE, torch.float32
        )


def test_a_blank_network_takes_no_memory_and_draws_no_numbers():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    network = empty_network(Network, WHERE)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(one.is_meta and not one.requires_grad for one in network.parameters())
    assert not network.training and not network.table.is_meta


def test_whatever_the_libraries_raise_is_one_kind_of_error():
    def broken():
        raise KeyError("hidden\nsize " + "x" * 1000)

    with pytest.raises(ModelLoadError, match=r"\(KeyError: 'hidden") as raised:
        empty_network(broken, WHERE)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 500
    for kind in (MemoryError, LoraError, KeyboardInterrupt):
        with pytest.raises(kind), refusing(WHERE):
            raise kind


def test_blocks_of_blocks_of_blocks_come_to_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr("packshot.weights.loading._MOST_MODULES", 1_000)

    def endless():
        return nn.Sequential(*(nn.Linear(1, 1) for _ in range(10**9)))

    with pytest.raises(ModelLoadError, match="more than 1,000 modules"):
        empty_network(endless, tmp_path)
    assert sum(1 for _ in nn.Linear(1, 1).modules()) == 1
