"""The commands: what they print, their exit codes, and every mistake a user can make."""

import os
import pickle
import shutil
import struct
import subprocess
import sys
import zlib
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
import typer
from PIL import Image
from safetensors.torch import save_file

from packshot import cli
from packshot.project import Project, open_project
from packshot.training import run_state
from packshot.utils import reading
from tests.projects import painted

COMMANDS = typer.main.get_command(cli.app).commands


@pytest.fixture
def source(project_folder):
    return project_folder / "photos"


@pytest.fixture
def base(tiny_sd1, tmp_path):
    folder = tmp_path / "base"
    shutil.copytree(tiny_sd1, folder)
    (folder / "recipe.toml").write_text(
        "exposures = {1 = 4}\neffective_batch_size = 2\ncrops_per_photo = 1\n"
    )
    return folder


@pytest.mark.slow
def test_step_by_step(command, source, base, tmp_path):
    project = tmp_path / "project"
    at = ("--project", project)
    assert command("new", project, "--class", "car", "--name", "Duster", "--base", base)[0] == 0
    code, said = command("photos", source, *at)
    assert code == 0 and "5 photos accepted, 0 refused" in said
    assert "a photo of ohwx car" in command("caption", *at)[1]
    assert "2 class images" in command("class-images", *at, "--class-count", "2")[1]
    code, said = command("plan", *at, "--rank", "3")
    assert code == 0 and "rank 3 on attention+mlp" in said
    code, said = command("train", *at)
    assert code == 0 and "duster.safetensors" in said
    code, said = command("shoot", "{subject} in the rain", *at, "--steps", "2")
    assert code == 0 and "sheet.png" in said and "does not ask" not in said
    code, said = command("shoot", "a car in the snow", *at, "--steps", "2")
    assert code == 0 and "“a car in the snow” does not ask for the product" in said
    shot = next((project / "shots").glob("ohwx-car-in-the-rain*.png"))
    assert "<lora:duster:1>" in Image.open(shot).info["parameters"]
    as_webp = "--image-format", "webp", "--image-quality", "80"
    assert command("shoot", "{subject} in the rain", *at, "--steps", "2", *as_webp)[0] == 0
    shot = next((project / "shots").glob("ohwx-car-in-the-rain*.webp"))
    assert Image.open(shot).format == "WEBP"
    long = "[trigger] <lora:x:1> " + "word " * 80
    said = " ".join(command("shoot", long, *at, "--steps", "1")[1].split())
    assert "<lora:x:1>: no LoRA is loaded by a prompt" in said
    assert "reads 77 tokens of a" in said, said
    code, said = command("shoot", *at, "--steps", "1")
    assert code == 0 and (project / "shots" / "scores.json").is_file()
    code, said = command("report", *at)
    page = (project / "report.html").read_text()
    assert code == 0 and "with the LoRA, and without" in page and "ohwx car in the rain" in page


@pytest.mark.slow
def test_a_lora_of_another_tool_with_a_weight(command, planned_project, tiny_base, base, tmp_path):
    from packshot.lora import inject_lora, save

    with inject_lora(
        tiny_base.denoiser, tiny_base.lora_targets("all"), rank=2, alpha=2, seed=0
    ) as a:
        other = a.to_lora("unet", {})
    save(other, tmp_path / "style.safetensors", tmp_path / "d.safetensors", tiny_base)
    planned_project.plan_file.write_text("steps = 0")  # stops only what carries it out
    code, said = command(
        "shoot", "a car", "-p", planned_project.root, "--base", base, "--steps", "1",
        "--lora", f"{tmp_path / 'style.safetensors'}:0.5", "--lora", tmp_path / "d.safetensors",
    )  # fmt: skip
    assert code == 0, said
    shot = next(planned_project.shots_folder.glob("a-car*.png"))
    assert "<lora:style:0.5> <lora:d:1>" in Image.open(shot).info["parameters"]
    code, said = command("train", "-p", planned_project.root)
    assert code == 2 and "plan.toml: steps = 0: input should be greater than or equal to 1" in said


