"""Bases from the hub, from a server here that acts as it: what is asked for, broken off, refused."""

import errno
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants, errors
from safetensors.torch import load_file, save_file

from packshot.errors import DiskFullError, ModelLoadError
from packshot.models import load_base
from packshot.models.checkpoint import detect_checkpoint
from packshot.models.hub import download_pipeline
from packshot.project import create_project
from packshot.weights import hub
from tests.families import MAKERS

ID = "somebody/tiny-model"
UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(server, tiny_sd1, tmp_path):
    """A repository: Stable Diffusion 1 in full and half precision, with all that others add."""
    folder = server.folders[ID] = shutil.copytree(tiny_sd1, tmp_path / "repository")
    for weights in list(folder.rglob("*.safetensors")):
        half = {name: tensor.half() for name, tensor in load_file(weights).items()}
        save_file(half, weights.with_name(f"{weights.stem}.fp16.safetensors"))
        for ending in (".bin", ".ckpt", ".pt", ".non_ema.safetensors", ".msgpack", ".onnx"):
            weights.with_name(weights.stem + ending).write_bytes(b"never")
    for name in (
        "model.ckpt", "v1-5.safetensors", "pipeline.py", "unet/modelling.py", "unet/evil_index.json",
        "README.md", "safety_checker/model.safetensors", "feature_extractor/config.json",
        "tokenizer/tokenizer.py", "unet/diffusion_pytorch_model.safetensors.index.json",
    ):  # fmt: skip
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"never")
    return folder


def load(name=ID, dtype=torch.float32, **options):
    return load_base(name, device="cpu", dtype=dtype, **options)


def assert_refused(words, name=ID, kind=ModelLoadError):
    with pytest.raises(kind, match=words):
        load(name)


def no_socket(monkeypatch):
    def forbidden(*args, **kwargs):
        raise BaseException("a socket was asked for")

    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)


def test_only_what_is_loaded_is_asked_for(server, folder, tiny_base):
    base = load()
    assert server.files() == {
        "model_index.json", "scheduler/scheduler_config.json",
        "unet/config.json", "vae/config.json", "text_encoder/config.json",
        *(f"tokenizer/{file.name}" for file in (folder / "tokenizer").glob("*.json")),
        UNET, "vae/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors",
    }  # fmt: skip
    assert (base.family, base.name) == ("sd1", "tiny-model")
    assert base.content_hash == tiny_base.content_hash, "as the same files in a folder have it"
    expected, found = tiny_base.unet.state_dict(), base.unet.state_dict()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_half_precision_is_enough_for_bf16(server, folder):
    assert load(dtype=torch.bfloat16).dtype == torch.bfloat16
    weights = {name for name in server.files() if name.endswith(".safetensors")}
    assert len(weights) == 3 and all(".fp16." in name for name in weights)


@pytest.mark.slow
@pytest.mark.parametrize("family", MAKERS)
def test_every_family_loads_from_the_hub(server, tiny_checkpoint, loaded, family):
    server.folders[ID] = tiny_checkpoint(family)
    base = load()
    assert base.content_hash == loaded(tiny_checkpoint(family)).content_hash
    prompts = ["a photo of ohwx car, dusk", ""]
    theirs = loaded(tiny_checkpoint(family)).encode_prompts(prompts)
    ours = base.encode_prompts(prompts)
    assert all(torch.equal(value, ours[name]) for name, value in theirs.items())


def test_shards_are_fetched_all_or_not_taken_for_the_weights(server, folder):
    whole = folder / UNET
    tensors = list(load_file(whole).items())
    for number in (1, 2):
        part = whole.with_name(f"diffusion_pytorch_model-0000{number}-of-00002.safetensors")
        save_file(dict(tensors[number - 1 :: 2]), part)
    whole.unlink()
    (folder / "unet" / "diffusion_pytorch_model.fp16.safetensors").unlink()
    server.cuts[part.relative_to(folder).as_posix()] = [100] + [0] * 9
    assert_refused("is not whole in the cache")
    server.cuts.clear()
    assert load().family == "sd1"
    part.unlink()
    with pytest.raises(ModelLoadError, match=r"unet has .* but 1 of 2 shards. Copy it again"):
        detect_checkpoint(folder)


