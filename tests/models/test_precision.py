"""Which precision a base computes in, and its VAE, which overflows in fp16 where the rest does not."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from packshot.errors import ModelLoadError
from packshot.insertion.inpaint import inpaint
from packshot.lora import add_adapters
from packshot.models import load_base
from packshot.models.fake import fake_model
from packshot.models.load import find_checkpoint
from packshot.models.loss import per_image_loss
from packshot.models.precision import best_dtype, explain, has_fp16, takes_half_files
from packshot.plan.calibration import random_batch
from tests.families import MAKERS, UNETS, make_tiny_sd1, make_tiny_sdxl

CUDA, CPU = torch.device("cuda"), torch.device("cpu")
T4 = ("Tesla T4", (7, 5))


@pytest.fixture
def gpu(monkeypatch):
    """Simulates a GPU's name and compute capability; before 8.0 PyTorch would emulate bf16."""

    def simulate(name, capability):
        def has_bf16(including_emulation=True):
            return including_emulation or capability >= (8, 0)

        monkeypatch.setattr(torch.cuda, "is_bf16_supported", has_bf16)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: name)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)

    return simulate


@pytest.mark.parametrize(
    ("name", "capability", "unet", "transformer"),
    [
        (*T4, torch.float16, torch.float32),
        ("NVIDIA GeForce RTX 2080 Ti", (7, 5), torch.float16, torch.float32),
        ("NVIDIA GeForce RTX 2050", (8, 6), torch.bfloat16, torch.bfloat16),
        ("Tesla V100-SXM2-16GB", (7, 0), torch.float16, torch.float32),
        ("NVIDIA GeForce GTX 1660 Ti", (7, 5), torch.float32, torch.float32),
        ("Quadro T1000", (7, 5), torch.float32, torch.float32),
        ("NVIDIA GeForce GTX 1080 Ti", (6, 1), torch.float32, torch.float32),
        ("NVIDIA GeForce RTX 3060", (8, 6), torch.bfloat16, torch.bfloat16),
    ],
)
def test_the_gpu_and_the_family_decide(gpu, name, capability, unet, transformer):
    gpu(name, capability)
    found = {family: best_dtype(CUDA, family) for family in MAKERS}
    assert found == {family: unet if family in UNETS else transformer for family in MAKERS}
    assert best_dtype(CUDA) == transformer, "what is no base is never in fp16"
    assert takes_half_files(CUDA) == (unet != torch.float32)


def test_the_reason_is_told(gpu):
    gpu(*T4)
    assert "no fast bf16 (the VAE stays in fp32)" in explain(CUDA, "sdxl", torch.float16)
    assert "fp16 is too narrow for FLUX.1" in explain(CUDA, "flux1", torch.float32)
    assert "too narrow" not in explain(CUDA, "sdxl", torch.float32)
    assert not has_fp16(CPU) and best_dtype(CPU, "sdxl") != torch.float16


@pytest.mark.parametrize("family", sorted(MAKERS.keys() - UNETS.keys()))
def test_a_family_that_fp16_is_too_narrow_for_is_refused(tiny_checkpoint, family):
    with pytest.raises(ModelLoadError, match=r"exceed what fp16 has: compute in bf16 or fp32"):
        load_base(tiny_checkpoint(family), device="cpu", dtype=torch.float16)


GREAT = 3e5
"""What the VAE's first layers are multiplied by: later ones normalise what becomes of it."""


def with_great_activations(folder):
    """Its VAE's activations exceed fp16's range, its weights do not, as SDXL's."""
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    for part in ("encoder", "decoder"):
        weights[f"{part}.conv_in.weight"] *= GREAT
        assert weights[f"{part}.conv_in.weight"].half().isfinite().all()
    save_file(weights, file)
    return folder


@pytest.fixture(scope="module", params=["sd1", "sdxl", "sdxl inpainting"])
def overflowing(request, tmp_path_factory):
    """A checkpoint whose VAE overflows in fp16."""
    from diffusers import UNet2DConditionModel

    made = tmp_path_factory.mktemp("overflowing") / "base"
    (make_tiny_sd1 if request.param == "sd1" else make_tiny_sdxl)(made)
    if "inpainting" in request.param:
        config = json.loads((made / "unet" / "config.json").read_text()) | {"in_channels": 9}
        UNet2DConditionModel.from_config(config).save_pretrained(made / "unet")
    return with_great_activations(made)


