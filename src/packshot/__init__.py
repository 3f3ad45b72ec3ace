"""Packshot: photos of one product in, a LoRA and pictures of that product in any setting out.

The public functions are the steps of the path, in order; the command line only calls them.
Nothing heavy is imported until one of them is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packshot.captions import (
        Captioner,
        apply_caption_table,
        caption_photos,
        load_captioner,
        lock_captions,
        replace_in_captions,
        unlock_captions,
        write_caption_table,
    )
    from packshot.class_images import ClassImage, gather_class_images
    from packshot.class_images.online import Gathered, gather_online
    from packshot.datasets import Imported, export_dataset, import_dataset
    from packshot.errors import PackshotError
    from packshot.generation.generate import Shot, ShotSettings, shoot
    from packshot.generation.metrics import Score, judge_project
    from packshot.insertion import Insertion, InsertionSettings, Placement, insert, read_plate
    from packshot.lora import Lora, load_lora
    from packshot.masks import Masked, Segmenter, mask_photos
    from packshot.masks.registry import load_segmenter
    from packshot.models import Base, load_base
    from packshot.photos.anonymize import blur_photos
    from packshot.photos.guide import shoot_guide
    from packshot.photos.photo_set import Photo, add_photos
    from packshot.plan import Plan, make_plan
    from packshot.project import Project, Subject, new, open_project
    from packshot.report import write_caption_page, write_report
    from packshot.training import Event, train
    from packshot.workflow.end_to_end import Outcome, run

_HOMES = {
    "Base": "bases", "load_base": "bases",
    "blur_photos": "blur",
    "Captioner": "captions", "apply_caption_table": "captions", "caption_photos": "captions",
    "load_captioner": "captions", "lock_captions": "captions", "replace_in_captions": "captions",
    "unlock_captions": "captions", "write_caption_table": "captions",
    "ClassImage": "class_images", "gather_class_images": "class_images",
    "Gathered": "class_images.online", "gather_online": "class_images.online",
    "Imported": "datasets", "export_dataset": "datasets", "import_dataset": "datasets",
    "PackshotError": "errors",
    "shoot_guide": "guide",
    "Insertion": "insertion", "InsertionSettings": "insertion", "Placement": "insertion",
    "insert": "insertion", "read_plate": "insertion",
    "Score": "judge", "judge_project": "judge",
    "Lora": "lora", "load_lora": "lora",
    "Outcome": "path", "run": "path",
    "Photo": "photos", "add_photos": "photos",
    "Plan": "plan", "make_plan": "plan",
    "Project": "project", "Subject": "project", "new": "project", "open_project": "project",
    "write_caption_page": "report", "write_report": "report",
    "Masked": "masks", "Segmenter": "masks", "mask_photos": "masks",
    "load_segmenter": "masks.registry",
    "Shot": "shots", "ShotSettings": "shots", "shoot": "shots",
    "Event": "training", "train": "training",
}  # fmt: skip

__all__ = [
    "Base",
    "Captioner",
    "ClassImage",
    "Event",
    "Gathered",
    "Imported",
    "Insertion",
    "InsertionSettings",
    "Lora",
    "Masked",
    "Outcome",
    "PackshotError",
    "Photo",
    "Placement",
    "Plan",
    "Project",
    "Score",
    "Segmenter",
    "Shot",
    "ShotSettings",
    "Subject",
    "add_photos",
    "apply_caption_table",
    "blur_photos",
    "caption_photos",
    "export_dataset",
    "gather_class_images",
    "gather_online",
    "import_dataset",
    "insert",
    "judge_project",
    "load_base",
    "load_captioner",
    "load_lora",
    "load_segmenter",
    "lock_captions",
    "make_plan",
    "mask_photos",
    "new",
    "open_project",
    "read_plate",
    "replace_in_captions",
    "run",
    "shoot",
    "shoot_guide",
    "train",
    "unlock_captions",
    "write_caption_page",
    "write_caption_table",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'packshot' has no attribute {name!r}")
    return getattr(import_module(f"packshot.{_HOMES[name]}"), name)