@pytest.mark.slow
def test_what_is_in_the_cache_needs_no_network(server, folder, monkeypatch):
    first, asked = load(), len(server.asked)
    server.folders.clear()
    no_socket(monkeypatch)
    assert load().content_hash == first.content_hash
    assert load(f"{ID}@{server.commit}").content_hash == first.content_hash
    assert len(server.asked) == asked


@pytest.mark.slow
def test_a_base_stays_what_it_was_when_its_repository_moves_on(server, folder):
    first = load()
    server.commit = "d" * 40
    config = folder / "unet" / "config.json"
    config.write_text(config.read_text() + "\n")
    assert load().content_hash == first.content_hash
    assert load(f"{ID}@{server.commit}").content_hash != first.content_hash


def test_a_connection_that_breaks_goes_on_where_it_broke(server, folder, tiny_base, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100)  # 10 MB: it goes on after the last
    size = (folder / UNET).stat().st_size
    first = size // 3 // 100 * 100
    server.cuts[UNET] = [first + 50, 1000]
    seen = []
    base = load(progress=lambda *told: seen.append(told))
    starts = [
        begin for method, path, begin in server.asked if path.endswith(UNET) and method == "GET"
    ]
    assert starts == ["", f"bytes={first}-", f"bytes={first + 1000}-"]
    assert base.content_hash == tiny_base.content_hash
    what, done, total = seen[-1]
    assert what == "MB fetched" and done == total
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


@pytest.mark.slow
def test_what_was_whole_is_not_fetched_again(server, folder, tiny_base):
    server.cuts[UNET] = [1000] + [0] * 9
    assert_refused(
        r"is not whole in the cache .*hub, and cannot be fetched from http.*files that are whole"
    )
    before = server.files() - {UNET}
    server.cuts.clear()
    server.asked.clear()
    assert load().content_hash == tiny_base.content_hash
    assert not server.files() & (before - {"model_index.json"})
    assert UNET in server.files()


def test_without_a_network_the_cache_is_named(server, folder):
    server.__exit__()
    try:
        assert_refused(
            r"somebody/tiny-model is no path here.* cache .*/hub, and cannot be fetched from http"
        )
    finally:
        server.__enter__()


def test_when_the_network_goes_in_between_its_own_words_are_told(server, folder, monkeypatch):
    def lost(*args, **options):
        raise errors.LocalEntryNotFoundError("check your connection") from OSError("cable is out")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lost)
    assert_refused(r"cannot be fetched from .*\(OSError: cable is out\)")


