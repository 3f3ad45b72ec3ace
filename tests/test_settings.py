"""packshot.toml: what is chosen, in which words, and where the paths in it lead."""

import os
import tomllib

import pytest

from packshot.errors import ProjectError
from packshot.project import (
    create_project,
    open_or_create_project,
    open_project,
    save_choices,
)
from packshot.settings import Choices, Subject, choices_of


def test_rights_are_a_table_of_their_own_wherever_they_are_set(tmp_path):
    rights = {"creator": "Ada", "photos": "our own"}
    made = create_project(
        tmp_path / "a", name="x", class_noun="car", rights=rights, images_per_prompt=4
    )
    assert made.settings.rights.creator == "Ada" and made.settings.images_per_prompt == 4
    later = create_project(tmp_path / "b", name="x", class_noun="car")
    save_choices(later, choices_of(rights=rights))
    save_choices(later, choices_of(images_per_prompt=4, provenance=False))
    assert later.settings.rights.photos == "our own" and later.settings.images_per_prompt == 4
    assert later.marking.rights.creator == "Ada" and not later.marking.is_on


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("[trigger] {trigger} [Trigger] { trigger } [name]", "ohwx ohwx ohwx ohwx ohwx"),
        ("{trigger_word} [trigger word] {class} [subject]", "ohwx ohwx car ohwx car"),
        ("trigger [triggers] {x} {a|b} [trigger", "trigger [triggers] {x} {a|b} [trigger"),
    ],
)
def test_placeholders_of_other_trainers_are_filled(text, filled):
    subject = Subject(name="Duster", trigger="ohwx", class_noun="car")
    assert subject.fill(text) == filled


@pytest.mark.parametrize("text", ["an ohwx car", "ohwx", "(ohwx:1.2)", "ohwx,"])
def test_the_trigger_is_a_word_of_its_own(text):
    subject = Subject(name="Duster", trigger="ohwx", class_noun="car")
    assert subject.is_named_in(text)
    assert not subject.is_named_in(text.replace("ohwx", "ohwxs"))
    assert not subject.is_named_in(text.replace("ohwx", "my-ohwx"))


def test_settings_with_a_windows_editors_mark_open_and_are_kept(tmp_path):
    made = create_project(tmp_path / "p", name="One", class_noun="car")
    made.settings_file.write_bytes(b"\xef\xbb\xbf" + made.settings_file.read_bytes())
    assert open_project(tmp_path / "p").subject.name == "One"
    assert save_choices(made, choices_of(seed=7)) and made.settings.seed == 7


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "", "class_noun": "car"}, "name"),
        ({"name": "A", "class_noun": ""}, "class_noun"),
        ({"name": "A", "class_noun": "car", "trigger": "two words"}, "trigger"),
        ({"name": "A", "class_noun": "car", "base": " "}, "name a checkpoint"),
        ({"name": "A", "class_noun": "car", "seed": -1}, "seed"),
    ],
)
def test_settings_that_make_no_sense_are_named(tmp_path, settings, words):
    with pytest.raises(ProjectError, match=words):
        create_project(tmp_path / "p", **settings)
    assert not (tmp_path / "p").exists()


def test_unknown_keys_are_named(tmp_path):
    made = create_project(tmp_path / "p", name="A", class_noun="car")
    made.settings_file.write_text(made.settings_file.read_text().replace("seed", "sead"))
    with pytest.raises(ProjectError, match="sead: there is no such setting"):
        open_project(tmp_path / "p")


def test_what_is_chosen_is_written_down_and_what_a_person_wrote_there_stays(tmp_path):
    made = create_project(tmp_path / "p", name="A", class_noun="car", time_budget="4m")
    text = made.settings_file.read_text()
    made.settings_file.write_text(
        "# mine\n" + text.replace("seed = 0", "seed = 0  # of everything")
    )
    said = save_choices(
        made, choices_of(time_budget="8m", seed=0, class_images=("a", "b"), prompts=("x",))
    )
    assert said == [
        "time budget: 8m (4m before)", "class images: a, b (base before)", "prompts: x (none before)",
    ]  # fmt: skip
    text = made.settings_file.read_text()
    assert "# mine" in text and "seed = 0  # of everything" in text
    settings = open_project(made.root).settings
    assert (settings.time_budget, settings.class_images, settings.prompts) == (
        "8m",
        ("a", "b"),
        ("x",),
    )
    assert settings.subject == made.subject and settings.time_budget_seconds == 480
    before = made.settings_file.read_bytes()
    assert save_choices(made, choices_of(time_budget="8m")) == []
    assert made.settings_file.read_bytes() == before


def test_a_project_is_opened_with_the_words_of_before_or_fewer(tmp_path):
    words = {"name": "A", "class_noun": "car", "trigger": None}
    made, changed = open_or_create_project(tmp_path / "p", choices_of(base="x"), **words)
    assert not changed and made.settings.base == "x" and made.subject.trigger == "ohwx"
    fewer = {"name": None, "class_noun": None, "trigger": None}
    again, changed = open_or_create_project(tmp_path / "p", Choices(), **fewer)
    assert again == made and not changed and again.settings.base == "x"
    with pytest.raises(ProjectError, match=r"What kind of thing is it\? Say so: --class car"):
        open_or_create_project(tmp_path / "q", Choices(), **fewer)
    with pytest.raises(ProjectError, match="another product: its trigger is 'ohwx', not 'sks'"):
        open_or_create_project(tmp_path / "p", Choices(), **fewer | {"trigger": "sks"})


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (
            {"time_budget": "soon"},
            "time_budget = 'soon': 'soon' is not a time; write 90s, 10m or 1h30m",
        ),
        ({"time_budget": "0m"}, "time_budget = '0m': it must be more than nothing"),
        (
            {"images_per_prompt": 0},
            "images_per_prompt = 0: input should be greater than or equal to 1",
        ),
        ({"class_min_side": 3}, "class_min_side = 3: input should be greater"),
    ],
)
def test_choices_that_make_no_sense_are_told_in_one_line(choice, words):
    with pytest.raises(ProjectError, match=words) as refused:
        choices_of(**choice)
    assert "\n" not in str(refused.value)


