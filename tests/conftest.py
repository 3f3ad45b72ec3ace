"""What all tests share: a tiny checkpoint of Stable Diffusion 1.x, loaded once; a cache apart."""

import copy
import gc
import os
import random
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from huggingface_hub import constants

from packshot.models import components, load_base
from packshot.utils import hashing
from packshot.weights import tokenizers
from tests.families import MAKERS, make_tiny_sd1

pytest_plugins = ["tests.projects", "tests.insertions", "tests.fake_hub"]
hypothesis.settings.register_profile("untimed", deadline=None)  # a busy machine is no fault
hypothesis.settings.load_profile("untimed")
torch.set_num_threads(1)  # also while fixtures of the whole session are made


QUICK = ("sd1", "flux1")
"""Of the families, those that stand for a UNet and for a transformer in `make quick`."""


def pytest_collection_modifyitems(items):
    """Tests of minutes begin first, so that none is left alone at the end. Of what is tested of each
    family, `make quick` leaves out what others stand for."""
    items.sort(key=lambda item: item.get_closest_marker("minutes") is None)
    others = MAKERS.keys() - set(QUICK)
    for item in items:
        given = getattr(item, "callspec", None)
        if given and any(isinstance(one, str) and one in others for one in given.params.values()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def tiny_sd1(tmp_path_factory):
    return make_tiny_sd1(tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory):
    """Writes a family's tiny checkpoint, once."""
    made = {}

    def make(family):
        if family not in made:
            made[family] = MAKERS[family](tmp_path_factory.mktemp("families") / family)
        return made[family]

    return make


@pytest.fixture(scope="session")
def tiny_velocity(tmp_path_factory):
    """The same, trained (so to say) on velocities with zero terminal SNR."""
    folder = tmp_path_factory.mktemp("checkpoints") / "velocity"
    return make_tiny_sd1(folder, prediction_type="v_prediction", zero_snr=True)


@pytest.fixture(autouse=True, scope="session")
def libraries_are_no_garbage():
    """What all tests import stays: the collector need not look through it, half a second a time."""
    import transformers.models.clip  # noqa: F401

    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """No test reads or writes the user's caches and keys, nor asks the hub for anything."""
    constants.HF_HUB_CACHE = str(tmp_path_factory.mktemp("hub"))
    constants.ENDPOINT = "http://127.0.0.1:9"
    kept = {name: os.environ.get(name) for name in ("PACKSHOT_CACHE", "PACKSHOT_CONFIG")}
    for name in kept:
        os.environ[name] = str(tmp_path_factory.mktemp("user"))
    yield
    for name, before in kept.items():
        os.environ.pop(name)
        if before:
            os.environ[name] = before


@pytest.fixture(autouse=True, scope="session")
def tokenizers_read_once():
    """What the same files give is read once: CLIP's vocabulary takes longer than most tests."""
    read, made = components._tokenizer, {}

    def tokenizer(checkpoint, encoder, config):
        folder = checkpoint.path / encoder.replace("text_encoder", "tokenizer")
        content = (checkpoint.layout, checkpoint.family, encoder, config.get("model_type"))
        if checkpoint.layout == "single file":
            content += (tokenizers.t5_tokenizer, tokenizers.qwen_tokenizer)  # as the test has them
        else:
            content += tuple(
                (file.name, hashing.sha256(file)) for file in sorted(folder.glob("*.*"))
            )
        if content not in made:
            made[content] = read(checkpoint, encoder, config)
        return made[content]

    components._tokenizer = tokenizer
    yield
    components._tokenizer = read


@pytest.fixture(autouse=True)
def same_start():
    """Each test begins with the same random numbers, one thread and fp32, in whatever order they run."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="session")
def loaded():
    """Loads each checkpoint once, and gives a copy to each who asks: what a test leaves in a
    network (adapters, gradients) never reaches another."""
    bases = {}

    def load(folder):
        if folder not in bases:
            bases[folder] = load_base(folder, device="cpu", dtype=torch.float32)
        base = bases[folder]
        shared = [*base.tokenizers.values(), *word_embeddings(base)]
        return copy.deepcopy(base, {id(one): one for one in shared})

    return load


def word_embeddings(base):
    """Most of a tiny checkpoint's bytes, and nothing ever learns them."""
    encoders = base.text_encoders.values()
    return [encoder.get_input_embeddings().weight for encoder in encoders]


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
