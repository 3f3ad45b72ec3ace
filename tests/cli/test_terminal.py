import errno
import io
import os
import shlex
import subprocess
import sys
import warnings

import pytest

from packshot import cli
from packshot.cli.terminal import echo, guarded, notes_shown, typed
from packshot.errors import MachineWarning, OutputError
from packshot.utils import caches


class Full(io.StringIO):
    """A stream of a disk that is full, or of a pipe that nobody reads any longer."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def write(self, text):
        raise OSError(self.number, os.strerror(self.number))

    def flush(self):
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE, errno.EIO])
@pytest.mark.parametrize(
    "words", [["--version"], ["--help"], ["lora", "--help"], ["memory", "--help"]]
)
def test_standard_output_that_takes_no_more_is_told_in_words(monkeypatch, capsys, number, words):
    monkeypatch.setattr(sys, "stdout", Full(number))
    monkeypatch.setattr(sys, "argv", ["packshot", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told == (
        f"packshot: Standard output takes no more ({os.strerror(number)}), so what this command says is "
        "not all there. Each file that it has written is whole.\n"
    )


def test_an_empty_text_that_libraries_try_a_stream_with_is_not_written(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Full(errno.ENOSPC))
    with guarded():
        assert sys.stdout.write("") == 0
        with pytest.raises(OutputError):
            echo("a")


def test_work_goes_on_where_notes_cannot_be_shown(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "stderr", Full(errno.ENOSPC))
    with guarded():
        echo("a note", err=True)
        echo("a result")
    assert capsys.readouterr().out == "a result\n"
    monkeypatch.setattr(sys, "argv", ["packshot", "caption", "-p", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2


def test_without_streams_there_is_nothing_to_guard(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with guarded():
        echo("as under pythonw")
    assert sys.stdout is None


def test_where_streams_are_closed_no_file_of_ours_takes_their_numbers(tmp_path):
    script = (
        "import os, sys\nos.closerange(0, 2)\nfrom packshot.cli.terminal import guarded\n"
        "with guarded():\n    sys.exit(0 if open(sys.argv[1], 'w').fileno() > 2 else 3)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "a")]
    assert subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize(
    ("encoding", "e", "picture"), [("ascii", "è", "写"), ("latin-1", "è", "\\u5199")]
)
def test_letters_that_a_stream_does_not_know_are_shown_as_escapes(
    monkeypatch, encoding, e, picture
):
    plain = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(plain, encoding=encoding))
    with guarded():
        echo("caffè 写 " + os.fsdecode(b"\xff"))
        kept = sys.stdout.encoding
    assert plain.getvalue().decode(kept) == f"caff{e} {picture} \\udcff\n"


def test_what_a_machine_lacks_is_a_note_and_other_warnings_stay(capsys):
    with warnings.catch_warnings(record=True) as others, notes_shown():
        warnings.warn("no cache", MachineWarning, stacklevel=1)
        warnings.warn("else", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "note: no cache\n"
    assert [str(other.message) for other in others] == ["else"]


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (
            PermissionError(13, "Permission denied", "/x"),
            2,
            "/x cannot be read or written: permission",
        ),
        (
            OSError(errno.EIO, "Input/output error", "/x"),
            2,
            "/x cannot be read or written: the drive f",
        ),
        (
            OSError(errno.ENOSPC, "No space", "/x"),
            2,
            "/x cannot be read or written: there is no room",
        ),
        (FileNotFoundError(2, "No such file", "/x"), 1, "this is a bug in Packshot"),
        (OSError(errno.EIO, "Input/output error"), 1, "this is a bug in Packshot"),
    ],
)
def test_what_the_machine_refuses_is_told_in_words_and_a_lost_file_is_a_bug(
    command, monkeypatch, error, code, told
):
    def fails(folder):
        raise error

    monkeypatch.setattr("packshot.project.open_project", fails)
    ended, said = command("caption")
    assert ended == code and told in said


def test_a_folder_that_is_gone_while_one_stands_in_it(command, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    code, said = command("new", "x", "--class", "car")
    assert code == 2 and "The folder that this is run in is gone" in said


def test_who_has_no_home_is_told_once_and_libraries_have_one(command, monkeypatch, tmp_path):
    import pwd

    def unknown(number):
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setenv("HOME", "")
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("HF_HOME", raising=False)
    code, said = command("new", tmp_path / "p", "--class", "car")
    assert code == 0 and said.count("note: this user has no home folder.") == 1
    assert os.environ["HOME"] == str(caches.stand_in_folder())
    code, said = command("caption", "-p", tmp_path / "p", "--captioner", "~/model")
    assert code == 2 and "There is no folder" in said and "note" not in said


def test_without_a_folder_for_temporary_files_libraries_say_no_more_than_we(command, monkeypatch):
    def fails(*_given):
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr("packshot.project.open_project", fails)
    monkeypatch.setattr("tempfile.gettempdir", fails)
    code, said = command("caption")
    assert code == 2 and said.startswith(
        "packshot: There is no folder for temporary files that can be"
    )


def test_a_path_with_spaces_is_one_word_where_it_is_typed():
    path = "my duster's photos/$HOME"
    assert shlex.split(f"packshot shoot -p {typed(path)}") == ["packshot", "shoot", "-p", path]
    assert typed("plain/path") == "plain/path"
