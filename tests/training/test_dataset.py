"""What a run trains on: which pictures it sees, and what stands in each batch."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from packshot.class_images import ClassImage
from packshot.images.buckets import MAX_CUT, bucket
from packshot.photos.photo_set import Photo
from packshot.plan import Plan
from packshot.plan.config import Estimate, PlanInputs
from packshot.plan.run_cost import ImageShapes
from packshot.settings import Subject
from packshot.training import sampler
from packshot.training.dataset import TrainingSet
from packshot.utils import hashing
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
    """Four photos, the first lying and with a mask, the last without a caption; six class images.

    Beside the lying one, squares keep their own size: half of them would be cut off.
    """
    photos, others = [], []
    for number in range(10):
        file, size = tmp_path / f"{number}.png", (320, 160) if number == 0 else (160, 160)
        painted(number, size).save(file)
        sha256 = hashing.sha256(file)
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
    slots = [short.slot(number) for number in range(4)]
    crops = short.seen()[:12]
    assert [item.file for item in crops] == [one.file for one in pictures[0] for _ in range(3)]
    assert len({item.key() for item in crops}) > 8, "some crops of small pictures are the same"
    assert reached == [pictures[1][i].file for i in sorted(s.index for s in slots if s.is_class)]
    assert len(data_of(base, pictures, steps=500).seen()) == 4 + 6


def shaped(folder, sizes):
    """Class images of these sizes; only their names exist."""
    return [
        ClassImage(
            file=folder / f"{n}.png",
            sha256=f"{n:064}",
            width=width,
            height=height,
            prompt=f"a car {n}",
            source="",
            author="",
            licence="",
        )
        for n, (width, height) in enumerate(sizes)
    ]


def photo(folder, name, size):
    return Photo(folder / name, name * 64, *size, "ohwx car", None, "", "")


def test_class_images_have_the_size_of_the_photos_beside_them(base, tmp_path):
    """So that a step is one forward pass, unless a photo would show too little of them."""
    photos = [photo(tmp_path, name, size) for name, size in (("a", (300, 400)), ("b", (400, 300)))]
    others = shaped(tmp_path, [(512, 512), (400, 300), (300, 400), (800, 200)])
    data = data_of(base, (photos, others), effective_batch_size=2, steps=400)
    own = {n: bucket(*size, 64, 8) for n, size in enumerate([(512, 512), (400, 300), (300, 400)])}
    passes, apart, kept = [], [], []
    for first in range(0, 800, 2):
        beside, other = sorted(map(data.slot, (first, first + 1)), key=lambda slot: slot.is_class)
        size, item = data.picture(beside).size, data.picture(other)
        passes.append(len({size, item.size}))
        kept.append(seen_of(item))
        if item.size != size:
            apart.append((others[other.index].width, others[other.index].height))
            assert item.size == own.get(other.index, bucket(800, 200, 64, 8))
        else:
            assert kept[-1] >= 1 - MAX_CUT - 0.05, "whole pixels"
    # What lies is not made to stand: 9/16 of it would be seen.
    assert set(apart) == {(400, 300), (300, 400), (800, 200)} and max(passes) == 2
    assert passes.count(2) < 0.6 * len(passes)


@pytest.mark.parametrize("batch", [2, 4])
def test_steps_are_planned_with_the_passes_that_they_take(base, tmp_path, batch):
    photos = [photo(tmp_path, name, size) for name, size in (("a", (300, 400)), ("b", (400, 300)))]
    photos.append(photo(tmp_path, "c", (300, 560)))
    others = shaped(tmp_path, [(512, 512), (400, 300), (300, 400), (400, 250)])
    data = data_of(base, (photos, others), effective_batch_size=batch)
    passes = [
        len({data.picture(data.slot(n)).size for n in range(first, first + batch)})
        for first in range(0, 400 * batch, batch)
    ]
    shapes = ImageShapes(*([(one.width, one.height) for one in some] for some in (photos, others)))
    planned_passes = shapes.launches(base, 64, batch, 0.5)
    assert planned_passes == pytest.approx(sum(passes) / len(passes), rel=0.12)
    assert planned_passes > 1.2


def seen_of(item):
    left, upper, right, lower = item.box
    return (right - left) * (lower - upper) / (item.original[0] * item.original[1])


def test_photos_of_one_shape_make_every_step_one_pass(base, tmp_path):
    """Class images of squares and of both orientations, as a search finds them."""
    photos = [photo(tmp_path, name, (300, 400)) for name in "abc"]
    others = shaped(tmp_path, [(512, 512), (768, 1024), (683, 1024), (600, 640)])
    for batch in (2, 4):
        data = data_of(base, (photos, others), effective_batch_size=batch)
        own = [bucket(image.width, image.height, 64, 8) for image in others]
        assert len(set(own)) > 2
        for first in range(0, 64, batch):
            slots = map(data.slot, range(first, first + batch))
            assert len({data.picture(slot).size for slot in slots}) == 1


def test_what_is_seen_of_class_images_is_what_the_slots_show(base, tmp_path):
    """All crops are encoded beforehand, each once, and they are functions of the slot's number."""
    photos = [photo(tmp_path, name, size) for name, size in (("a", (300, 400)), ("b", (400, 300)))]
    others = shaped(tmp_path, [(512, 512), (500, 480)])
    data = data_of(base, (photos, others), effective_batch_size=2, steps=50)
    shown = {data.picture(data.slot(n)).key() for n in range(100)}
    found = [item.key() for item in data.seen()]
    assert set(found) == shown and len(found) == len(shown) == 2 + 2 * 2
    again = data_of(base, (photos, others), effective_batch_size=2, steps=50)
    assert [item.key() for item in again.seen()] == found
    single = data_of(base, (photos, others), effective_batch_size=2, gradient_accumulation_steps=2)
    shown_alone = {single.picture(single.slot(n)).key() for n in range(100)}
    assert shown_alone == shown, "accumulation does not change what is learnt"


def test_size_conditioning_tells_the_crop_of_a_class_image(base, tmp_path):
    photos, others = [photo(tmp_path, "a", (300, 400))], shaped(tmp_path, [(500, 500)])
    data = data_of(base, (photos, others), effective_batch_size=2)
    (item,) = [data.picture(data.slot(n)) for n in range(2) if data.slot(n).is_class]
    width, height = item.size
    shown = item.shown()
    assert (width, height) == data.photos[0][0].size == bucket(300, 400, 64, 8)
    assert shown.original_size == (500, 500) and shown.target_size == (width, height)
    # Resized to the bucket's height, a square is wider than it by this much on either side.
    assert shown.crop_top_left == ((height - width) // 2, 0)


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
