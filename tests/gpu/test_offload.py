"""Blocks that wait in main memory: what is copied when, and what happens where a wait is left out."""

import sys

import pytest

from tests.gpu.test_ways import _prepare
from tests.lives import lives

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it forks")
BLOCKS, STEPS, WIDTH = 5, 3, 64


@pytest.fixture(scope="module")
def gpu_lives():
    with lives(_prepare) as started:
        yield started


@pytest.mark.parametrize(
    "check",
    ["_ahead", "_seldom", "_not_pinned", "_short_of_memory", "_changed_between", "_out_of_order"],
)
def test_blocks_come_in_time(gpu_lives, check):
    assert gpu_lives.start(globals()[check]) == 0


@pytest.mark.parametrize("fault", ["_no_wait_to_compute", "_no_wait_to_copy", "_one_slot"])
def test_what_is_left_out_is_found(gpu_lives, fault):
    assert gpu_lives.start(globals()[fault]) == 0


def _network():
    import torch
    from torch import nn

    from tests.gpu.simulated import STREAMS

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.down = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
            self.register_buffer("shift", torch.randn(WIDTH))

        def forward(self, x, scale=1.0):
            STREAMS.log.append("computes")
            return x + scale * self.down(torch.tanh(self.up(x) + self.shift))

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.before = nn.Linear(WIDTH, WIDTH)
            self.blocks = nn.ModuleList([Block() for _ in range(BLOCKS)])

        def forward(self, x):
            x = self.before(x)
            for block in self.blocks:
                x = block(x, scale=0.5)
            return x

    torch.manual_seed(0)
    return Network().requires_grad_(False)


def _learnt(network, device, *, between=None):
    """The LoRA after a few steps, and what the network says then."""
    import torch

    from packshot.lora import inject_lora

    given = torch.randn(STEPS, 8, WIDTH, generator=torch.Generator().manual_seed(1)).to(device)
    names = [f"blocks.{number}.{part}" for number in range(BLOCKS) for part in ("up", "down")]
    with inject_lora(network, names, rank=4, alpha=4, seed=0) as adapter:
        parameters = list(adapter.named_parameters().values())
        assert {parameter.device.type for parameter in parameters} == {torch.device(device).type}
        optimizer = torch.optim.AdamW(parameters, lr=1e-2)
        for x in given:
            network(x).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            if between:
                between()
        with torch.no_grad():
            said = network(given[0]).cpu()
        return {name: value.cpu() for name, value in adapter.state().items()} | {"said": said}


def _offloaded(**options):
    """What is learnt on the GPU, whose blocks wait in main memory; its memory and streams."""
    from packshot.models.weight_storage import apply_weight_storage
    from tests.gpu import simulated

    network = _network()
    apply_weight_storage(network, "offload", simulated.GPU)
    assert all(value.device.type == "cpu" for value in network.blocks.state_dict().values())
    return network, _learnt(network, simulated.GPU, **options)


def _equal(one, other):
    import torch

    return all(torch.equal(value, other[name]) for name, value in one.items())


def _ahead(_):
    """As without offload; two copies of a block in a step, each under way before the one before ends."""
    from packshot.models.weight_storage import weight_bytes
    from tests.gpu import simulated

    expected = _learnt(_network(), "cpu")
    with simulated.gpu() as memory:
        start = memory.used
        network, learnt = _offloaded()
        log, streams = simulated.STREAMS.log, simulated.STREAMS
        assert _equal(expected, learnt) and not streams.races
        one_way = ["copy", *["copy", "computes"] * (BLOCKS - 1), "computes"]
        assert log[: 2 * BLOCKS] == ["copy", "computes"] * BLOCKS, "an order that is not known yet"
        assert log[2 * BLOCKS :] == one_way * (2 * STEPS)  # backwards, and the steps after
        block = sum(weight_bytes(one) for one in network.blocks[:1])
        assert memory.brought >= log.count("copy") * block and memory.fetched < block
        rest = weight_bytes(network.before) + 4 * BLOCKS * 2 * 4 * 2 * WIDTH * 4
        assert memory.peak - start < 2 * 1.05 * block + rest + 40_000
        assert len(streams.pinned) == BLOCKS
        import gc

        del network
        gc.collect()
        assert not streams.pinned, "unlocked when it goes"


