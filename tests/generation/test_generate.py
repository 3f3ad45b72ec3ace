import re

import numpy as np
import pytest
from PIL import Image

from packshot.errors import PackshotError
from packshot.generation.generate import (
    GenerationSettings,
    generate_images,
    identifier_of,
    read_generated_images,
    write_sheet,
)
from packshot.images.encoding import encoded
from packshot.provenance import Marking, verify
from packshot.settings import Subject

SUBJECT = Subject(name="Duster", trigger="ohwx", class_noun="car")
# As AUTOMATIC1111 splits the line of settings: a name, then a value that may be quoted.
A1111 = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')


def take(base, folder, prompts=("a photo of {subject}", "a car"), **options):
    settings = GenerationSettings(steps=2, **{"seeds": (0, 1), **options.pop("settings", {})})
    return list(
        generate_images(
            base, list(prompts), settings=settings, folder=folder, subject=SUBJECT, **options
        )
    )


def pixels(shot):
    with Image.open(shot.file) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_one_picture_a_prompt_and_seed(tiny_base, tmp_path):
    shots = take(tiny_base, tmp_path)
    assert [(s.prompt, s.seed) for s in shots] == [
        ("a photo of ohwx car", 0), ("a photo of ohwx car", 1), ("a car", 0), ("a car", 1),
    ]  # fmt: skip
    assert all(Image.open(s.file).size == (64, 64) for s in shots)
    assert {s.file for s in read_generated_images(tmp_path)} == {s.file for s in shots}


def test_a_picture_does_not_depend_on_its_batch(tiny_base, tmp_path):
    one = take(tiny_base, tmp_path / "1", settings={"batch": 1})
    four = take(tiny_base, tmp_path / "4", settings={"batch": 4})
    assert all(np.abs(pixels(a) - pixels(b)).max() <= 1 for a, b in zip(one, four, strict=True))
    assert np.abs(pixels(one[0]) - pixels(one[1])).max() > 8, "another seed, another picture"


def test_what_stands_is_not_made_again(tiny_base, tmp_path):
    first = take(tiny_base, tmp_path)
    times = [shot.file.stat().st_mtime_ns for shot in first]
    first[2].file.unlink()
    again = take(tiny_base, tmp_path)
    after = [shot.file.stat().st_mtime_ns for shot in again]
    assert [a == b for a, b in zip(times, after, strict=True)] == [True, True, False, True]
    other = take(tiny_base, tmp_path, settings={"guidance_scale": 2.0})
    assert not {s.file for s in other} & {s.file for s in first}


def test_settings_stand_in_the_picture_as_automatic1111_reads_them(tiny_base, tmp_path):
    shot = take(tiny_base, tmp_path, ["a photo of {subject}"], settings={"negative_prompt": "fog"})[
        0
    ]
    text = Image.open(shot.file).info["parameters"]
    prompt, negative, last = text.split("\n")
    assert (prompt, negative) == ("a photo of ohwx car", "Negative prompt: fog")
    values = dict(A1111.findall(last))
    assert values["Steps"] == "2" and values["Seed"] == "0" and values["Size"] == "64x64"
    assert values["CFG scale"] == "7" and values["Sampler"] == "DPM++ 2M"
    assert values["Model"] == tiny_base.name and values["Model hash"] == tiny_base.content_hash[:10]


def test_what_the_base_reads_of_a_long_prompt_stands_in_the_picture(tiny_base, tmp_path):
    """And the picture is diffusers' own of the whole prompt."""
    read, said = "ohwx car, " + "word " * 71 + "word", []
    prompt = "[trigger] {class}, " + "word " * 72 + 'lost, "words"'
    first, second = (
        take(
            tiny_base,
            tmp_path / name,
            [text],
            settings={"seeds": (0,)},
            say=said.append,
            marking=Marking(has_watermark=False),
        )[0]
        for name, text in (("whole", prompt), ("read", read))
    )
    last = Image.open(first.file).info["parameters"].split("\n")[-1]
    assert dict(A1111.findall(last))["Prompt read"] == f'"{read}"'
    assert "Prompt read" not in Image.open(second.file).info["parameters"]
    assert np.abs(pixels(first) - pixels(second)).max() <= 1
    (note,) = said
    assert "what follows is not used: “lost, " in note


