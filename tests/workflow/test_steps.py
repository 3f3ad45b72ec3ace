"""The parts of the walk along the path that need no base: its clock, its pace, its estimates."""

from types import SimpleNamespace

import pytest

from packshot.decisions import Decisions
from packshot.project import save_choices
from packshot.settings import choices_of
from packshot.training import Step
from packshot.utils.durations import in_words
from packshot.workflow import steps
from packshot.workflow.steps import Clock, Pace, closing_seconds, list_of
from tests.walking import Listener


def test_time_does_not_pass_while_the_clock_is_paused():
    now = [100.0]
    clock = Clock(lambda: now[0])
    for _ in range(2):
        now[0] += 5
        with clock.paused():
            now[0] += 1000
            with clock.paused():  # as loading the base for a captioner is
                now[0] += 500
    now[0] += 2
    assert clock.seconds == 12


def test_a_pause_that_ends_in_an_error_is_not_counted_either():
    now = [0.0]
    clock = Clock(lambda: now[0])
    with pytest.raises(ValueError), clock.paused():
        now[0] += 50
        raise ValueError
    assert clock.seconds == 0


def paced(seconds, planned=1.0):
    """What is said as steps take so long, after each step."""
    said = []
    pace = Pace(SimpleNamespace(estimate=SimpleNamespace(seconds_per_step=planned)), said.append)
    counts = []
    for number, taken in enumerate(seconds, start=1):
        pace.step(Step(number, 100, 0.0, None, None, 0.0, taken))
        counts.append(len(said))
    return said, counts


def test_a_pace_as_planned_or_one_long_step_says_nothing():
    assert paced([1.0] * 40)[0] == [] == paced(([1.0] * 5 + [100.0]) * 8)[0]
    assert paced([1.49] * 40)[0] == [] and paced([9.0] * 11)[0] == []


def test_without_a_prediction_nothing_can_be_said():
    assert paced([9.0] * 40, planned=0.0)[0] == []


def test_a_slower_machine_is_told_once_and_again_when_it_is_twice_as_slow():
    said, counts = paced([3.0] * 30 + [8.0] * 30)
    assert counts[10:13] == [0, 1, 1] and counts[29] == 1 and counts[-1] == 2
    assert "takes 3.0 times as long as planned" in said[0] and "--finish" in said[0]
    assert f"{in_words(264)} rather than {in_words(88)}" in said[0]


def test_what_scores_take_is_measured_once_and_grows_with_the_pictures(project, monkeypatch):
    asked = []
    monkeypatch.setattr(steps, "open_image", lambda file: asked.append(file.name))
    monkeypatch.setattr(steps, "embed_image_files", lambda judge, files: asked.append("embedded"))
    ticks = iter(range(100))
    monkeypatch.setattr(steps.time, "perf_counter", lambda: next(ticks) * 0.5)

    def photo(name, side):
        return SimpleNamespace(
            file=SimpleNamespace(name=name), width=side, height=side, sha256=name * 20
        )

    shown, judge = [photo("small", 10), photo("large", 20)], SimpleNamespace(name="clip")
    seconds = closing_seconds(shown, 3, judge, Decisions(project))
    assert asked == ["large", "large", "embedded", "embedded"], "each once to warm up, once timed"
    assert seconds == pytest.approx(4 * 2 * 0.5 + 2 * (3 + 2) * 0.5 + 1)
    assert closing_seconds(shown, 3, judge, Decisions(project)) == seconds and len(asked) == 4
    without = closing_seconds(shown, 3, None, Decisions(project))
    assert without == pytest.approx(4 * 2 * 0.5 + 1) and len(asked) == 6


def test_the_list_of_class_images_changes_with_pictures_and_prompts(project, monkeypatch):
    def listed(*pairs):
        images = [SimpleNamespace(sha256=sha256, prompt=prompt) for sha256, prompt in pairs]
        monkeypatch.setattr(steps, "list_class_images", lambda project: images)
        return list_of(project)

    lists = [(), (("a", "x"),), (("a", "y"),), (("b", "x"),), (("a", "x"), ("b", "x"))]
    assert len({listed(*pairs) for pairs in lists}) == len(lists)
    assert listed(("a", "x")) == listed(("a", "x"))


def test_plates_are_made_once_and_one_that_cannot_be_read_keeps_no_other(
    product, background_file, tmp_path
):
    plates = tmp_path / "plates"
    plates.mkdir()
    background_file.rename(plates / "beach.png")
    (plates / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    save_choices(product, choices_of(plates=str(plates)))
    said = Listener()
    steps.insert_into_plates(product, None, said)
    made = product.insertions_folder / "beach.png"
    assert any(words.startswith(f"inserted: {made} (") for words in said.said)
    assert any(words.startswith("not inserted: broken: ") for words in said.said)
    before, again = made.stat().st_mtime_ns, Listener()
    steps.insert_into_plates(product, None, again)
    assert made.stat().st_mtime_ns == before
    assert not any(words.startswith("inserted") for words in again.said)


def test_without_plates_nothing_is_inserted_and_plates_that_are_gone_are_told(product, tmp_path):
    said = Listener()
    steps.insert_into_plates(product, None, said)
    assert said.said == [] and not product.insertions_folder.exists()
    save_choices(product, choices_of(plates=str(tmp_path / "gone.csv")))
    steps.insert_into_plates(product, None, said)
    assert len(said.said) == 1 and "gone.csv" in said.said[0]