def test_a_dataset_out_and_in_again(command, ready_project, tmp_path):
    code, said = command("export", tmp_path / "out", "-p", ready_project.root)
    assert code == 0 and f"Dataset: {tmp_path / 'out'}" in said
    code, said = command("export", tmp_path / "out", "-p", ready_project.root)
    assert code == 2 and "out is not an empty folder" in said
    config = tmp_path / "out" / "dataset.toml"
    config.write_text(config.read_text().replace("[general]", "[general]\nflip_aug = true"))
    (tmp_path / "out" / "img" / "2_ohwx car" / "bad.jpg").write_text("hello")
    code, said = command("import", tmp_path / "out", "-p", tmp_path / "again", "--name", "Duster")
    assert code == 0, said
    assert "5 photos accepted (5 with captions, 0 with masks), 1 refused; 7 class images." in said
    assert "refused bad.jpg: is not an image" in said
    assert "note: dataset.toml: Packshot has nothing for flip_aug: left out" in said
    assert open_project(tmp_path / "again").subject == ready_project.subject
    code, said = command("import", tmp_path / "none", "-p", tmp_path / "again")
    assert code == 2 and "There is no" in said and "Name a dataset" in said


def test_photos_end_with_what_they_lack_and_guide_says_it_in_both_languages(
    command, source, tmp_path
):
    root = tmp_path / "project"
    command("new", root, "--class", "car")
    code, said = command("photos", source, "-p", root)
    assert code == 0 and "- photos: 5; 8 or more are wanted. Walk once around the product" in said
    code, said = command("photo-guide", "-p", root, "--language", "it")
    assert code == 0 and "- foto: 5; ne servono almeno 8. Gira una volta attorno" in said
    code, said = command("report", "-p", root, "--language", "it")
    assert code == 0 and "Gira una volta attorno" in (root / "report.html").read_text()
    code, said = command("photo-guide", "-p", root, "--language", "fr")
    assert code == 2 and "no words in 'fr'; choose of en, it." in said


@pytest.mark.parametrize("name", ["x.jpg", "n" * 300 + ".jpg"])
def test_a_source_that_is_not_there_or_could_not_be(command, ready_project, tmp_path, name):
    missing = tmp_path / name
    for words in (
        ("photos", missing, "-p", ready_project.root),
        ("run", missing, "--class", "car", "-p", tmp_path / "other"),
        ("import", missing, "-p", tmp_path / "other"),
    ):
        code, said = command(*words)
        assert code == 2 and "There is no" in said and "Traceback" not in said, words


def test_what_is_blurred_is_told(command, source, tmp_path, monkeypatch):
    from packshot.photos import anonymize

    class Finder:
        name, kind = "finder", "faces"

        def find(self, pixels):
            return [(10, 10, 40, 40)] if pixels.shape[1] == 384 else []

    asked = []
    monkeypatch.setattr(anonymize, "detectors", lambda *given: asked.append(given) or [Finder()])
    root = tmp_path / "project"
    command("new", root, "--class", "car")
    code, said = command("photos", source, "-p", root, "--blur", "faces, license-plates")
    assert code == 0 and "0.png: faces blurred: 1" in said and "1.png" not in said
    code, said = command("blur", "-p", root, "--what", "faces", "--face-model", "yunet.onnx")
    assert code == 0 and "Look at the photos before you show them: not everything is found." in said
    assert asked[1:] == [(("faces", "license-plates"), None), (("faces",), Path("yunet.onnx"))]
    page = (command("report", "-p", root), (root / "report.html").read_text())[1]
    assert "faces blurred at 4, 4: 52 x 52 px (finder)" in page
    assert command("blur", "-p", tmp_path)[0] == 2


