import pytest

from packshot.errors import InsertionError
from packshot.insertion.settings import InsertionSettings
from packshot.utils.validation import validated


@pytest.mark.parametrize(
    "name,fit,unfit",
    [
        ("method", ("composite", "inpaint"), ("paste",)),
        ("seed", (0, 2**64 - 1), (-1, 2**64)),
        ("tries", (1, 64), (0, 65)),
        ("steps", (None, 1, 1000), (0, 1001)),
        ("guidance_scale", (None, 0, 50), (-0.1, 51, float("nan"))),
        ("light_elevation_degrees", (None, 0.1, 90), (0, -5, 91)),
        ("light_azimuth_degrees", (None, -90, 400), (float("inf"),)),
        ("light_hardness", (None, 0, 1), (-0.1, 1.1)),
        ("horizon", (None, -300, 5000.5), (float("nan"),)),
        ("shadow_strength", (0, 1), (-0.1, 1.1)),
        ("reflection", (0, 1), (-0.1, 1.1)),
        ("refine", (0, 0.8), (-0.1, 0.9)),
        ("colour", (), (1,)),
    ],
)
def test_values_out_of_range_are_refused_by_name(name, fit, unfit):
    for value in fit:
        assert getattr(validated(InsertionSettings, InsertionError, **{name: value}), name) == value
    for value in unfit:
        with pytest.raises(InsertionError, match=name):
            validated(InsertionSettings, InsertionError, **{name: value})