def test_placeholders_are_filled_in_both_prompts(tiny_base, tmp_path):
    settings = {"seeds": (0,), "negative_prompt": "another {class}"}
    prompt = "[trigger] {Trigger} [x] {subject}"
    (shot,) = take(tiny_base, tmp_path, [prompt], settings=settings, say=lambda note: None)
    assert (shot.prompt, shot.negative_prompt) == ("ohwx ohwx [x] ohwx car", "another car")


def test_what_a_base_is_not_told_is_said_and_does_not_stand_in_the_picture(
    loaded, tiny_checkpoint, tmp_path
):
    base, said = loaded(tiny_checkpoint("flux2")), []
    base.is_guidance_distilled = True
    settings = {"seeds": (0,), "negative_prompt": "fog", "guidance_scale": 4.0}
    asked = {"prompts": ["a car"], "marking": Marking(has_watermark=False)}
    (shot,) = take(base, tmp_path, settings=settings, say=said.append, **asked)
    assert [note.partition(" is told ")[2] or note for note in said] == [
        "no guidance scale: 4 is not used",
        f"{base.name} takes no negative prompt at guidance scale 1: it is not used. Say in the prompt what "
        "should be there instead",
    ]
    assert (shot.negative_prompt, shot.guidance_scale) == ("", 1.0)
    assert "fog" not in Image.open(shot.file).info["parameters"]
    assert take(base, tmp_path, settings={"seeds": (0,), "guidance_scale": 1.0}, **asked) == [shot]


def test_notes_on_prompts_are_warnings_where_nobody_listens(tiny_base, tmp_path):
    with pytest.warns(UserWarning, match=r"\(red:1\.3\): words have no weights"):
        take(tiny_base, tmp_path, ["a (red:1.3) car"], settings={"seeds": (0,)})
    with pytest.warns(UserWarning, match="reads 77 tokens"):
        take(tiny_base, tmp_path, ["a car"], settings={"seeds": (0,), "negative_prompt": "x " * 99})


def test_loras_are_named_with_their_weights(tiny_base, tmp_path):
    import torch

    from packshot.lora import Lora, LoraWeights

    name = "unet." + tiny_base.lora_targets("attention")[0]
    width = tiny_base.denoiser.get_submodule(name.removeprefix("unet.")).weight.shape
    weights = LoraWeights(torch.randn(1, width[1]), torch.randn(width[0], 1), 1.0)
    loras = [(Lora({name: weights}, {}, "duster", "ab" * 32), 0.8)]
    shot = take(tiny_base, tmp_path, ["a car"], loras=loras)[0]
    first, last = Image.open(shot.file).info["parameters"].split("\n")
    assert first == "a car <lora:duster:0.8>"
    assert dict(A1111.findall(last))["Lora hashes"] == '"duster: abababababab"'
    plain = take(tiny_base, tmp_path, ["a car"])[0]
    assert plain.file != shot.file and np.abs(pixels(plain) - pixels(shot)).max() > 0


def test_impossible_wishes_are_named(tiny_base, tmp_path):
    with pytest.raises(PackshotError, match="sides must be multiples of 8; take 96"):
        take(tiny_base, tmp_path, settings={"width": 99})
    with pytest.raises(PackshotError, match="nothing to shoot"):
        take(tiny_base, tmp_path, [])


