"""Commands run in this process, on the tiny checkpoint; pictures are made in two steps."""

import sys
from dataclasses import replace

import pytest
import torch

from packshot import cli
from packshot.models.families.stable_diffusion import UNetModel
from packshot.plan import calibration


@pytest.fixture
def command(capsys, monkeypatch, tmp_path):
    """Runs a command in this process; returns its exit code and what it said."""
    monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("packshot.models.best_dtype", lambda *_: torch.float32)
    monkeypatch.setattr(UNetModel, "sampler", replace(UNetModel.sampler, steps=2))
    monkeypatch.setattr(calibration, "REPEATS", 1)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["packshot", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return stopped.value.code or 0, " ".join((out + err).split())

    return call
