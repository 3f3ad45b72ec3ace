import time

import pytest

from packshot.utils import hashing


def test_a_hash_is_remembered_for_as_long_as_the_stamp_is_the_same(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = hashing.known_sha256(path)
    path.write_bytes(b"two")  # of one size, maybe within one tick of the clock
    assert hashing.known_sha256(path) != first == hashing.sha256_of(b"one")
    later = time.time_ns() + 10**10
    monkeypatch.setattr(time, "time_ns", lambda: later)
    again = hashing.known_sha256(path)
    monkeypatch.setattr(hashing, "sha256", lambda path: pytest.fail("read again"))
    assert hashing.known_sha256(path) == again == hashing.sha256_of(b"two")


def test_bytes_have_the_hash_of_a_file_of_them(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hashing.sha256_of(b"abc") == hashing.sha256(tmp_path / "file") == known
