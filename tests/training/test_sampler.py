import random
from collections import Counter

import pytest
import torch

from packshot.training.sampler import noise, reseed, slot, timestep_quantile


def deal(count, **changes):
    settings = {"seed": 0, "photos": 12, "class_images": 100, "class_image_ratio": 0.5}
    return [slot(number, **(settings | changes)) for number in range(count)]


def test_photos_are_seen_equally_often():
    counts = Counter(item.index for item in deal(12 * 7, class_images=0))
    assert set(counts.values()) == {7} and len(counts) == 12


def test_class_images_are_sampled_evenly_and_from_everywhere():
    slots = [item for item in deal(400, class_images=3500) if item.is_class]
    assert len(slots) == 200 == len({item.index for item in slots})
    assert min(s.index for s in slots) < 200 and max(s.index for s in slots) > 3300
    counts = Counter(item.index for item in deal(400) if item.is_class)
    assert set(counts.values()) == {2}


@pytest.mark.parametrize("share", [0.0, 0.25, 0.4, 0.5])
def test_every_batch_holds_the_planned_share(share):
    slots = deal(400, class_image_ratio=share)
    for first in range(0, 400, 20):
        assert sum(item.is_class for item in slots[first : first + 20]) == 20 * share


def test_without_class_images_every_slot_is_a_photo():
    assert not any(item.is_class for item in deal(50, class_images=0))


def test_every_crop_of_every_photo_is_seen():
    seen = {(item.index, item.crop) for item in deal(12 * 4, class_images=0, crops_per_photo=4)}
    assert len(seen) == 48


def test_a_slot_is_a_function_of_seed_and_number():
    assert deal(64, caption_dropout=0.2) == deal(64, caption_dropout=0.2)
    assert deal(64) != deal(64, seed=1)
    assert torch.equal(noise(5, 0, (4, 8, 8)), noise(5, 0, (4, 8, 8)))
    assert not torch.equal(noise(5, 0, (4, 8, 8)), noise(6, 0, (4, 8, 8)))


def test_captions_are_dropped_about_as_often_as_asked():
    dropped = sum(item.drop_caption for item in deal(4000, class_images=0, caption_dropout=0.1))
    assert 320 < dropped < 480


@pytest.mark.parametrize("is_class", [False, True])
def test_timesteps_of_either_kind_are_even_over_any_deal(is_class):
    slots = [item for item in deal(800, class_image_ratio=0.375) if item.is_class == is_class]
    for first in range(0, 240, 8):
        times = [1000 * timestep_quantile(item, 0) for item in slots[first : first + 8]]
        assert sorted(t // 125 for t in times) == list(range(8))


def test_what_is_random_in_a_batch_is_a_function_of_its_number():
    with torch.random.fork_rng():
        drawn = []
        for seed, number in ((0, 7), (0, 8), (1, 7), (0, 7)):
            random.random()
            torch.rand(3)
            reseed(seed, number)
            drawn.append(tuple(torch.rand(4).tolist()))
    assert drawn[0] == drawn[3] and len(set(drawn)) == 3
