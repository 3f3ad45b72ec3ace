"""Checkpoints are judged by content; what is refused is refused with words, and never opened."""

import json
import os
import pickle
import shutil
import zipfile

import pytest
import torch
from safetensors.torch import load_file, save_file

from packshot.errors import ModelLoadError
from packshot.models import load_base
from packshot.models.checkpoint import detect_checkpoint
from packshot.weights.safetensors_file import check_safetensors


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("unpickled!",))


@pytest.fixture(autouse=True)
def no_unpickling(monkeypatch):
    """Nothing here may come near an unpickler, nor near the network."""

    def forbidden(*args, **kwargs):
        raise BaseException("an unpickler or a socket was asked for")

    monkeypatch.setattr(torch, "load", forbidden)
    monkeypatch.setattr(pickle, "load", forbidden)
    monkeypatch.setattr(pickle, "Unpickler", forbidden)
    monkeypatch.setattr("socket.socket.connect", forbidden)


@pytest.fixture
def folder(tiny_sd1, tmp_path):
    return shutil.copytree(tiny_sd1, tmp_path / "copy")


def assert_refused(path, words):
    with pytest.raises(ModelLoadError, match=words) as raised:
        load_base(path, device="cpu", dtype=torch.float32)
    return str(raised.value)


def edit(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("name", ["a.ckpt", "a.safetensors", "a.SafeTensors"])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_pickle_is_refused_whatever_its_name(tmp_path, name, protocol):
    (tmp_path / name).write_bytes(pickle.dumps({"state_dict": Bomb()}, protocol=protocol))
    words = assert_refused(
        tmp_path / name, "is a pickle, which can run code when it is opened; refused"
    )
    assert "from_single_file" in words, "says how to convert"


def test_what_torch_saves_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "v1-5.safetensors", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb()))
    assert_refused(tmp_path / "v1-5.safetensors", "is a pickle")


def test_what_is_not_there_or_is_no_checkpoint_is_refused(tmp_path):
    assert_refused(tmp_path / "none", "There is no checkpoint at .*none. Name a diffusers folder")
    assert_refused(tmp_path, "is no checkpoint: it has no model_index.json")
    (tmp_path / "a.safetensors").write_text("once upon a time, there was a text")
    assert_refused(tmp_path / "a.safetensors", "is not a .safetensors file, whatever its name")


def test_a_relative_of_sdxl_that_learnt_by_edm_is_refused_as_folder_and_as_file(tmp_path):
    index = {
        "_class_name": "StableDiffusionXLPipeline",
        "scheduler": ["diffusers", "EDMDPMSolverMultistepScheduler"],
    }
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    assert_refused(tmp_path, "trained with EDM's noise, as Playground 2.5; Packshot knows")
    keys = "conditioner.embedders.1.model.ln_final.weight", "edm_mean", "edm_std"
    save_file({key: torch.zeros(4) for key in keys}, tmp_path / "a.safetensors")
    assert_refused(tmp_path / "a.safetensors", "is Playground 2.5; Packshot knows")
    keys = keys[0], "edm_vpred.sigma_max", "edm_vpred.sigma_min", "v_pred", "ztsnr"
    save_file({key: torch.zeros(4) for key in keys}, tmp_path / "a.safetensors")
    assert_refused(tmp_path / "a.safetensors", "is CosXL; Packshot knows")


def _with_header(tmp_path, length):
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    file = tmp_path / "a.safetensors"
    file.write_bytes(length.to_bytes(8, "little") + header.ljust(length) + bytes(4))
    return file


@pytest.mark.parametrize("length", [384, 640, 896, 1152, 1408, 19280])
def test_a_header_whose_length_looks_like_a_pickle_is_none(tmp_path, length):
    assert check_safetensors(_with_header(tmp_path, length)) == ["a"]


@pytest.mark.parametrize("length", [2**63 - 1, 2**31, 101 * 2**20, 5000])
def test_a_boastful_header_is_refused(tmp_path, length):
    (tmp_path / "a.safetensors").write_bytes(length.to_bytes(8, "little") + b"{" + b" " * 99)
    assert_refused(tmp_path / "a.safetensors", "cut short or damaged: its header does not fit")


@pytest.mark.parametrize("offsets", [([0, 8], [4, 12]), ([0, 8], [16, 24]), ([0, 8], [8, 4])])
def test_overlaps_and_holes_are_refused(tmp_path, offsets):
    header = json.dumps(
        {str(i): {"dtype": "F32", "shape": [2], "data_offsets": o} for i, o in enumerate(offsets)}
    ).encode()
    file = tmp_path / "a.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(24))
    assert_refused(file, "cut short or damaged")


def test_a_truncated_part_of_a_folder_is_refused(folder):
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    whole = file.read_bytes()
    for length in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        assert_refused(folder, "vae.*(cut short or damaged|is not a .safetensors)")


