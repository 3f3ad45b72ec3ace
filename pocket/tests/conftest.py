from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_stages import RUNS, make_world

from packshot_pocket.pretrain import data
from packshot_pocket.pretrain.loop import Budget


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all stages have run, four steps each."""
    torch.set_num_threads(1)
    world, folder = tmp_path_factory.mktemp("made") / "world", tmp_path_factory.mktemp("state")
    make_world(world)
    data.gather([world], folder, held_out_fraction=0.2)
    for stage in RUNS.values():
        stage(folder, Budget())
    return folder