def test_what_cannot_be_done_is_told_before_photos_are_taken(command, source, tmp_path):
    root = tmp_path / "project"
    command("new", root, "--class", "car")
    code, said = command("photos", source, "-p", root, "--blur", "cats")
    assert code == 2 and "'cats' cannot be blurred; choose of faces, license-plates." in said
    code, said = command("photos", source, "-p", root, "--language", "fr")
    assert code == 2 and "no words in 'fr'; choose of en, it." in said
    assert not (root / "photos").exists()
    code, said = run(command, source, tmp_path / "other", "--blur", "cats")
    assert code == 2 and "'cats' cannot be blurred" in said and not (tmp_path / "other").exists()


def test_masks_say_who_made_them_and_what_is_missing(command, ready_project, tmp_path, monkeypatch):
    from packshot.masks.bundled import BundledSegmenter

    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "none"))

    def left_half(self, picture):
        mask = Image.new("L", picture.size)
        mask.paste(255 if picture.width == 272 else 0, (0, 0, 136, picture.height))
        return mask

    monkeypatch.setattr(BundledSegmenter, "mask", left_half)
    monkeypatch.delattr(BundledSegmenter, "compare")  # each photo by itself
    folder, at = ready_project.masks_folder, ("-p", ready_project.root)
    folder.mkdir()
    Image.new("L", (272, 272), 255).save(folder / "1.png")
    code, said = command("masks", *at, "--segmenter", "bundled")
    assert code == 0 and "masks by you: 1" in said and "masks by bundled: 3" in said
    assert "no product found in 0.png: draw its mask, white on the product" in said
    assert "4 masks in" in said and not (folder / "0.png").exists()
    code, said = command("masks", *at, "--segmenter", "magic")
    assert code == 2 and "There is no segmenter 'magic'; choose of auto, bundled" in said
    code, said = command("masks", *at, "--segmenter", tmp_path / "none.onnx")
    assert code == 2 and "none.onnx. Name a model with --segmenter FILE.onnx" in said
    (tmp_path / "u2net.onnx").write_bytes(pickle.dumps({"a": 1}))
    code, said = command(
        "masks", *at, "--segmenter", tmp_path / "u2net.onnx", "--overwrite-generated"
    )
    assert code == 2 and "is a pickle, which can run code" in said
    monkeypatch.setattr(
        BundledSegmenter, "mask", lambda self, picture: Image.new("L", picture.size)
    )
    code, said = command("masks", *at, "--segmenter", "bundled", "--overwrite-generated")
    assert code == 0 and "no product found in 2.png; its earlier mask is kept" in said


def test_class_images_of_a_dataset_that_was_downloaded(command, tmp_path):
    at = ("--project", tmp_path / "project")
    command("new", tmp_path / "project", "--class", "car")
    shard = tmp_path / "cars" / "00000"
    shard.mkdir(parents=True)
    (tmp_path / "cars" / "00000_stats.json").write_text("{}")
    for number in range(3):
        painted(number, (96, 64)).save(shard / f"{number}.jpg")
        (shard / f"{number}.json").write_text('{"license": "CC BY 2.0", "creator": "Ada"}')
    (shard / "2.json").write_text('{"license": "CC BY-NC 2.0"}')
    words = ("class-images", *at, "--class-images", tmp_path / "cars", "--class-count", "5")
    code, said = command(*words, "--class-min-side", "64")
    assert code == 0 and "2 class images in" in said, said
    assert "1 left out; " in said and "note: there are no more than 2" in said
    assert "note: no CLIP is at hand" in said
    assert "by Ada" in (tmp_path / "project" / "class_images" / "ATTRIBUTION.md").read_text()
    code, said = command(*words)
    assert code == 0 and "2 class images in" in said, "what was chosen holds"
    code, said = command(*words, "--class-min-side", "512")
    assert code == 2 and "is only 96 x 64 px; its shorter side must have 512" in said


