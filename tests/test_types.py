"""Literals that several packages use."""

from typing import get_args

from packshot.types import WeightStorage, WeightStorageChoice


def test_a_project_may_ask_for_every_storage_or_leave_it_open():
    assert set(get_args(WeightStorageChoice)) == {"auto", *get_args(WeightStorage)}
