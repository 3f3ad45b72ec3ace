"""No folder, user or machine is named."""

import getpass
import platform
from pathlib import Path

import pytest

from packshot.doctor.privacy import plain_name, without_names


@pytest.fixture(autouse=True)
def someone(monkeypatch, tmp_path):
    home = tmp_path / "home" / "Anna Rossi"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(getpass, "getuser", lambda: "annarossi")
    monkeypatch.setattr(platform, "node", lambda: "annas-laptop.example.org")
    return home


@pytest.mark.parametrize(
    ("base", "name"),
    [
        ("/models/sdxl.safetensors", "sdxl.safetensors"), ("owner/name@main", "name@main"),
        ("C:\\models\\x.gguf", "x.gguf"), ("folder/", "folder"), ("pocket", "pocket"), (".", "the base"),
        ("~/x", "x"), ("/", "the base"),
    ],
)  # fmt: skip
def test_a_base_is_named_by_its_last_component(base, name):
    assert plain_name(base) == name


def test_paths_are_cut(someone):
    told = f"No room for {someone}/models/x.safetensors in '/srv/big disk/a/b', C:\\Users\\anna\\y.gguf"
    plain = without_names(told)
    assert "x.safetensors" in plain and plain.endswith("y.gguf")
    assert not any(word in plain for word in ("Anna", "anna", "/srv", "Users", str(Path.cwd())))


def test_names_of_user_and_machine_are_cut():
    assert without_names("lock of annarossi on Annas-Laptop") == "lock of … on …"


def test_what_is_no_path_stays():
    told = "12 GB/s, and/or 1/2; see https://pytorch.org/get-started/locally/ and docs/install.md."
    assert without_names(told, ".") == told


def test_a_hub_repository_loses_its_owner_also_in_addresses():
    told = "anna/private is gated: agree to its terms at https://huggingface.co/anna/private, then"
    said = "private is gated: agree to its terms at its page on the hub, then"
    assert without_names(told, "anna/private") == said == without_names(told, "anna/private@v1")
