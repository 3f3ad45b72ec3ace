"""More than 300 odd, damaged and hostile files: each is taken in or refused with a reason."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from packshot.images.refusals import read_refusals
from tests.odd_files import lay_out

MEMORY_BYTES = 3 * 2**30
"""Of addresses, libraries included; the most that is used of it is asserted below."""


def take_each(folder: Path, projects: Path) -> dict:
    """Take each file into a project of its own; says what became of it, and of the memory."""
    import resource

    from packshot.errors import NoUsablePhotosError
    from packshot.photos.photo_set import add_photos
    from packshot.project import create_project

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    outcomes = {}
    for number, path in enumerate(sorted(folder.iterdir())):
        project = create_project(projects / str(number), name="x", class_noun="thing")
        try:
            accepted = add_photos(project, path)
            outcomes[ascii(path.name)] = [len(accepted.photos), accepted.refused]
        except NoUsablePhotosError as error:
            outcomes[ascii(path.name)] = [0, str(error)]
    return {
        "outcomes": outcomes,
        "bytes": _peak_bytes(),
        "bytes of decoders": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
    }


def _peak_bytes() -> int:
    """Of this process alone: what getrusage tells begins with that of the process that started it."""
    told = Path("/proc/self/status").read_text()
    return int(told.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("around") / "corpus"  # escaping paths would end beside it
    folder.mkdir()
    return folder, lay_out(folder)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited and measured as Linux does")
def test_each_is_accepted_or_refused_with_a_reason_in_bounded_memory(corpus, tmp_path):
    folder, names = corpus
    assert len(names) >= 300
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.images.test_odd_files", str(folder), str(tmp_path)],
        capture_output=True, text=True, env=environment, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout)
    outcomes = {name: said["outcomes"][ascii(name)] for name in names}
    assert said["bytes"] < 800e6 and said["bytes of decoders"] < 800e6
    assert all(photos or told for photos, told in outcomes.values())
    good = {name for name, (photos, _) in outcomes.items() if photos}
    for name in names:
        if name.startswith(("orientation-", "icc-", "exif-", "mode-", "sixteen-", "palette-")):
            assert name in good, (name, outcomes[name])
        if name.startswith(
            ("giant", "bomb", "nothing", "zeros", "words", "escape-", "folder", "pipe")
        ):
            assert name not in good, name
    whole = {name.partition(".")[2] for name in good if name.startswith("whole")}
    assert whole == {"jpg", "png", "webp", "heic", "avif", "mpo", "mp4", "mov", "webm", "zip"}
    assert not [*folder.parent.rglob("out.png"), *tmp_path.rglob("out.png")]


@pytest.mark.slow
def test_a_folder_full_of_them_is_taken_in_at_once(corpus, tmp_path):
    from packshot.photos.photo_set import add_photos
    from packshot.project import create_project

    folder, _ = corpus
    before = {path: path.lstat().st_mtime_ns for path in folder.iterdir()}
    project = create_project(tmp_path / "project", name="x", class_noun="thing")
    accepted = add_photos(project, folder)
    assert len(accepted.photos) > 80 and len(accepted.refused) > 200
    assert {path: path.lstat().st_mtime_ns for path in folder.iterdir()} == before
    assert read_refusals(project.refused_file) == accepted.refused
    assert all(name.isprintable() and reason for name, reason in accepted.refused.items())
    again = add_photos(project, folder)
    assert {photo.sha256 for photo in again.photos} == {photo.sha256 for photo in accepted.photos}


if __name__ == "__main__":
    print(json.dumps(take_each(Path(sys.argv[1]), Path(sys.argv[2]))))
