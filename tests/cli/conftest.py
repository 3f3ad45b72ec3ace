"""Commands run in this process, on the tiny checkpoint."""

import sys

import pytest
import torch

from packshot import cli


@pytest.fixture
def command(capsys, monkeypatch, tmp_path):
    """Runs a command in this process; returns its exit code and what it said."""
    monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("packshot.models.best_dtype", lambda device: torch.float32)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["packshot", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return stopped.value.code or 0, " ".join((out + err).split())

    return call
