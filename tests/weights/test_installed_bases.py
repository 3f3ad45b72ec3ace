"""Bases that packages bring, by their entry points."""

import pytest

from packshot.errors import ModelLoadError
from packshot.models.load import checkpoint_path, find_checkpoint
from packshot.weights.installed_bases import BUNDLED, installed_base


@pytest.fixture
def installs(tmp_path, monkeypatch):
    """Puts a package with one entry point on the path."""

    def install(name, folder):
        (tmp_path / "brought.py").write_text(f"FOLDER = {str(folder)!r}\n")
        about = tmp_path / "brought-1.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1\n")
        (about / "entry_points.txt").write_text(f"[packshot.bases]\n{name} = brought:FOLDER\n")
        monkeypatch.syspath_prepend(tmp_path)

    return install


def test_a_package_brings_a_base_by_its_name(installs, tiny_sd1):
    assert installed_base("tiny") is None
    installs("tiny", tiny_sd1)
    assert installed_base("tiny") == checkpoint_path("tiny") == tiny_sd1
    assert find_checkpoint("tiny").family == "sd1"


def test_the_bundled_base_says_how_to_install_it_where_it_is_not(monkeypatch):
    monkeypatch.setattr("packshot.models.load.installed_base", lambda name: None)
    with pytest.raises(ModelLoadError, match="is not installed: pip install packshot-pocket"):
        checkpoint_path(BUNDLED)


def test_the_bundled_base_is_what_its_package_brings():
    folder = pytest.importorskip("packshot_pocket_model").FOLDER
    assert installed_base(BUNDLED) == folder
    assert find_checkpoint(BUNDLED).name == BUNDLED
