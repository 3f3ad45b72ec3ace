"""The training set: photos and class images in their buckets, sampled into batches.

Images of one micro-batch that have one size are computed together. Class images are cropped for that
to the size of a photo beside them, if enough of them stays to be seen: on a GPU a batch of two
images takes far less than two of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from packshot.class_images import ClassImage
from packshot.images.buckets import is_croppable, nearest
from packshot.models.diffusion_model import Conditioning, DiffusionModel
from packshot.models.loss import Batch
from packshot.photos.photo_set import Photo
from packshot.plan.config import Plan
from packshot.project import Subject
from packshot.training.latent_cache import LatentCache, Picture, PromptCache, picture
from packshot.training.sampler import Slot, noise, slot, timestep_quantile


@dataclass(frozen=True)
class Group:
    """The slots of one micro-batch whose latents have one shape."""

    slots: tuple[Slot, ...]
    batch: Batch


class TrainingSet:
    """The photos (each at every crop) and class images of a plan, with their caches."""

    def __init__(
        self,
        base: DiffusionModel,
        plan: Plan,
        subject: Subject,
        photos: Sequence[Photo],
        class_images: Sequence[ClassImage],
    ) -> None:
        self.base, self.plan = base, plan
        self.photos = [
            [self._photo(photo, subject, crop) for crop in range(plan.crops_per_photo)]
            for photo in photos
        ]
        self.class_images = list(class_images) if plan.class_image_ratio else []
        self.latents, self.prompts = LatentCache(base), PromptCache(base)

    def _photo(self, photo: Photo, subject: Subject, crop: int) -> Picture:
        return picture(
            photo.file,
            photo.sha256,
            photo.caption or f"a photo of {subject.phrase}",
            photo.width,
            photo.height,
            pixels=self.plan.resolution,
            multiple=self.base.pixel_multiple,
            crop=crop,
            seed=self.plan.seed,
            mask=photo.mask,
        )

    def _class_image(self, image: ClassImage, beside: set[tuple[int, int]]) -> Picture:
        """A class image at the nearest size of the photos beside it, else at its own."""
        shown = [size for size in beside if is_croppable(image.width, image.height, size)]
        size = None
        if shown:
            size = nearest(image.width, image.height, shown, self.plan.resolution)
        return picture(
            image.file,
            image.sha256,
            image.prompt,
            image.width,
            image.height,
            pixels=self.plan.resolution,
            multiple=self.base.pixel_multiple,
            size=size,
        )

    def seen(self) -> list[Picture]:
        """The images that this run will see: every crop of every photo, and some class images."""
        reached: dict[tuple[int, tuple[int, int]], Picture] = {}
        count = self.plan.steps * self.plan.effective_batch_size if self.class_images else 0
        for number in range(count):
            item = self._slot(number)
            if item.is_class:
                found = self.picture(item)
                reached[item.index, found.size] = found
        crops = [item for photo in self.photos for item in photo]
        return crops + [reached[key] for key in sorted(reached)]

    def fill_caches(self) -> Iterator[tuple[int, int]]:
        """Encode all images and prompts of the run; yields (done, total) in images."""
        pictures = self.seen()
        if not self.plan.text_encoder_rank:  # trained text encoders change the embeddings
            self.prompts.fill(sorted({item.prompt for item in pictures} | {""}))
        for done in self.latents.fill(pictures):
            yield done, len(pictures)

    def _slot(self, number: int) -> Slot:
        return slot(
            number,
            seed=self.plan.seed,
            photos=len(self.photos),
            class_images=len(self.class_images),
            class_image_ratio=self.plan.class_image_ratio,
            crops_per_photo=self.plan.crops_per_photo,
            caption_dropout=self.plan.caption_dropout_rate,
        )

    def picture(self, slot: Slot) -> Picture:
        """The image of a slot, a class image at the size of a photo of the same step if it can be.

        Of the step, not of its micro-batch: accumulation does not change what is learnt.
        """
        if not slot.is_class:
            return self.photos[slot.index][slot.crop]
        count = self.plan.effective_batch_size
        first = slot.number - slot.number % count
        together = map(self._slot, range(first, first + count))
        photos = [self.picture(item) for item in together if not item.is_class]
        return self._class_image(self.class_images[slot.index], {photo.size for photo in photos})

    def groups(self, first: int, count: int) -> list[Group]:
        """The micro-batch of slots `first` … `first + count - 1`, one group for each bucket in it."""
        by_size: dict[tuple[int, int], list[Slot]] = {}
        for number in range(first, first + count):
            item = self._slot(number)
            by_size.setdefault(self.picture(item).size, []).append(item)
        return [Group(tuple(slots), self._batch(slots)) for _, slots in sorted(by_size.items())]

    def _conditioning(self, prompts: list[str]) -> Conditioning:
        """The prompts' embeddings: cached, or computed if the text encoders are trained."""
        if self.plan.text_encoder_rank:
            return self.base.encode_prompts(prompts)
        return self.prompts.stack(prompts)

    def _batch(self, slots: list[Slot]) -> Batch:
        plan, base = self.plan, self.base
        pictures = [self.picture(item) for item in slots]
        pairs = [
            self.latents.read(picture, keep=not item.is_class)
            for item, picture in zip(slots, pictures, strict=True)
        ]
        latents = torch.stack([pair[0] for pair in pairs])
        background = plan.unmasked_weight
        masks = torch.stack([pair[1] for pair in pairs]) * (1 - background) + background
        quantiles = [timestep_quantile(item, plan.seed) for item in slots]
        times = base.schedule.timesteps_at(
            torch.tensor(quantiles, dtype=torch.float64), latents[0, 0].numel()
        )
        prompts = [
            "" if item.drop_caption else picture.prompt
            for item, picture in zip(slots, pictures, strict=True)
        ]
        return Batch(
            latents=latents.to(base.device),
            noise=torch.stack([noise(s.number, plan.seed, latents.shape[1:]) for s in slots]).to(
                base.device
            ),
            timesteps=times.to(base.device),
            conditioning=base.add_size_conditioning(
                self._conditioning(prompts), [picture.shown() for picture in pictures]
            ),
            masks=masks.to(base.device),
            loss_weights=torch.tensor(
                [plan.prior_loss_weight if item.is_class else 1.0 for item in slots],
                device=base.device,
            ),
        )
