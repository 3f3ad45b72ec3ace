import sys
from types import SimpleNamespace

import psutil
import pytest
import torch

from packshot.memory import peak_bytes

ON_CPU = SimpleNamespace(device=torch.device("cpu"))


def test_the_peak_is_of_bytes_and_does_not_fall():
    before = peak_bytes(ON_CPU)
    block = bytearray(64 * 2**20)
    block[::4096] = b"x" * len(block[::4096])
    used = psutil.Process().memory_info().rss
    del block
    assert peak_bytes(ON_CPU) >= max(before, 0.9 * used)
    assert peak_bytes(ON_CPU) < 100 * used


@pytest.mark.parametrize(("told", "expected"), [({"rss": 5, "peak_wset": 7}, 7), ({"rss": 5}, 5)])
def test_without_resource_psutil_is_asked(monkeypatch, told, expected):
    process = SimpleNamespace(memory_info=lambda: SimpleNamespace(**told))
    monkeypatch.setattr(psutil, "Process", lambda: process)
    monkeypatch.setitem(sys.modules, "resource", None)
    assert peak_bytes(ON_CPU) == expected
