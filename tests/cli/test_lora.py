"""`packshot lora …`: what is shown of a file, and mistakes told before anything is loaded."""

import pytest
import torch
from safetensors.torch import save_file

OTHER = {
    "convert": ("a", "b"), "merge": ("a:1", "b"), "resize": ("a", "b", "--rank", "2"),
    "extract": ("a", "b"),
}  # fmt: skip


def test_a_file_is_shown_without_a_base(command, tmp_path, monkeypatch):
    monkeypatch.setattr("packshot.models.load_base", lambda *args, **how: pytest.fail("loaded"))
    file = tmp_path / "a.safetensors"
    tensors = {
        "lora_unet_a.lora_down.weight": torch.zeros(4, 8),
        "lora_unet_a.lora_up.weight": torch.zeros(6, 4),
    }
    save_file(tensors, file, {"ss_output_name": "duster"})
    code, said = command("lora", "info", file)
    assert code == 0
    for words in ("kind LoRA", "format kohya", "modules 1 (denoiser 1)", "rank 4 (1 modules)"):
        assert words in said
    assert "values 56" in said and "ss_output_name duster" in said


def test_what_others_wrote_into_a_file_keeps_to_its_line(command, tmp_path):
    file = tmp_path / "a.safetensors"
    tensors = {"lora_unet_a.lora_down.weight": torch.zeros(4, 8)}
    tensors["lora_unet_a.lora_up.weight"] = torch.zeros(6, 4)
    save_file(tensors, file, {"ss_output_name": "one\nkind  nothing\x1b[2J"})
    code, said = command("lora", "info", file)
    assert code == 0 and "ss_output_name one kind nothing [2J" in said
    assert "\x1b" not in said


def test_what_is_none_is_said(command, tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"hello, world, hello")
    code, said = command("lora", "info", tmp_path / "a.safetensors")
    assert code == 2 and "is not a .safetensors file" in said
    code, said = command("lora", "info", tmp_path / "none")
    assert code == 2 and "There is no file" in said


@pytest.mark.parametrize("name", OTHER)
def test_a_format_that_is_none_is_told_before_anything_is_loaded(command, monkeypatch, name):
    monkeypatch.setattr("packshot.models.load_base", lambda *args, **how: pytest.fail("loaded"))
    code, said = command("lora", name, *OTHER[name], "--base", "pocket", "--format", "peft")
    assert code == 2 and "'peft' is not one of 'kohya', 'diffusers'" in said


def test_layers_that_are_none_are_told_before_anything_is_loaded(command, monkeypatch):
    monkeypatch.setattr("packshot.models.load_base", lambda *args, **how: pytest.fail("loaded"))
    code, said = command(
        "lora", "extract", "a", "b", "--base", "pocket", "--target-modules", "most"
    )
    assert code == 2 and "'most' is not one of 'cross-attention', 'attention'" in said


@pytest.mark.parametrize("name", OTHER)
def test_a_file_of_somebody_elses_is_not_written_over(command, monkeypatch, tmp_path, name):
    """With `merge` all the more: who forgets the file to write names one to read there."""
    monkeypatch.setattr("packshot.models.load_base", lambda *args, **how: pytest.fail("loaded"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b").write_bytes(b"mine")
    code, said = command("lora", name, *OTHER[name], "--base", "pocket")
    assert code == 2 and "b was not written by Packshot, or was changed since" in said
    assert (tmp_path / "b").read_bytes() == b"mine"