def test_every_choice_is_an_option_of_run_and_of_the_same_name_elsewhere():
    from typer.main import get_command

    from packshot.cli import app

    commands = get_command(app).commands

    def options(name):
        return {opt for one in commands[name].params for opt in one.opts}

    run = options("run")
    for name in {*Choices.model_fields} - {"prompts"} | {"prompts_file"}:
        assert f"--{name.replace('_', '-')}" in run, name
    own = {"--project", "-p", "--help", "--yes", "--offers"}
    assert options("class-images") - own <= run
    assert {"--captioner", "--yes"} <= options("caption")
    assert "--segmenter" in options("masks") and "--blur" in options("photos")
    assert "--time-budget" in options("plan") and "--finish" in options("train")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The folder that commands were run in, and what moves to another one."""
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here", lambda: monkeypatch.chdir(tmp_path / "there")


@pytest.mark.parametrize(
    "name", ["models/sd15", "./models/sd15", "sd15", "../here/models/sd15", "a.b"]
)
def test_a_relative_base_is_the_same_folder_from_elsewhere(elsewhere, name):
    here, go = elsewhere
    (here / name).mkdir(parents=True, exist_ok=True)
    project = create_project(here / "p", name="x", class_noun="car", base=name)
    go()
    assert open_project(here / "p").settings.base == str((here / name).resolve())
    assert f'base = "{(here / name).resolve()}"' in project.settings_file.read_text()
    save_choices(project, choices_of(base="pocket"))
    assert project.settings.base == "pocket"


@pytest.mark.parametrize(
    ("key", "value", "kept"),
    [
        ("assistant", "a/file", "{}/a/file"),
        ("class_images", ("a/file", "openverse", "b"), ["{}/a/file", "openverse", "b"]),
        ("captioner", "a/file", "{}/a/file"),
        ("captioner", "blip:a/file", "blip:{}/a/file"),
        ("segmenter", "onnx:./a/file", "onnx:{}/a/file"),
        ("embedder", "a/file", "{}/a/file"),
        ("base", "./gone", "{}/gone"),
        ("base", "owner/name@main", "owner/name@main"),
        ("base", "clip", "clip"),
        ("captioner", "clip", "clip"),
        ("class_images", ("https://a.b/c",), ["https://a.b/c"]),
    ],
)
def test_what_a_project_keeps_means_the_same_from_elsewhere(elsewhere, key, value, kept):
    here, go = elsewhere
    (here / "a").mkdir()
    (here / "a" / "file").touch()
    (here / "clip").mkdir()
    project = create_project(here / "p", name="x", class_noun="car")
    save_choices(project, choices_of(**{key: value}))
    go()
    fill = [one.format(here) for one in ([kept] if isinstance(kept, str) else kept)]
    now = getattr(project.settings, key)
    assert list(now if isinstance(now, tuple) else [now]) == fill
    assert tomllib.loads(project.settings_file.read_text())[key] in (fill, fill[0])


def test_what_lies_in_the_project_moves_with_it(elsewhere):
    here, go = elsewhere
    (here / "p").mkdir()
    project, _ = open_or_create_project(
        here / "p", choices_of(base="p/own/sd15"), name=None, class_noun="car", trigger=None
    )
    assert project.settings.base == "p/own/sd15"  # of the hub: there is no such folder yet
    (here / "p" / "own" / "sd15").mkdir(parents=True)
    open_or_create_project(
        here / "p", choices_of(base="p/own/sd15"), name=None, class_noun=None, trigger=None
    )
    assert 'base = "./own/sd15"' in project.settings_file.read_text()
    (here / "p").rename(here / "q")
    go()
    assert open_project(here / "q").settings.base == str(here / "q" / "own" / "sd15")
    assert save_choices(open_project(here / "q"), choices_of(base=str(here / "q/own/sd15"))) == []


def test_a_path_that_is_written_by_hand_is_read_from_the_projects_folder(elsewhere):
    here, go = elsewhere
    project = create_project(here / "p", name="x", class_noun="car")
    (here / "p" / "sd.safetensors").touch()
    (here / "p" / "pocket").mkdir()
    text = project.settings_file.read_text()
    for base, read in [
        ("sd.safetensors", here / "p" / "sd.safetensors"), ("../sd", here / "sd"),
        ("owner/name", "owner/name"), ("pocket", "pocket"), (str(here), here),
    ]:  # fmt: skip
        project.settings_file.write_text(text.replace('"pocket"', f'"{base}"'))
        go()
        assert project.settings.base == str(read)


@pytest.mark.parametrize("key", ["base", "class_images", "assistant"])
def test_a_path_that_the_settings_cannot_hold_is_refused(tmp_path, key):
    odd = os.fsdecode(os.fsencode(tmp_path / "b") + b"\xff")
    os.mkdir(odd)
    value = (odd,) if key == "class_images" else odd
    with pytest.raises(
        ProjectError, match=r"b\? is not in UTF-8, so packshot\.toml cannot hold it\. R"
    ):
        create_project(tmp_path / "p", name="x", class_noun="car", **{key: value})
    project = create_project(tmp_path / "p", name="x", class_noun="car")
    with pytest.raises(ProjectError, match="is not in UTF-8"):
        save_choices(project, choices_of(**{key: value}))
    assert project.settings.base == "pocket"
