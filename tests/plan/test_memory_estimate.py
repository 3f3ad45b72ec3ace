import pytest
import torch
from torch import nn

from packshot.lora import inject_lora
from packshot.models.block_offload import parts_to_offload, slot_bytes
from packshot.models.checkpoint import detect_checkpoint
from packshot.models.device_memory import OVERHEAD
from packshot.models.weight_storage import denoiser_blocks, weight_bytes
from packshot.plan import memory_estimate
from packshot.plan.calibration import calibrate
from packshot.plan.memory_estimate import MemoryEstimate, MemoryOption, estimate_memory


@pytest.mark.slow
def test_text_encoders_that_learn_are_counted(tiny_base):
    """Their weights and what autograd keeps of them, and that they do not leave."""
    asked = {"targets": "attention+mlp", "rank": 4}
    cost = calibrate(tiny_base, pixels=64, batch=1, text_rank=4, **asked)
    plain, learning = (
        estimate_memory(
            detect_checkpoint(tiny_base.path),
            pixels=64,
            dtype=torch.float32,
            text_encoder=on,
            **asked,
        )
        for on in (False, True)
    )
    reader = weight_bytes(tiny_base.text_encoder)
    assert learning.encoder_bytes == plain.encoder_bytes - reader == weight_bytes(tiny_base.vae)
    way = learning.ways[0]
    weights = weight_bytes(tiny_base.denoiser) + reader + 16 * cost.adapter_parameters
    working = way.bytes / OVERHEAD - weights
    assert working == pytest.approx(cost.working_bytes_per_picture, rel=0.02)
    assert way.bytes > plain.ways[0].bytes + reader and way.flops > plain.ways[0].flops


def test_weights_take_what_each_storage_says(tiny_base):
    denoiser = tiny_base.denoiser
    sizes = {id(p): p.numel() for block in denoiser_blocks(denoiser) for p in block.parameters()}
    matrices = sum(
        p.numel() for block in denoiser_blocks(denoiser) for p in block.parameters() if p.ndim == 2
    )
    everything = sum(p.numel() for p in denoiser.parameters())
    assert weight_bytes(denoiser) == 4 * everything
    assert weight_bytes(denoiser, "int8") == 4 * everything - 3 * matrices
    assert weight_bytes(denoiser, "nf4") == pytest.approx(4 * everything - 3.484 * matrices, abs=1)
    slots = 2 * slot_bytes(parts_to_offload(denoiser_blocks(denoiser)))
    assert weight_bytes(denoiser, "offload") == 4 * (everything - sum(sizes.values())) + slots


@pytest.mark.parametrize("storage", ["int8", "nf4"])
def test_quantised_layers_take_what_was_said(storage):
    """Of wide layers, as real ones are: on tiny ones the scales weigh more."""
    from packshot.models.weight_storage import apply_weight_storage

    class Wide(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList([nn.Linear(1024, 2048, bias=False)])

    denoiser = Wide().bfloat16().requires_grad_(False)
    said = weight_bytes(denoiser, storage)
    apply_weight_storage(denoiser, storage, torch.device("cpu"))
    denoiser.to("cpu")
    layer = denoiser.blocks[0]
    stored = sum(one.numel() * one.element_size() for one in (layer.weight, *layer.buffers()))
    assert stored == pytest.approx(said, rel=0.01)


def test_the_first_way_that_fits_is_taken():
    ways = tuple(MemoryOption("full", twice, size, 1) for twice, size in ((False, 30), (True, 20)))
    demand = MemoryEstimate(ways, 0, 0, 64)
    assert demand.first_that_fits(30) is ways[0] and demand.first_that_fits(29) is ways[1]
    assert demand.first_that_fits(19) is None


def test_a_way_needs_what_the_autoencoder_takes_if_that_is_more():
    ways = (MemoryOption("nf4", True, 30, 1, 25), MemoryOption("offload", True, 10, 1, 40))
    demand = MemoryEstimate(ways, 0, 0, 64)
    assert demand.first_that_fits(39) is demand.smallest is ways[0]
    assert demand.first_that_fits(29) is None


@pytest.mark.slow
def test_the_autoencoder_is_counted_beside_what_never_leaves(tiny_base):
    """At the base's own size, whatever is trained on: pictures are made at that."""
    asked = {"targets": "attention", "rank": 2, "dtype": torch.float32}
    small, own = (
        estimate_memory(detect_checkpoint(tiny_base.path), pixels=pixels, **asked)
        for pixels in (32, None)
    )
    by_storage = {way.storage: way.vae_bytes for way in own.ways}
    assert by_storage == {way.storage: way.vae_bytes for way in small.ways}
    weights, vae = weight_bytes(tiny_base.denoiser, "offload"), weight_bytes(tiny_base.vae)
    assert by_storage["offload"] - by_storage["full"] == pytest.approx(OVERHEAD * weights, abs=2)
    side = tiny_base.native_pixels
    widest = 4 * tiny_base.vae.config.block_out_channels[0] * side**2
    assert by_storage["full"] > OVERHEAD * (vae + 2 * widest), "a layer's input and its output"


@pytest.mark.slow
def test_an_estimate_is_made_once(tiny_base, monkeypatch, tmp_path):
    """And anew for another question, or where what was kept is damaged."""
    monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path))
    traced, heard = [], []
    monkeypatch.setattr(
        memory_estimate, "trace_step", lambda *given: traced.append(1) or (10**6, 10**9)
    )

    def ask(**other):
        return estimate_memory(
            detect_checkpoint(tiny_base.path),
            **{"targets": "attention", "rank": 2, "pixels": 64, "dtype": torch.float32} | other,
            progress=lambda what, done, of: heard.append((done, of)),
        )

    first = ask()
    assert len(traced) == 2 and heard == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert ask() == first and len(traced) == 2
    assert ask(rank=4) != first and len(traced) == 4
    for file in (tmp_path / "memory").iterdir():
        file.write_text("{}")
    assert ask() == first and len(traced) == 6


def test_nothing_is_left_in_the_network(tiny_base):
    names = tiny_base.lora_targets("attention")
    before = dict(tiny_base.denoiser.named_modules())
    with inject_lora(tiny_base.denoiser, names, rank=2, alpha=2, seed=0):
        pass
    assert dict(tiny_base.denoiser.named_modules()).keys() == before.keys()
