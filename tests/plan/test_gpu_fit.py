import pytest
import torch

from packshot.errors import InvalidPlanError
from packshot.models.fake import default_checkpoint
from packshot.plan import gpu_fit, memory_estimate
from packshot.plan.gpu_fit import gpu_fit_text, to_bytes
from packshot.plan.memory_estimate import MemoryEstimate, MemoryOption, estimate_memory


@pytest.mark.parametrize(
    ("text", "size"), [("16GB", 16e9), ("16 GiB", 16 * 2**30), ("800MB", 8e8), ("1.5g", 1.5e9)]
)
def test_sizes_are_read(text, size):
    assert to_bytes(text) == size


@pytest.mark.parametrize("text", ["16", "lots", "-2GB", ""])
def test_what_is_no_size_is_said(text):
    with pytest.raises(InvalidPlanError, match="is no size of memory; write it as 16GB"):
        to_bytes(text)


@pytest.mark.slow
def test_the_outlook_refuses_text_encoders_that_do_not_learn():
    with pytest.raises(
        InvalidPlanError, match=r"flux1 \(flux1\) reads prompts with CLIPTextModel, T5"
    ):
        gpu_fit_text(
            "flux1",
            vram="16GB",
            resolution=512,
            target_modules="cross-attention",
            train_text_encoder=True,
        )


@pytest.mark.slow
def test_text_encoders_that_are_trained_stay_on_the_gpu(tiny_sd1, monkeypatch):
    monkeypatch.setattr(memory_estimate, "trace_step", lambda *given: (10**6, 10**9))
    alone, both = (
        gpu_fit_text(str(tiny_sd1), vram="16GB", target_modules="attention", train_text_encoder=on)
        for on in (False, True)
    )
    assert "VAE and text encoders (0.0 GB) are moved off the GPU before training" in alone
    assert "The VAE (0.0 GB) is moved off the GPU before training" in both


@pytest.mark.slow
def test_flux_fits_as_its_users_know_and_the_first_way_that_fits_is_named():
    """12 billion parameters in bf16 take 24 GB; one picture of 512 px takes about half as much more."""
    said = gpu_fit_text("flux1", vram="16GB", resolution=512, target_modules="cross-attention")
    assert "flux1, 11.9 billion parameters: a LoRA of rank 16 on cross-attention" in said
    marked = [line for line in said.splitlines() if "<- the first that fits 16 GB" in line]
    assert len(marked) == 1 and marked[0].startswith("  int8, checkpointing")
    demand = estimate_memory(
        default_checkpoint("flux1"), targets="cross-attention", rank=16, pixels=512,
        dtype=torch.bfloat16,
    )  # fmt: skip
    sizes = {str(way): way.bytes / 1e9 for way in demand.ways}
    assert 24 < sizes["full, checkpointing"] < 28 < sizes["full"] < 40
    assert 6 < sizes["nf4, checkpointing"] < 9
    assert str(demand.first_that_fits(16e9)) == "int8, checkpointing"
    assert demand.encoder_bytes / 1e9 == pytest.approx(9.5 + 0.25 + 0.17, rel=0.05)


@pytest.fixture
def computed(monkeypatch):
    """Stands in for the estimate, of which `test_memory_estimate.py` tells."""
    ways = (
        MemoryOption("full", False, 3 * 10**9, 10**13),
        MemoryOption("nf4", True, 10**9, 10**13, vae_bytes=2 * 10**9),
    )
    estimate = MemoryEstimate(ways, encoder_bytes=10**8, parameters=10**9, pixels=512)
    monkeypatch.setattr(gpu_fit, "estimate_memory", lambda *args, **options: estimate)


def test_where_nothing_fits_it_says_so(computed):
    none = gpu_fit_text("sd1", vram="20MB", resolution=512, target_modules="all")
    assert "None fits 0.02 GB: choose smaller" in none and "<-" not in none
    pictures = gpu_fit_text("sd1", vram="1500MB", resolution=512, target_modules="all")
    assert "None fits 1.5 GB: the VAE takes 2 GB for a picture of the base's own size." in pictures


@pytest.mark.slow
def test_a_gpus_data_sheet_tells_memory_and_seconds(computed):
    said = {
        gpu: gpu_fit_text("sd1", gpu=gpu, resolution=512, target_modules="attention")
        for gpu in ("4090", "L4")
    }
    assert "full" in said["4090"] and "<- the first that fits 24 GB" in said["4090"]
    seconds = [float(text.split(" GB ")[1].split(" s a")[0]) for text in said.values()]
    assert seconds[1] / seconds[0] == pytest.approx(165 / 121, rel=0.1)
    assert "the first that fits 3 GB" in gpu_fit_text("sd1", gpu="L4", vram="3GB", resolution=512)


@pytest.mark.parametrize(
    ("gpu", "words"),
    [("GTX 970", "name one of RTX 3060, .*H200; of another one, give its --vram"),
     ("RTX 50", "name one of RTX 5060 Ti, RTX 5070 Ti, RTX 5080, RTX 5090")],
)  # fmt: skip
def test_a_gpu_that_is_not_known_is_said(gpu, words):
    with pytest.raises(InvalidPlanError, match=words):
        gpu_fit_text("sd1", gpu=gpu)
