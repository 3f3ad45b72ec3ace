"""What a reader of the report should know of a part of it: who made it and why, or why it is empty."""

from __future__ import annotations

from collections import Counter

from packshot.class_images import list_class_images
from packshot.decisions import Decisions
from packshot.photos.photo_set import Photo, list_photos, too_small
from packshot.plan.config import read_plan_if_valid
from packshot.project import Project
from packshot.training.runs import current_run
from packshot.weights.helper_models import label


def notes_on(project: Project) -> dict[str, str]:
    """A sentence or two for each part of the report that needs them, by the part's name."""
    shown = list_photos(project)
    notes = {
        "captions": _captions(project, shown),
        "masks": _masks(project, shown),
        "small": _small(project, shown),
        "class_images": _class_images(project),
        "shots": "" if any(_made(project)) else "No shots with and without the LoRA yet: packshot run, "
        "or packshot shoot without prompts, makes them.",
        "scores": _scores(project),
        "run": "" if current_run(project) else "Nothing has been trained yet: packshot run, or "
        "packshot train.",
    }  # fmt: skip
    return {part: words for part, words in notes.items() if words}


def _made(project: Project) -> list[bool]:
    return [any((project.shots_folder / kind).glob("*.png")) for kind in ("with", "without")]


def _captions(project: Project, shown: list[Photo]) -> str:
    by = Counter(photo.caption_by or "nobody yet" for photo in shown)
    told = ", ".join(f"{who} ({count})" for who, count in by.most_common())
    settled = Decisions(project).latest("captioner")
    if settled and label(str(settled.value)) in by:
        told += f"; {label(str(settled.value))}: {settled.reason}"
    if by.keys() & {"bundled", "plain"}:
        told += (
            ". These captions hardly say what the photos show besides the product: write them yourself "
            "(photos/*.txt), or have them made by a captioner that has seen photographs: packshot run "
            "… --captioner florence-community/Florence-2-base"
        )
    return f"Captions by {told}." if shown else ""


def _masks(project: Project, shown: list[Photo]) -> str:
    without = [photo.file.name for photo in shown if photo.mask is None]
    by = Counter(photo.masked_by or "you" for photo in shown if photo.mask)
    told = ", ".join(f"{who} ({count})" for who, count in by.most_common())
    said = f"Masks by {told}: look at them, and draw over those that are wrong. " if by else ""
    if without and project.settings.segmenter == "none":
        return said + "No masks were to be made, so backgrounds are learnt like the product."
    if without:
        return said + (
            f"Without a mask, so that the background is learnt like the product: {', '.join(without)}. "
            f"Draw one: {project.masks_folder.name}/NAME.png, white on the product."
        )
    return said.strip()


def _small(project: Project, shown: list[Photo]) -> str:
    run = current_run(project)
    plan = read_plan_if_valid(run / "plan.toml") if run else None
    if plan is None:
        return ""
    pixels = plan.resolution
    small = [f"{one.file.name} ({one.width} x {one.height})" for one in too_small(shown, pixels)]
    if not small:
        return ""
    return (
        f"Smaller than the {pixels} px that are learnt at, so enlarged, which teaches softness: "
        f"{', '.join(small)}."
    )


def _class_images(project: Project) -> str:
    found = list_class_images(project)
    if not found:
        return (
            "No class images: the model may come to take every member of the class for the product."
        )
    by = Counter(image.author for image in found)
    who = f"all by {found[0].author}" if len(by) == 1 else f"by {len(by)} authors"
    return f"{len(found)} class images, {who}."


def _scores(project: Project) -> str:
    if (project.shots_folder / "scores.json").is_file() and all(_made(project)):
        settled = Decisions(project).latest("embedder")
        if settled and settled.value == "none":
            return (
                f"Likeness, fidelity to prompts and drift were not measured: {settled.reason}. To "
                "measure them, name a CLIP: packshot run … --embedder "
                "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
            )
        return ""
    return "Not measured yet: there are no shots with and without the LoRA to compare."
