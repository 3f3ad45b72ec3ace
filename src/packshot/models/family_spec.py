"""`FamilySpec`: everything that Packshot knows about a model family, in one place.

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
"""From a single file and its keys to overrides of the scheduler configuration."""


def no_hints(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """No overrides: the family's scheduler configuration is used."""
    return {}


@dataclass(frozen=True)
class Relative:
    """Unsupported checkpoints that resemble a family's, refused by their own name."""

    title: str
    signature: tuple[str, ...] = ()
    """As `FamilySpec.signature`."""
    pipelines: tuple[str, ...] = ()
    """As `FamilySpec.pipelines`."""


@dataclass(frozen=True)
class FamilySpec:
    """A family of checkpoints. Its single files' configurations are in the folder `configs/NAME`."""

    name: str
    """Its name in code, plans and commands, such as "sd1"."""
    title: str
    """Its name in messages."""
    model: type[DiffusionModel]
    """The class that loads and runs its checkpoints."""

    # How a checkpoint is recognised and split into components.
    components: tuple[str, ...]
    """Its networks by their folders' names, the denoiser first."""
    denoiser_class: str
    """Its denoiser's class in diffusers; only classes that a family names are constructed."""
    pipelines: tuple[str, ...]
    """Beginnings of its pipelines' class names in model_index.json; the longest match decides."""
    signature: tuple[str, ...]
    """Key prefixes that all of its single files have, and together no other family's."""
    vae_class: str = "AutoencoderKL"
    """Its VAE's class in diffusers."""
    cross_attention_dim: int | None = None
    """Its UNet's cross-attention width, where another family has the same pipelines."""
    relatives: tuple[Relative, ...] = ()
    """Unsupported checkpoints that resemble it."""
    companions: tuple[Companion, ...] = ()
    """Components that its single files may lack, and that are then searched in other files."""
    schedule_hints: Hints = no_hints
    """Overrides of the scheduler configuration, from a single file."""
    openclip: tuple[str, ...] = ()
    """Its text encoders that are OpenCLIP's, which pads prompts with token 0."""

    # What is trained, and how.
    learns_text: bool = False
    """Whether its text encoders can be trained, too: see `DiffusionModel.text_targets`."""
    fits_fp16: bool = False
    """Whether its activations and gradients stay in fp16's range, the VAE's aside."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Overrides of the usual recipe: see `packshot.plan.recipes.Recipe`."""

    # What its LoRA files contain, and how they are recognised.
    kohya_base: str = ""
    """kohya's `ss_base_model_version`."""
    architecture: str = ""
    """The model specification's `modelspec.architecture`."""
    architecture_of_noise: str = ""
    """The same for those of its bases that predict noise, where it has another name for these."""
    kohya_uses_original_keys: bool = False
    """Whether kohya's LoRA files have the original names of the denoiser's modules."""
    kohya_prefix: str = "lora_unet_"
    """What the denoiser's keys begin with in kohya's LoRA files; after a dot, names keep theirs."""
    lora_title: str = ""
    """The name of its LoRAs in messages; families whose LoRAs look alike share one."""
    lora_keys: str = ""
    """Regex of the keys that only LoRAs of this title have."""
    lora_metadata: tuple[str, ...] = ()
    """Texts, in small letters, that their metadata names the base by: keys alone do not always tell."""

    @property
    def denoiser_root(self) -> str:
        """The denoiser's prefix in LoRA keys: "unet" or "transformer"."""
        return self.components[0]

    @property
    def text_encoders(self) -> tuple[str, ...]:
        """The names of its text encoders."""
        return tuple(name for name in self.components if name.startswith("text_encoder"))

    @property
    def tokenizers(self) -> tuple[str, ...]:
        """The folders of the text encoders' tokenizers, in their order."""
        return tuple(name.replace("text_encoder", "tokenizer") for name in self.text_encoders)
