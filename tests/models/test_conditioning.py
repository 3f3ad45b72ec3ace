"""Prompts that are encoded alone and joined in a batch."""

import torch

from packshot.models.conditioning import join_conditionings, split_conditioning


def test_prompts_of_other_lengths_are_joined_with_a_mask():
    def one(*tokens):
        return {
            "context": torch.tensor(tokens)[None, :, None],
            "pooled": torch.tensor([tokens[:1]]),
        }

    joined = join_conditionings([one(1, 2, 3), one(4)])
    assert joined["context"].squeeze(-1).tolist() == [[1, 2, 3], [4, 0, 0]]
    assert joined["mask"].tolist() == [[True] * 3, [True, False, False]]
    assert joined["pooled"].tolist() == [[1], [4]]
    apart = split_conditioning(joined)
    assert [each.keys() for each in apart] == [{"context", "pooled"}] * 2
    for ours, theirs in zip(apart, (one(1, 2, 3), one(4)), strict=True):
        assert all(torch.equal(ours[name], value) for name, value in theirs.items())
    # Caches of earlier versions hold each prompt with a mask of ones.
    stored = one(1, 2) | {"mask": torch.ones(1, 2)}
    assert join_conditionings([stored, one(3, 4)]).keys() == {"context", "pooled"}
