"""The proposal: faithful within limits, light among equals, and with a reason that is true."""

import numpy as np

from packshot.judging.candidate import Candidate
from packshot.judging.choice import Limits, propose

NOISE = np.random.default_rng(0).normal(0, 0.05, 12)
"""What prompts and seeds do to all candidates alike."""


def candidate(identity, drift, step=None, weight=1.0, prompt=0.3, run="run", noise=None):
    """One whose pictures have these means; its own noise is a tenth of what they share."""
    own = np.random.default_rng(hash((step, weight)) % 2**32).normal(0, 0.005, 12)
    values = {
        "identity": tuple(identity + NOISE + own - own.mean() if noise is None else noise),
        "drift": (drift,) * 8,
        "prompt fidelity": tuple(prompt + NOISE),
    }
    return Candidate(run, weight, "digest", identity, drift, "e", step, values)


def test_the_most_faithful_within_the_limits_is_proposed():
    few, more, most = candidate(0.2, 0.05, 100), candidate(0.3, 0.1, 200), candidate(0.4, 0.3, 300)
    chosen = propose([few, more, most], Limits(drift=0.2))
    assert chosen.candidate is more
    assert chosen.why.startswith("run, step 200, at 1 is the most faithful, likeness 0.3")
    assert "prediction drift of 0.100 (0.2 at most)" in chosen.why
    assert propose([few, more, most], Limits(drift=0.5)).candidate is most


def test_what_is_surely_as_good_goes_to_the_earlier_step_then_to_the_lower_weight():
    end, late, light = (
        candidate(0.301, 0.1),
        candidate(0.3, 0.1, 200),
        candidate(0.3, 0.1, 200, 0.8),
    )
    chosen = propose([end, late, light, candidate(0.2, 0.05, 100)], Limits())
    assert chosen.candidate is light
    assert (
        "the lightest that is surely at most 0.01 behind the most faithful (run, at 1, likeness 0.30"
        in chosen.why
    )


def test_what_hears_prompts_less_is_left_out_if_that_is_sure():
    deaf, good = candidate(0.4, 0.1, 200, prompt=0.25), candidate(0.3, 0.1, 100)
    without = tuple(0.3 + NOISE)
    assert propose([deaf, good], Limits(), without).candidate is good
    assert propose([deaf, good], Limits(lost=0.2), without).candidate is deaf
    assert propose([deaf, good], Limits()).candidate is deaf, "nothing to compare with"


def test_where_none_is_within_the_limits_the_least_drift_is_proposed_and_told():
    chosen = propose([candidate(0.4, 0.3, 200), candidate(0.2, 0.25, 100)], Limits(drift=0.2))
    assert chosen.candidate.step == 100
    assert "None is within the limits (prediction drift 0.250 of 0.2 at most)." in chosen.why


def test_where_all_lose_prompt_fidelity_the_most_faithful_of_those_that_keep_most_is_proposed():
    """As a can had it: the lightest, which drifts least, is hardly like the product."""
    light = candidate(0.1, 0.07, 40, 0.6, prompt=0.234)
    good, deaf = candidate(0.4, 0.12, 120, prompt=0.226), candidate(0.45, 0.13, prompt=0.18)
    without = tuple(0.3 + NOISE)
    chosen = propose([light, good, deaf], Limits(), without)
    assert chosen.candidate is good
    assert "None is within the limits (prompt fidelity 25% lower, of 10% at most)" in chosen.why
    assert chosen.why.count("%") == 2 and "run, step 120, at 1 is the most faithful" in chosen.why
    drifting = candidate(0.5, 0.3, 160, prompt=0.234)
    assert propose([light, good, deaf, drifting], Limits(), without).candidate is good


def test_of_nothing_measured_nothing_is_proposed():
    assert propose([Candidate("run", 1.0, "digest")], Limits()) is None


def test_what_chance_alone_might_explain_is_not_as_good_however_light():
    many = np.array([0.5, -0.5] * 6)
    best, light = candidate(0.35, 0.1, 200), candidate(0, 0.1, 100, noise=0.34 + many)
    chosen = propose([best, light], Limits())
    assert chosen.candidate is best
    assert "most faithful, though chance does not tell it from 1 of the others" in chosen.why
    assert propose([best, candidate(0.345, 0.1, 100)], Limits()).candidate.step == 100
