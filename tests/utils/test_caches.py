import errno
import pwd
import tempfile
import warnings

import pytest

from packshot.errors import MachineWarning, WriteError
from packshot.utils import caches, consent, files, pathnames
from tests.utils.refusing import refusing


def test_the_cache_is_where_the_user_wants_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path))
    assert caches.cache_folder() == tmp_path
    monkeypatch.setenv("PACKSHOT_CACHE", "")
    assert caches.cache_folder().name == "packshot"


def test_where_the_cache_cannot_be_written_there_is_another_until_the_end(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(
        MachineWarning, match=r"file/cache cannot be written: a file .*lies in .*PACK"
    ):
        stand_in = caches.cache_folder()
    files.write_text(stand_in / "a" / "b", "kept")
    with warnings.catch_warnings(action="error"):  # it is said once
        assert caches.cache_folder() == stand_in
    monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path / "cache"))
    assert caches.cache_folder() == tmp_path / "cache"


def test_who_has_no_home_has_a_cache_until_the_end(monkeypatch):
    """As under a number without a name, as in containers."""

    def unknown(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    for name in ("HOME", "USERPROFILE", "PACKSHOT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.warns(MachineWarning, match="This user has no home folder, so there is no cache"):
        assert caches.cache_folder().is_dir()
    assert str(pathnames.expand_user("~/models")) == "~/models"


def test_a_machine_without_room_for_temporary_files_says_so(monkeypatch):
    monkeypatch.setattr(tempfile, "mkdtemp", refusing(errno.ENOENT))
    told = r"no folder for temporary files .* Set TMPDIR to one"
    with pytest.raises(WriteError, match=told), caches.temporary_folder():
        pass


def test_without_a_cache_and_temporary_files_nothing_is_kept(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "cache"
    monkeypatch.setenv("PACKSHOT_CACHE", str(folder))
    caches.stand_in_folder.cache_clear()
    monkeypatch.setattr(tempfile, "mkdtemp", refusing(errno.EROFS))
    with pytest.warns(MachineWarning, match="What would be kept for later runs is not kept"):
        assert caches.cache_folder() == folder
    consent.agree(tmp_path, ["a/b"])
    assert consent.agreed(tmp_path) == set()
