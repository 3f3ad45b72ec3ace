"""The current hashes and versions of what a plan depends on."""

from __future__ import annotations

from importlib.metadata import version

from packshot.class_images import list_class_images, require_unchanged
from packshot.models.diffusion_model import DiffusionModel
from packshot.photos.photo_set import list_photos
from packshot.plan.assistant import assistant_hash
from packshot.plan.config import PlanInputs
from packshot.project import Project
from packshot.utils import hashing


def current_inputs(project: Project, base: DiffusionModel) -> PlanInputs:
    """Hashes of the photos (with masks), captions, class images, base, subject, assistant; versions.

    Raises:
        LoraError: the assistant's file is not there.
        ClassImagesError: a class image was changed since it was collected.
    """
    photos = list_photos(project)
    images = list_class_images(project)
    require_unchanged(images)
    masks = [hashing.sha256(photo.mask) if photo.mask else None for photo in photos]
    return PlanInputs(
        base=f"{base.family}/{base.content_hash}"
        + f"/{base.weight_storage}" * (base.weight_storage != "full"),
        photos=hashing.fingerprint([[photo.sha256 for photo in photos], masks]),
        captions=hashing.fingerprint([photo.caption for photo in photos]),
        class_images=hashing.fingerprint([[image.sha256, image.prompt] for image in images]),
        subject=hashing.fingerprint(project.subject.model_dump()),
        assistant=assistant_hash(project),
        versions={name: version(name) for name in ("packshot", "torch", "diffusers")},
    )
