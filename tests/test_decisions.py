"""What was settled stays settled, as long as what it was settled for is the same."""

import pytest

from packshot.decisions import Decisions
from packshot.errors import ProjectError
from packshot.project import create_project
from tests.at_once import another_writes_before


@pytest.fixture
def project(tmp_path):
    return create_project(tmp_path / "p", name="Duster", class_noun="car")


def test_it_is_decided_once_for_the_same_and_anew_for_another(project):
    said, values = [], iter([12, 13, 30])
    book = Decisions(project, said.append)

    def settle(**because):
        return book.settle("class_count", because, lambda: (next(values), "a tenth of the time"))

    assert settle(budget="4m", seed=None) == (12, "a tenth of the time", True)
    assert settle(budget="4m") == (12, "a tenth of the time", False)
    assert Decisions(project).settle("class_count", {"budget": "4m"}, pytest.fail).value == 12
    assert settle(budget="8m", base="b").value == 13
    assert said == [
        "class count decided again: 13; changed: base (none then, b now), budget (4m then, 8m now)"
    ]
    assert book.others("class_count", 13) == [12] and book.latest("class_count").value == 13
    assert settle(budget="4m") == (12, "a tenth of the time", False), "as it was before"
    assert book.others("class_count", 12) == [13] and book.latest("class_count").value == 12
    assert book.settle("class_count", {"budget": "4m"}, lambda: (30, "asked for"), anew=True).is_new
    assert book.latest("class_count").value == 30 and book.others("class_count", 30) == [13]
    assert book.latest("threads") is None


def test_what_is_forgotten_is_decided_again_and_nothing_else(project):
    book = Decisions(project)
    for name, value in (("threads", 4), ("step_cost", 1.5), ("captioner", "blip")):
        book.settle(name, {"base": "a"}, lambda value=value: (value, "measured"))
    book.settle("step_cost", {"base": "b"}, lambda: (2.5, "measured"))
    book.forget("step_cost", "threads", "shot_seconds")
    assert book.latest("threads") is None and book.latest("step_cost") is None
    assert book.settle("captioner", {"base": "a"}, pytest.fail).value == "blip"
    assert book.settle("step_cost", {"base": "a"}, lambda: (0.5, "measured")).is_new


def test_a_person_can_read_it_and_take_an_entry_out(project):
    Decisions(project).settle("threads", {"cores": 8}, lambda: (4, "faster than all 8"))
    cost = {"launch_seconds": 0.1, "checkpointing": False}
    Decisions(project).settle("step_cost", {"pixels": 64}, lambda: (cost, "measured"))
    text = project.decisions_file.read_text()
    assert 'reason = "faster than all 8"\nbecause = {cores = 8}' in text
    assert Decisions(project).settle("step_cost", {"pixels": 64}, pytest.fail).value == cost
    without = text.replace(text[text.index("[[threads]]") : text.index("[[step_cost]]")], "")
    project.decisions_file.write_text(without)
    assert Decisions(project).settle("threads", {"cores": 8}, lambda: (2, "x")).value == 2


def test_what_packshot_0_1_settled_has_its_name_of_today(project):
    for name, before, now in (
        ("storage", "plain", "full"), ("segmenter", "embedded", "bundled"), ("captioner", "plain", "plain"),
    ):  # fmt: skip
        Decisions(project).settle(name, {}, lambda before=before: (before, "measured"))
        assert Decisions(project).settle(name, {}, pytest.fail).value == now
        assert Decisions(project).latest(name).value == now


def test_two_that_decide_at_once_lose_nothing(project, monkeypatch):
    def settle(name):
        return Decisions(project).settle(name, {}, lambda: (1, "measured"))

    with another_writes_before(monkeypatch, lambda: settle("threads")):
        settle("step_cost")
    assert Decisions(project).latest("threads") and Decisions(project).latest("step_cost")
    with another_writes_before(monkeypatch, lambda: settle("captioner")):
        Decisions(project).forget("threads")
    assert Decisions(project).latest("captioner") and not Decisions(project).latest("threads")


def test_deciding_may_settle_other_things_on_the_way(project):
    book = Decisions(project)

    def outer():
        book.settle("inner", {}, lambda: (1, "first"))
        return 2, "then"

    book.settle("outer", {}, outer)
    assert Decisions(project).latest("inner").value == 1
    assert Decisions(project).latest("outer").value == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [("threads = 3", "threads = 3"), ("[[threads]]\nvalue = 2", r"threads\.0\.reason is missing")],
)
def test_a_damaged_book_says_what_to_do(project, text, words):
    project.decisions_file.write_text(text)
    with pytest.raises(ProjectError, match=rf"decisions\.toml: .*{words}.*Delete the file"):
        Decisions(project).latest("threads")
