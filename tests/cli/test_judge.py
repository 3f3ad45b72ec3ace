"""`packshot judge` as its users meet it: a table, a proposal with its reason, and the next command."""

import pytest

from packshot.cli import judge as command
from packshot.cli import main
from packshot.errors import LoraError, ModelLoadError
from packshot.generation import embedders
from packshot.judging.candidate import Candidate
from packshot.judging.comparison import Comparison
from packshot.judging.effort import Effort
from packshot.judging.judge import Judge
from packshot.utils import reading
from tests.generation.test_metrics import Colours
from tests.judging.test_candidates import Left, project, with_step  # noqa: F401 (fixtures)
from tests.projects import samples_in_two_steps


@pytest.fixture
def call(project, tiny_base, monkeypatch, capsys):  # noqa: F811
    """Calls the command on a project with runs, whose base is loaded already."""
    samples_in_two_steps(tiny_base)
    monkeypatch.setattr(command, "base_of", lambda *_: tiny_base)

    def run(*words, columns=300):
        monkeypatch.setattr("sys.argv", ["packshot", "judge", "-p", str(project.root), *words])
        monkeypatch.setenv("COLUMNS", str(columns))
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return ended.value.code, told.out, told.err

    return run


@pytest.mark.slow
def test_checkpoints_are_compared_and_one_is_proposed(
    call,
    project,  # noqa: F811
    with_step,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    def quick(opened, base, identity, seeds, console):
        return Judge(opened, base, Colours(), Colours(), Left(), Effort("of a test", 1, seeds, 1))

    monkeypatch.setattr(command, "_judge", quick)
    words = ("--weight", "1", "--seeds", "2", "--most-drift", "9", "--dreambooth")
    code, told, _ = call(*words, "--base", "sister", "--json", str(tmp_path / "judged.json"))
    assert code == 0
    for words in ("first, step 5, at 1", "second, at 1", "without a LoRA", "real images", "PRES"):
        assert words in told
    said = " ".join(told.split())
    assert "Proposed: " in said and "9 at most" in said
    facts = reading.read_json(tmp_path / "judged.json")
    proposed, (abroad,) = facts["proposed"], [one for one in facts["candidates"] if one["base"]]
    assert [abroad[key] for key in ("run", "step")] == [proposed[key] for key in ("run", "step")]
    assert abroad["name"] in said and "without a LoRA on sister" in said
    assert [plain["base"] for plain in facts["without"]] == ["", "sister"]
    assert len(facts["dreambooth"]) == 3 and len(facts["candidates"]) == 4
    assert (
        "Next: packshot choose" in said
        and "Diversity is 1 - cosine of images of one prompt, not the paper's LPIPS" in said
    )


@pytest.mark.slow
def test_what_was_measured_is_shown_though_another_base_does_not_fit(call, tiny_base, monkeypatch):
    def quick(opened, base, identity, seeds, console):
        return Judge(opened, base, Colours(), Colours(), Left(), Effort("of a test", 1, seeds, 1))

    def unfit(opened, console, name=""):
        if name:
            raise LoraError("The LoRA does not fit it.")
        return tiny_base

    monkeypatch.setattr(command, "_judge", quick)
    monkeypatch.setattr(command, "base_of", unfit)
    code, told, error = call(
        "--weight", "1", "--seeds", "1", "--most-drift", "9", "--base", "other"
    )
    assert code == 2 and "does not fit it" in error
    assert "without a LoRA" in told and "second, at 1" in told and "Proposed: " in told


@pytest.mark.slow
def test_the_table_fits_a_terminal_of_usual_width(call, monkeypatch):
    def quick(opened, base, identity, seeds, console):
        return Judge(opened, base, Colours(), Colours(), Left(), Effort("of a test", 1, seeds, 1))

    monkeypatch.setattr(command, "_judge", quick)
    _, told, _ = call("--weight", "1", "--seeds", "1", columns=80)
    rows = [line for line in told.splitlines() if line[:1] in ("┃", "│")]
    assert rows and all(len(line) <= 80 and line[-1] == line[0] for line in rows)
    assert "diversity" not in told  # of one picture of a prompt there is none


def test_without_anything_that_tells_products_apart_it_says_what_to_name(call, monkeypatch):
    def nothing(*_):
        raise ModelLoadError("Nothing is at hand. Name a DINOv2: --identity facebook/dinov2-base")

    monkeypatch.setattr(embedders, "identity_embedder_for", nothing)
    code, _, told = call()
    assert code == 2 and "packshot: Nothing is at hand. Name a DINOv2" in told


def test_names_are_shown_as_they_are(project, tiny_base, monkeypatch, capsys):  # noqa: F811
    """Brackets are none of the table's own words, nor is an escape one of the terminal's."""
    monkeypatch.setenv("COLUMNS", "300")
    values = {"identity": (0.5, 0.6), "drift": (0.1, 0.1)}
    of = Candidate("style [v2].safetensors", 1.0, "a" * 64, base="\x1b]0;x[/b]", values=values)
    judging = Judge(project, tiny_base, Colours(), Colours(), Left())
    command._show(judging, Comparison([of], {}))
    told = capsys.readouterr().out
    assert "style [v2].safetensors, at 1 on \\x1b]0;x[/b]" in told and "\x1b]0" not in told


def test_dreambooths_table_without_a_clip_is_refused_before_anything_is_measured(call, monkeypatch):
    def blind(opened, base, identity, seeds, console):
        return Judge(opened, base, Colours(), None, Left())

    monkeypatch.setattr(command, "_judge", blind)
    monkeypatch.setattr(Judge, "judged", lambda *_: pytest.fail("it measured"))
    code, _, told = call("--dreambooth")
    assert code == 2 and "There is no CLIP to measure DreamBooth's table with" in told