def test_a_list_of_urls_that_leads_to_this_machine(command, tmp_path, monkeypatch):
    monkeypatch.delenv("PACKSHOT_CONTACT", raising=False)
    command("new", tmp_path / "project", "--class", "car")
    (tmp_path / "urls.txt").write_text("http://127.0.0.1:1/admin\n")
    words = ("class-images", "-p", tmp_path / "project", "--class-images", tmp_path / "urls.txt")
    code, said = command(*words)
    assert code == 2 and "Name yours: --contact you@example.org, or PACKSHOT_CONTACT." in said
    monkeypatch.setenv("PACKSHOT_CONTACT", "ada@example.org")
    code, said = command(*words)
    assert code == 2 and "127.0.0.1, which is no address of the internet" in said
    code, said = command(*words[:3], "--class-images", "flickr")
    assert code == 2 and "There is no flickr. Name openverse or commons, a file of URLs" in said


def test_what_would_not_be_downloaded_is_not_offered(command, tmp_path):
    command("new", tmp_path / "project", "--class", "car")
    words = ("class-images", "-p", tmp_path / "project", "--offers")
    code, said = command(*words)
    assert code == 2 and "Nothing would be downloaded: the base makes the class images." in said
    code, said = command(*words, "--class-images", tmp_path)
    assert code == 2 and f"Nothing would be downloaded: {tmp_path}." in said


def test_help_names_every_command_with_what_it_does(command):
    code, said = command("--help")
    assert code == 0 and {"masks", "memory", "insert", "lora"} <= set(COMMANDS)
    for name, described in COMMANDS.items():
        begins = " ".join(described.help.split()[:4])
        assert f" {name} {begins}" in said, name


def test_the_version_is_that_of_the_package(command):
    assert command("--version") == (0, f"packshot {version('packshot')}")


def test_it_runs_as_a_module():
    words = [sys.executable, "-m", "packshot", "--version"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"packshot {version('packshot')}\n"), done.stderr


def run(command, photos, tmp_path, *more):
    return command("run", photos, "--class", "car", "-p", tmp_path / "project", *more)


