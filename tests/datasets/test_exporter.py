import os
import shutil

import numpy as np
import pytest
from PIL import Image

from packshot.class_images import list_class_images
from packshot.datasets import export_dataset, exporter, import_dataset
from packshot.errors import DatasetError, DiskFullError, NoUsablePhotosError
from packshot.photos.photo_set import list_photos
from packshot.utils import files


def told(project):
    """Photos, captions, masks and class images of a project, whatever its files are called."""
    shown = [
        (
            np.asarray(Image.open(photo.file)).tobytes(),
            photo.caption,
            photo.mask and np.asarray(Image.open(photo.mask)).tobytes(),
        )
        for photo in list_photos(project)
    ]
    others = [
        (i.sha256, i.prompt, i.source, i.author, i.licence) for i in list_class_images(project)
    ]
    return shown, sorted(others)


@pytest.mark.parametrize("format", ["kohya", "imagefolder"])
def test_there_and_back_again(full_project, tmp_path, format):
    said = []
    root = export_dataset(
        full_project, tmp_path / "out", format=format, progress=lambda *args: said.append(args)
    )
    assert said[-1] == ("export", 8, 8)
    moved = root.rename(tmp_path / "moved")
    imported = import_dataset(moved, tmp_path / "again", class_noun="car")
    assert told(imported.project) == told(full_project) and imported.refused == {}
    assert imported.project.subject.phrase == "ohwx car"
    again = export_dataset(imported.project, tmp_path / "out", format=format)
    first, second = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*.*") if path.is_file()}
        for root in (moved, again)
    )
    assert first == second


def test_a_photo_turned_by_hand_in_the_project_is_exported_upright(full_project, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 8
    photo = list_photos(full_project)[0]
    Image.open(photo.file).save(photo.file, exif=exif)
    for format in ("kohya", "imagefolder"):
        root = export_dataset(full_project, tmp_path / format, format=format)
        (written,) = root.rglob(photo.file.name)
        assert (
            Image.open(written).size == (160, 208) and 0x0112 not in Image.open(written).getexif()
        )


def test_a_folder_with_anything_in_it_is_refused(full_project, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    for taken in (tmp_path / "out", tmp_path / "out" / "mine.txt"):
        with pytest.raises(DatasetError, match=r"is not an empty folder\. Name another, or empty"):
            export_dataset(full_project, taken)
    assert os.listdir(tmp_path / "out") == ["mine.txt"]


@pytest.mark.parametrize("format", ["kohya", "imagefolder"])
def test_a_killed_export_is_made_anew(full_project, tmp_path, format, monkeypatch):
    """A process that is killed takes nothing back."""
    root = export_dataset(full_project, tmp_path / "out", format=format)
    whole = {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    shutil.rmtree(root)

    class Killed(BaseException):
        pass

    def stop(task, done, total):
        if done == 3:
            raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(exporter, "_empty", lambda folder: None)
        export_dataset(full_project, tmp_path / "out", format=format, progress=stop)
    assert sum(path.is_file() for path in root.rglob("*")) >= 3
    (root / "mine.txt").write_text("mine")
    with pytest.raises(DatasetError, match="is not an empty folder"):
        export_dataset(full_project, root, format=format)
    (root / "mine.txt").unlink()
    (next(path for path in root.iterdir() if path.name in ("img", "train")) / "stale.txt").touch()
    root = export_dataset(full_project, tmp_path / "out", format=format)
    assert {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()} == whole
    assert not (root / ".packshot.part").exists()


def test_other_refusals(project, full_project, tmp_path):
    with pytest.raises(DatasetError, match=r"^--format tar: choose one of kohya, imagefolder\.$"):
        export_dataset(full_project, tmp_path / "out", format="tar")
    for photo in list_photos(project):
        photo.file.unlink()
    with pytest.raises(NoUsablePhotosError, match="has no photos yet"):
        export_dataset(project, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format", ["kohya", "imagefolder"])
@pytest.mark.parametrize("existed", [True, False])
def test_after_a_full_disk_the_same_command_goes(
    full_project, tmp_path, monkeypatch, format, existed
):
    real, written = files._write, []

    def full(path, data):
        if len(written) == 5:
            raise OSError(28, "No space left on device")
        written.append(path)
        real(path, data)

    out = tmp_path / "out"
    if existed:
        out.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(files, "_write", full)
        with pytest.raises(
            DiskFullError, match=r"No room on the disk .* run the same command again"
        ):
            export_dataset(full_project, out, format=format)
    assert out.exists() == existed and not list(out.rglob("*"))
    export_dataset(full_project, out, format=format)
    assert all(file.is_file() for file in written)
