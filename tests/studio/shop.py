"""A project with what the views about pictures show: cut-outs, a plate, shots, runs with LoRAs."""

from PIL import Image, ImageDraw

from packshot.generation.generate import GeneratedImage, write_record
from packshot.insertion.plates import add_plate
from packshot.judging.candidate import Candidate, runs_with_lora
from packshot.masks.drawing import draw_mask
from packshot.photos.photo_set import list_photos
from packshot.training.events import Sample, as_record, log_of
from packshot.training.runs import checkpoint_file
from packshot.utils import copying, files, hashing
from tests.backgrounds import landscape
from tests.studio.pictures import picture


def write_plate(file):
    """A photo of sky and sand."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(landscape(400, 300, 130)).save(file)
    return file


def cut_out_all(project):
    """Give each photo a mask."""
    for number, photo in enumerate(list_photos(project)):
        mask = Image.new("L", (photo.width, photo.height))
        ImageDraw.Draw(mask).rectangle((40 + number, 30, 140, 120), fill=255)
        draw_mask(project, photo.file.name, mask)


def write_shot(
    project, place, seed, loras=(("lora", 1.0, "digest"),), prompt="ohwx kettle, a beach"
):
    """A generated image in a folder of the shots."""
    file = project.shots_folder / place / f"shot-{seed}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    picture(seed, (64, 64)).save(file)
    write_record(GeneratedImage(file, prompt, "", seed, 4, 5.0, "", 64, 64, tuple(loras), "b", "h"))
    return file


def write_run(project, name, content=b"weights"):
    """A run that has ended: its LoRA, and samples of two steps."""
    run = project.runs_folder / name
    files.write_text(run / "plan.toml", "")
    for file in (project.lora_file, project.diffusers_lora_file):
        files.write_bytes(run / file.name, content + file.suffixes[0].encode())
    events = []
    for step in (10, 20):
        file = run / "samples" / f"{step:07d}" / "s.png"
        file.parent.mkdir(parents=True)
        picture(step, (64, 64)).save(file)
        events.append(Sample(step, ("a kettle",), (file,)))
    files.write_json_lines(log_of(run), (as_record(event, run) for event in events))
    return run


def write_step(project, run, step):
    """A LoRA that a run kept of a step; its hash."""
    file = checkpoint_file(project.runs_folder / run, project.diffusers_lora_file.name, step)
    files.write_bytes(file, b"weights of a step")
    return hashing.sha256(file)


def measured(project, run, weight, likeness, drift):
    """A candidate's record, as `score_candidates` keeps it."""
    digest = hashing.sha256(runs_with_lora(project)[run])
    return vars(Candidate(run, weight, digest, likeness, drift, "some CLIP"))


def fill(project, plate):
    """All of it in one project."""
    cut_out_all(project)
    add_plate(project, plate)
    write_run(project, "20260101-000000")
    for file in (project.lora_file, project.diffusers_lora_file):
        copying.copy(project.runs_folder / "20260101-000000" / file.name, file)
    scores = [
        measured(project, "20260101-000000", w, 0.5 + w / 10, w / 50) for w in (0.6, 0.8, 1.0)
    ]
    files.write_json(project.candidates_folder / "scores.json", scores)
    for seed in range(3):
        write_shot(project, "with", seed)
        write_shot(project, "without", seed, ())
    return project
