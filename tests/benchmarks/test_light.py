import numpy as np
import pytest
from PIL import Image

from benchmarks import light


def test_the_table_counts_what_is_believed_and_right_and_what_has_no_direction():
    told = light.Answers("x", np.array([0.9, 0.9, 0.3, 0.6]), np.array([5.0, 50.0, np.nan, 10.0]))
    assert told.row() == "| x | 3 | 10 degrees | 3 of 3 | 1 of 2 | 1 | 1 of 1 |"
    assert told.row().count("|") == light.HEADER.splitlines()[0].count("|")


def test_a_light_without_direction_is_never_right_and_azimuths_are_compared_around_the_circle():
    class Told:
        def estimate(self, colours):
            return light.Light(350.0, 40.0, 1.0, 0.7)

    asked = iter([(np.zeros((2, 2, 3)), azimuth) for azimuth in (5.0, 335.0, 200.0, None)])
    told = light.answers("x", asked, Told())
    assert told.error[:3].tolist() == [15, 15, 150]
    assert told.is_right.tolist() == [True, True, False, False]


def test_the_diagram_shows_the_share_that_is_right_in_each_range_of_confidence():
    confidence = np.repeat([0.3, 0.8], 10)
    error = np.concatenate([np.repeat([5.0, 90.0], [3, 7]), np.repeat([5.0, np.nan], [8, 2])])
    line = light.diagram([light.Answers("x", confidence, error)]).axes[0].lines[1]
    assert np.allclose(line.get_xydata(), [[0.3, 0.3], [0.8, 0.8]])


def test_another_photograph_under_a_listed_name_is_refused(tmp_path):
    first = light.LABELS.read_text().splitlines()[3].split()[1]
    (tmp_path / first).parent.mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / first)
    with pytest.raises(SystemExit, match="is not the photograph"):
        list(light.labelled(tmp_path))
