"""A project from somebody else: what its links, pipes and records may not do to whoever opens it."""

import ast
import os
import stat
import sys
from pathlib import Path

import pytest
from PIL import Image

import packshot
from packshot.errors import PackshotError, UnsafePathError
from packshot.generation.generate import read_generated_images
from packshot.project import Project, create_project, open_or_create_project, open_project
from packshot.report import write_report
from packshot.training import run_state
from packshot.training.events import read_events
from packshot.utils import caches, files, in_place, locks, pathnames, serialization

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
PATHS = sorted(
    name
    for name, member in vars(Project).items()
    if isinstance(member, property) and "Path" in str(member.fget.__annotations__["return"])
)
"""All paths of a project: a new one cannot be forgotten here."""
KINDS = ("file", "folder", "nowhere", "pipe")


@pytest.fixture
def victim(tmp_path):
    """A user's own files, which no project may touch."""
    home = tmp_path / "home"
    (home / "letters").mkdir(parents=True)
    (home / ".bashrc").write_text("alias ls='ls --color'\n")
    (home / "letters" / "0000001").write_text("dear")
    return home


def lay(kind, place, victim):
    """Put a link (or pipe) at a place, in place of what is there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_file():
        place.unlink()
    if kind == "pipe":
        os.mkfifo(place)
    else:
        target = {"file": ".bashrc", "folder": "letters", "nowhere": "later"}[kind]
        place.symlink_to(victim / target)


def untouched(victim):
    found = {path.name: path.read_text() for path in victim.rglob("*") if path.is_file()}
    return found == {".bashrc": "alias ls='ls --color'\n", "0000001": "dear"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", ["there", "above", "within", "deep within"])
@pytest.mark.parametrize("path", PATHS)
def test_no_project_with_a_link_is_opened(tmp_path, victim, path, level, kind):
    project = create_project(tmp_path / "p", name="Duster", class_noun="car")
    place = getattr(project, path)
    below = {"there": ".", "above": "..", "within": "x", "deep within": "x/y/z"}[level]
    place = Path(os.path.normpath(place / below))
    if place == project.root or (place.is_file() and level != "there"):
        pytest.skip("that is the project's own folder, or lies in a file")
    if place in project.settings_file.parents or project.settings_file in place.parents:
        pytest.skip("no folder")
    lay(kind, place, victim)
    for opening in (
        lambda: open_project(project.root),
        lambda: create_project(project.root, name="Duster", class_noun="car"),
        lambda: open_or_create_project(
            project.root, packshot.project.Choices(), name=None, class_noun=None, trigger=None
        ),
    ):
        with pytest.raises(
            PackshotError, match=r"is a (link|pipe)|no(t a)? Packshot project|kind of"
        ):
            opening()
    assert untouched(victim)


def test_the_projects_own_folder_may_be_a_link_and_what_is_the_users_beside_it(tmp_path, victim):
    project = create_project(tmp_path / "disk" / "p", name="Duster", class_noun="car")
    (tmp_path / "p").symlink_to(project.root)
    (project.root / "my notes").symlink_to(victim)
    assert open_project(tmp_path / "p").subject == project.subject


def test_with_a_link_each_command_ends_in_words(tmp_path, victim, monkeypatch, capsys):
    from packshot import cli

    project = create_project(tmp_path / "p", name="Duster", class_noun="car")
    (project.runs_folder / "1").mkdir(parents=True)
    (project.runs_folder / "1" / "events.jsonl").symlink_to(victim / ".bashrc")
    project.lock_file.symlink_to(victim / ".bashrc")
    for words in (
        ["report"], ["caption"], ["plan"], ["train"], ["shoot", "a car"], ["masks"],
        ["class-images"], ["photo-guide"], ["photos", str(victim)], ["export", str(tmp_path / "x")],
    ):  # fmt: skip
        monkeypatch.setattr(sys, "argv", ["packshot", *words, "--project", str(project.root)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 2 and "is a link" in " ".join(capsys.readouterr().err.split())
    assert untouched(victim)


@pytest.mark.parametrize("kind", ["file", "nowhere", "pipe", "hard"])
def test_what_changes_where_it_stands_follows_no_link(tmp_path, victim, kind):
    place = tmp_path / "events.jsonl"
    if kind == "hard":
        os.link(victim / ".bashrc", place)
    else:
        lay(kind, place, victim)
    with pytest.raises(UnsafePathError, match="must be a file of its own"):
        in_place.append_line(place, "$(rm -r ~)")
    with pytest.raises(UnsafePathError, match="must be a file of its own"), locks.lock(place):
        pass
    assert untouched(victim)


def test_old_checkpoints_are_deleted_below_a_real_folder_only(tmp_path, victim):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoints").symlink_to(victim)
    with pytest.raises(UnsafePathError, match="is not deleted: a link leads to it"):
        pathnames.remove_tree(tmp_path / "run" / "checkpoints" / "letters", below=tmp_path / "run")
    assert untouched(victim)
    (tmp_path / "run" / "checkpoints").unlink()
    for step in range(5):
        run_state.save(tmp_path / "run" / "checkpoints", run_state.State(step, {}, {}))
    kept = (tmp_path / "run" / "checkpoints").glob("[0-9]*")
    assert sum(map(run_state.is_valid, kept)) == run_state.KEPT


def test_the_users_umask_decides_who_reads_and_a_files_rights_stay(tmp_path):
    before = os.umask(0o077)
    try:
        files.write_text(tmp_path / "new", "x")
        (tmp_path / "old").write_text("x")
        os.chmod(tmp_path / "old", 0o640)
        files.write_text(tmp_path / "old", "y")
    finally:
        os.umask(before)
    rights = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "old")]
    assert rights == [0o600, 0o640]


def test_a_new_cache_is_for_its_user_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path / "cache"))
    assert stat.S_IMODE(caches.cache_folder().stat().st_mode) == 0o700


def test_a_picture_is_opened_in_one_place():
    """Everywhere else it would be given to any decoder that Pillow has, at any size."""
    source = Path(packshot.__file__).parent
    found = [
        f"{file.relative_to(source)}:{node.lineno}"
        for file in source.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "open"
        and isinstance(node.value, ast.Name | ast.Attribute)
        and (node.value.id if isinstance(node.value, ast.Name) else node.value.attr) == "Image"
    ]  # fmt: skip
    assert {place.split(":")[0] for place in found} == {"images/loading.py"}, found


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.fixture
def project(tmp_path):
    return create_project(tmp_path / "p", name="Duster", class_noun="car")


def record_of(name, **other):
    told = {
        "file": name, "prompt": "a car", "negative_prompt": "", "seed": 0, "steps": 2,
        "guidance_scale": 4.0, "sampler": "Euler", "width": 64, "height": 64, "loras": [],
        "base": "b", "base_hash": "0",
    }  # fmt: skip
    return told | other


def test_a_report_shows_pictures_and_says_what_is_none(project, monkeypatch):
    """An EPS would go to Ghostscript, a flat PNG of 169 megapixels to a gigabyte."""
    import PIL.EpsImagePlugin

    monkeypatch.setattr(PIL.EpsImagePlugin, "Ghostscript", pytest.fail)
    shots = project.shots_folder
    for kind in ("with", "without"):
        files.write_bytes(shots / kind / "a.png", EPS)
        files.write_json(shots / kind / "a.json", record_of("a.png"))
    files.write_bytes(
        shots / "bomb.png", serialization.image_bytes(".png", Image.new("1", (13000, 13000)))
    )
    files.write_json(shots / "bomb.json", record_of("bomb.png"))
    page = write_report(project).read_text()
    assert "a.png is no image" in page or "a.png is not" in page, page[-3000:]
    assert "bomb.png" in page and "megapixels" in page


@pytest.mark.parametrize("name", ["../../home/.bashrc", "/etc/passwd", "..", "", "x\0y"])
def test_a_record_names_a_file_beside_it_only(project, victim, name):
    files.write_json(project.shots_folder / "a.json", record_of(name))
    assert read_generated_images(project.shots_folder) == []
    run = project.runs_folder / "1"
    line = {"kind": "sample", "step": 1, "prompts": ["a"], "files": [name]}
    files.write_json_lines(run / "events.jsonl", [line])
    inside = {file for event in read_events(run) for file in event.files}
    assert all(file.resolve().is_relative_to(run.resolve()) for file in inside)


@pytest.mark.parametrize(
    "line",
    [
        "[]", "3", "null", '"x"', "{}", '{"kind": []}', '{"kind": "step"}', "[" * 5000,
        '{"kind": "step", "step": "x", "steps": {}, "loss": []}', '{"kind": "done", "step": null}',
        '{"kind": "sample", "step": 1, "prompts": 3, "files": {"a": 1}}', '{"step": 1}',
    ],
)  # fmt: skip
def test_a_log_of_anything_is_read(project, line):
    run = project.runs_folder / "1"
    files.write_text(run / "events.jsonl", line + "\n")
    files.write_text(run / "plan.toml", "")
    assert read_events(run) == []
    for record in (project.shots_folder / "a.json", project.shots_folder / "scores.json"):
        files.write_text(record, line)
    write_report(project)
    assert read_generated_images(project.shots_folder) == []
