import errno
import os

import pytest
import torch

from packshot.errors import DiskFullError, StaleRunError
from packshot.training import run_state
from packshot.training.run_state import State
from packshot.utils import files, hashing


def state(step):
    return State(
        step, {"a.down": torch.full((2, 3), float(step))}, {"a.down/step": torch.tensor(1.0)}
    )


def test_the_newest_comes_back_and_old_ones_are_pruned(tmp_path):
    for step in (10, 20, 30):
        run_state.save(tmp_path, state(step))
    latest, note = run_state.latest(tmp_path)
    assert latest.step == 30 and torch.equal(latest.adapter["a.down"], state(30).adapter["a.down"])
    assert note == "" and len(list(tmp_path.iterdir())) == run_state.KEPT


def test_nothing_saved_is_a_fresh_start(tmp_path):
    assert run_state.latest(tmp_path) == (None, "")


@pytest.mark.parametrize("part", ["adapter.safetensors", "optimizer.safetensors"])
def test_any_flipped_byte_or_cut_falls_back_one_and_says_so(tmp_path, part):
    for step in (10, 20):
        run_state.save(tmp_path, state(step))
    file = tmp_path / "0000020" / part
    whole = file.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        file.write_bytes(damaged if place % 2 else whole[:place])
        latest, note = run_state.latest(tmp_path)
        assert latest.step == 10 and "0000020" in note


@pytest.mark.parametrize("operation", ["fsync", "replace", "open"])
def test_a_disk_that_fills_at_any_moment_leaves_the_last_good(tmp_path, monkeypatch, operation):
    run_state.save(tmp_path, state(10))
    real = getattr(os, operation)
    for allowed in range(40):
        calls = 0

        def limited(*args, allowed=allowed, **kwargs):
            nonlocal calls
            calls += 1
            if calls > allowed:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*args, **kwargs)

        monkeypatch.setattr(os, operation, limited)
        try:
            run_state.save(tmp_path, state(20))
            failed = False
        except (DiskFullError, OSError):
            failed = True
        monkeypatch.undo()
        latest, _ = run_state.latest(tmp_path)
        assert latest.step in (10, 20)
        if not failed:
            assert latest.step == 20
            return
    pytest.fail("the save never got through")


def test_a_manifest_that_is_not_one_is_not_believed(tmp_path):
    run_state.save(tmp_path, state(10))
    for text in ("", "[]", "{}", '{"sha256": 3}', '{"sha256": {}}', "\x00"):
        (tmp_path / "0000010" / "manifest.json").write_text(text)
        assert run_state.latest(tmp_path)[0] is None


def test_other_layers_are_refused():
    with pytest.raises(StaleRunError, match="adapts other layers"):
        run_state.check_names(state(1), {"b.down"})
    run_state.check_names(state(1), {"a.down"})


def test_what_a_disk_does_not_keep_is_not_resumed_from(tmp_path, monkeypatch):
    for step in (10, 20):
        run_state.save(tmp_path, state(step))
    write = files.write_parts
    monkeypatch.setattr(
        files, "write_parts", lambda path, parts: write(path, [*parts[:-1], parts[-1][:-1], b"?"])
    )
    run_state.save(tmp_path, state(30))
    monkeypatch.undo()
    assert [run_state.is_valid(place) for place in sorted(tmp_path.iterdir())] == [True, False]
    latest, note = run_state.latest(tmp_path)
    assert latest.step == 20 and "0000030" in note


def test_each_byte_is_hashed_once_and_only_as_it_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(hashing, "sha256", lambda path: pytest.fail("read back"))
    hashed, real = [], hashing.sha256_of
    monkeypatch.setattr(
        hashing, "sha256_of", lambda *data: hashed.extend(map(len, data)) or real(*data)
    )
    for step in (10, 20, 30):
        place = run_state.save(tmp_path, state(step))
        assert sum(hashed) == sum(file.stat().st_size for file in place.glob("*.safetensors"))
        hashed.clear()
    monkeypatch.undo()
    assert all(map(run_state.is_valid, tmp_path.iterdir()))
    assert sorted(place.name for place in tmp_path.iterdir()) == ["0000020", "0000030"]


def test_only_the_state_that_a_run_resumes_from_is_read(tmp_path, monkeypatch):
    for step in (10, 20):
        run_state.save(tmp_path, state(step))
    read, real = [], hashing.sha256
    monkeypatch.setattr(hashing, "sha256", lambda path: read.append(path.parent.name) or real(path))
    assert run_state.latest(tmp_path)[0].step == 20
    assert read == ["0000020"] * 2
