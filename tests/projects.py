"""A small project that is ready to train: five photos in two shapes, class images, a plan."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from packshot.captions import caption_photos
from packshot.class_images import collect_class_images
from packshot.lora import add_adapters, write_lora
from packshot.photos.photo_set import add_photos, list_photos
from packshot.plan import Plan, read_plan, write_plan
from packshot.plan.config import Estimate, read_current_plan
from packshot.plan.inputs import current_inputs
from packshot.project import create_project, save_choices
from packshot.settings import choices_of
from tests.odd_files import painted  # which must stay light: it is tried in little memory


@pytest.fixture
def project(tmp_path):
    """A new project without photos."""
    return create_project(tmp_path / "project", name="Duster", class_noun="car")


@pytest.fixture
def source(tmp_path):
    """An empty folder for photos."""
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.fixture
def project_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path / "cache"))
    source, prior = tmp_path / "photos", tmp_path / "cars"
    source.mkdir()
    prior.mkdir()
    for index in range(5):
        painted(index, (272, 272) if index else (384, 272)).save(source / f"{index}.png")
    for index in range(7):
        painted(100 + index, (272, 272)).save(prior / f"{index}.png")
    return tmp_path


@pytest.fixture
def ready_project(project_folder, tiny_base):
    project = create_project(
        project_folder / "project", name="Duster", class_noun="car", base="unused"
    )
    accepted = add_photos(project, project_folder / "photos")
    assert len(accepted.photos) == 5, accepted.refused
    caption_photos(project, tiny_base)
    collect_class_images(project, tiny_base, count=7, folder=project_folder / "cars")
    return project


@pytest.fixture
def planned_project(ready_project, tiny_base):
    plan = Plan(
        steps=6, effective_batch_size=4, resolution=tiny_base.native_pixels, target_modules="attention+mlp",
        rank=2, alpha=2, learning_rate=1e-3, lr_warmup_steps=1, class_image_ratio=0.5, precision="fp32",
        sample_every_n_steps=3, save_every_n_steps=2, seed=0, inputs=current_inputs(ready_project, tiny_base),
        estimate=Estimate(seconds=0, bytes=0, class_images_seen=7, seconds_per_step=0),
    )  # fmt: skip
    write_plan(plan, ready_project.plan_file)
    samples_in_two_steps(tiny_base)
    return ready_project


def samples_in_two_steps(base):
    """What is tested of samples that are made in training is when they are made, and of what."""
    base.sampler = replace(base.sampler, steps=2)
    return base


def edit(project, **changes):
    """Change numbers of a project's plan; returns it."""
    plan = read_plan(project.plan_file)
    plan = Plan.model_validate(plan.model_dump() | changes)
    write_plan(plan, project.plan_file)
    return plan


@pytest.fixture
def make_assistant(tiny_base, tmp_path):
    """Writes a LoRA that changes much; returns its file's name."""

    def make(seed=0):
        file = tmp_path / f"assistant-{seed}.safetensors"
        chance = torch.Generator().manual_seed(seed)
        with add_adapters(tiny_base, "attention", rank=2, alpha=2, seed=0) as adapters:
            for parameter in adapters.named_parameters().values():
                torch.nn.init.normal_(parameter, std=0.2, generator=chance)
            lora = adapters.to_lora({})
        write_lora(lora, file, tiny_base)
        return str(file)

    return make


@pytest.fixture
def assisted(make_assistant, tiny_base):
    """Gives a project an assistant, and the plan, if there is one, its hash."""

    def give(project, name=None):
        file = name or make_assistant()
        save_choices(project, choices_of(assistant=file))
        if plan := read_current_plan(project.plan_file):
            depends = current_inputs(project, tiny_base)
            write_plan(plan.model_copy(update={"inputs": depends}), project.plan_file)
        return file

    return give


@pytest.fixture
def masked(tiny_base):
    """Gives each photo of a project a mask, and the plan its new hashes."""

    def add(project):
        from packshot.plan import read_plan

        for photo in list_photos(project):
            mask = Image.new("L", (photo.width, photo.height))
            mask.paste(255, (0, 0, photo.width // 3, photo.height))
            project.masks_folder.mkdir(exist_ok=True)
            mask.save(project.masks_folder / f"{photo.file.stem}.png")
        depends = current_inputs(project, tiny_base)
        plan = read_plan(project.plan_file)
        write_plan(plan.model_copy(update={"inputs": depends}), project.plan_file)

    return add
