"""A tiny, random checkpoint of Stable Diffusion 1.x's classes, shared by all tests."""

import copy
import os
from pathlib import Path

import pytest
import torch

from packshot.bases import load_base

pytest_plugins = ["tests.projects"]
torch.set_num_threads(1)


def make_tiny_sd1(folder, *, prediction_type="epsilon", zero_snr=False):
    """Write a pipeline of 16 px latents at f4 (64 px pictures) that computes in milliseconds."""
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel

    from packshot.pocket.tokenizer import clip_tokenizer

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=4, block_out_channels=(32, 64),
        layers_per_block=1, cross_attention_dim=32, attention_head_dim=4, norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(8, 16, 16), latent_channels=4, norm_num_groups=4, sample_size=64,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
    )  # fmt: skip
    text = CLIPTextModel(
        CLIPTextConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            vocab_size=49408, projection_dim=32, bos_token_id=49406, eos_token_id=49407,
        )
    )  # fmt: skip
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        set_alpha_to_one=False, steps_offset=1, prediction_type=prediction_type,
        rescale_betas_zero_snr=zero_snr,
    )  # fmt: skip
    StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=clip_tokenizer(), unet=unet, scheduler=scheduler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def tiny_sd1(tmp_path_factory):
    return make_tiny_sd1(tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture(scope="session")
def tiny_velocity(tmp_path_factory):
    """The same, trained (so to say) on velocities with zero terminal SNR."""
    folder = tmp_path_factory.mktemp("checkpoints") / "velocity"
    return make_tiny_sd1(folder, prediction_type="v_prediction", zero_snr=True)


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """No test reads or writes the user's cache."""
    before = os.environ.get("PACKSHOT_CACHE")
    os.environ["PACKSHOT_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    os.environ.pop("PACKSHOT_CACHE")
    if before:
        os.environ["PACKSHOT_CACHE"] = before


@pytest.fixture(scope="session")
def loaded():
    """Loads each checkpoint once, and gives a copy to each who asks: what a test leaves in a
    network (adapters, gradients) never reaches another."""
    bases = {}

    def load(folder):
        if folder not in bases:
            bases[folder] = load_base(folder, device="cpu", dtype=torch.float32)
        base = bases[folder]
        return copy.deepcopy(base, {id(base.tokenizer): base.tokenizer})

    return load


@pytest.fixture
def tiny_base(loaded, tiny_sd1):
    return loaded(tiny_sd1)


@pytest.fixture
def velocity_base(loaded, tiny_velocity):
    return loaded(tiny_velocity)


@pytest.fixture(scope="session")
def shared_files():
    """Files from outside the project, where someone has them; tests that want them skip without."""
    folder = Path(os.environ.get("PACKSHOT_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip("set PACKSHOT_SHARED to a folder with files of other tools")
    return folder
