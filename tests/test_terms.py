from typing import get_args

from packshot.types import BUNDLED_BASE, Storage, StorageWanted


def test_a_project_may_ask_for_every_storage_or_leave_it_open():
    assert set(get_args(StorageWanted)) == {"auto", *get_args(Storage)}


def test_the_bundled_base_is_there():
    assert (BUNDLED_BASE / "model_index.json").is_file()
