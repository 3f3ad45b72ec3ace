"""Memory, told as the machine tells it."""

import sys
from types import SimpleNamespace

import psutil
import pytest
import torch

from packshot.errors import InsufficientMemoryError
from packshot.models.device_memory import (
    bytes_in_use,
    device_name,
    free_on,
    is_out_of_memory,
    left_beside,
    next_smaller,
    peak_bytes,
    within_memory,
)

CPU = SimpleNamespace(device=torch.device("cpu"))


def test_the_peak_is_in_bytes():
    now = psutil.Process().memory_info().rss
    assert 0.9 * now < peak_bytes(CPU) < psutil.virtual_memory().total


@pytest.mark.parametrize(("platform", "unit"), [("linux", 1024), ("darwin", 1)])
def test_each_system_counts_in_its_own_unit(monkeypatch, platform, unit):
    monkeypatch.setattr(sys, "platform", platform)
    usage = SimpleNamespace(ru_maxrss=7)
    monkeypatch.setattr("resource.getrusage", lambda who: usage)
    assert peak_bytes(CPU) == 7 * unit


def test_a_gpu_has_what_is_free_and_what_pytorch_keeps_unused(monkeypatch):
    device = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 50)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 20)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 60)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A card")
    assert free_on(device) == 130 and device_name(device) == "A card"
    assert left_beside(device) == 130 - (bytes_in_use(device) - 20) < 130
    assert peak_bytes(SimpleNamespace(device=device)) == 60


def test_the_machine_has_what_is_available():
    assert 0 < free_on(torch.device("cpu")) <= psutil.virtual_memory().total
    assert device_name(torch.device("cpu")) == "cpu"


def test_the_peak_is_of_bytes_and_does_not_fall():
    before = peak_bytes(CPU)
    block = bytearray(64 * 2**20)
    block[::4096] = b"x" * len(block[::4096])
    used = psutil.Process().memory_info().rss
    del block
    assert peak_bytes(CPU) >= max(before, 0.9 * used)
    assert peak_bytes(CPU) < 100 * used


@pytest.mark.parametrize(("told", "expected"), [({"rss": 5, "peak_wset": 7}, 7), ({"rss": 5}, 5)])
def test_without_resource_psutil_is_asked(monkeypatch, told, expected):
    process = SimpleNamespace(memory_info=lambda: SimpleNamespace(**told))
    monkeypatch.setattr(psutil, "Process", lambda: process)
    monkeypatch.setitem(sys.modules, "resource", None)
    assert peak_bytes(CPU) == expected


def test_the_next_smaller_storage_is_told_by_bytes():
    large_blocks = {"full": 51, "int8": 28, "nf4": 18, "offload": 24}
    assert next_smaller(large_blocks, "int8") == "nf4" and next_smaller(large_blocks, "nf4") is None
    assert next_smaller(large_blocks, "offload") == "nf4", "which has less though it comes before"
    assert next_smaller({"full": 9, "int8": 5, "nf4": 3, "offload": 1}, "full") == "int8"


@pytest.mark.parametrize(
    "words", ["CUDA out of memory", "unable to mmap 9 bytes: Cannot allocate memory"]
)
def test_what_says_that_memory_gave_out(words):
    assert is_out_of_memory(RuntimeError(words)) and not is_out_of_memory(ValueError(words))


def test_the_vae_works_in_tiles_only_for_what_does_not_fit_whole(tiny_base):
    made = []

    def work():
        made.append(tiny_base.vae.use_tiling)
        if not made[-1]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return "tiles"

    for _ in range(2):
        assert within_memory(tiny_base, work, "an image") == "tiles"
    assert made == [False, True, False, True] and not tiny_base.vae.use_tiling


def test_where_tiles_do_not_fit_either_networks_take_turns_from_then_on(tiny_base, monkeypatch):
    made, turns = [], []
    monkeypatch.setattr(tiny_base, "take_turns", lambda: not turns and not turns.append(1))

    def work():
        made.append((tiny_base.vae.use_tiling, len(turns)))
        if not turns:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return "in turn"

    assert within_memory(tiny_base, work, "an image") == "in turn"
    assert made == [(False, 0), (True, 0), (True, 1)]
    turns[:] = []
    monkeypatch.setattr(tiny_base, "take_turns", lambda: False)
    with pytest.raises(InsufficientMemoryError, match="not enough for an image with"):
        within_memory(tiny_base, work, "an image")
