"""Extracting a LoRA from checkpoints that lie on a GPU, or one of them in main memory."""

import sys
from pathlib import Path

import pytest

from tests.gpu.test_ways import _prepare
from tests.lives import lives

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it forks")


@pytest.fixture(scope="module")
def gpu_lives():
    with lives(_prepare) as started:
        yield started


@pytest.mark.parametrize("check", ["_both_there", "_one_there"])
def test_extraction(gpu_lives, tiny_checkpoint, tmp_path, check):
    folders = str(tiny_checkpoint("sd1")), str(tmp_path)
    assert gpu_lives.start(globals()[check], *folders) == 0


def _both_there(_, folder, out):
    _extracts(folder, out, None)


def _one_there(_, folder, out):
    """As of two large ones, of which the second finds no room."""
    _extracts(folder, out, "cpu")


def _extracts(folder, out, device):
    import torch

    from packshot.lora import extract, load_lora, write_lora
    from packshot.lora.fuse import weight_of
    from packshot.models.load import load_base
    from tests.gpu import simulated

    with simulated.gpu():
        base = load_base(Path(folder), dtype=torch.float32)
        tuned = load_base(Path(folder), dtype=torch.float32, device=device)
        name = f"unet.{base.lora_targets('attention')[0]}"
        weight = weight_of(tuned, name)
        weight.data = weight.data + torch.eye(*weight.shape).to(weight.device)
        made = extract(tuned, base, rank=min(weight.shape)).lora
        file = Path(out) / "made.safetensors"
        write_lora(made, file, base)
        (found,) = load_lora(file, base).weights.values()
        assert torch.allclose(found.delta(), torch.eye(*weight.shape), atol=1e-5)
