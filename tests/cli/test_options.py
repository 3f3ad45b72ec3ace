"""What the options' words mean."""

import os
from pathlib import Path

import pytest

from packshot.cli import generate, main
from packshot.cli.options import as_text, comma_separated, loras_of, sources_of
from packshot.errors import LoraError
from packshot.generation.prompts import default_prompts
from packshot.lora import Lora
from packshot.project import save_choices
from packshot.settings import choices_of


@pytest.mark.parametrize("written", ["a café 🚗".encode(), "a café".encode("cp1252"), b""])
def test_words_of_a_terminal_that_writes_no_utf_8_are_text(written):
    text = as_text(os.fsdecode(written))
    assert text in ("a café 🚗", "a café", "") and text.encode()[:5] == b"a caf"[: len(written)]


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, None), ("", ()), (" , ,", ()), ("faces", ("faces",)), (" a, b ,a", ("a", "b", "a"))],
)
def test_words_with_commas(text, words):
    assert comma_separated(text) == words


def test_sources_are_given_several_times_or_with_commas(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("cars, red").mkdir()
    assert sources_of(None) is None is sources_of([])
    assert sources_of(["openverse, commons", "urls.txt"]) == ("openverse", "commons", "urls.txt")
    assert sources_of(["cars, red", "a,b"]) == ("cars, red", "a", "b"), (
        "a folder's name has a comma"
    )


@pytest.mark.parametrize(
    ("text", "file", "weight"),
    [
        ("a.safetensors", "a.safetensors", 1.0), ("a.safetensors:0.5", "a.safetensors", 0.5),
        ("a:-1", "a", -1.0), ("C:/a.safetensors", "C:/a.safetensors", 1.0),
        ("C:/a.safetensors:.3", "C:/a.safetensors", 0.3), ("a:b:2", "a:b", 2.0), ("a:", "a:", 1.0),
    ],
)  # fmt: skip
def test_a_lora_has_its_weight_after_a_colon(monkeypatch, text, file, weight):
    monkeypatch.setattr("packshot.cli.options.lora_of", lambda file, base: file)
    assert loras_of([text], None) == [(Path(file), weight)]
    assert loras_of([], None) == []


@pytest.mark.parametrize("weight", ["nan", "inf", "-inf", "1e39", "101"])
def test_a_weight_that_is_no_number_is_refused(monkeypatch, weight):
    monkeypatch.setattr("packshot.lora.load_lora", lambda file, base: file)
    with pytest.raises(LoraError, match="is not a weight"):
        loras_of([f"a.safetensors:{weight}"], None)


def test_what_is_left_out_of_a_lora_is_said(monkeypatch, capsys):
    lora = Lora({}, left_out=("bundle_emb.<x>.clip_l",))
    monkeypatch.setattr("packshot.lora.load_lora", lambda file, base: lora)
    assert loras_of(["a.safetensors"], None) == [(lora, 1.0)]
    said = capsys.readouterr().out.replace("\n", " ")
    assert (
        "a.safetensors: the LoRA is used, but not the 1 embeddings that were trained along" in said
    )


@pytest.mark.parametrize("seed", [-1, 2**64, 10**30])
@pytest.mark.parametrize(
    "command",
    [
        ["shoot", "a car", "--first-seed"], ["insert", "a.png", "--box", "1,2,3,4", "--seed"],
        ["new", "x", "--class", "car", "--seed"], ["run", "x", "--class", "car", "--seed"],
    ],
)  # fmt: skip
def test_a_seed_that_no_generator_takes_is_refused_in_words(
    command, seed, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["packshot", *command, str(seed)])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr().err
    assert ended.value.code == 2 and "seed" in told and "Traceback" not in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [["shoot", "a car", "--out"], ["doctor", "--json"], ["judge", "--json"]]
)
def test_results_replace_nothing_of_the_users(arguments, project, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    out.mkdir()
    mine = out / ("sheet.png" if arguments[0] == "shoot" else "report.json")
    mine.write_text("mine")
    place = [out, "-p", project.root] if arguments[0] == "shoot" else [mine]
    monkeypatch.setattr(
        "packshot.plan.load_base.load_project_base", lambda *_: pytest.fail("loaded")
    )
    monkeypatch.setattr("sys.argv", ["packshot", *arguments, *map(str, place)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert f"{mine} was not written by Packshot, or was changed since" in capsys.readouterr().err
    assert mine.read_text() == "mine" and list(out.iterdir()) == [mine]


def test_the_last_of_many_seeds_is_one_that_a_generator_takes(project, monkeypatch, capsys):
    order = ["shoot", "a car", "--first-seed", str(2**64 - 2), "--images-per-prompt", "3"]
    monkeypatch.setattr("sys.argv", ["packshot", *order, "-p", str(project.root)])
    with pytest.raises(SystemExit):
        main()
    assert f"seeds.2 = {2**64}: input should be less than {2**64}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "seeds"), [((), 3), (("--images-per-prompt", "1"), 1), (("a car",), 1)]
)
def test_the_reports_images_are_as_many_as_the_project_says(words, seeds, project, monkeypatch):
    save_choices(project, choices_of(images_per_prompt=3))
    asked = []
    monkeypatch.setattr(
        generate, "_shoot_for_the_report", lambda _, settings: asked.append(settings)
    )
    monkeypatch.setattr(generate, "_shoot", lambda *given, **_: asked.append(given[2]))
    monkeypatch.setattr("sys.argv", ["packshot", "shoot", *words, "-p", str(project.root)])
    with pytest.raises(SystemExit):
        main()
    assert len(asked[0].seeds) == seeds


def test_without_prompts_another_base_is_given_the_projects_own(project, monkeypatch):
    asked = []
    monkeypatch.setattr(
        generate, "_shoot", lambda _, prompts, *given, **more: asked.append(prompts)
    )
    monkeypatch.setattr("sys.argv", ["packshot", "shoot", "--base", "x", "-p", str(project.root)])
    for own in ((), ("{subject} on Mars",)):
        save_choices(project, choices_of(prompts=own))
        with pytest.raises(SystemExit):
            main()
    assert asked == [default_prompts(project.subject), ["{subject} on Mars"]]
