"""Whole commands on drives that lack something, and on those that take nothing."""

import errno
import os
import stat

import portalocker
import pytest

from tests.projects import painted


def _refused(number):
    def call(*_given, **_options):
        raise OSError(number, os.strerror(number))

    return call


def _lack_chmod(patch):
    patch.setattr(os, "chmod", _refused(errno.EPERM))


def _lack_folder_flush(patch):
    real = os.fsync

    def flush(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    patch.setattr(os, "fsync", flush)


def _lack_locks(patch):
    patch.setattr(portalocker.portalocker, "LOCKER", _refused(errno.ENOLCK))


def _lack_links(patch):
    patch.setattr(os, "link", _refused(errno.EPERM))
    patch.setattr(os, "symlink", _refused(errno.EPERM))


LACKS = {
    "chmod": _lack_chmod, "flush": _lack_folder_flush, "locks": _lack_locks, "links": _lack_links,
}  # fmt: skip


def _tree(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


@pytest.fixture
def source(tmp_path):
    (tmp_path / "source").mkdir()
    for seed in range(2):
        painted(seed, (160, 144)).save(tmp_path / "source" / f"{seed}.png")
    return tmp_path / "source"


@pytest.fixture
def project(command, source, tmp_path):
    _make(command, source, tmp_path / "p")
    return tmp_path / "p"


def _make(command, source, root):
    for words in (
        ("new", root, "--class", "car", "--name", "x"),
        ("photos", source, "-p", root),
        ("caption", "-p", root, "--captioner", "plain"),
        ("export", "-p", root, root / "dataset"),
        ("import", root / "dataset", "-p", root.with_name(f"{root.name}-again")),
    ):
        assert command(*words)[0] == 0, words


@pytest.mark.parametrize("lacking", [*LACKS, "all"])
def test_a_drive_without_rights_flushes_locks_or_links_holds_the_same(
    command, source, project, tmp_path, monkeypatch, lacking
):
    for name, lack in LACKS.items():
        if lacking in (name, "all"):
            lack(monkeypatch)
    (tmp_path / "nas").mkdir()
    _make(command, source, tmp_path / "nas" / "p")
    there = _tree(tmp_path / "nas" / "p")
    assert there.keys() == _tree(project).keys()
    config = next(path for path in there if path.name == "dataset.toml")  # it holds whole paths
    assert {**there, config: b""} == {**_tree(project), config: b""}


def _take_nothing(patch, number):
    real_open, real_mkdir = os.open, os.mkdir

    def open_to_read(path, flags, *rest, **options):
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(number, os.strerror(number), str(path))
        return real_open(path, flags, *rest, **options)

    patch.setattr(os, "open", open_to_read)
    patch.setattr(os, "mkdir", lambda path, *rest: _refused(number)() if rest else real_mkdir(path))


@pytest.mark.parametrize(
    "words",
    [
        ("photos", "{source}"), ("caption", "--captioner", "plain"), ("caption", "--review"),
        ("caption", "--lock", "0.png"), ("caption", "--replace", "car=>boat"), ("masks",), ("blur",),
        ("export", "{project}/new"), ("report",), ("photo-guide",),
    ],
)  # fmt: skip
@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_where_nothing_may_be_written_a_command_says_so_and_changes_nothing(
    command, source, project, monkeypatch, words, number
):
    before = _tree(project)
    _take_nothing(monkeypatch, number)
    given = [word.format(source=source, project=project) for word in words]
    code, said = command(*given, "-p", project)
    monkeypatch.undo()
    assert _tree(project) == before
    if code:
        why = {
            errno.EROFS: "its drive or folder is read-only",
            errno.EACCES: "permission is denied",
        }
        assert (
            code == 2 and f"cannot be written: {why[number]}. What stood there is intact." in said
        )
    else:
        assert words[0] == "photo-guide"  # which only reads


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("con.png", "photo-con.png"), ("LPT1.png", "photo-LPT1.png"), ('a:b?"<c>|*.png', "a-b-c.png"),
        (os.fsdecode(b"\xff\xfe.png"), "photo.png"), ("n" * 251 + ".png", "n" * 80 + ".png"),
        ("写" * 83 + ".png", "photo.png"), ("end. .png", "end.png"),
    ],
)  # fmt: skip
def test_names_of_photos_are_taken_by_every_drive(command, project, tmp_path, name, taken):
    (tmp_path / "odd").mkdir()
    painted(5, (160, 144)).save(tmp_path / "odd" / "a.png")
    (tmp_path / "odd" / "a.png").rename(tmp_path / "odd" / name)
    assert command("photos", tmp_path / "odd", "-p", project)[0] == 0
    assert (project / "photos" / taken).is_file()


def test_names_that_differ_in_case_alone_do_not_meet(command, project, tmp_path):
    for folder, name, seed in (("one", "Car.png", 5), ("two", "cAR.png", 6), ("two", "car.jpg", 8)):
        (tmp_path / folder).mkdir(exist_ok=True)
        painted(seed, (160, 144)).save(tmp_path / folder / name)
    for folder in ("one", "two"):
        assert command("photos", tmp_path / folder, "-p", project)[0] == 0
    stems = [path.stem.lower() for path in (project / "photos").glob("[Cc]*.*g")]
    assert len(stems) == 3 == len(set(stems))


def test_a_product_that_is_called_as_a_device_has_a_file_of_another_name(command, tmp_path):
    from packshot.project import open_project

    assert command("new", tmp_path / "p", "--class", "car", "--name", "Con")[0] == 0
    assert open_project(tmp_path / "p").lora_file.name == "product-con.safetensors"
