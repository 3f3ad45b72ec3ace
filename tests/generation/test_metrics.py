from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from packshot.generation.generate import GeneratedImage
from packshot.generation.metrics import (
    class_drift,
    clip_i,
    clip_t,
    images_with_and_without,
    pair_images,
    read_scores,
    score_project,
)
from packshot.utils import files, hashing


class Colours:
    """A similarity of known vectors: a picture's mean red, green and blue; a text's named colour."""

    name, scale = "colours", 1.0

    def embed_images(self, pixels):
        return torch.nn.functional.normalize(pixels.mean(dim=(2, 3)) + 1, dim=-1)

    def embed_texts(self, texts):
        order = ("red", "green", "blue")
        rows = [[float(colour in text) for colour in order] for text in texts]
        return torch.nn.functional.normalize(torch.tensor(rows), dim=-1)


@pytest.fixture
def shot(tmp_path):
    def make(colour, prompt="a red car", seed=0):
        file = tmp_path / f"{len(list(tmp_path.iterdir()))}.png"
        Image.fromarray(np.full((64, 64, 3), colour, np.uint8)).save(file)
        return GeneratedImage(file, prompt, "", seed, 1, 1.0, "", 64, 64, (), "", "")

    return make


RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def test_likeness_is_the_mean_over_all_pairs(shot):
    shots, references = [shot(RED).file, shot(BLUE).file], [shot(RED).file, shot(RED).file]
    assert clip_i(Colours(), shots, references) == pytest.approx(0.5, abs=1e-3)


def test_prompt_fidelity_compares_each_with_its_own(shot):
    shots = [shot(RED, "ohwx red car"), shot(GREEN, "ohwx green car"), shot(BLUE, "ohwx red car")]
    value = clip_t(Colours(), shots, "ohwx", "a")
    assert value == pytest.approx(2 / 3, abs=1e-3)


def test_drift_is_zero_for_the_same_and_one_for_quite_another(shot):
    learnt, plain = [shot(RED), shot(RED, seed=1)], [shot(RED), shot(GREEN, seed=1)]
    pairs = pair_images(learnt, plain)
    assert class_drift(Colours(), pairs[:1]) == pytest.approx(0, abs=1e-4)
    assert class_drift(Colours(), pairs) == pytest.approx(0.5, abs=1e-3)


def test_only_same_prompt_and_seed_are_paired(shot):
    learnt, plain = [shot(RED), shot(RED, seed=2)], [shot(BLUE), shot(BLUE, "another")]
    assert pair_images(learnt, plain) == [(learnt[0], plain[0])]


def test_shots_of_a_former_lora_are_not_compared(shot, tmp_path):
    from packshot.generation.generate import write_record
    from packshot.project import create_project

    project = create_project(tmp_path / "project", name="Duster", class_noun="car")
    files.write_bytes(project.lora_file, b"the LoRA as it is now")
    now = hashing.sha256(project.lora_file)
    for kind, digests in (("with", (now, "former")), ("without", (None,))):
        for number, digest in enumerate(digests):
            made = shot(RED)
            loras = (("duster", 1.0, digest),) if digest else ()
            file = project.shots_folder / kind / f"{number}.png"
            files.write_bytes(file, made.file.read_bytes())
            write_record(replace(made, file=file, loras=loras))
    (pair,) = images_with_and_without(project, project.shots_folder)
    assert pair[0].loras[0][2] == now and pair[1].loras == ()


def test_likeness_is_kept_of_each_picture_too(shot, tmp_path):
    from packshot.generation.generate import write_record
    from packshot.photos.photo_set import add_photos
    from packshot.project import create_project

    project = create_project(tmp_path / "project", name="Duster", class_noun="car")
    photo = tmp_path / "photos" / "red.png"
    photo.parent.mkdir()
    Image.fromarray(np.full((256, 256, 3), RED, np.uint8)).save(photo)
    add_photos(project, photo.parent, min_sharpness=0)
    for kind in ("with", "without"):
        for number, colour in enumerate((RED, BLUE, RED)):
            made = shot(colour, seed=number)
            file = project.shots_folder / kind / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            made.file.rename(file)
            write_record(replace(made, file=file))
    scores = {score.name: score for score in score_project(project, Colours())}
    likeness = scores["likeness with the LoRA"]
    assert likeness.values == pytest.approx([1, 0, 1], abs=1e-3)
    assert likeness.value == pytest.approx(np.mean(likeness.values))
    assert list(scores.values()) == read_scores(project), "as they are kept"
