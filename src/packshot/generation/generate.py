"""Generating images from prompts, seeds and LoRAs, each saved with its settings."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from packshot.errors import PackshotError, UnsafePathError
from packshot.generation.prompts import notes_on
from packshot.images.encoding import ENDINGS, Format
from packshot.provenance.marking import GENERATED, LEAST_PIXELS, Claim, Marking
from packshot.settings import Subject
from packshot.types import SEEDS
from packshot.utils import hashing, overwriting, pathnames, reading, serialization
from packshot.utils.progress import Progress, silent

if TYPE_CHECKING:
    from PIL import Image

    from packshot.lora import Lora
    from packshot.models.diffusion_model import DiffusionModel


_MARKED = Marking()


class GenerationSettings(BaseModel):
    """Settings of a generation. None means the base's default; width and height 0 its own size."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    seeds: tuple[Annotated[int, Field(ge=0, lt=SEEDS)], ...] = Field(default=(0,), min_length=1)
    steps: int | None = Field(default=None, ge=1, le=1000)
    guidance_scale: float | None = Field(default=None, ge=0, le=50)
    negative_prompt: str = ""
    width: int = Field(default=0, ge=0, le=4096)
    height: int = Field(default=0, ge=0, le=4096)
    batch: int = Field(default=4, ge=1, le=64)
    format: Format = "png"
    """Of the files."""
    quality: int = Field(default=95, ge=1, le=100)
    """Of JPEG and WebP."""


@dataclass(frozen=True)
class GeneratedImage:
    """An image file with its prompt and settings. `loras` are (name, weight, SHA-256)."""

    file: Path
    prompt: str
    negative_prompt: str
    seed: int
    steps: int
    guidance_scale: float
    sampler: str
    width: int
    height: int
    loras: tuple[tuple[str, float, str], ...]
    base: str
    base_hash: str
    quality: int | None = None
    """Of JPEG and WebP."""

    @property
    def format(self) -> Format:
        """The file's format, by its ending."""
        return next((kind for kind, end in ENDINGS.items() if end == self.file.suffix), "png")


_RECORD = TypeAdapter(GeneratedImage)


def generate_images(
    base: DiffusionModel,
    prompts: Sequence[str],
    *,
    loras: Sequence[tuple[Lora, float]] = (),
    settings: GenerationSettings | None = None,
    folder: Path,
    subject: Subject | None = None,
    progress: Progress = silent,
    say: Callable[[str], None] = warnings.warn,
    marking: Marking = _MARKED,
) -> Iterator[GeneratedImage]:
    """Generate an image of each prompt with each seed; existing ones in `folder` are not redone.

    An image depends on its prompt, seed and settings, and only in the last bits of its values on the
    other images of its batch. So batches are always the same, whichever images exist.

    Args:
        prompts: placeholders in them, such as `{subject}` for trigger and class noun, are filled, as
            in the negative prompt.
        loras: each with its weight; several add up.
        say: receives notes on the prompts, such as what of them the base does not read.
        marking: how the images say that they are generated.

    Raises:
        PackshotError: no prompts, or a size that the base cannot generate.
        OverwriteError: another file has the name of an image or its record.
        CredentialsError: what they are signed with cannot be used.
    """
    from packshot.lora import fused
    from packshot.models.prompt_length import read_part

    settings = settings or GenerationSettings()
    wanted = _wanted(base, prompts, loras, settings, folder, subject)
    texts = [text for shot in wanted for text in (shot.prompt, shot.negative_prompt)]
    for note in (*notes_on(base, texts), *_unused(base, settings, wanted[0])):
        say(note)
    size = settings.batch
    # By seeds first: with more of them what stands is in the batches that it was made in.
    ordered = sorted(wanted, key=lambda shot: shot.seed)
    batches = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    missing = [batch for batch in batches if not all(map(_stands, batch))]
    if missing:
        marking.check()
        done = len(wanted) - sum(map(len, missing))
        with fused(base, loras):
            pipeline = base.pipeline()
            for batch in missing:
                progress("shots", done, len(wanted))
                for shot, picture in zip(batch, _pictures(base, pipeline, batch), strict=True):
                    if not _stands(shot):
                        _write(shot, picture, read_part(base, shot.prompt), marking)
                done += len(batch)
    progress("shots", len(wanted), len(wanted))
    yield from wanted


