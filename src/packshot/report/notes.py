"""Notes in the report: who made each part and why, or why it is empty."""

from __future__ import annotations

from collections import Counter

from packshot.class_images import list_class_images
from packshot.decisions import Decisions
from packshot.images.encoding import is_picture
from packshot.photos.manifest import PERSON
from packshot.photos.photo_set import Photo, list_photos, too_small
from packshot.plan.config import read_plan_if_valid
from packshot.project import Project
from packshot.training.runs import current_run
from packshot.weights.helper_models import label


def notes_on(project: Project) -> dict[str, str]:
    """Notes by the name of the report's part; parts that need none are left out."""
    photos = list_photos(project)
    notes = {
        "captions": _captions(project, photos),
        "masks": _masks(project, photos),
        "small": _small(project, photos),
        "class_images": _class_images(project),
        "shots": "" if any(_made(project)) else "No shots with and without the LoRA yet: packshot run, "
        "or packshot shoot without prompts, makes them.",
        "scores": _scores(project),
        "run": "" if current_run(project) else "Nothing has been trained yet: packshot run, or "
        "packshot train.",
    }  # fmt: skip
    return {part: words for part, words in notes.items() if words}


def _made(project: Project) -> list[bool]:
    kinds = ("with", "without")
    return [any(map(is_picture, (project.shots_folder / kind).glob("*"))) for kind in kinds]


def _captions(project: Project, photos: list[Photo]) -> str:
    by = Counter(
        "you" if photo.caption_by == PERSON else photo.caption_by or "nobody yet"
        for photo in photos
    )
    authors = ", ".join(f"{who} ({count})" for who, count in by.most_common())
    settled = Decisions(project).latest("captioner")
    if settled and label(str(settled.value)) in by:
        authors += f"; {label(str(settled.value))}: {settled.reason}"
    if by.keys() & {"bundled", "plain"}:
        authors += (
            ". These captions hardly say what the photos show besides the product: write them yourself "
            "(photos/*.txt), or have them made by a captioner that has seen photographs: packshot run "
            "… --captioner florence-community/Florence-2-base"
        )
    return f"Captions by {authors}." if photos else ""


def _masks(project: Project, photos: list[Photo]) -> str:
    without = [photo.file.name for photo in photos if photo.mask is None]
    by = Counter(photo.masked_by or "you" for photo in photos if photo.mask)
    authors = ", ".join(f"{who} ({count})" for who, count in by.most_common())
    note = f"Masks by {authors}: look at them, and draw over those that are wrong. " if by else ""
    if without and project.settings.segmenter == "none":
        return note + "Masks are switched off, so backgrounds are trained like the product."
    if without:
        return note + (
            f"Without a mask, so that the background is trained like the product: {', '.join(without)}. "
            f"Draw one: {project.masks_folder.name}/NAME.png, white on the product."
        )
    return note.strip()


def _small(project: Project, photos: list[Photo]) -> str:
    run = current_run(project)
    plan = read_plan_if_valid(run / "plan.toml") if run else None
    if plan is None:
        return ""
    pixels = plan.resolution
    small = [
        f"{photo.file.name} ({photo.width} x {photo.height})" for photo in too_small(photos, pixels)
    ]
    if not small:
        return ""
    return (
        f"Smaller than the training resolution of {pixels} px, so enlarged, which blurs results: "
        f"{', '.join(small)}."
    )


def _class_images(project: Project) -> str:
    images = list_class_images(project)
    if not images:
        return "No class images: the model may turn every member of the class into the product."
    by = Counter(image.author for image in images)
    who = f"all by {images[0].author}" if len(by) == 1 else f"by {len(by)} authors"
    return f"{len(images)} class images, {who}."


def _scores(project: Project) -> str:
    if project.scores_file.is_file() and all(_made(project)):
        settled = Decisions(project).latest("embedder")
        if settled and settled.value == "none":
            return (
                f"Likeness, fidelity to prompts and drift were not measured: {settled.reason}. To "
                "measure them, name a CLIP: packshot run … --embedder "
                "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
            )
        return ""
    return "Not measured yet: there are no shots with and without the LoRA to compare."