SINGLE_FILES = {
    "FLUX of an unknown kind": "model.diffusion_model.double_blocks.0.img_attn.qkv.weight",
    "something with keys such as 'lora_unet_a.alpha'": "lora_unet_a.alpha",
}


@pytest.mark.parametrize("family", SINGLE_FILES)
def test_other_families_are_named_in_single_files(tmp_path, family):
    save_file({SINGLE_FILES[family]: torch.zeros(2)}, tmp_path / "a.safetensors")
    assert_refused(
        tmp_path / "a.safetensors",
        f"is {family}; Packshot knows Stable Diffusion 1.x, Stable Diffusion 2.x, SDXL",
    )


def test_a_gguf_is_named(tmp_path):
    (tmp_path / "a.gguf").write_bytes(b"GGUF" + bytes(99))
    assert_refused(
        tmp_path / "a.gguf", "is a GGUF file that cannot be read .*of a version that is not known"
    )


PIPELINES = {
    "FluxControlPipeline": "FLUX",
    "PixArtAlphaPipeline": "PixArtAlphaPipeline",
}


@pytest.mark.parametrize("name", PIPELINES)
def test_other_families_are_named_in_folders_even_without_a_unet(tmp_path, name):
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": name}))
    assert_refused(
        tmp_path,
        f"is {PIPELINES[name]}; Packshot knows Stable Diffusion 1.x, Stable Diffusion 2.x, SDXL",
    )


def test_a_unet_for_other_tasks_is_named(folder):
    edit(folder / "unet" / "config.json", in_channels=8)
    assert_refused(folder, "whose UNet takes 8 channels")


def test_stable_diffusion_2_is_told_by_its_width(folder):
    edit(folder / "unet" / "config.json", cross_attention_dim=1024)
    assert detect_checkpoint(folder).family == "sd2"


SINGLE_FILE_KEYS = {
    "sd1": "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",
    "sd2": "cond_stage_model.model.transformer.resblocks.0.ln_1.weight",
    "sdxl": "conditioner.embedders.1.model.token_embedding.weight",
}


def keys_of(family):
    return {key: torch.zeros(2) for key in (SINGLE_FILE_KEYS[family], "first_stage_model.a")}


@pytest.mark.parametrize("family", SINGLE_FILE_KEYS)
def test_single_files_are_told_by_their_keys(tmp_path, family):
    save_file(keys_of(family), tmp_path / "a.safetensors")
    assert detect_checkpoint(tmp_path / "a.safetensors").family == family


@pytest.mark.parametrize(
    ("family", "says", "yaml", "target"),
    [
        ("sd1", {}, "", "epsilon"),
        ("sd2", {}, "", None),  # its UNet is asked
        ("sd2", {"modelspec.prediction_type": "epsilon"}, "", "epsilon"),
        ("sd2", {}, "    parameterization: eps\n", "epsilon"),
        ("sd1", {}, 'parameterization: "v"', "v_prediction"),
        ("sdxl", {"modelspec.prediction_type": "v"}, "", "v_prediction"),
        ("sdxl", {}, "", "epsilon"),
    ],
)
def test_what_a_single_file_predicts_is_told(tmp_path, family, says, yaml, target):
    save_file(keys_of(family), tmp_path / "a.safetensors", says)
    if yaml:
        (tmp_path / "a.yaml").write_text(yaml)
    hints = detect_checkpoint(tmp_path / "a.safetensors").schedule_hints
    assert hints.get("prediction_type") == target


def test_a_yaml_that_says_what_is_predicted_makes_it_another_checkpoint(tmp_path):
    """What was learnt and made before, by the wrong target, is not taken for this one's."""
    save_file(keys_of("sdxl"), tmp_path / "a.safetensors")
    hashes = [detect_checkpoint(tmp_path / "a.safetensors").content_hash]
    for text in ("parameterization: eps", "parameterization: v"):
        (tmp_path / "a.yaml").write_text(text)
        hashes.append(detect_checkpoint(tmp_path / "a.safetensors").content_hash)
    (tmp_path / "a.yaml").unlink()
    assert len(set(hashes)) == 3
    assert detect_checkpoint(tmp_path / "a.safetensors").content_hash == hashes[0]


def test_keys_that_say_velocity_and_zero_terminal_snr(tmp_path):
    tensors = keys_of("sdxl") | {"v_pred": torch.zeros(0)}
    save_file(tensors | {"ztsnr": torch.zeros(0)}, tmp_path / "a.safetensors")
    assert detect_checkpoint(tmp_path / "a.safetensors").schedule_hints == {
        "prediction_type": "v_prediction", "rescale_betas_zero_snr": True,
    }  # fmt: skip


