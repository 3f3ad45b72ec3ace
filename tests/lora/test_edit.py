import copy
import dataclasses
import os
import shutil
from types import SimpleNamespace

import pytest
import torch

from packshot.errors import LoraError
from packshot.lora import extract, files, fused, load_lora, merge, resize, write_lora
from packshot.lora.fuse import weight_of
from packshot.lora.info import read_info
from packshot.lora.variants import LoHa
from packshot.lora.weights import Lora


def deltas(lora):
    return {name: weights.delta() for name, weights in lora.weights.items()}


def close(first, second, atol=1e-5):
    assert first.keys() == second.keys()
    assert all(torch.allclose(first[n].flatten(1), second[n].flatten(1), atol=atol) for n in first)


def test_a_merge_is_the_sum_to_the_last_digits(tiny_base, make_lora, tmp_path):
    one, other = make_lora("attention", alpha=3.0), make_lora("all", seed=1)
    made = merge([(one, 0.7), (other, -0.3)], tiny_base)
    first, second = deltas(one), deltas(other)
    expected = {n: -0.3 * second[n] + (0.7 * first[n] if n in first else 0) for n in second}
    close(deltas(made.lora), expected)
    assert made.energy_kept == 1
    write_lora(made.lora, tmp_path / "m.safetensors", tiny_base)
    close(deltas(load_lora(tmp_path / "m.safetensors", tiny_base)), expected)


def test_a_merge_of_a_rank_is_the_best_of_that_rank(tiny_base, make_lora):
    one, other = make_lora("attention"), make_lora("attention", seed=1)
    exact = deltas(merge([(one, 1.0), (other, 1.0)], tiny_base).lora)
    made = merge([(one, 1.0), (other, 1.0)], tiny_base, rank=3)
    assert {w.rank for w in made.lora.weights.values()} == {3}
    lost = kept = 0.0
    for name, delta in deltas(made.lora).items():
        values = torch.linalg.svdvals(exact[name].flatten(1))
        error = (delta.flatten(1) - exact[name].flatten(1)).square().sum()
        assert torch.allclose(error, values[3:].square().sum(), rtol=1e-3, atol=1e-6)
        lost, kept = lost + values[3:].square().sum(), kept + values[:3].square().sum()
    assert made.energy_kept == pytest.approx(float(kept / (kept + lost)), abs=1e-5)


def test_resizing_to_its_own_rank_or_all_its_energy_changes_nothing(tiny_base, make_lora):
    lora = make_lora("all")
    for made in (resize(lora, tiny_base, rank=2), resize(lora, tiny_base, energy=1.0)):
        close(deltas(made.lora), deltas(lora))
        assert made.energy_kept == pytest.approx(1)
    assert resize(lora, tiny_base, rank=1).energy_kept < 0.999
    ninety = resize(
        merge([(make_lora("all", seed=s), 1.0) for s in range(4)], tiny_base).lora,
        tiny_base,
        energy=0.9,
    )
    assert 0.9 <= ninety.energy_kept < 1
    assert len({w.rank for w in ninety.lora.weights.values()}) > 1
    for options in ({}, {"rank": 1, "energy": 0.5}, {"energy": 1.5}):
        with pytest.raises(LoraError, match="Give either a rank or the energy"):
            resize(lora, tiny_base, **options)


def test_a_loha_becomes_plain_only_with_a_rank(tiny_base, make_lora, tmp_path):
    name = next(iter(make_lora("attention").weights))
    rows, columns = weight_of(tiny_base, name).shape
    factors = [torch.randn(rows, 2), torch.randn(2, columns)]
    lora = Lora({}, {}, "odd", variants={name: LoHa((*factors, None), (*factors, None), 0.1)})
    with pytest.raises(LoraError, match="odd is no standard LoRA: give --rank"):
        merge([(lora, 1.0)], tiny_base)
    with pytest.raises(LoraError, match=r"LoHa, LoKr or DoRA at 1 modules.*: packshot lora resize"):
        write_lora(lora, tmp_path / "a.safetensors", tiny_base)
    made = resize(lora, tiny_base, rank=4)  # the product of two matrices of rank 2 has rank 4
    expected = lora.variants[name].delta(weight_of(tiny_base, name).data)
    assert torch.allclose(made.lora.weights[name].delta(), expected, atol=1e-4)


def test_what_was_folded_into_a_checkpoint_is_extracted_again(
    tiny_base, make_lora, loaded, tiny_sd1
):
    lora, tuned = make_lora("attention+mlp"), loaded(tiny_sd1)
    with fused(tuned, [(lora, 1.0)]):
        made = extract(tuned, tiny_base, rank=2)
    assert made.energy_kept == pytest.approx(1, abs=1e-4)
    close(deltas(made.lora), deltas(lora), atol=1e-4)
    assert made.lora.metadata["packshot.made_by"].startswith("extract")
    with pytest.raises(LoraError, match="do not differ in attention"):
        extract(tuned, tiny_base, rank=2, scope="attention")


def test_what_cannot_be_merged_or_extracted_is_said(tiny_base):
    with pytest.raises(LoraError, match="nothing to merge"):
        merge([], tiny_base)
    with pytest.raises(LoraError, match="a is sdxl, b is sd1"):
        extract(
            SimpleNamespace(name="a", family="sdxl"), SimpleNamespace(name="b", family="sd1"), 2
        )
    with pytest.raises(LoraError, match="do not differ in attention"):
        extract(tiny_base, tiny_base, 2)