def test_a_forgotten_project_is_asked_for(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, said = command("photo-guide")
    assert code == 2 and "Name yours with --project FOLDER (-p)" in said
    assert "packshot new ." not in said  # which would make the folder around one


def test_shots_before_there_is_a_lora_say_how_to_get_one(command, planned_project):
    for words in ((), ("{subject} in the rain",)):
        code, said = command("shoot", *words, "--project", planned_project.root)
        assert code == 2 and f"packshot train --project {planned_project.root}" in said


def test_no_such_folder(command, tmp_path):
    code, said = run(command, tmp_path / "none", tmp_path)
    assert code == 2 and "There is no" in said and not (tmp_path / "project").exists()


@pytest.mark.parametrize("names", [(), ("a.txt", "b.md")])
def test_a_folder_without_photos(command, tmp_path, names):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in names:
        (folder / name).write_text("words")
    code, said = run(command, folder, tmp_path)
    assert code == 2 and "holds no photos" in said


def header(width, height):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_photos_that_are_all_refused_each_say_why(command, source, tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    Image.open(source / "0.png").convert("RGB").save(folder / "cut.jpg")
    whole = (folder / "cut.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "huge.png").write_bytes(header(30_000, 30_000))
    Image.new("RGB", (32, 32)).save(folder / "small.png")
    Image.new("RGB", (512, 512)).save(folder / "plain.png")
    code, said = run(command, folder, tmp_path)
    assert code == 2 and "No photo in" in said
    for words in (
        "cut.jpg: is damaged or cut short",
        "huge.png:",
        "small.png: is only 32 x 32",
        "plain.png: is blurred",
    ):
        assert words in said


@pytest.mark.parametrize("name", ["model.ckpt", "model.SafeTensors", "model.safetensors", "model"])
def test_a_pickle_as_base(command, source, tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps({"a": 1}))
    code, said = run(command, source, tmp_path, "--base", tmp_path / name)
    assert code == 2 and "is a pickle" in said and "save_pretrained" in said
    assert "masks" not in said and not Project(tmp_path / "project").masks_folder.exists()


def test_a_base_of_an_unknown_family(command, source, tmp_path):
    save_file({"blocks.0.weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    code, said = run(command, source, tmp_path, "--base", tmp_path / "model.safetensors")
    assert code == 2 and "Packshot knows Stable Diffusion 1.x, Stable Diffusion 2.x, SDXL" in said


def test_a_lora_for_another_family(command, planned_project, base, tmp_path):
    save_file(
        {"lora_unet_joint_blocks_0_x.lora_down.weight": torch.zeros(2, 2)},
        tmp_path / "l.safetensors",
    )
    at = ("-p", planned_project.root, "--base", base)
    code, said = command("shoot", "a car", *at, "--lora", tmp_path / "l.safetensors")
    assert code == 2 and "is a LoRA for Stable Diffusion 3" in said


@pytest.mark.slow
def test_a_disk_that_fills_in_a_checkpoint(command, planned_project, base, monkeypatch):
    root = planned_project.root
    settings = planned_project.settings_file
    settings.write_text(settings.read_text().replace("unused", str(base)))
    assert command("plan", "-p", root)[0] == 0
    planned_project.plan_file.write_text(
        planned_project.plan_file.read_text().replace(
            "save_every_n_steps = ", "save_every_n_steps = 1 # "
        )
    )
    real, calls = os.replace, []

    def full(source, target):
        if "checkpoints" in str(target):
            calls.append(target)
            if len(calls) > 4:
                raise OSError(28, "No space left on device")
        return real(source, target)

    monkeypatch.setattr(os, "replace", full)
    code, said = command("train", "-p", root)
    assert code == 2 and "No room on the disk for" in said and "bytes needed" in said
    state, _ = run_state.latest(planned_project.runs()[-1] / "checkpoints")
    assert state.step == 1
    monkeypatch.setattr(os, "replace", real)
    code, said = command("train", "-p", root)
    assert code == 0 and "resuming after step 1" in said


def test_two_at_once(command, planned_project, source):
    with open_project(planned_project.root).held():
        code, said = command("photos", source, "-p", planned_project.root)
    assert code == 2 and f"in use by another Packshot (process {os.getpid()})" in said


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("--time-budget", "soon"), "is not a time"),
        (("--prompts-file", "none.txt"), "cannot be read"),
        (("--trigger", "two words"), "trigger"),
    ],
)
def test_options_that_make_no_sense(command, source, tmp_path, words, answer):
    code, said = run(command, source, tmp_path, *words)
    assert code == 2 and answer in said


def test_unknown_targets_are_listed(command, planned_project, base):
    settings = planned_project.settings_file
    settings.write_text(settings.read_text().replace("unused", str(base)))
    code, said = command("plan", "-p", planned_project.root, "--target-modules", "everything")
    assert code == 2
    assert "'cross-attention', 'attention', 'attention+mlp', 'all'" in said


def test_a_command_that_does_not_exist(command):
    assert command("develop")[0] == 2


def test_a_bug_of_ours_is_said_to_be_one(command, monkeypatch, tmp_path):
    monkeypatch.setattr(reading, "read_toml", lambda path: 1 / 0)
    (tmp_path / "packshot.toml").write_text("")
    code, said = command("report", "-p", tmp_path)
    assert code == 1 and "this is a bug" in said


def test_class_images_of_a_folder_need_no_base(command, tmp_path):
    at = ("-p", tmp_path / "project")
    command("new", tmp_path / "project", "--class", "car", "--base", tmp_path / "gone.safetensors")
    (tmp_path / "cars").mkdir()
    for number in range(2):
        painted(number, (96, 64)).save(tmp_path / "cars" / f"{number}.jpg")
    code, said = command("class-images", *at, "--class-images", tmp_path / "cars")
    assert code == 0 and "2 class images in" in said, said
