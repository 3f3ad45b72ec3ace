"""LoRA layers on a whole base: its denoiser, and its text encoders where they are trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn

from packshot.errors import InvalidPlanError
from packshot.lora.layers import Adapter, copy_state, inject_lora, set_state
from packshot.lora.weights import Lora
from packshot.models import registry
from packshot.models.diffusion_model import DiffusionModel
from packshot.types import TargetModules


class Adapters:
    """The adapters of a base's networks, the denoiser's first; members as in `Adapter`.

    Names are the denoiser's module names, and "text_encoder.…" for those of a text encoder.
    """

    def __init__(self, denoiser: Adapter, root: str, text_encoders: Mapping[str, Adapter]) -> None:
        self.denoiser, self.root, self.text_encoders = denoiser, root, text_encoders

    def text_encoder_parameters(self) -> dict[str, nn.Parameter]:
        """The text encoders' fp32 parameters."""
        return {
            f"{encoder}.{name}": parameter
            for encoder, adapter in self.text_encoders.items()
            for name, parameter in adapter.named_parameters().items()
        }

    def named_parameters(self) -> dict[str, nn.Parameter]:
        """All fp32 parameters."""
        return self.denoiser.named_parameters() | self.text_encoder_parameters()

    @property
    def parameter_count(self) -> int:
        """How many numbers are learnt."""
        return sum(parameter.numel() for parameter in self.named_parameters().values())

    def state(self) -> dict[str, Tensor]:
        """Copies of the parameters on the CPU."""
        return copy_state(self.named_parameters())

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Set the parameters from `state()` of adapters of the same shape."""
        set_state(self.named_parameters(), state)

    def to_lora(self, metadata: Mapping[str, str]) -> Lora:
        """The adapters as a `Lora`, for files and fusing."""
        whole = self.denoiser.to_lora(self.root, metadata)
        for encoder, adapter in self.text_encoders.items():
            whole.weights.update(adapter.to_lora(encoder, metadata).weights)
        return whole


def adapted_names(base: DiffusionModel, target_modules: TargetModules, *, text: bool) -> list[str]:
    """The modules that `add_adapters` adapts, by their names in a `Lora`; raises as it does."""
    inside = {base.denoiser_root: base.lora_targets(target_modules)}
    inside |= _text_targets(base) if text else {}
    return [f"{network}.{name}" for network, names in inside.items() for name in names]


def _text_targets(base: DiffusionModel) -> dict[str, list[str]]:
    if found := base.text_targets():
        return found
    kinds = ", ".join(type(network).__name__ for network in base.text_encoders.values())
    raise InvalidPlanError(
        f"{base.name} ({base.family}) reads prompts with {kinds}, which Packshot does not train: "
        f"only the text encoders of {registry.titles(learns_text=True)}. Set text_encoder_rank = 0 "
        "in plan.toml, or leave out --train-text-encoder."
    )


@contextmanager
def add_adapters(
    base: DiffusionModel,
    target_modules: TargetModules,
    *,
    rank: int,
    alpha: float,
    seed: int,
    text_rank: int = 0,
) -> Iterator[Adapters]:
    """Put LoRA layers into a base while the block runs; see `inject_lora`.

    Args:
        text_rank: rank (and alpha) of those in the text encoders; 0 for none.

    Raises:
        InvalidPlanError: the base's text encoders cannot be trained.
        ModelLoadError: the text encoders do not fit the device together with the denoiser.
    """
    reading = _text_targets(base) if text_rank else {}
    with ExitStack() as stack:
        names = base.lora_targets(target_modules)
        denoiser = stack.enter_context(
            inject_lora(base.denoiser, names, rank=rank, alpha=alpha, seed=seed)
        )
        readers = {}
        for encoder, inside in reading.items():
            network = base.text_encoders[encoder]
            readers[encoder] = stack.enter_context(
                inject_lora(network, inside, rank=text_rank, alpha=text_rank, seed=seed)
            )
        yield Adapters(denoiser, base.denoiser_root, readers)
