"""What a run trains on: which pictures it sees, and what stands in each batch."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from packshot.class_images import ClassImage
from packshot.photos.photo_set import Photo
from packshot.plan import Plan
from packshot.plan.config import Estimate, PlanInputs
from packshot.project import Subject
from packshot.training import sampler
from packshot.training.dataset import TrainingSet
from packshot.utils import files
from tests.projects import painted

SUBJECT = Subject(name="Duster", trigger="ohwx", class_noun="car")
LETTERS = 12


@pytest.fixture
def base(tmp_path, monkeypatch):
    monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path / "cache"))
    asked = []

    def encode_prompts(prompts):
        asked.append(list(prompts))
        rows = [[float(ord(c)) for c in prompt[-LETTERS:].rjust(LETTERS)] for prompt in prompts]
        return {"context": torch.tensor(rows)[..., None]}

    def add_size_conditioning(conditioning, shown):
        return conditioning | {"widths": torch.tensor([one.target_size[0] for one in shown])}

    return SimpleNamespace(
        vae=SimpleNamespace(use_tiling=False),
        content_hash="ab" * 32, dtype=torch.float32, device=torch.device("cpu"), pixel_multiple=8,
        encode_images=lambda pixels: F.avg_pool2d(pixels, 8), encode_prompts=encode_prompts,
        add_size_conditioning=add_size_conditioning, asked=asked,
        schedule=SimpleNamespace(timesteps_at=lambda shares, tokens: shares * 1000),
    )  # fmt: skip


@pytest.fixture
def pictures(tmp_path):
    """Four photos, the first lying and with a mask, the last without a caption; six class images."""
    photos, others = [], []
    for number in range(10):
        file, size = tmp_path / f"{number}.png", (320, 160) if number == 0 else (160, 160)
        painted(number, size).save(file)
        sha256 = files.sha256(file)
        if number < 4:
            caption = f"ohwx car {number}" if number < 3 else None
            photos.append(Photo(file, sha256, *size, caption, _mask(tmp_path, number), "", ""))
        else:
            width, height = size
            others.append(
                ClassImage(
                    file=file,
                    sha256=sha256,
                    width=width,
                    height=height,
                    prompt=f"a car {number}",
                    source="",
                    author="",
                    licence="",
                )
            )
    return photos, others


def _mask(folder: Path, number):
    if number:
        return None
    Image.new("L", (320, 160)).save(folder / "mask.png")
    return folder / "mask.png"


def planned(**changes):
    told = {
        "steps": 8, "effective_batch_size": 4, "resolution": 64, "target_modules": "attention",
        "rank": 2, "alpha": 2,
        "learning_rate": 1e-3, "class_image_ratio": 0.5, "precision": "fp32", "sample_every_n_steps": 0,
        "save_every_n_steps": 4, "seed": 0, "caption_dropout_rate": 0.0, "prior_loss_weight": 0.25,
        "estimate": Estimate(seconds=0, bytes=0, class_images_seen=0, seconds_per_step=0),
        "inputs": PlanInputs(base="", photos="", captions="", class_images="", subject="", versions={}),
    }  # fmt: skip
    return Plan.model_validate(told | changes)


def data_of(base, pictures, **changes):
    return TrainingSet(base, planned(**changes), SUBJECT, *pictures)


def test_every_crop_is_seen_and_of_the_class_what_is_reached(base, pictures):
    short = data_of(base, pictures, steps=1, crops_per_photo=3)
    reached = [item.file for item in short.seen()[12:]]
    slots = [short._slot(number) for number in range(4)]
    crops = short.seen()[:12]
    assert [item.file for item in crops] == [one.file for one in pictures[0] for _ in range(3)]
    assert len({item.key() for item in crops}) > 8, "some crops of small pictures are the same"
    assert reached == [pictures[1][i].file for i in sorted(s.index for s in slots if s.is_class)]
    assert len(data_of(base, pictures, steps=500).seen()) == 4 + 6


def test_without_a_share_no_class_image_is_used(base, pictures):
    data = data_of(base, pictures, class_image_ratio=0)
    assert data.class_images == [] and len(data.seen()) == 4
    assert len(data_of(base, (pictures[0], [])).seen()) == 4


def test_all_is_encoded_before_the_first_step_but_prompts_that_change(base, pictures):
    assert list(data_of(base, pictures).fill_caches())[-1] == (10, 10)
    told = sorted(prompt for (prompt,) in base.asked)
    assert told[0] == "" and "a photo of ohwx car" in told and len(told) == 1 + 4 + 6
    base.asked.clear()
    data = data_of(base, pictures, text_encoder_rank=2)
    list(data.fill_caches())
    assert base.asked == []
    data.groups(0, 4)
    assert sum(map(len, base.asked)) == 4, "encoders that learn are asked anew"


def test_a_batch_is_its_slots_grouped_by_shape(base, pictures):
    data = data_of(base, pictures)
    list(data.fill_caches())
    for first in range(0, 32, 4):
        groups = data.groups(first, 4)
        numbers = sorted(slot.number for group in groups for slot in group.slots)
        assert numbers == list(range(first, first + 4))
        assert len({group.batch.latents.shape[-2:] for group in groups}) == len(groups)
    assert any(len(data.groups(first, 4)) == 2 for first in range(0, 32, 4))


def test_each_picture_stands_in_the_batch_with_what_belongs_to_it(base, pictures):
    data = data_of(base, pictures, caption_dropout_rate=0.5, unmasked_weight=0.2, seed=3)
    list(data.fill_caches())
    dropped = 0
    for group in (group for first in range(0, 32, 4) for group in data.groups(first, 4)):
        batch = group.batch
        for row, slot in enumerate(group.slots):
            item, dropped = data.picture(slot), dropped + slot.drop_caption
            assert torch.equal(batch.latents[row], data.latents.read(item, keep=False)[0])
            assert torch.equal(
                batch.noise[row], sampler.noise(slot.number, 3, batch.latents.shape[1:])
            )
            assert batch.timesteps[row] == 1000 * sampler.timestep_quantile(slot, 3)
            assert batch.loss_weights[row] == (0.25 if slot.is_class else 1)
            background = (
                0.2 if item.mask else 1.0
            )  # the mask is black: nothing in it is the product
            assert torch.allclose(batch.masks[row], torch.tensor(background))
            prompt = "" if slot.drop_caption else item.prompt
            expected = base.encode_prompts([prompt])["context"][0]
            assert torch.equal(batch.conditioning["context"][row], expected)
            assert batch.conditioning["widths"][row] == item.size[0]
    assert 0 < dropped < 16