@pytest.mark.parametrize("lost", [True, False])
def test_checkpoints_of_other_layers_cannot_be_compared(tiny_base, lost):
    name = tiny_base.lora_targets("attention+mlp")[-1]
    tuned = copy.deepcopy(tiny_base.denoiser)
    parent, _, child = name.rpartition(".")
    if lost:
        delattr(tuned.get_submodule(parent), child)
    else:
        setattr(tuned.get_submodule(parent), child, torch.nn.Linear(3, 5))
    other = SimpleNamespace(
        name="tuned", family="sd1", denoiser=tuned, denoiser_root="unet", text_encoders={}
    )
    with pytest.raises(LoraError, match=f"differ in their layers at unet.{name}"):
        extract(other, tiny_base, 2)


@pytest.mark.parametrize("fault", ["lost", "changed", "more"])
def test_a_file_that_does_not_read_back_is_refused(
    tiny_base, make_lora, tmp_path, monkeypatch, fault
):
    lora, read = make_lora("cross-attention"), files.load_lora

    def rotten(*args):
        found = read(*args)
        name, weights = next(iter(found.weights.items()))
        if fault == "lost":
            del found.weights[name]
        elif fault == "changed":
            found.weights[name] = dataclasses.replace(weights, alpha=1.01 * weights.alpha)
        else:
            found.weights["unet.another"] = weights
        return found

    monkeypatch.setattr(files, "load_lora", rotten)
    with pytest.raises(LoraError, match=r"m\.safetensors (does not read back|holds modules)"):
        write_lora(lora, tmp_path / "m.safetensors", tiny_base)


def test_info_reads_the_header_alone(tiny_base, make_lora, tmp_path):
    lora = make_lora("all", text=True)
    for format in ("kohya", "diffusers"):
        file = tmp_path / f"{format}.safetensors"
        write_lora(lora, file, tiny_base, format)
        found = read_info(file)
        assert (found.kind, found.format) == ("LoRA", format)
        assert found.modules == len(lora.weights)
        assert found.ranks == {2: len(lora.weights)}
        assert set(found.parts) == {"denoiser", "text_encoder"}
    (tmp_path / "a.safetensors").write_bytes(b"PK\3\4 a pickle, perhaps")
    with pytest.raises(LoraError, match="is a pickle"):
        read_info(tmp_path / "a.safetensors")


@pytest.mark.slow
def test_the_command_line_converts_and_back(tiny_sd1, tiny_base, make_lora, tmp_path):
    from typer.testing import CliRunner

    from packshot.cli import app

    lora = make_lora("all")
    names = [str(tmp_path / f"{n}.safetensors") for n in "abc"]
    write_lora(lora, tmp_path / "a.safetensors", tiny_base)
    base = ["--base", str(tiny_sd1)]
    for order in (
        ["convert", names[0], names[1], *base, "--format", "diffusers"],
        ["convert", names[1], names[2], *base, "--format", "kohya"],
        ["info", names[2]],
        ["merge", f"{names[0]}:0.5", f"{names[1]}:0.5", names[2], *base],
        ["resize", names[2], names[1], *base, "--rank", "1"],
    ):
        result = CliRunner().invoke(app, ["lora", *order])
        assert result.exit_code == 0, result.output
    close(deltas(load_lora(tmp_path / "c.safetensors", tiny_base)), deltas(lora), atol=1e-3)
    assert "rank 1" in result.output


def test_what_a_killed_command_wrote_is_written_again(
    tiny_sd1, tiny_base, make_lora, tmp_path, monkeypatch
):
    from typer.testing import CliRunner

    from packshot.cli import app

    def killed(written, target):
        real(written, target)
        if str(target) == names[1]:
            raise KeyboardInterrupt

    names = [str(tmp_path / f"{n}.safetensors") for n in "ab"]
    write_lora(make_lora("attention"), tmp_path / "a.safetensors", tiny_base)
    real, order = os.replace, ["lora", "convert", *names, "--base", str(tiny_sd1)]
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        assert CliRunner().invoke(app, order).exit_code != 0
    assert (tmp_path / "b.safetensors").is_file()
    again = CliRunner().invoke(app, order)
    assert again.exit_code == 0, again.output


@pytest.mark.slow
def test_what_is_extracted_is_not_rounded_to_what_pictures_are_made_in(
    tiny_sd1, tiny_base, tmp_path, monkeypatch
):
    """A fine-tune changes weights by less than bf16 tells apart."""
    from safetensors.torch import load_file, save_file
    from typer.testing import CliRunner

    from packshot.cli import app
    from packshot.models import load

    tuned = shutil.copytree(tiny_sd1, tmp_path / "tuned")
    (file,) = (tuned / "unet").glob("*.safetensors")
    weights, expected = load_file(file), {}
    generator = torch.Generator().manual_seed(0)
    for name in tiny_base.lora_targets("attention"):
        rows, columns = weights[f"{name}.weight"].shape
        delta = torch.randn(rows, 1, generator=generator) @ torch.randn(
            1, columns, generator=generator
        )
        expected[f"unet.{name}"] = 1e-4 * delta
        weights[f"{name}.weight"] += 1e-4 * delta
    save_file(weights, file, {"format": "pt"})
    monkeypatch.setattr(load, "best_dtype", lambda *_: torch.bfloat16)  # a GPU's
    out = tmp_path / "made.safetensors"
    order = ["extract", str(tuned), str(out), "--base", str(tiny_sd1), "--rank", "1"]
    result = CliRunner().invoke(app, ["lora", *order, "--target-modules", "attention"])
    assert result.exit_code == 0, result.output
    close(deltas(load_lora(out, tiny_base)), expected, atol=1e-6)
