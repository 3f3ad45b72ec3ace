"""`packshot judge` as its users meet it: a table, a proposal with its reason, and the next command."""

import pytest

from packshot.cli import judge as command
from packshot.cli import main
from packshot.errors import ModelLoadError
from packshot.generation import embedders
from packshot.judging.candidates import Judge
from tests.generation.test_metrics import Colours
from tests.judging.test_candidates import Left, project, with_step  # noqa: F401 (fixtures)
from tests.projects import samples_in_two_steps


@pytest.fixture
def call(project, tiny_base, monkeypatch, capsys):  # noqa: F811
    """Calls the command on a project with runs, whose base is loaded already."""
    samples_in_two_steps(tiny_base)
    monkeypatch.setattr(command, "base_of", lambda *_: tiny_base)

    def run(*words):
        monkeypatch.setattr("sys.argv", ["packshot", "judge", "-p", str(project.root), *words])
        monkeypatch.setenv("COLUMNS", "300")
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return ended.value.code, told.out, told.err

    return run


@pytest.mark.slow
def test_checkpoints_are_compared_and_one_is_proposed(call, project, with_step, monkeypatch):  # noqa: F811
    def quick(opened, base, identity, seeds, console):
        return Judge(opened, base, Colours(), Colours(), Left(), prompts=1, seeds=seeds)

    monkeypatch.setattr(command, "_judge", quick)
    code, told, _ = call("--weight", "1", "--seeds", "2", "--most-drift", "9", "--dreambooth")
    assert code == 0
    for words in ("first, step 5, at 1", "second, at 1", "without a LoRA", "real images", "PRES"):
        assert words in told
    said = " ".join(told.split())
    assert "Proposed: " in said and "9 at most" in said
    assert "Next: packshot choose" in said and "DIV is 1 - cosine, not LPIPS" in said


def test_without_anything_that_tells_products_apart_it_says_what_to_name(call, monkeypatch):
    def nothing(*_):
        raise ModelLoadError("Nothing is at hand. Name a DINOv2: --identity facebook/dinov2-base")

    monkeypatch.setattr(embedders, "identity_embedder_for", nothing)
    code, _, told = call()
    assert code == 2 and "packshot: Nothing is at hand. Name a DINOv2" in told