def _seldom(_):
    """A network that only makes pictures: one copy of a block in a pass."""
    import torch

    from packshot.models.weight_storage import apply_weight_storage
    from tests.gpu import simulated

    x = torch.randn(2, WIDTH)
    with torch.no_grad():
        expected = _network()(x)
        with simulated.gpu():
            network = _network()
            apply_weight_storage(network, "offload", simulated.GPU)
            for _ in range(3):
                assert torch.equal(network(x.to(simulated.GPU)).cpu(), expected)
            assert simulated.STREAMS.log.count("copy") == 3 * BLOCKS
            assert not simulated.STREAMS.races


def _not_pinned(_):
    """What cannot be locked is copied after the block before was given to the GPU, and nothing is raised."""
    from tests.gpu import simulated

    expected = _learnt(_network(), "cpu")
    with simulated.gpu():
        simulated.STREAMS.lockable = 3 * 4 * 2 * WIDTH * WIDTH
        _kept, learnt = _offloaded()
        assert _equal(expected, learnt) and not simulated.STREAMS.races
        assert 0 < len(simulated.STREAMS.pinned) < BLOCKS
        assert simulated.STREAMS.log.count("copy") == 2 * BLOCKS * STEPS + BLOCKS


def _short_of_memory(_):
    """Where memory is short, none of it is locked."""
    from packshot.models import block_offload
    from tests.gpu import simulated

    expected = _learnt(_network(), "cpu")
    block_offload.PINNED_SHARE = 0.0
    with simulated.gpu():
        _, learnt = _offloaded()
        assert _equal(expected, learnt) and not simulated.STREAMS.pinned
        step = simulated.STREAMS.log[4 * BLOCKS : 6 * BLOCKS]
        assert step == ["copy", "computes"] * BLOCKS


def _changed_between(_):
    """Weights that change from step to step, in place and not, are those that are copied next."""
    import torch

    from tests.gpu import simulated

    def learn(device):
        network = _network()
        if device != "cpu":
            from packshot.models.weight_storage import apply_weight_storage

            apply_weight_storage(network, "offload", device)
        first, last = (network.blocks[place].up for place in (0, -1))
        weights = [getattr(layer, "weight", None) for layer in (first, last)]

        @torch.no_grad()
        def change():
            weights[0].data = weights[0].data * 0.9
            weights[1].mul_(0.9)

        return _learnt(network, device, between=change)

    expected = learn("cpu")
    with simulated.gpu():
        assert _equal(expected, learn(simulated.GPU)) and not simulated.STREAMS.races


def _out_of_order(_):
    """Blocks in another order than before, one of them twice and one left out, with a pass that fails."""
    import torch

    from packshot.models.weight_storage import apply_weight_storage
    from tests.gpu import simulated

    def say(network, device):
        x, said = torch.ones(2, WIDTH).to(device).requires_grad_(), []
        for order in ((0, 1, 2, 3, 4), (4, 1, 1, 0, 3), (2, 3), (0, 1, 2, 3, 4)):
            for module in network._forward_pre_hooks.values():
                module(network)
            y = x
            for place in order:
                y = network.blocks[place](y)
            with pytest.raises(RuntimeError):
                network.blocks[0](x[:, 1:])
            y.square().mean().backward()
            said.append(y.detach().cpu())
        return torch.stack([*said, x.grad.cpu()])

    expected = say(_network(), "cpu")
    with simulated.gpu():
        network = _network()
        apply_weight_storage(network, "offload", simulated.GPU)
        assert torch.equal(say(network, simulated.GPU), expected)
        assert not simulated.STREAMS.races


def _no_wait_to_compute(_):
    """Without the wait for a copy, what lay there before is computed with."""
    from tests.gpu import simulated, streams

    expected, wait = _learnt(_network(), "cpu"), streams.Stream.wait_event
    streams.Stream.wait_event = lambda self, event: self.number and wait(self, event)
    with simulated.gpu():
        _, learnt = _offloaded()
        assert not _equal(expected, learnt) and simulated.STREAMS.races


def _no_wait_to_copy(_):
    """A copy that does not wait for what computes in its slot is a race."""
    from tests.gpu import simulated, streams

    wait = streams.Stream.wait_event
    streams.Stream.wait_event = lambda self, event: None if self.number else wait(self, event)
    with simulated.gpu():
        _offloaded()
        assert simulated.STREAMS.races


def _one_slot(_):
    """The next block in the slot of the one that computes is a race."""
    from packshot.models import block_offload
    from tests.gpu import simulated

    copy, copies = block_offload._Part.copy_to, block_offload._Part.copies
    block_offload._Part.copy_to = lambda self, slots, _: copy(self, slots, 0)
    block_offload._Part.copies = lambda self, _: copies(self, 0)
    with simulated.gpu():
        _offloaded()
        assert simulated.STREAMS.races
