"""How busy the machine is."""

import subprocess

from packshot.doctor import load

SAID = """NVIDIA GeForce RTX 4090, 97, 18000, 24564, 71
Tesla, [N/A], 10, 16384, [N/A]
garbage
"""


def test_what_the_driver_says_is_read(monkeypatch, tmp_path):
    done = subprocess.CompletedProcess([], 0, stdout=SAID)
    monkeypatch.setattr(load.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(load.subprocess, "run", lambda *words, **options: done)
    one, other = load.machine_load(tmp_path).gpus
    assert (one.name, one.busy, one.celsius) == ("NVIDIA GeForce RTX 4090", 97.0, 71.0)
    assert (one.used_bytes, one.total_bytes) == (18000 * 2**20, 24564 * 2**20)
    assert (other.busy, other.celsius) == (0.0, None)


def test_a_driver_that_does_not_answer_is_none(monkeypatch, tmp_path):
    def hang(*words, **options):
        raise subprocess.TimeoutExpired("nvidia-smi", 3)

    monkeypatch.setattr(load.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(load.subprocess, "run", hang)
    told = load.machine_load(tmp_path)
    assert told.gpus == () and 0 < told.free_bytes <= told.total_bytes
    assert told.cores >= 1 and 0 <= told.busy <= 100 and told.free_disk_bytes > 0