def test_a_sheet_shows_them_all(tiny_base, tmp_path):
    shots = take(tiny_base, tmp_path)
    assert (
        verify(write_sheet(shots, tmp_path / "sheet.png")).source_type == "trainedAlgorithmicMedia"
    )
    sheet = Image.open(write_sheet(shots, tmp_path / "sheet.png", columns=2))
    assert sheet.width > 2 * 256 and sheet.height > 2 * 256


def test_pixels_lead_to_the_settings(tiny_base, tmp_path):
    (shot,) = take(
        tiny_base, tmp_path, ["a car"], settings={"seeds": (0,), "width": 512, "height": 512}
    )
    assert verify(shot.file).watermark == identifier_of(shot) == shot.file.stem[-8:]
    assert verify(shot.file).details["watermark"] == identifier_of(shot)


def user_comment(data):
    """EXIF's UserComment as AUTOMATIC1111's readers (piexif) take it: always big-endian."""
    exif = Image.open(data).getexif().get_ifd(0x8769)[0x9286]
    assert exif[:8] == b"UNICODE\0"
    return exif[8:].decode("utf-16-be")


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_other_formats_say_the_same(tiny_base, tmp_path, kind):
    (png,) = take(tiny_base, tmp_path, ["a красный {subject}"], settings={"seeds": (3,)})
    options = {"seeds": (3,), "format": kind, "quality": 90}
    (shot,) = take(tiny_base, tmp_path, ["a красный {subject}"], settings=options)
    with Image.open(shot.file) as image:
        assert image.format == kind.upper() and image.size == (64, 64)
    assert user_comment(shot.file) == Image.open(png.file).info["parameters"]
    said = verify(shot.file)
    assert said.state == "valid" and said.source_type == "trainedAlgorithmicMedia"
    assert said.details["seed"] == 3
    greys = [np.asarray(Image.open(one.file).convert("L")).astype(int) for one in (shot, png)]
    assert np.abs(greys[0] - greys[1]).mean() < 6, "WebP has half as many values of colour"
    assert {one.file for one in read_generated_images(tmp_path)} == {png.file, shot.file}
    (rougher,) = take(
        tiny_base, tmp_path, ["a красный {subject}"], settings=options | {"quality": 5}
    )
    assert rougher.file != shot.file
    assert rougher.file.stat().st_size < shot.file.stat().st_size


def test_what_a_jpeg_cannot_hold_is_told():
    picture = Image.new("RGB", (8, 8))
    with pytest.raises(PackshotError, match="A JPEG holds no prompt of 40,000 letters: take"):
        encoded(picture, "jpeg", parameters="x" * 40_000)
    assert len(encoded(picture, "webp", parameters="x" * 40_000)) > 80_000


def test_of_many_images_a_sheet_keeps_what_it_shows_alone(tiny_base, tmp_path, monkeypatch):
    from packshot.images import contact_sheet

    shots = take(tiny_base, tmp_path, settings={"width": 512, "height": 64})
    make, seen = contact_sheet.contact_sheet, []

    def watched(images, **options):
        seen.extend(image.size for image in images)
        return make(images, **options)

    whole = make([Image.open(shot.file) for shot in shots], labels=["x"] * len(shots))
    monkeypatch.setattr(contact_sheet, "contact_sheet", watched)
    sheet = Image.open(write_sheet(shots, tmp_path / "sheet.png"))
    assert set(seen) == {(256, 32)} and sheet.width == whole.width
    first = 12, 12, 12 + 256, 12 + 32
    assert np.array_equal(np.asarray(sheet.crop(first)), np.asarray(whole.crop(first)))


def test_an_image_in_two_formats_has_a_record_for_each(tiny_base, tmp_path):
    made = []
    for kind in ("png", "jpeg", "webp", "jpeg"):
        made += take(tiny_base, tmp_path, ["a car"], settings={"seeds": (0,), "format": kind})
    assert made[1] == made[3] and len({shot.file.stem for shot in made}) == 3
    assert {shot.file for shot in read_generated_images(tmp_path)} == {shot.file for shot in made}