def test_a_folder_with_pickled_weights_is_refused(folder):
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    file.rename(file.with_suffix(".bin"))
    assert_refused(
        folder, "unet has no .safetensors weights but only diffusion_pytorch_model.bin, a pickle"
    )
    file.with_suffix(".bin").unlink()
    assert_refused(folder, "unet has no .safetensors weights but nothing")


@pytest.mark.parametrize("component", ["unet", "vae", "text_encoder"])
def test_nothing_leads_to_files_that_were_not_judged(folder, component):
    """A shard index or an adapter that names a pickle: libraries' loaders would open it."""
    file = next((folder / component).glob("*.safetensors"))
    (folder / component / "evil.bin").write_bytes(pickle.dumps(Bomb()))
    index = {"metadata": {}, "weight_map": dict.fromkeys(load_file(file), "evil.bin")}
    file.with_name(f"{file.name}.index.json").write_text(json.dumps(index))
    (folder / component / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (folder / component / "adapter_model.bin").write_bytes(pickle.dumps(Bomb()))
    assert load_base(folder, device="cpu", dtype=torch.float32).family == "sd1"


def test_shards_are_read(folder, tiny_base):
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = list(load_file(file.rename(folder / "whole")).items())
    for number in (1, 2):
        part = dict(tensors[number - 1 :: 2])
        save_file(
            part, file.with_name(f"diffusion_pytorch_model-0000{number}-of-00002.safetensors")
        )
    loaded = load_base(folder, device="cpu", dtype=torch.float32).denoiser.state_dict()
    assert all(
        torch.equal(value, loaded[key]) for key, value in tiny_base.unet.state_dict().items()
    )


@pytest.mark.parametrize("component", ["unet", "vae", "text_encoder"])
def test_a_missing_weight_is_never_random(folder, component):
    file = next((folder / component).glob("*.safetensors"))
    tensors = load_file(file.rename(folder / "whole"))
    name = sorted(tensors)[3]
    save_file({key: value for key, value in tensors.items() if key != name}, file)
    assert_refused(folder, f"{component} lacks 1 weights, such as .*; they would be random")


def test_a_configuration_that_does_not_fit_is_refused(folder):
    edit(folder / "text_encoder" / "config.json", intermediate_size=128)
    assert_refused(
        folder, "text_encoder cannot be loaded: its configuration and weights do not fit"
    )
    (folder / "text_encoder" / "config.json").write_text("not JSON")
    assert_refused(folder, "config.json cannot be read")
    (folder / "text_encoder" / "config.json").write_text("[]")
    assert_refused(folder, "config.json is not a JSON object")


def test_a_folder_without_tokenizer_and_an_odd_target_are_refused(folder):
    edit(folder / "scheduler" / "scheduler_config.json", prediction_type="sample")
    assert_refused(folder, "predicts 'sample'; known are epsilon and v_prediction")
    shutil.rmtree(folder / "tokenizer")
    assert_refused(folder, "has no folder 'tokenizer'")


def test_the_hash_follows_the_weights_and_nothing_else(folder, tiny_base):
    assert detect_checkpoint(folder).content_hash == tiny_base.content_hash, "wherever they lie"
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert detect_checkpoint(folder).content_hash != tiny_base.content_hash


@pytest.mark.parametrize("change", ["edited", "one more", "one less"])
def test_the_hash_follows_the_tokenizers_too(folder, tiny_base, change):
    """The embeddings of prompts, which are kept, depend on their files."""
    files = sorted((folder / "tokenizer").iterdir())
    match change:
        case "edited":
            files[0].write_bytes(files[0].read_bytes() + b" ")
        case "one more":
            (folder / "tokenizer" / "added_tokens.json").write_text("{}")
        case "one less":
            files[0].unlink()
    assert detect_checkpoint(folder).content_hash != tiny_base.content_hash


def test_a_file_as_large_and_as_old_as_it_was_is_hashed_again(folder):
    first, file = detect_checkpoint(folder).content_hash, folder / "unet" / "config.json"
    before = file.stat()
    file.write_text(file.read_text().replace('"act_fn": "silu"', '"act_fn": "gelu"'))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size
    assert detect_checkpoint(folder).content_hash != first


def test_the_hash_is_remembered(folder, monkeypatch):
    first = detect_checkpoint(folder).content_hash
    monkeypatch.setattr("packshot.utils.hashing.sha256", lambda path: pytest.fail("hashed again"))
    assert detect_checkpoint(folder).content_hash == first


@pytest.mark.parametrize("damage", [b"", bytes(64), b"\xff" * 64, b"0" * 63])
def test_a_remembered_hash_that_is_damaged_is_made_anew(folder, tmp_path, monkeypatch, damage):
    monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path / "cache"))
    first = detect_checkpoint(folder).content_hash
    (remembered,) = (tmp_path / "cache" / "hashes").iterdir()
    remembered.write_bytes(damage)
    assert detect_checkpoint(folder).content_hash == first
    assert remembered.read_text() == first
