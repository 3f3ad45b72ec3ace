"""`Judge`: what measures a project's LoRAs, by pictures that they make and by what they predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from packshot.class_images import list_class_images
from packshot.decisions import Decisions
from packshot.errors import LoraError
from packshot.generation.generate import GeneratedImage, GenerationSettings, generate_images
from packshot.generation.prompts import class_prompts, default_prompts
from packshot.judging import measures
from packshot.judging.candidate import Candidate, folder_of, folder_without, write_candidate
from packshot.judging.drift import ClassExamples, class_examples, prediction_drift
from packshot.judging.effort import THOROUGH, Effort
from packshot.judging.intervals import interval
from packshot.judging.seen import Seen, see, see_file
from packshot.lora import Lora, load_lora
from packshot.masks import Segmenter
from packshot.masks.registry import segmenter_of, settle_segmenter
from packshot.masks.segmenter import for_class
from packshot.models.clip import embed_image_files
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.embedder import ClipSimilarity, ImageEmbedder
from packshot.models.identity_embedder import IdentityEmbedder
from packshot.photos.photo_set import require_photos
from packshot.project import Project
from packshot.utils import hashing
from packshot.utils.progress import Observer
from packshot.weights.consent import require_consent

LOOK_ALIKES = 16
"""Class images that the product is told from."""


@dataclass(frozen=True)
class Judge:
    """What measures a project's LoRAs.

    Attributes:
        base: makes the pictures.
        embedder: tells the product from others of its class.
        similarity: compares pictures with prompts, and backgrounds where `embedder` knows products
            alone; None: prompt fidelity is not measured.
        segmenter: finds the product in pictures that have no mask.
        other_base: the name by which `base` was asked for; "" for the project's own.
    """

    project: Project
    base: DiffusionModel
    embedder: ImageEmbedder
    similarity: ClipSimilarity | None
    segmenter: Segmenter
    effort: Effort = THOROUGH
    other_base: str = ""

    @cached_property
    def prompts(self) -> list[str]:
        """Those that the product is shot with; if they are fewer than are judged by, usual ones, too."""
        own, usual = self.project.settings.prompts or (), default_prompts(self.project.subject)
        return list(dict.fromkeys([*own, *usual]))[: self.effort.prompts]

    @cached_property
    def terms(self) -> str:
        """All that measures depend on beside the LoRA, as two hashes: of this judge, and of the base.

        Only what has the same can be compared; on two bases the former of them.
        """
        photos, images = require_photos(self.project), list_class_images(self.project)
        by = self.embedder, self.whole, self.similarity, self.segmenter
        own = hashing.fingerprint([
            [self.prompts, self.effort.seeds],
            [[one.sha256, hashing.known_sha256(one.mask) if one.mask else ""] for one in photos],
            [[image.sha256, image.prompt] for image in images],
            [one.name if one else "" for one in by],
        ])  # fmt: skip
        return f"{own}-{hashing.fingerprint([self.base.content_hash, asdict(self.base.sampler)])}"

    @cached_property
    def photos(self) -> list[Seen]:
        """The photos, by their own masks."""
        photos = require_photos(self.project)
        return [see_file(photo.file, self.segmenter, photo.mask) for photo in photos]

    @cached_property
    def photo_products(self) -> Tensor:
        """Their products' vectors."""
        return measures.products(self.embedder, self.photos)

    @property
    def whole(self) -> ImageEmbedder:
        """What compares backgrounds and whole pictures: not the network that knows products alone."""
        knows_products_alone = isinstance(self.embedder, IdentityEmbedder)
        return self.similarity if knows_products_alone and self.similarity else self.embedder

    @cached_property
    def look_alikes(self) -> Tensor | None:
        """The vectors of other things of the class; None without class images."""
        images = list_class_images(self.project)
        chosen = images[:: max(1, len(images) // LOOK_ALIKES)][:LOOK_ALIKES]
        seen = [see_file(image.file, self.segmenter) for image in chosen]
        return measures.products(self.embedder, seen) if seen else None

    @cached_property
    def class_examples(self) -> ClassExamples:
        """What prediction drift is measured on."""
        images = list_class_images(self.project)
        return class_examples(self.base, images, self.project.subject.class_noun)

    def shoot(
        self,
        folder: Path,
        loras: Sequence[tuple[Lora, float]] = (),
        prompts: Sequence[str] = (),
    ) -> list[GeneratedImage]:
        """The pictures that are measured; those that are there are not made again.

        Args:
            prompts: by default `self.prompts`.
        """
        project = self.project
        settings = GenerationSettings(seeds=tuple(range(self.effort.seeds)))
        return list(
            generate_images(
                self.base, prompts or self.prompts, loras=loras, settings=settings,
                folder=folder, subject=project.subject,
                marking=replace(project.marking, has_watermark=False),
            )
        )  # fmt: skip

    def class_pictures(
        self, folder: Path, loras: Sequence[tuple[Lora, float]] = ()
    ) -> list[GeneratedImage]:
        """Pictures of other things of the class."""
        return self.shoot(folder, loras, class_prompts(self.project.subject.class_noun))

    def look(self, picture: Image.Image) -> None:
        """What `measure` does with a picture, for nothing: to see how long it takes."""
        seen = see(picture, self.segmenter.mask(picture))
        self.embedder.embed_images(seen.product)
        for part in (seen.background, seen.background):
            self.whole.embed_images(part)

    def measure(self, shots: Sequence[GeneratedImage]) -> dict[str, tuple[float, ...]]:
        """All that is measured of pictures, a value each; see `packshot.judging.measures`."""
        seen = [see_file(shot.file, self.segmenter) for shot in shots]
        products = measures.products(self.embedder, seen)
        around = measures.backgrounds(self.whole, seen)
        whole = embed_image_files(self.whole, [shot.file for shot in shots])
        known = measures.backgrounds(self.whole, self.photos)
        found = {
            "identity": measures.identity(products, self.photo_products, self.look_alikes),
            "copied background": measures.copied_background(around, known),
            "diversity": measures.diversity(whole, [shot.prompt for shot in shots]),
            "count": [float(one.count) for one in seen],
        }
        if self.similarity:
            found["prompt fidelity"] = measures.prompt_fidelity(
                self.similarity, shots, self.project.subject
            )
        return {name: tuple(values) for name, values in found.items()}

    @cached_property
    def without(self) -> dict[str, tuple[float, ...]]:
        """The same of the pictures without a LoRA."""
        return self.measure(self.shoot(folder_without(self.project, self.other_base)))

    def judged(self, candidate: Candidate, file: Path) -> Candidate:
        """Measure a candidate, and keep what was found.

        Raises:
            LoraError: with it the base predicts no numbers.
        """
        loras = [(load_lora(file, self.base), candidate.weight)]
        drift = tuple(prediction_drift(self.base, loras, self.class_examples))
        if not np.isfinite(drift).all():  # before pictures of it are made: they would be black
            raise LoraError(
                f"{candidate.name}: its predictions are no numbers. It is damaged, or too strong at this "
                "weight: take a lower one (--weight), or leave it out."
            )
        values = self.measure(self.shoot(folder_of(self.project, candidate) / "with", loras))
        values["drift"] = drift
        done = replace(
            candidate, likeness=interval(values["identity"]).mean, drift=interval(drift).mean,
            embedder=self.embedder.name, values=values, terms=self.terms,
        )  # fmt: skip
        write_candidate(self.project, done)
        return done

    def on(self, base: DiffusionModel, name: str) -> Judge:
        """The same judge with another base."""
        return replace(self, base=base, other_base=name)


def judge_for(
    project: Project,
    base: DiffusionModel,
    embedder: ImageEmbedder,
    similarity: ClipSimilarity | None,
    observer: Observer,
) -> Judge:
    """A project's judge, with the segmenter of its photos, or the best at hand if they have none.

    Raises:
        UnaskedFetchError: see `require_consent`.
        PackshotError, ModelLoadError: as `segmenter_of`.
    """
    chosen = project.settings.segmenter
    spec = settle_segmenter("auto" if chosen == "none" else chosen, Decisions(project))
    require_consent(project, segmenter=spec)
    segmenter = for_class(segmenter_of(spec, observer.progress), project.subject.class_noun)
    return Judge(project, base, embedder, similarity, segmenter)