def test_a_vae_that_overflows_in_fp16_encodes_and_decodes(overflowing):
    base = load_base(overflowing, device="cpu", dtype=torch.float16)
    exact = load_base(overflowing, device="cpu", dtype=torch.float32)
    assert base.unet.dtype == torch.float16 and base.vae.dtype == torch.float32
    image, latents = torch.rand(2, 3, 64, 64) * 2 - 1, torch.randn(2, 4, 16, 16)
    for _ in range(2):
        assert torch.equal(base.encode_images(image), exact.encode_images(image))
        assert torch.equal(base.decode_latents(latents), exact.decode_latents(latents))
        # Diffusers' pipelines cast some VAEs, and leave them so.
        assert np.isfinite(picture(base)).all() and picture(base).std() > 0.01
    with torch.no_grad():  # or else nothing was shown
        narrow = exact.vae.half()
        assert not narrow.encode(image.half()).latent_dist.mean.isfinite().all()
        assert not narrow.decode(latents.half()).sample.isfinite().all()


def picture(base):
    return base.pipeline()(
        prompt=["a car"], num_inference_steps=2, height=64, width=64, output_type="np",
        generator=torch.Generator().manual_seed(0), **base.sampling(3.0, [""]),
    ).images[0]  # fmt: skip


def test_such_a_base_inpaints(overflowing):
    base = load_base(overflowing, device="cpu", dtype=torch.float16)
    crop = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)
    strength = np.zeros((64, 64), np.float32)
    strength[16:48, 16:48] = 1
    given = {"seed": 3, "steps": 3, "guidance_scale": 3.0}
    exact = load_base(overflowing, device="cpu", dtype=torch.float32)
    found, expected = (inpaint(one, crop, strength, "a car", **given) for one in (base, exact))
    assert np.abs(found - expected).max() < 0.02


@pytest.mark.parametrize("family", UNETS)
def test_a_picture_in_fp16_is_nearly_that_in_fp32(tiny_checkpoint, loaded, family):
    base = load_base(tiny_checkpoint(family), device="cpu", dtype=torch.float16)
    exact = picture(loaded(tiny_checkpoint(family)))
    assert np.abs(picture(base) - exact).max() < 0.02 < exact.std()


@pytest.mark.parametrize("upcasts", [True, False])
def test_a_vae_that_was_changed_for_fp16_computes_in_it(tmp_path, upcasts):
    folder = make_tiny_sdxl(tmp_path / "base")
    file = folder / "vae" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"force_upcast": upcasts}))
    expected = torch.float32 if upcasts else torch.float16
    base = load_base(folder, device="cpu", dtype=torch.float16)
    assert base.vae.dtype == base.vae_dtype == expected
    assert np.isfinite(picture(base)).all() and base.vae.dtype == expected
    with fake_model(find_checkpoint(folder), torch.float16) as fake:
        assert fake.vae.dtype == expected and fake.unet.dtype == torch.float16
        assert fake.encode_images(torch.zeros(1, 3, 64, 64)).shape == (1, 4, 16, 16)


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["full", "int8", "nf4", "offload"])
def test_gradients_in_fp16_are_those_of_fp32(tiny_checkpoint, storage):
    """Of a scaled loss, however the frozen weights lie; they are the LoRA's own fp32."""

    def gradient(dtype, scale):
        base = load_base(tiny_checkpoint("sdxl"), device="cpu", dtype=dtype, storage=storage)
        latents = base.encode_images(torch.zeros(1, 3, 64, 64)).float()
        adapted = add_adapters(base, "attention+mlp", rank=2, alpha=2, seed=0)
        with adapted as adapter, base.gradient_checkpointing():
            torch.manual_seed(0)
            (per_image_loss(base, random_batch(base, latents, 2), 0.0).mean() * scale).backward()
            each = [p.grad for p in adapter.named_parameters().values() if p.grad is not None]
        assert {one.dtype for one in each} == {torch.float32}
        return torch.cat([one.flatten() for one in each]) / scale

    expected, found = gradient(torch.float32, 1.0), gradient(torch.float16, 2.0**16)
    assert torch.cosine_similarity(expected, found, dim=0) > 0.999
    assert found.norm() == pytest.approx(float(expected.norm()), rel=0.01)
