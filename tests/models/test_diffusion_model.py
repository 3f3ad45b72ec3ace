"""What all families share: pictures to latents and back, tokens, where the encoders are."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from packshot.models.diffusion_model import DiffusionModel, _vae_factor, linear_names
from packshot.models.transformer_model import chat_tokens

CPU = torch.device("cpu")


class Vae(nn.Module):
    """Latents are means of 4 x 4 pixels, in three channels."""

    def __init__(self, **config):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.config = SimpleNamespace(block_out_channels=(1, 1, 1), **config)
        self.seen = []

    @property
    def device(self):
        return self.weight.device

    def encode(self, pixels):
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=F.avg_pool2d(pixels, 4)))

    def decode(self, latents):
        self.seen.append(latents)
        return SimpleNamespace(sample=latents.repeat_interleave(4, 2).repeat_interleave(4, 3))


class Bare(DiffusionModel):
    """What all families share, without what each must do itself."""


Bare.__abstractmethods__ = frozenset()


def made(shift=None, scale=2.0, **values):
    base = Bare.__new__(Bare)
    base.vae = Vae(shift_factor=shift, scaling_factor=scale)
    base.device, base.dtype, base.native_pixels = CPU, torch.float32, 16
    base.vae_dtype, base.weight_storage = torch.float32, "full"
    base.text_encoders, base.tokenizers, base._grey = {}, {}, {}
    base.vae_factor = _vae_factor(base.vae)
    vars(base).update(values)
    return base


@pytest.mark.parametrize(("shift", "scale"), [(None, 0.18215), (0.1, 0.36), (-0.5, 1.5)])
def test_latents_are_shifted_then_scaled_and_back(shift, scale):
    base = made(shift, scale)
    pixels = torch.rand(2, 3, 8, 8) * 2 - 1
    latents = base.encode_images(pixels)
    assert torch.allclose(latents, (F.avg_pool2d(pixels, 4) - (shift or 0)) * scale)
    decoded = base.decode_latents(latents)
    assert torch.allclose(F.avg_pool2d(decoded, 4), F.avg_pool2d(pixels, 4), atol=1e-6)
    assert base.decode_latents(100 * torch.ones(1, 3, 2, 2)).max() == 1, "pixels end at 1"


def test_a_region_is_what_is_told_or_else_all_of_the_picture():
    base = made()
    noisy = torch.randn(2, 3, 4, 6)
    region = base.inpaint_channels(noisy, {})
    assert region.shape == (2, 4, 4, 6) and region[:, 0].eq(1).all() and not region[:, 1:].any()
    told = torch.randn(2, 4, 4, 6)
    assert base.inpaint_channels(noisy, {"region": told}) is told
    base.encode_images = lambda pixels: pytest.fail("grey was encoded again")
    assert torch.equal(base.inpaint_channels(noisy[:1], {}), region[:1])
    assert base.inpaint_channels(noisy.bfloat16(), {}).dtype == torch.bfloat16


def test_whole_pictures_are_painted_over_grey():
    told = made().nothing_to_keep(3)
    assert len(told["image"]) == len(told["mask_image"]) == 3 and told["strength"] == 1.0
    assert told["mask_image"][0].size == (16, 16)
    assert told["mask_image"][0].getpixel((3, 3)) == (255, 255, 255)


def test_tokens_are_of_one_length_and_a_sketch_has_zeros():
    def tokenizer(prompts, *, padding, truncation, max_length, return_tensors):
        assert (padding, truncation, return_tensors) == ("max_length", True, "pt")
        rows = [[ord(c) for c in prompt[:max_length].ljust(max_length)] for prompt in prompts]
        return SimpleNamespace(input_ids=torch.tensor(rows))

    base = made(tokenizers={"tokenizer": tokenizer})
    assert base.tokens("tokenizer", ["ab", "abcdef"], 3).tolist() == [[97, 98, 32], [97, 98, 99]]
    assert base.tokens("tokenizer_2", ["a", "b"]).tolist() == [[0] * 77] * 2


def test_encoders_come_back_from_where_they_were_also_after_an_error():
    base = made(text_encoders={"text_encoder": nn.Linear(2, 2)})

    def places():
        return [next(one.parameters()).device.type for one in base._encoders]

    with base.encoders_moved_to(CPU):
        assert places() == ["cpu", "cpu"]
    moved = []
    for one in base._encoders:
        one.to = lambda place, one=one: moved.append((type(one).__name__, str(place)))
    with pytest.raises(ValueError), base.encoders_moved_to(torch.device("meta"), text=False):
        assert moved == [("Vae", "meta")]
        raise ValueError
    assert moved == [("Vae", "meta"), ("Vae", "cpu")]
    moved.clear()
    with made(_has_model_offload=True, text_encoders=base.text_encoders).encoders_moved_to(
        torch.device("meta")
    ):
        assert moved == [], "they come by themselves"


def test_blocks_are_computed_again_only_inside_and_when_asked():
    told = []
    denoiser = SimpleNamespace(
        enable_gradient_checkpointing=lambda: told.append("on"),
        disable_gradient_checkpointing=lambda: told.append("off"),
    )
    base = made(_denoiser=denoiser)
    with base.gradient_checkpointing(False):
        assert told == []
    with pytest.raises(ValueError), base.gradient_checkpointing():
        assert told == ["on"]
        raise ValueError
    assert told == ["on", "off"]
    base.weight_storage = "offload"  # whose blocks are computed again anyway
    with base.gradient_checkpointing():
        assert told == ["on", "off"]


def test_a_latents_side_in_pixels():
    assert _vae_factor(Vae()) == 4
    video = SimpleNamespace(config=SimpleNamespace(temperal_downsample=[False, True, True]))
    assert _vae_factor(video) == 8


def test_chats_end_where_the_answer_begins():
    class Tokenizer:
        def apply_chat_template(self, turns, **options):
            assert options["add_generation_prompt"] and not options["tokenize"]
            return f"<{turns[0]['role']}>{turns[0]['content']}<{options['enable_thinking']}>"

        def __call__(self, turns, *, max_length, **options):
            self.turns = turns
            return SimpleNamespace(
                input_ids=torch.zeros(len(turns), max_length), attention_mask=torch.ones(1)
            )

    tokenizer = Tokenizer()
    ids, mask = chat_tokens(tokenizer, ["a", "b"], 5, thinking=False)
    assert tokenizer.turns == ["<user>a<False>", "<user>b<False>"]
    assert ids.shape == (2, 5) and mask.shape == (1,)


def test_linear_layers_by_their_names():
    network = nn.ModuleDict(
        {"b": nn.ModuleDict({"to_q": nn.Linear(1, 1)}), "a": nn.ModuleDict({"to_q": nn.Linear(1, 1)}),
         "a2": nn.ModuleDict({"to_q": nn.Conv2d(1, 1, 1), "to_k": nn.Linear(1, 1)})}
    )  # fmt: skip
    assert linear_names(network, ("to_q",), ("",)) == ["a.to_q", "b.to_q"]
    assert linear_names(network, ("to_q", "to_k"), ("a",)) == ["a.to_q", "a2.to_k"]
    assert linear_names(network, ("nothing",), ("",)) == []
