from typing import ClassVar

import pytest
import torch
from torch import nn

from packshot.models.device_memory import weight_memory_budget
from packshot.models.model_offload import offload_models

CPU = torch.device("cpu")


class Elsewhere(nn.Module):
    """A network that says where it would be, though all is in main memory here."""

    log: ClassVar[list] = []

    def __init__(self, name):
        super().__init__()
        self.name = name
        self.layer = nn.Linear(2, 2)
        self.place = CPU

    def parameters(self, recurse=True):
        yield Placed(self.place)

    def to(self, place):
        self.place = torch.device(place)
        self.log.append((self.name, self.place.type))
        return self

    def forward(self, x):
        return x + 1


class Placed:
    def __init__(self, device):
        self.device = device


@pytest.fixture
def networks(monkeypatch):
    monkeypatch.setattr(Elsewhere, "log", [])
    monkeypatch.setattr(
        "packshot.models.model_offload.send_to_device", lambda values, place: values
    )
    return [Elsewhere(name) for name in ("text", "picture", "denoiser")]


def test_only_the_one_that_computes_is_on_the_gpu(networks):
    text, picture, denoiser = networks
    gpu = torch.device("cuda", 0)
    offload_models(dict.fromkeys(networks, 1), gpu, room=2)
    assert Elsewhere.log == [], "nothing moves before it is called"
    for called in (text, denoiser, denoiser, picture):
        assert called(1) == 2
        assert [n.place.type for n in networks] == [
            "cuda" if n is called else "cpu" for n in networks
        ]
    assert Elsewhere.log == [
        ("text", "cuda"), ("text", "cpu"), ("denoiser", "cuda"), ("denoiser", "cpu"),
        ("picture", "cuda"),
    ]  # fmt: skip
    assert denoiser._hf_hook.execution_device == gpu, "where pipelines make their tensors"


def test_what_is_larger_than_the_gpu_computes_in_main_memory(networks):
    text, picture, _ = networks
    offload_models({text: 3, picture: 1}, torch.device("cuda", 0), room=2)
    picture(1)
    text(1)
    assert text.place == CPU and picture.place.type == "cuda", "it is in nobody's way"


def test_a_network_that_comes_only_in_part_goes_back_whole(networks, monkeypatch):
    """Its first weight is on the GPU by then: it would be taken to be there."""
    text, picture, _ = networks
    offload_models({text: 1, picture: 1}, torch.device("cuda", 0), room=2)
    to = Elsewhere.to

    def half(network, place):
        to(network, place)
        if network.place != CPU:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch, pytest.raises(torch.OutOfMemoryError):
        patch.setattr(Elsewhere, "to", half)
        text(1)
    assert text.place == CPU
    assert text(1) == 2 and text.place.type == "cuda"


def test_main_memory_has_room_for_all():
    assert weight_memory_budget(CPU) == float("inf")


def test_a_base_makes_the_same_pictures_when_its_networks_take_turns(
    tiny_base, loaded, tiny_sd1, monkeypatch
):
    """Here both places are main memory: what is shown is that the hooks are in nobody's way."""
    turning = loaded(tiny_sd1)
    monkeypatch.setattr("packshot.models.diffusion_model.weight_memory_budget", lambda device: 10)
    turning._place_on_device()
    assert turning._has_model_offload and not tiny_base._has_model_offload

    def made(base):
        draw = torch.Generator().manual_seed(0)
        return base.pipeline()("a car", num_inference_steps=2, generator=draw, output_type="np")

    assert (made(turning).images == made(tiny_base).images).all()
    with turning.encoders_moved_to(CPU):
        assert torch.equal(
            turning.encode_prompts(["a"])["context"], tiny_base.encode_prompts(["a"])["context"]
        )


def test_what_is_free_is_asked_before_anything_lies_there(loaded, tiny_sd1, monkeypatch):
    """Quantised weights lie on the GPU as soon as they are: they would count twice."""
    base, order = loaded(tiny_sd1), []
    model = "packshot.models.diffusion_model"
    monkeypatch.setattr(f"{model}.apply_weight_storage", lambda *given: order.append("weights"))
    monkeypatch.setattr(
        f"{model}.weight_memory_budget", lambda device: order.append("free") or 2**40
    )
    base._place_on_device()
    assert order == ["free", "weights"]
