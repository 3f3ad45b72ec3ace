"""The benchmark of horizons: its crops keep the truth, its table counts, its labels are whole."""

import numpy as np
import pytest

from benchmarks import horizon
from packshot.utils import reading


def test_the_horizon_of_a_crop_is_where_it_was():
    picture = np.zeros((200, 300, 3), np.float32)
    picture[120:] = 1
    case = horizon.Case("photos/one.jpg", picture, 0.6, True)
    crops = list(horizon._cropped([case]))
    assert len(crops) == 1 + horizon.CROPS
    for crop in crops:
        seen = (crop.colours[:, 0, 0] < 0.5).mean()
        assert 0 < seen < 1 and crop.height == pytest.approx(seen, abs=0.01)


def test_above_the_picture_every_estimate_above_it_is_right():
    case = horizon.Case("x", np.zeros((9, 9, 3)), None, False)
    assert case.error(-0.4) == 0 and case.error(0.3) == 0.3
    assert horizon.Case("x", case.colours, 0.5, False).error(0.3) == pytest.approx(0.2)


def test_a_table_counts_what_is_right():
    cases = list(horizon.drawn(2, ("tiles",)))
    rows = horizon.reliability(cases)
    assert (
        rows[-1].startswith("all: 2, ")
        and sum(int(row.split()[3].strip(",")) for row in rows[:-1]) == 2
    )


def test_the_labels_are_whole():
    labels = reading.read_toml(horizon.LABELS)
    assert len(labels) == 40
    for label in labels.values():
        assert ("height" in label) != ("above" in label) and len(label["sha256"]) == 64
        assert label["by"] in ("eye", "level")


def test_another_file_than_the_labelled_is_refused(tmp_path):
    (tmp_path / "can").mkdir()
    (tmp_path / "can" / "02.jpg").write_bytes(b"another")
    with pytest.raises(ValueError, match="is not the labelled file"):
        list(horizon.photographs({"photos": tmp_path}))
    assert not list(horizon.photographs({"mate": tmp_path}))