def _wanted(
    base: DiffusionModel,
    prompts: Sequence[str],
    loras: Sequence[tuple[Lora, float]],
    settings: GenerationSettings,
    folder: Path,
    subject: Subject | None,
) -> list[GeneratedImage]:
    if not prompts:
        raise PackshotError("There is nothing to shoot: give a prompt, or a file with some.")
    width, height = (side or base.native_pixels for side in (settings.width, settings.height))
    for side in (width, height):
        if side % base.pixel_multiple:
            near = max(1, round(side / base.pixel_multiple)) * base.pixel_multiple
            raise PackshotError(
                f"{side} pixels do not fit {base.name}: sides must be multiples of "
                f"{base.pixel_multiple}; take {near}."
            )
    steps, guidance = settings.steps, settings.guidance_scale
    steps = base.sampler.steps if steps is None else steps
    guidance = base.sampler.guidance_scale if guidance is None else guidance
    guidance = base.counting_guidance(guidance)
    used = tuple((lora.name, weight, lora.sha256) for lora, weight in loras)
    shots = []
    filled = subject.fill if subject else str
    quality = None if settings.format == "png" else settings.quality
    takes_one = bool(settings.negative_prompt) and base.takes_negative_prompt(guidance)
    negative = filled(settings.negative_prompt) if takes_one else ""
    for text, seed in product(map(filled, prompts), settings.seeds):
        shot = GeneratedImage(
            Path(), text, negative, seed, steps, guidance,
            base.sampler.name, width, height, used, base.name, base.content_hash, quality,
        )  # fmt: skip
        slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60]
        name = f"{slug}-{seed}-{_fingerprint(shot, settings.format)}{ENDINGS[settings.format]}"
        shots.append(replace(shot, file=folder / name))
    return shots


def _unused(
    base: DiffusionModel, settings: GenerationSettings, shot: GeneratedImage
) -> Iterator[str]:
    """Notes on settings that change no image of this base; its images' records say nothing of them."""
    if settings.guidance_scale not in (None, shot.guidance_scale):
        yield f"{base.name} is told no guidance scale: {settings.guidance_scale:g} is not used"
    if settings.negative_prompt and not shot.negative_prompt:
        yield (
            f"{base.name} takes no negative prompt at guidance scale {shot.guidance_scale:g}: it is "
            "not used. Say in the prompt what should be there instead"
        )


def _fingerprint(shot: GeneratedImage, kind: Format) -> str:
    """What an image's name ends with: a hash of all that it depends on."""
    made = asdict(shot)
    if shot.quality is None:  # lossless: as versions named it that had no other format
        del made["quality"]
    if kind == "webp":  # beside a JPEG of the same quality, whose record is its own
        made["format"] = kind
    return hashing.fingerprint(made)[:8]


def _stands(shot: GeneratedImage) -> bool:
    return shot.file.is_file() and shot.file.with_suffix(".json").is_file()


def _pictures(
    base: DiffusionModel, pipeline: Any, shots: Sequence[GeneratedImage]
) -> list[Image.Image]:
    """Generate one batch; one image after the other, where memory does not suffice for all."""
    from packshot.models.device_memory import all_within_memory

    size = f"an image of {shots[0].width} x {shots[0].height} px"
    return all_within_memory(base, lambda some: _at_once(base, pipeline, some), shots, size)


def _at_once(
    base: DiffusionModel, pipeline: Any, shots: Sequence[GeneratedImage]
) -> list[Image.Image]:
    """Each image's noise comes from its own generator, on the CPU."""
    import torch

    first = shots[0]
    return list(
        pipeline(
            prompt=[shot.prompt for shot in shots],
            num_inference_steps=first.steps,
            **base.sampling(first.guidance_scale, [shot.negative_prompt for shot in shots]),
            width=first.width, height=first.height,
            generator=[torch.Generator().manual_seed(shot.seed) for shot in shots],
        ).images
    )  # fmt: skip


def _write(shot: GeneratedImage, picture: Image.Image, read: str, marking: Marking) -> None:
    import numpy as np
    from PIL import Image

    claim = claim_of(shot)
    if claim.watermark:
        colours = np.asarray(picture.convert("RGB"), np.float32) / 255
        values = marking.watermarked(colours, claim.watermark) * 255
        picture = Image.fromarray(values.round().astype(np.uint8))
    data = marking.as_file(
        picture, claim, shot.format, quality=shot.quality or 100, parameters=parameters(shot, read)
    )
    overwriting.write_result(shot.file, data)
    write_record(shot)


