import pytest

from packshot.errors import PackshotError
from packshot.utils.durations import in_words, to_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("1.5h", 5400), (" 2M ", 120)],
)
def test_times_as_people_write_them(text, seconds):
    assert to_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "10 minutes", "m", "-5m", "1m1h"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(PackshotError, match="write 90s, 10m or 1h30m"):
        to_seconds(text)


def test_seconds_in_words():
    assert [in_words(x) for x in (44.6, 200, 3900)] == ["45 s", "3 min 20 s", "1 h 05 min"]
