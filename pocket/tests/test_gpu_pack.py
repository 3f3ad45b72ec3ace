"""A pack trains on its own and comes back: what is in it, what a cut leaves, what the tower says."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_stages import CLIP, UNET, VAE, caption

from packshot.errors import PackshotError
from packshot_pocket.pretrain import clip, data, gpu_pack, latents, state, unet
from packshot_pocket.pretrain.loop import Budget

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pack(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "pack"
    most = 150_000 + 10 * 4 * 256 + 5 * 4 * 256 + size_of_the_rest(trained, out)
    write(trained, out, most)
    return out


def write(trained: Path, out: Path, most_bytes: int, with_weights: bool = False) -> None:
    gpu_pack.write_pack(
        trained, out, UNET, CLIP, VAE, most_bytes=most_bytes, with_weights=with_weights,
        captioner=caption,
    )  # fmt: skip


def size_of_the_rest(trained: Path, out: Path) -> int:
    write(trained, out, 10**8)
    return sum((out / n).stat().st_size for n in ("tokens.npy", "weights.safetensors")) - 50_000


def batches(pack: Path) -> gpu_pack.PackBatches:
    return gpu_pack.PackBatches(pack, UNET, torch.device("cpu"))


def test_latents_come_back_within_half_a_step_and_mirror_images_as_far_as_they_fit(
    pack: Path, trained: Path
) -> None:
    rows = np.array(batches(pack).facts["rows"])
    assert 10 < len(rows) < 18 and rows[:10].tolist() == list(range(10))
    assert not set(rows) & {18, 19}, "mirror images of what is held out"
    wanted = latents.open_latents(trained)[rows].astype(np.float32).clip(-4, 4)
    packed = np.load(pack / "latents.npy").astype(np.float32) * (4 / 127)
    assert np.abs(packed - wanted).max() <= 4 / 127 / 2 + 1e-6


def test_pictures_that_do_not_fit_are_told(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(PackshotError, match=r"10 pictures take .* MB; allow more"):
        write(trained, tmp_path, 100_000)


def test_the_pack_tells_captions_as_the_whole_tower_does(pack: Path, trained: Path) -> None:
    """Words are renumbered and rare ones left out: the states of each caption stay what they were."""
    packed = batches(pack)
    batch = packed(3)
    tower = gpu_pack._text_tower(packed)
    said = tower(batch.told).last_hidden_state.float()
    words = np.unique(
        gpu_pack._tokens(data.open_packed(trained).attributes, UNET, caption), return_inverse=True
    )[0]
    whole = clip.load_named_clip(trained, CLIP).text_model
    wanted = whole(torch.from_numpy(words)[batch.told]).last_hidden_state
    assert batch.told.shape == (UNET.loop.batch, 77)
    torch.testing.assert_close(said, wanted, atol=0.05, rtol=0.05)
    empty = unet.Conditioner(whole)([""])
    torch.testing.assert_close(
        tower(packed.nothing[None]).last_hidden_state.float(), empty, atol=0.05, rtol=0.05
    )


def test_batches_are_a_function_of_the_step_and_never_hold_what_is_held_out(pack: Path) -> None:
    packed = batches(pack)
    for one, other in zip(vars(packed(5)).values(), vars(batches(pack)(5)).values(), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(packed(5).noise, packed(6).noise)
    assert not set(packed.picture[packed.training].tolist()) & {8, 9}
    assert sorted(packed.picture[packed.held_out_rows].tolist()) == [8, 9]
    drawn = torch.cat([packed(step).timesteps for step in range(200)])
    assert 0 <= drawn.min() < 50 and 950 < drawn.max() <= 999


def test_it_trains_elsewhere_without_the_renderer_and_what_is_cut_off_is_whole(
    pack: Path, tmp_path: Path
) -> None:
    """As on a borrowed machine: a process that is killed, then one that goes on and ends in time."""
    out, script = tmp_path / "out", tmp_path / "train.py"
    script.write_text(
        "import sys\n"
        "sys.modules['packshot_pocket.scenes'] = None\n"
        "sys.modules['bpy'] = None\n"
        "from packshot_pocket.pretrain import gpu_pack\n"
        "sys.exit(gpu_pack.main())\n"
    )
    command = [
        sys.executable, str(script), str(pack), "--out", str(out), "--scratch",
        str(tmp_path / "scratch"), "--batch", "4", "--seconds", "3",
    ]  # fmt: skip
    told = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert told.returncode == 0, told.stderr
    first = json.loads((out / "parts.json").read_text())
    assert first["step"] > 0 and np.isfinite(first["held-out loss"])
    told = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert f"resumed at step {first['step']}" in told.stderr
    gpu_pack.join_parts(out, tmp_path / "state")
    joined = state.weights(tmp_path / "state", "unet")
    average = state.weights(tmp_path / "scratch", "unet")
    assert joined.keys() == average.keys()
    for name, value in average.items():
        torch.testing.assert_close(joined[name], value, atol=1e-3, rtol=1e-3)


def test_a_pack_with_weights_goes_on_from_them(trained: Path, tmp_path: Path) -> None:
    write(trained, tmp_path / "pack", 10**8, with_weights=True)
    config = replace(UNET, loop=replace(UNET.loop, steps=1))
    gpu_pack.train_pack(
        tmp_path / "pack", tmp_path / "out", Budget(stop_at_step=0), config,
        compiled=False, scratch=tmp_path / "scratch",
    )  # fmt: skip
    gpu_pack.join_parts(tmp_path / "out", tmp_path / "state")
    for name, value in state.weights(trained, "unet").items():
        ours = state.weights(tmp_path / "state", "unet")[name]
        torch.testing.assert_close(ours, value, atol=2e-3, rtol=2e-3)


def test_parts_are_small_replace_earlier_ones_and_are_known_by_their_hashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_pack, "PART_BYTES", 100_000 + 3000)
    weights = {f"w{i}": torch.full((1000,), float(i)) for i in range(4)}
    gpu_pack.write_parts(tmp_path, weights, {"step": 1})
    gpu_pack.write_parts(tmp_path, weights, {"step": 2})
    parts = sorted(tmp_path.glob("unet-*"))
    assert [path.name.split("-")[1] for path in parts] == ["2"] * 4
    gpu_pack.join_parts(tmp_path, tmp_path / "state")
    joined = load_file(tmp_path / "state" / "unet.safetensors")
    assert torch.equal(joined["master/w3"], weights["w3"])
    parts[1].write_bytes(parts[0].read_bytes())
    with pytest.raises(PackshotError, match=r"is not the file that parts\.json names"):
        gpu_pack.join_parts(tmp_path, tmp_path / "other")
    assert not (tmp_path / "other").exists()
