from typing import get_args

from packshot.types import BUNDLED_BASE, WeightStorage, WeightStorageChoice


def test_a_project_may_ask_for_every_storage_or_leave_it_open():
    assert set(get_args(WeightStorageChoice)) == {"auto", *get_args(WeightStorage)}


def test_the_bundled_base_is_there():
    assert (BUNDLED_BASE / "model_index.json").is_file()