def test_when_the_hub_is_switched_off(server, folder, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    no_socket(monkeypatch)
    assert_refused(r"cannot be fetched from .*\(OfflineModeIsEnabled")


def test_gated_private_and_missing(server, folder):
    assert_refused(
        r"no file or folder of that name here, and no such repository.*hf auth login", "a/b"
    )
    assert_refused("has no revision v9", f"{ID}@v9")
    server.gated = True
    assert_refused(
        rf"is gated: agree to its terms at http.*/{ID}, then log in with a token.*hf auth login"
    )


def test_what_cannot_be_loaded_is_refused_before_its_weights_come(server, folder):
    def only_small():
        assert not [name for name in server.files() if name.endswith(".safetensors")]

    for name in ("model.safetensors", "model.fp16.safetensors", "model.non_ema.safetensors"):
        (folder / "text_encoder" / name).unlink()
    assert_refused(
        "tiny-model/text_encoder has no .safetensors weights but only model.bin, a pickle"
    )
    only_small()
    shutil.rmtree(folder / "tokenizer")
    shutil.copy(folder / "vae" / UNET.partition("/")[2], folder / "text_encoder/model.safetensors")
    assert_refused(r"is not whole: it has no tokenizer/tokenizer_config\.json")
    index = folder / "model_index.json"
    index.write_text(index.read_text().replace("StableDiffusionPipeline", "PixArtPipeline"))
    server.commit = "d" * 40
    assert_refused("is PixArtPipeline; Packshot knows Stable Diffusion")
    index.unlink()
    server.commit = "e" * 40
    assert_refused("is no diffusers pipeline.*single .safetensors or .gguf file, download that")
    only_small()


def test_a_unet_for_other_tasks_is_refused_by_its_configuration(server, folder):
    config = folder / "unet" / "config.json"
    config.write_text(config.read_text().replace('"in_channels": 4', '"in_channels": 8'))
    assert_refused("whose UNet takes 8 channels")
    assert UNET not in server.files()


def test_a_full_disk_is_told_with_the_cache(server, folder, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", full)
    assert_refused("No room for somebody/tiny-model in .*/hub.*HF_HUB_CACHE", kind=DiskFullError)


def test_a_path_that_is_there_wins(server, folder, tiny_sd1, tmp_path, monkeypatch):
    (tmp_path / "somebody").mkdir()
    shutil.copytree(tiny_sd1, tmp_path / ID)
    monkeypatch.chdir(tmp_path)
    assert load().path.as_posix() == ID
    assert not server.asked


@pytest.mark.parametrize(
    "name",
    ["pocket", "models/a.safetensors", "a/b/c", "../a/b", "./a/b", "/a/b", "a/..", "a/b@", "a/b@../c",
     "a/b@x/../y", "a/b.gguf", "a b/c", "~/models", "https://huggingface.co/a/b"],
)  # fmt: skip
def test_what_looks_like_no_repository_is_none(name):
    assert hub.parse_repo(name) is None


def test_what_looks_like_one():
    assert hub.parse_repo("a/b-1.0") == hub.Repository("a/b-1.0", "main")
    assert hub.parse_repo("a/b@refs/pr/3") == hub.Repository("a/b", "refs/pr/3")
    assert str(hub.parse_repo("a/b@v2")) == "a/b@v2"


def test_the_hint_of_an_unknown_path_names_repositories(tmp_path):
    assert_refused(
        r"There is no checkpoint at .*OWNER/NAME@REVISION", tmp_path / "none.safetensors"
    )


@pytest.mark.slow
def test_a_command_names_a_base_of_the_hub_and_shows_what_is_fetched(server, folder, tmp_path):
    """In a process of its own, as a user has it."""
    create_project(tmp_path / "p", name="p", class_noun="car", base=ID)
    environment = os.environ | {
        "HF_ENDPOINT": server.endpoint, "HF_HUB_CACHE": str(tmp_path / "hub"),
        "PACKSHOT_CACHE": str(tmp_path / "cache"),
    }  # fmt: skip
    words = [sys.executable, "-c", "from packshot.cli import main; main()", "shoot"]
    words += ["-p", str(tmp_path / "p"), "--lora", "none.safetensors", "--base", ID]
    done = subprocess.run(words, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 2 and "none.safetensors" in done.stdout + done.stderr
    assert "MB fetched" in done.stderr and "unauthenticated" not in done.stderr
    assert UNET in server.files() or UNET.replace(".safe", ".fp16.safe") in server.files()


@pytest.mark.parametrize("told", ["../../../../escaped", "/tmp/escaped", "0" * 39, "x" * 40])
@pytest.mark.parametrize("what", ["etag", "commit"])
def test_a_mirror_that_names_files_elsewhere_is_refused(server, folder, what, told):
    server.lies[what] = told
    with pytest.raises(ModelLoadError, match="are no hashes"):
        download_pipeline(hub.parse_repo(ID))
    around = Path(constants.HF_HUB_CACHE).parent
    assert not [path for path in around.rglob("*") if path.name in ("escaped", "model_index.json")
                and "hub" in str(path) and path.is_file()]  # fmt: skip
    assert not Path("/tmp/escaped").exists()
