"""The benchmark for GPUs, on tiny networks: every part measures, and the table tells all of it."""

import json
import math
import shutil
from importlib import import_module

import pytest
import torch
from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import bench as bench_module
from benchmarks.gpu import pictures
from benchmarks.gpu.bench import Bench
from benchmarks.gpu.random_base import FAMILIES, random_base, write_configs
from benchmarks.gpu.table import as_markdown
from benchmarks.gpu.training import peak_flops

from packshot.errors import PackshotError
from tests.families import PARAMETERS


@pytest.fixture
def bench(tmp_path):
    return Bench("small", tmp_path / "work")


def parts_of(monkeypatch, **work):
    """Instead of the benchmark's own parts: sd1's, of equal weight, by these functions."""
    parts = [gpu.Part(f"sd1 {name}", 1, measure) for name, measure in work.items()]
    monkeypatch.setattr(gpu, "parts", lambda: parts)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Of the whole benchmark, run once, with three photos, which are masked one by one."""
    out, photos = (tmp_path_factory.mktemp(name) for name in ("results", "photos"))
    for photo in sorted(bench_module.PHOTOS.glob("*.jpg"))[:3]:
        shutil.copy(photo, photos)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench_module, "PHOTOS", photos)
        patch.setattr(pictures, "PHOTOS", photos)
        patch.setattr(import_module("packshot.masks.mask_photos"), "LEAST_COMPARED", 1000)
        gpu.main(["--size", "small", "--seconds", "100000", "--out", str(out)])
    told = json.loads((out / "gpu-small.json").read_text())
    return told, (out / "gpu-small.md").read_text()


def result(results, name):
    part = results[0]["parts"][name]
    assert part["status"] == "done", part
    return part["result"]


@pytest.mark.slow
def test_every_part_is_done_and_the_table_has_a_row_of_each(results):
    told, table = results
    assert list(told["parts"]) == [part.name for part in gpu.parts()]
    assert {part["status"] for part in told["parts"].values()} == {"done"}, table
    titles = {"sd1": "Stable Diffusion 1.5", "sdxl": "SDXL", "flux1": "FLUX.1"}
    for name in told["parts"]:
        family, rest = name.split(" ", 1)
        assert f"\n| {titles[family]}, {rest}" in table
    assert "Not measured" not in table
    assert all(told["made"]["versions"].values())


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_plain_loop_does_the_same_step(results, family):
    """Its forward pass is diffusers' own code alone, so it is a reference for the loop's loss."""
    for name in (f"{family} steps", f"{family} steps, checkpointing"):
        found = result(results, name)
        assert 0 < found["least"] <= found["plain_over_packshot"] <= found["most"] < math.inf
        assert found["first_loss"]["plain"] == pytest.approx(
            found["first_loss"]["packshot"], rel=1e-4
        )


@pytest.mark.slow
def test_shares_memory_and_ways_hold_together(results):
    for family in FAMILIES:
        found = result(results, f"{family} shares")
        assert sum(found["shares"].values()) == pytest.approx(1)
        assert found["flops"] > 1e6
        rows = result(results, f"{family} memory")["rows"]
        twice, once = rows["checkpointing"], rows["plain"]
        assert 0 < twice["predicted_by_shapes"] < once["predicted_by_shapes"]
        assert once["losses_are_finite"] and twice["losses_are_finite"]
    for family in ("sdxl", "flux1"):
        for storage in ("int8", "nf4", "offload"):
            assert result(results, f"{family} {storage}")["losses_are_finite"]


@pytest.mark.slow
def test_resuming_and_the_whole_path_end_as_they_should(results):
    assert set(result(results, "sd1 resume")["identical"].values()) == {True}
    found = result(results, "sd1 whole path")
    assert (found["photos"], found["class_images"], found["trained_steps"]) == (3, 4, 8)
    assert found["losses_are_finite"] and found["insertion"] and found["report"]
    assert found["shots"] == 1 and min(found["lora_file_bytes"]) > 1000


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_at_full_size_a_base_has_the_published_number_of_weights(family, tmp_path):
    checkpoint = write_configs(family, "full", tmp_path)
    base = random_base(checkpoint, torch.device("meta"), torch.bfloat16)
    assert sum(p.numel() for p in base.denoiser.parameters()) == PARAMETERS[family]
    assert set(base.tokenizers) == {
        n.replace("text_encoder", "tokenizer") for n in base.text_encoders
    }


def test_a_part_that_fails_is_told_and_the_others_go_on(bench, monkeypatch, tmp_path):
    def fail(bench):
        raise PackshotError(f"no room in {bench.work}/x")

    parts_of(monkeypatch, bad=fail, resume=lambda bench: {"identical": {}})
    file = tmp_path / "out" / "results.json"
    told = gpu.run(bench, 100, file)
    assert [part["status"] for part in told["parts"].values()] == ["failed", "done"]
    assert told["parts"]["sd1 bad"]["note"] == "PackshotError: no room in …/x"
    assert "| Stable Diffusion 1.5, bad | failed | PackshotError: no room in …/x |" in (
        file.with_suffix(".md").read_text()
    )


def test_what_is_done_is_not_done_again_and_what_is_not_is_tried(bench, monkeypatch, tmp_path):
    calls = []

    def resume(bench):
        calls.append("resume")
        return {"identical": {}}

    def bad(bench):
        calls.append("bad")
        raise ValueError

    parts_of(monkeypatch, resume=resume, bad=bad)
    gpu.run(bench, 100, tmp_path / "results.json")
    gpu.run(bench, 100, tmp_path / "results.json")
    assert calls == ["resume", "bad", "bad"]


def test_each_part_is_given_its_share_of_what_is_left_and_none_without_time(
    bench, monkeypatch, tmp_path
):
    shares = []

    def part(bench):
        shares.append(bench.seconds_left)
        return {"identical": {}}

    parts_of(monkeypatch, one=part, two=part)
    gpu.run(bench, 1000, tmp_path / "enough.json")
    assert 400 < shares[0] <= 500 < shares[1] <= 1000
    told = gpu.run(bench, gpu.LEAST_SECONDS / 2, tmp_path / "none.json")
    assert [one["note"] for one in told["parts"].values()] == ["no time was left"] * 2
    assert len(shares) == 2


def test_a_part_that_takes_too_long_is_interrupted():
    with pytest.raises(gpu._TimeIsUp), gpu._within(0.01):
        while True:
            pass


def test_results_of_another_machine_are_not_mixed(bench, monkeypatch, tmp_path):
    parts_of(monkeypatch)
    file = tmp_path / "results.json"
    gpu.run(bench, 100, file)
    file.write_text(json.dumps({"made": {"device": "another"}, "parts": {}}))
    with pytest.raises(SystemExit, match="measured elsewhere, or with other versions"):
        gpu.run(bench, 100, file)


def test_where_memory_does_not_suffice_the_table_says_so():
    part = {"batch": 1, "pixels": 1024, "rank": 16, "note": "memory does not suffice"}
    made = {
        "device": "GPU",
        "size": "full",
        "dtype": "bfloat16",
        "seed": 0,
        "versions": {},
        "cuda": "",
    }
    parts = {"flux1 steps": {"status": "done", "result": part}}
    row = "| FLUX.1, steps | 1 | 1024 px | memory does not suffice |"
    assert row in as_markdown({"made": made, "parts": parts})


@pytest.mark.parametrize(
    ("device", "teraflops"),
    [
        ("NVIDIA H200", 989), ("NVIDIA A100-SXM4-80GB", 312), ("NVIDIA GeForce RTX 4090", 165),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None), ("NVIDIA H100 PCIe", None), ("cpu", None),
    ],
)  # fmt: skip
def test_a_peak_is_that_of_the_very_same_gpu(device, teraflops):
    assert peak_flops(device) == (teraflops and teraflops * 1e12)
