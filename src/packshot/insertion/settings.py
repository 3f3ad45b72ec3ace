"""The settings of an insertion."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from packshot.types import SEEDS, InsertionMethod


class InsertionSettings(BaseModel):
    """The settings of an insertion. None means estimated from the background.

    Attributes:
        method: "composite" uses the best-matching real photo, so that print and logo stay real;
            "inpaint" lets the base with its LoRA paint the product in the region.
        view: the wanted side of the product, in the captions' words; None for whichever fits.
        photo: the photo to cut out, by its name in the project or its own; None for the fittest.
        seed: of inpainting and grain; with "composite" also which photo is tried first.
        horizon: pixels from the background's top.
        refine: denoising strength with which the base refines a composite; 0 for none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    method: InsertionMethod = "composite"
    prompt: str = "a photo of {subject}"
    view: str | None = None
    photo: str | None = None
    seed: int = Field(default=0, ge=0, lt=SEEDS)
    tries: int = Field(default=4, ge=1, le=64)
    steps: int | None = Field(default=None, ge=1, le=1000)
    guidance_scale: float | None = Field(default=None, ge=0, le=50)
    horizon: float | None = None
    light_azimuth_degrees: float | None = None
    light_elevation_degrees: float | None = Field(default=None, gt=0, le=90)
    light_hardness: float | None = Field(default=None, ge=0, le=1)
    shadow_strength: float = Field(default=1.0, ge=0, le=1)
    reflection: float = Field(default=0.0, ge=0, le=1)
    refine: float = Field(default=0.0, ge=0, le=0.8)
