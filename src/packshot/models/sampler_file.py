"""A checkpoint's own defaults of sampling, in its folder.

A checkpoint's folder may contain a `sampler.toml` (`name`, `steps`, `guidance_scale`) that overrides its
family's: a base that was trained differently (a small one, for example) needs other guidance, or
fresh noise at every step.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from packshot.errors import ModelLoadError
from packshot.models.diffusion_model import SamplingDefaults
from packshot.utils import reading
from packshot.utils.validation import describe

SAMPLER_FILE = "sampler.toml"
SolverName = Literal["DPM++ 2M", "DPM++ 2M SDE"]
"""What the families with noise or velocity targets can be sampled with."""


class SamplerFile(BaseModel):
    """What a `sampler.toml` may hold; None leaves the family's."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    name: SolverName | None = None
    steps: int | None = Field(default=None, ge=1, le=1000)
    guidance_scale: float | None = Field(default=None, ge=0, le=50)


def sampler_for(checkpoint: Path, family: SamplingDefaults) -> SamplingDefaults:
    """The family's defaults with the overrides of the checkpoint's folder.

    Raises:
        PackshotError: the checkpoint's sampler.toml does not parse, or names a sampler that its
            family does not have.
    """
    own = checkpoint / SAMPLER_FILE
    if not own.is_file():
        return family
    try:
        read = SamplerFile.model_validate(reading.read_toml(own))
    except ValidationError as error:
        raise ModelLoadError(f"{own}: {describe(error)}") from error
    if read.name and family.name not in get_args(SolverName):
        raise ModelLoadError(
            f'{own}: name = "{read.name}": this base is sampled with {family.name} only; delete the line.'
        )
    return replace(family, **read.model_dump(exclude_none=True))
