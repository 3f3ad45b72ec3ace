"""Packshot: photos of one product in, a LoRA and images of that product in any setting out.

The public functions are the steps from photos to report, in order; the command line only calls them.
PyTorch and the other large libraries are imported when a function first needs them.
"""

from typing import TYPE_CHECKING

from packshot.utils.on_demand import on_demand

if TYPE_CHECKING:
    from packshot.captions.caption_photos import caption_photos
    from packshot.captions.captioner import Captioner
    from packshot.captions.csv_table import apply_caption_table, write_caption_table
    from packshot.captions.edit import (
        edit_captions,
        lock_captions,
        replace_in_captions,
        unlock_captions,
    )
    from packshot.captions.registry import load_captioner
    from packshot.class_images.class_image import ClassImage
    from packshot.class_images.collect import collect_class_images
    from packshot.class_images.online.collect import (
        ClassImageResult,
        download_class_images,
        list_offers,
    )
    from packshot.datasets.exporter import export_dataset
    from packshot.datasets.importer import ImportResult, import_dataset
    from packshot.delivery.delivery import Delivery, deliver_project
    from packshot.doctor.examine import examine
    from packshot.doctor.report import DoctorReport
    from packshot.errors import PackshotError
    from packshot.generation.favourites import read_favourites, set_favourite
    from packshot.generation.generate import GeneratedImage, GenerationSettings, generate_images
    from packshot.generation.metrics import Score, score_project
    from packshot.insertion.background import load_background
    from packshot.insertion.insert import Insertion, insert
    from packshot.insertion.placement import Placement
    from packshot.insertion.plates import add_plate, list_plates, remove_plates, restore_plates
    from packshot.insertion.preview import Preview, Previewer
    from packshot.insertion.record import remove_insertions, restore_insertions
    from packshot.insertion.settings import InsertionSettings
    from packshot.judging.candidate import Candidate, list_candidates
    from packshot.judging.candidates import score_candidates
    from packshot.judging.choice import Choice, Limits, propose
    from packshot.judging.chosen import choose_candidate
    from packshot.judging.judge import Judge
    from packshot.lora.files import load_lora
    from packshot.lora.weights import Lora
    from packshot.masks.drawing import draw_mask
    from packshot.masks.mask_photos import MaskResult, mask_photos
    from packshot.masks.registry import load_segmenter
    from packshot.masks.segmenter import Segmenter
    from packshot.models.diffusion_model import DiffusionModel
    from packshot.models.load import load_base
    from packshot.photos.anonymize import blur_photos
    from packshot.photos.guide.guide import photo_guide
    from packshot.photos.guide.messages import PhotoAdvice
    from packshot.photos.photo_set import Photo, add_photos, list_photos
    from packshot.photos.removal import remove_photos, restore_photos
    from packshot.plan.choices import PlanChoices
    from packshot.plan.config import Plan, edit_plan
    from packshot.plan.planner import compare_budgets, make_plan
    from packshot.project import Project, create_project, open_project
    from packshot.provenance.marking import Marking
    from packshot.provenance.verify import Statement, verify
    from packshot.provenance.xmp import Rights
    from packshot.report.caption_page import write_caption_page
    from packshot.report.model_card import write_model_card
    from packshot.report.page import write_report
    from packshot.settings import Subject
    from packshot.training.events import Event
    from packshot.training.loop import train
    from packshot.workflow.end_to_end import run
    from packshot.workflow.observer import RunObserver
    from packshot.workflow.result import RunResult

_HOMES = {
    "caption_photos": "captions.caption_photos",
    "Captioner": "captions.captioner",
    "apply_caption_table": "captions.csv_table",
    "write_caption_table": "captions.csv_table",
    "edit_captions": "captions.edit",
    "lock_captions": "captions.edit",
    "replace_in_captions": "captions.edit",
    "unlock_captions": "captions.edit",
    "load_captioner": "captions.registry",
    "ClassImage": "class_images.class_image",
    "collect_class_images": "class_images.collect",
    "ClassImageResult": "class_images.online.collect",
    "list_offers": "class_images.online.collect",
    "download_class_images": "class_images.online.collect",
    "export_dataset": "datasets.exporter",
    "ImportResult": "datasets.importer",
    "import_dataset": "datasets.importer",
    "Delivery": "delivery.delivery",
    "deliver_project": "delivery.delivery",
    "examine": "doctor.examine",
    "DoctorReport": "doctor.report",
    "PackshotError": "errors",
    "read_favourites": "generation.favourites",
    "set_favourite": "generation.favourites",
    "GeneratedImage": "generation.generate",
    "GenerationSettings": "generation.generate",
    "generate_images": "generation.generate",
    "Score": "generation.metrics",
    "score_project": "generation.metrics",
    "load_background": "insertion.background",
    "Insertion": "insertion.insert",
    "insert": "insertion.insert",
    "Placement": "insertion.placement",
    "add_plate": "insertion.plates",
    "list_plates": "insertion.plates",
    "remove_plates": "insertion.plates",
    "restore_plates": "insertion.plates",
    "Preview": "insertion.preview",
    "Previewer": "insertion.preview",
    "remove_insertions": "insertion.record",
    "restore_insertions": "insertion.record",
    "InsertionSettings": "insertion.settings",
    "Candidate": "judging.candidate",
    "list_candidates": "judging.candidate",
    "Judge": "judging.judge",
    "choose_candidate": "judging.chosen",
    "score_candidates": "judging.candidates",
    "Choice": "judging.choice",
    "Limits": "judging.choice",
    "propose": "judging.choice",
    "load_lora": "lora.files",
    "Lora": "lora.weights",
    "draw_mask": "masks.drawing",
    "MaskResult": "masks.mask_photos",
    "mask_photos": "masks.mask_photos",
    "load_segmenter": "masks.registry",
    "Segmenter": "masks.segmenter",
    "DiffusionModel": "models.diffusion_model",
    "load_base": "models.load",
    "blur_photos": "photos.anonymize",
    "photo_guide": "photos.guide.guide",
    "PhotoAdvice": "photos.guide.messages",
    "Photo": "photos.photo_set",
    "add_photos": "photos.photo_set",
    "list_photos": "photos.photo_set",
    "remove_photos": "photos.removal",
    "restore_photos": "photos.removal",
    "Plan": "plan.config",
    "edit_plan": "plan.config",
    "PlanChoices": "plan.choices",
    "compare_budgets": "plan.planner",
    "make_plan": "plan.planner",
    "Project": "project",
    "Subject": "settings",
    "create_project": "project",
    "open_project": "project",
    "Marking": "provenance.marking",
    "Rights": "provenance.xmp",
    "Statement": "provenance.verify",
    "verify": "provenance.verify",
    "write_caption_page": "report.caption_page",
    "write_model_card": "report.model_card",
    "write_report": "report.page",
    "Event": "training.events",
    "train": "training.loop",
    "RunObserver": "workflow.observer",
    "RunResult": "workflow.result",
    "run": "workflow.end_to_end",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


__getattr__ = on_demand(__name__, _HOMES)
