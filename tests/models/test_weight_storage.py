"""How a denoiser lies in memory; see test_families.py, where bases learn so."""

import copy
import sys

import pytest
import torch
from torch import nn

from packshot.errors import ModelLoadError
from packshot.models.block_offload import parts_to_offload
from packshot.models.weight_storage import (
    apply_weight_storage,
    denoiser_blocks,
    is_quantised,
    weight_bytes,
)

CPU = torch.device("cpu")


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer, self.narrow = nn.Linear(width, width), nn.Linear(width, 8)
        self.register_buffer("shift", torch.ones(width))

    def forward(self, x, scale=1.0):
        return x + scale * torch.tanh(self.layer(x) + self.shift) + self.narrow(x).mean()


class Denoiser(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.before = nn.Linear(width, width)
        self.rows = nn.ModuleList([Block(width), Block(width)])
        self.mid_block = Block(width)

    def forward(self, x):
        x = self.before(x)
        for block in self.rows:
            x = block(x, scale=0.5)
        return self.mid_block(x)


@pytest.fixture
def denoiser():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Denoiser().requires_grad_(False)


def test_blocks_are_the_lists_and_the_middle(denoiser):
    assert denoiser_blocks(denoiser) == [*denoiser.rows, denoiser.mid_block]
    assert denoiser_blocks(nn.Linear(2, 2)) == []
    denoiser.mid_block = None
    assert denoiser_blocks(denoiser) == [*denoiser.rows]


def test_bytes_are_those_of_the_weights_as_they_are_stored(denoiser):
    inside = 64 * 64 + 64 + 8 * 64 + 8
    outside = 64 * 64 + 64
    assert weight_bytes(denoiser) == 4 * (3 * inside + outside)
    slot = 4 * (inside + 64) + (-4 * 8) % 256  # with the buffer; each tensor takes whole 256 bytes
    assert weight_bytes(denoiser, "offload") == 4 * outside + 2 * slot
    matrices = 3 * (64 * 64 + 8 * 64)
    assert weight_bytes(denoiser, "int8") == weight_bytes(denoiser) - 3 * matrices
    assert weight_bytes(denoiser.bfloat16()) == 2 * (3 * inside + outside)


def test_a_block_that_only_lists_layers_is_copied_layer_by_layer():
    """As the levels of a UNet, each of which may be a third of it."""
    level, plain, empty = nn.Module(), Block(64), nn.ModuleList([nn.Identity()])
    level.rows, level.others = nn.ModuleList([Block(8), Block(8)]), nn.ModuleList([Block(16)])
    assert parts_to_offload([level, plain, empty]) == [*level.rows, *level.others, plain]
    level.register_buffer("own", torch.ones(1))
    assert parts_to_offload([level, plain]) == [level, plain]


def test_plain_is_as_it_is(denoiser):
    before = [id(one) for one in denoiser.parameters()]
    apply_weight_storage(denoiser, "full", CPU)
    assert [id(one) for one in denoiser.parameters()] == before


def test_streamed_blocks_compute_the_same_and_have_the_same_gradients(denoiser):
    x = torch.randn(5, 64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    streamed = copy.deepcopy(denoiser)
    apply_weight_storage(streamed, "offload", CPU)
    results = []
    for network in (denoiser, streamed):
        made = network(x)
        (gradient,) = torch.autograd.grad(made.square().sum(), x)
        with torch.no_grad():
            results.append((made, gradient, network(x)))
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_streamed_blocks_compute_where_the_device_is_and_their_weights_stay(denoiser):
    """Meta stands for a GPU: only what is copied there can compute with what is there."""
    denoiser.before = nn.Identity()
    apply_weight_storage(denoiser, "offload", torch.device("meta"))
    with torch.no_grad():
        assert denoiser(torch.ones(1, 64, device="meta")).is_meta
    assert not any(one.is_meta for block in denoiser_blocks(denoiser) for one in block.parameters())
    assert not any(one.is_meta for block in denoiser_blocks(denoiser) for one in block.buffers())


def test_a_block_that_failed_copies_its_weights_again(denoiser):
    denoiser.before = nn.Identity()
    apply_weight_storage(denoiser, "offload", torch.device("meta"))
    block = denoiser.rows[0]
    with torch.no_grad():
        with pytest.raises(RuntimeError):
            block(torch.ones(1, 7, device="meta"))
        assert block(torch.ones(1, 64, device="meta")).shape == (1, 64)


@pytest.mark.parametrize("storage", ["int8", "nf4"])
def test_only_the_blocks_wide_layers_are_quantised(denoiser, storage):
    denoiser.rows[1] = Block(40)  # rows that are no whole number of 64
    apply_weight_storage(denoiser, storage, CPU)
    quantised = [n for n, m in denoiser.named_modules() if is_quantised(m)]
    assert quantised == ["rows.0.layer", "rows.0.narrow", "mid_block.layer", "mid_block.narrow"]


def test_without_its_package_what_to_install_is_said(denoiser, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ModelLoadError, match=r"A base in nf4 needs .*packshot\[quantised\]"):
        apply_weight_storage(denoiser, "nf4", CPU)
