"""LoRA layers on denoiser and text encoders together."""

import pytest
import torch

from packshot.errors import InvalidPlanError
from packshot.lora import add_adapters


@pytest.fixture
def put(tiny_base):
    """A context: LoRA layers in the tiny base."""

    def call(**options):
        told = {"rank": 2, "alpha": 1.0, "seed": 0} | options
        return add_adapters(tiny_base, "cross-attention", **told)

    return call


def test_text_encoders_learn_only_where_they_are_asked_to(put):
    with put() as adapter:
        assert adapter.text_encoders == {} and adapter.text_encoder_parameters() == {}
        alone = set(adapter.named_parameters())
    with put(text_rank=3) as adapter:
        reading = adapter.text_encoder_parameters()
        assert set(adapter.named_parameters()) == alone | set(reading)
        assert reading and all(name.startswith("text_encoder.") for name in reading)
        assert {min(one.shape[:2]) for one in reading.values()} == {3}


def test_a_state_is_a_copy_and_comes_back(put):
    with put(text_rank=2) as adapter:
        before = adapter.state()
        with torch.no_grad():
            for parameter in adapter.named_parameters().values():
                parameter.add_(1)
        moved = adapter.state()
        assert all(not torch.equal(before[name], moved[name]) for name in before)
        adapter.load_state(before)
        assert all(torch.equal(before[name], one) for name, one in adapter.state().items())
        with pytest.raises(KeyError):
            adapter.load_state({})


def test_as_data_each_network_has_its_own_name_and_scale(put, tiny_base):
    with put(text_rank=4) as adapter:
        whole = adapter.to_lora({"a": "b"})
    assert whole.metadata == {"a": "b"}
    scales = {name.split(".")[0]: one.alpha / one.rank for name, one in whole.weights.items()}
    assert scales == {"unet": 0.5, "text_encoder": 1.0}
    assert len(whole.weights) == len(tiny_base.lora_targets("cross-attention")) + sum(
        map(len, tiny_base.text_targets().values())
    )


def test_afterwards_the_base_is_as_it_was_also_after_an_error(put, tiny_base):
    networks = (tiny_base.denoiser, tiny_base.text_encoder)
    before = [[type(one) for one in network.modules()] for network in networks]
    with pytest.raises(ValueError), put(text_rank=2):
        assert before != [[type(one) for one in network.modules()] for network in networks]
        raise ValueError
    assert before == [[type(one) for one in network.modules()] for network in networks]


def test_text_encoders_that_cannot_be_trained_are_refused_and_nothing_changes(
    put, tiny_base, monkeypatch
):
    monkeypatch.setattr(type(tiny_base), "text_targets", lambda self: {})
    before = [type(one) for one in tiny_base.denoiser.modules()]
    with pytest.raises(
        InvalidPlanError, match="reads prompts with CLIPTextModel, which Packshot does not"
    ):
        put(text_rank=2).__enter__()
    assert before == [type(one) for one in tiny_base.denoiser.modules()]
