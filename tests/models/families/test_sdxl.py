"""SDXL's size conditioning against diffusers' UNet."""

import pytest
import torch

from packshot.models import load_base
from packshot.models.conditioning import SizeConditioning


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_sizes_are_told_in_whole_pixels_whatever_the_precision(tiny_checkpoint, dtype):
    """In bf16 a photo of 4001 x 3001 px would be one of 4000 x 3008."""
    base = load_base(tiny_checkpoint("sdxl"), device="cpu", dtype=dtype)
    told = []
    base.unet.add_time_proj.register_forward_pre_hook(
        lambda _, given: told.append(given[0].tolist())
    )
    size = SizeConditioning((4001, 3001), (261, 1), (96, 64))
    conditioning = base.add_size_conditioning(base.empty_conditioning(1), [size])
    with torch.no_grad():
        said = base.predict(torch.zeros(1, 4, 16, 24, dtype=dtype), torch.tensor([1]), conditioning)
    assert told == [[3001, 4001, 1, 261, 64, 96]] and said.dtype == dtype