def claim_of(shot: GeneratedImage) -> Claim:
    """What a generated image says of itself."""
    details = {
        "base": shot.base, "base_sha256": shot.base_hash, "seed": shot.seed, "steps": shot.steps,
        "guidance_scale": shot.guidance_scale, "sampler": shot.sampler,
        "loras": [
            {"name": name, "weight": weight, "sha256": digest} for name, weight, digest in shot.loras
        ],
    }  # fmt: skip
    watermark = identifier_of(shot) if shot.width * shot.height >= LEAST_PIXELS else ""
    return Claim(shot.file.name, GENERATED, details, prompt=shot.prompt, watermark=watermark)


def identifier_of(shot: GeneratedImage) -> str:
    """What its watermark says: the end of its file's name, which is a hash of its settings."""
    return shot.file.stem.rpartition("-")[2]


def write_record(shot: GeneratedImage) -> None:
    """Write an image's settings next to it, for `read_generated_images`."""
    record = asdict(shot) | {"file": shot.file.name}
    text = serialization.as_json(record, indent=2) + "\n"
    overwriting.write_result(shot.file.with_suffix(".json"), text.encode("utf-8", "replace"))


def parameters(shot: GeneratedImage, read: str = "") -> str:
    """The settings in AUTOMATIC1111's text format, which ComfyUI and other tools read, too.

    Args:
        read: what the base reads of the prompt; it is named if that is not all.
    """
    tags = "".join(f" <lora:{name}:{weight:g}>" for name, weight, _ in shot.loras)
    lines = [shot.prompt + tags]
    if shot.negative_prompt:
        lines.append(f"Negative prompt: {shot.negative_prompt}")
    values = {
        "Steps": shot.steps,
        "Sampler": shot.sampler,
        "CFG scale": f"{shot.guidance_scale:g}",
        "Seed": shot.seed,
        "Size": f"{shot.width}x{shot.height}",
        "Model hash": shot.base_hash[:10],
        "Model": shot.base,
    }
    if shot.loras:
        hashes = ", ".join(f"{name}: {digest[:12]}" for name, _, digest in shot.loras)
        values["Lora hashes"] = f'"{hashes}"'
    if read and read != shot.prompt:
        values["Prompt read"] = json.dumps(read, ensure_ascii=False)
    values["Version"] = f"packshot {version('packshot')}"
    return "\n".join([*lines, ", ".join(f"{name}: {value}" for name, value in values.items())])


def read_generated_images(folder: Path) -> list[GeneratedImage]:
    """The generated images in a folder, by their records, sorted by file name.

    What is no such record is skipped, and what names a file that is not in the folder.
    """
    shots = []
    for record in sorted(folder.glob("*.json")):
        with suppress(ValueError, UnsafePathError):  # pydantic's are ValueErrors
            shot = _RECORD.validate_python(reading.read_json(record))
            shots.append(replace(shot, file=pathnames.safe_join(folder, shot.file.name)))
    return [shot for shot in shots if shot.file.is_file()]


def pair_images(
    learnt: Sequence[GeneratedImage], plain: Sequence[GeneratedImage]
) -> list[tuple[GeneratedImage, GeneratedImage]]:
    """Pairs of images with and without the LoRA, of the same prompt, seed and settings."""

    def alike(shot: GeneratedImage) -> tuple[object, ...]:
        kept = {name: value for name, value in vars(shot).items() if name not in ("file", "loras")}
        return shot.file.suffix, *kept.values()

    others = {alike(shot): shot for shot in plain}
    return [(shot, others[alike(shot)]) for shot in learnt if alike(shot) in others]


def write_sheet(
    shots: Sequence[GeneratedImage], file: Path, columns: int = 4, marking: Marking = _MARKED
) -> Path:
    """Write a contact sheet of generated images with their prompts, a PNG.

    Raises:
        OverwriteError: there is another file of that name.
        CredentialsError: what it is signed with cannot be used.
    """
    from packshot.images.contact_sheet import contact_sheet, in_cell
    from packshot.images.loading import open_image

    pictures = [in_cell(open_image(shot.file)) for shot in shots]
    labels = [f"{shot.prompt} (seed {shot.seed})" for shot in shots]
    sheet = contact_sheet(pictures, columns=columns, labels=labels)
    claim = Claim(file.name, GENERATED, {"shows": [shot.file.name for shot in shots]})
    overwriting.write_result(file, marking.as_file(sheet, claim))
    return file
