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
from packshot.models.conditioning import Conditioning
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.loss import Batch
from packshot.photos.photo_set import Photo
from packshot.plan.config import Plan
from packshot.plan.evaluations import HELD_OUT
from packshot.settings import Subject
from packshot.training.latent_cache import LatentCache, PromptCache
from packshot.training.picture import Picture, picture
from packshot.training.processes import ALONE, Processes
from packshot.training.sampler import Slot, noise, seed_of, slot, timestep_quantile


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
        self.held_out = self._held_out(photos, subject) if plan.eval_every_n_steps else []
        self.class_images = list(class_images) if plan.class_image_ratio else []
        self.latents, self.prompts = LatentCache(base), PromptCache(base)

    def _held_out(self, photos: Sequence[Photo], subject: Subject) -> list[Picture]:
        """Crops that training does not show, of photos chosen evenly."""
        rounds, count = self.plan.crops_per_photo, len(photos)
        if count >= HELD_OUT:
            chosen = [(k * count // HELD_OUT, rounds) for k in range(HELD_OUT)]
        else:
            chosen = [(k % count, rounds + k // count) for k in range(HELD_OUT)]
        return [self._photo(photos[index], subject, crop) for index, crop in chosen]

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
            item = self.slot(number)
            if item.is_class:
                found = self.picture(item)
                reached[item.index, found.size] = found
        crops = [item for photo in self.photos for item in photo]
        return crops + self.held_out + [reached[key] for key in sorted(reached)]

    def fill_caches(self, processes: Processes = ALONE) -> Iterator[tuple[int, int]]:
        """Encode all images and prompts of the run; yields (done, total) in images.

        Of several processes each encodes some of the images, and then what its machine lacks of the others'.
        """
        pictures = self.seen()
        if not self.plan.text_encoder_rank:  # trained text encoders change the embeddings
            self.prompts.fill(sorted({item.prompt for item in pictures} | {""}))
        for done in self.latents.fill(pictures, processes):
            yield done, len(pictures)
        if processes.count > 1:
            processes.wait()
            list(self.latents.fill(pictures))

    def slot(self, number: int) -> Slot:
        """The slot with this number, of the plan's."""
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
        together = map(self.slot, range(first, first + count))
        photos = [self.picture(item) for item in together if not item.is_class]
        return self._class_image(self.class_images[slot.index], {photo.size for photo in photos})

    def groups(self, first: int, count: int) -> list[Group]:
        """The micro-batch of slots `first` … `first + count - 1`, one group for each bucket in it."""
        by_size: dict[tuple[int, int], list[Slot]] = {}
        for number in range(first, first + count):
            item = self.slot(number)
            by_size.setdefault(self.picture(item).size, []).append(item)
        return [Group(tuple(slots), self._batch(slots)) for _, slots in sorted(by_size.items())]

    def _conditioning(self, prompts: list[str], kept: Sequence[bool]) -> Conditioning:
        """The prompts' embeddings: cached, or computed if the text encoders are trained."""
        if self.plan.text_encoder_rank:
            return self.base.encode_prompts(prompts)
        return self.prompts.stack(prompts, kept)

    def _batch(self, slots: list[Slot]) -> Batch:
        plan = self.plan
        return self._batch_of(
            [self.picture(item) for item in slots],
            dropped=[item.drop_caption for item in slots],
            quantiles=[timestep_quantile(item, plan.seed) for item in slots],
            noises=[(item.number, plan.seed) for item in slots],
            weights=[plan.prior_loss_weight if item.is_class else 1.0 for item in slots],
            kept=[not item.is_class for item in slots],
        )

    def held_out_batches(self, at_once: int, processes: Processes = ALONE) -> Iterator[Batch]:
        """The held-out examples, at most so many of one size together; always the same.

        Of several processes each gets some of the batches.
        """
        seed = seed_of(self.plan.seed, "held out", 0)
        by_size: dict[tuple[int, int], list[int]] = {}
        for number, item in enumerate(self.held_out):
            by_size.setdefault(item.size, []).append(number)
        batches = [
            alike[start : start + at_once]
            for _, alike in sorted(by_size.items())
            for start in range(0, len(alike), at_once)
        ]
        for numbers in batches[processes.rank :: processes.count]:
            yield self._batch_of(
                [self.held_out[number] for number in numbers],
                dropped=[False] * len(numbers),
                quantiles=[(number + 0.5) / HELD_OUT for number in numbers],
                noises=[(number, seed) for number in numbers],
                weights=[1.0] * len(numbers),
                kept=[True] * len(numbers),
            )

    def _batch_of(
        self,
        pictures: Sequence[Picture],
        *,
        dropped: Sequence[bool],
        quantiles: Sequence[float],
        noises: Sequence[tuple[int, int]],
        weights: Sequence[float],
        kept: Sequence[bool],
    ) -> Batch:
        """Pictures of one size, on the base's device.

        Args:
            dropped: whether it has no caption.
            quantiles: of the timesteps.
            noises: the number and the seed of each one's noise.
            weights: of the loss.
            kept: whether its latents and its prompt's embeddings stay in memory.
        """
        base, background = self.base, self.plan.unmasked_weight
        pairs = [
            self.latents.read(item, keep=keep) for item, keep in zip(pictures, kept, strict=True)
        ]
        latents = torch.stack([pair[0] for pair in pairs])
        masks = torch.stack([pair[1] for pair in pairs]) * (1 - background) + background
        times = base.schedule.timesteps_at(
            torch.tensor(quantiles, dtype=torch.float64), latents[0, 0].numel()
        )
        prompts = [
            "" if drop else item.prompt for drop, item in zip(dropped, pictures, strict=True)
        ]
        drawn = torch.stack([noise(number, seed, latents.shape[1:]) for number, seed in noises])
        return Batch(
            latents=latents.to(base.device),
            noise=drawn.to(base.device),
            timesteps=times.to(base.device),
            conditioning=base.add_size_conditioning(
                self._conditioning(prompts, kept), [item.shown() for item in pictures]
            ),
            masks=masks.to(base.device),
            loss_weights=torch.tensor(weights, device=base.device),
        )
