"""Each measure against the same computed by hand, pair by pair."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from packshot.judging import measures


def vectors(count, seed, near=None):
    draw = torch.Generator().manual_seed(seed)
    found = torch.randn(count, 5, generator=draw)
    return F.normalize(found + (0 if near is None else 4 * near), dim=-1)


def test_identity_is_the_margin_over_look_alikes_photo_by_photo():
    shots, photos, others = vectors(3, 0), vectors(4, 1), vectors(2, 2)
    found = measures.identity(shots, photos, others)
    for value, shot in zip(found, shots, strict=True):
        like = np.mean([float(shot @ photo) for photo in photos])
        unlike = np.mean([float(shot @ other) for other in others])
        assert value == pytest.approx(like - unlike, abs=1e-6)
    alone = measures.identity(shots, photos)
    assert alone[0] == pytest.approx(float((shots[0] @ photos.T).mean()), abs=1e-6)


def test_a_photo_is_not_compared_with_itself():
    photos, others = vectors(3, 0), vectors(2, 2)
    found = measures.identity_of_photos(photos, others)
    for n, value in enumerate(found):
        rest = [float(photos[n] @ photos[m]) for m in range(3) if m != n]
        unlike = [float(photos[n] @ other) for other in others]
        assert value == pytest.approx(np.mean(rest) - np.mean(unlike), abs=1e-6)
    assert measures.identity_of_photos(photos[:1]) == []


def test_the_product_is_told_from_its_look_alikes():
    product = vectors(1, 9)
    shots, photos = vectors(6, 0, product), vectors(6, 1, product)
    strangers, others = vectors(6, 2, vectors(1, 8)), vectors(6, 3, vectors(1, 8))
    ours = measures.identity(shots, photos, others)
    theirs = measures.identity(strangers, photos, others)
    assert min(ours) > 0 > max(theirs)


def test_a_shot_with_a_photos_background_is_found():
    photos = vectors(3, 0)
    shots = torch.cat([photos[1:2], vectors(1, 7)])
    copied, own = measures.copied_background(shots, photos)
    assert copied == pytest.approx(1, abs=1e-6) and own < 0.99


def test_diversity_is_over_the_pairs_of_each_prompt():
    shots = vectors(5, 0)
    prompts = ["a", "b", "a", "a", "c"]
    (found,) = measures.diversity(shots, prompts)
    pairs = itertools.combinations(shots[[0, 2, 3]], 2)
    assert found == pytest.approx(np.mean([1 - float(a @ b) for a, b in pairs]), abs=1e-6)
    assert measures.diversity(shots[:1].repeat(3, 1), ["a"] * 3)[0] == pytest.approx(0, abs=1e-6)
