"""`packshot caption`: what each of its options does, together and alone, and what it refuses."""

import sys

import pytest

from packshot import cli
from packshot.captions import caption_photos
from packshot.captions.plain import Plain
from packshot.photos.photo_set import add_photos, list_photos
from packshot.project import create_project
from tests.captioners import make_florence
from tests.projects import painted


@pytest.fixture
def project(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in "abc":
        painted(ord(name), (192, 160)).save(source / f"{name}.png")
    project = create_project(tmp_path / "project", name="Duster", class_noun="car", base="nowhere")
    add_photos(project, source)
    caption_photos(project, captioner=Plain())
    return project


@pytest.fixture
def caption(capsys, monkeypatch, project):
    """Runs `packshot caption` in this process; returns its exit code and what it said."""

    def call(*words):
        words = ["packshot", "caption", "-p", project.root, *words]
        monkeypatch.setattr(sys, "argv", list(map(str, words)))
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return stopped.value.code or 0, " ".join((out + err).split())

    return call


def stand(project):
    return [photo.caption for photo in list_photos(project)]


def test_review_edit_apply(caption, project):
    code, said = caption("--review")  # the base, which is not there, is not asked for
    assert code == 0 and "captions.csv" in said and "captions.html" in said
    assert "a.png" in said and "plain" in said
    text = project.captions_table.read_text("utf-8-sig")
    project.captions_table.write_text(text.replace("ohwx car", "ohwx car at night", 1))
    code, said = caption("--apply", project.captions_table)
    assert (
        code == 0 and "1 caption changed." in said and "a.png: a photo of ohwx car at night" in said
    )
    assert project.captions_page.is_file()


def test_replace_and_lock_and_unlock(caption, project):
    code, said = caption("--lock", "a", "--lock", "b.png")
    assert code == 0 and "a.png: a photo of ohwx car (locked)" in said
    assert "1 caption changed" in caption("--replace", "photo=>picture", "--replace", "a =>the ")[1]
    assert stand(project) == ["a photo of ohwx car"] * 2 + ["the picture of ohwx car"]
    code, said = caption(
        "--unlock", "a", "--replace", r"(\w+) of=>\1 with", "--regex", "--lock", "a"
    )
    assert "2 captions changed" in said and stand(project)[0] == "a photo with ohwx car"
    assert [photo.caption_locked for photo in list_photos(project)] == [True, True, False]
    code, said = caption("--replace", "ohwx =>")
    assert code == 0 and "note: c.png: the caption lacks the trigger 'ohwx'" in said


@pytest.mark.slow
def test_another_captioner_writes_anew_what_is_not_a_persons(caption, project, tmp_path):
    (project.photos_folder / "a.txt").write_text("ohwx car, mine")
    code, said = caption(
        "--captioner", make_florence(tmp_path / "florence"), "--overwrite-generated", "--review"
    )
    assert code == 0 and "florence" in said
    assert [photo.caption_by for photo in list_photos(project)] == [
        "person",
        "florence",
        "florence",
    ]
    assert caption("--captioner", "plain", "--overwrite-generated")[0] == 0
    assert stand(project) == ["ohwx car, mine"] + ["a photo of ohwx car"] * 2


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--captioner", "gpt"], "There is no captioner 'gpt'; choose one of auto, plain"),
        (["--captioner", "wd"], "needs a model: --captioner FOLDER"),
        (["--captioner", "no/where/"], "There is no folder no/where"),
        (["--replace", "a->b"], 'write "OLD=>NEW"'),
        (["--replace", "(=>b", "--regex"], "no regular expression"),
        (["--lock", "x"], "The project has no photo 'x'"),
        (["--apply", "x.csv"], "There is no table x.csv"),
    ],
)
def test_what_cannot_be_done_is_said(caption, project, words, error):
    code, said = caption(*words)
    assert code == 2 and error in said
    assert stand(project) == ["a photo of ohwx car"] * 3
