"""What all of Packshot must know of a family of checkpoints, in one place: its `FamilySpec`.

Each family's file ends with one, `registry.py` collects them, and whatever else lists families
(detection, the hub, recipes, LoRA files' metadata, error texts) reads them there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packshot.models.companions import Companion

if TYPE_CHECKING:
    from packshot.models.diffusion_model import DiffusionModel

Hints = Callable[[Path, Sequence[str]], dict[str, Any]]
"""From a single file and its keys what they tell of its schedule, over the configuration."""


def no_hints(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """A single file tells nothing of its schedule that its family's configuration does not."""
    return {}


@dataclass(frozen=True)
class Relative:
    """Checkpoints that look like a family's and are not known here: to be refused by their name."""

    title: str
    signature: tuple[str, ...] = ()
    """As `FamilySpec.signature`."""
    pipelines: tuple[str, ...] = ()
    """As `FamilySpec.pipelines`."""


@dataclass(frozen=True)
class FamilySpec:
    """A family of checkpoints. Its single files' configurations are in the folder `configs/NAME`."""

    name: str
    """What it is called in code, plans and commands, such as "sd1"."""
    title: str
    """What it is called in sentences."""
    model: type[DiffusionModel]
    """What loads and runs a checkpoint of it."""

    # How a checkpoint of it is told and taken apart.
    components: tuple[str, ...]
    """Its networks by their folders' names, the denoiser first."""
    denoiser_class: str
    """Its denoiser's class in diffusers; no others are made than families name."""
    pipelines: tuple[str, ...]
    """How its pipelines' class names begin, in a folder's index; the longest that fits decides."""
    signature: tuple[str, ...]
    """How keys begin that all of its single files have, together no other family's."""
    vae_class: str = "AutoencoderKL"
    """Its autoencoder's class in diffusers."""
    cross_attention_dim: int | None = None
    """The width that its UNet reads, where that tells it from another family of the same pipelines."""
    relatives: tuple[Relative, ...] = ()
    """What looks like it and is not known here."""
    companions: tuple[Companion, ...] = ()
    """Parts that its single files may lack, and that are then looked for beside them."""
    schedule_hints: Hints = no_hints
    """What a single file tells of its schedule."""
    openclip: tuple[str, ...] = ()
    """Those of its text encoders that are OpenCLIP's, which pads prompts with token 0."""

    # What learns, and how.
    learns_text: bool = False
    """Whether its text encoders may learn, too: see `DiffusionModel.text_targets`."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Where its recipe is another than the usual: see `packshot.plan.recipes.Recipe`."""

    # What its LoRAs say, and are told by.
    kohya_base: str = ""
    """kohya's `ss_base_model_version`."""
    architecture: str = ""
    """The model specification's `modelspec.architecture`."""
    kohya_uses_original_keys: bool = False
    """Whether kohya's LoRA files have the original names of the denoiser's modules."""
    lora_title: str = ""
    """What its LoRAs are called where another family's is wanted; one title, and no distinction."""
    lora_keys: str = ""
    """A pattern of the keys that only LoRAs of this title have."""
    lora_metadata: tuple[str, ...] = ()
    """What their metadata contains, where the keys may be another family's as well."""

    @property
    def denoiser_root(self) -> str:
        """What LoRAs call its denoiser: "unet" or "transformer"."""
        return self.components[0]

    @property
    def text_encoders(self) -> tuple[str, ...]:
        """Those of its components that read prompts."""
        return tuple(name for name in self.components if name.startswith("text_encoder"))

    @property
    def tokenizers(self) -> tuple[str, ...]:
        """The folders of the text encoders' tokenizers, in their order."""
        return tuple(name.replace("text_encoder", "tokenizer") for name in self.text_encoders)
