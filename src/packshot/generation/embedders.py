"""The CLIP for the scores: one trained on photographs, or the base's own.

Images are embedded on the CPU, so that the CLIP takes no GPU memory from the base.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from packshot.decisions import Decisions, Value
from packshot.project import Project
from packshot.utils.progress import Observer, Progress, silent
from packshot.weights.helper_models import Helper, best_helper, model_folder

if TYPE_CHECKING:
    from packshot.models.diffusion_model import ClipSimilarity, DiffusionModel

AUTO, BASE, NONE = "auto", "base", "none"
KNOWN = (
    Helper("openai/clip-vit-large-patch14", "MIT"),
    Helper("laion/CLIP-ViT-L-14-laion2B-s32B-b82K", "MIT"),
    Helper("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "MIT"),
    Helper("openai/clip-vit-base-patch32", "MIT"),
)
"""The best first; CLIP ViT-L/14 is what most papers measure with."""
OFFERED = (KNOWN[2], KNOWN[0])


def settle_embedder(
    choice: str, base: str, own_clip: bool, decisions: Decisions, observer: Observer
) -> str:
    """Decide on a project's embedder, as `embedder_of` takes it; the user is asked at most once.

    Args:
        choice: the project's setting.
        base: the name of its base.
        own_clip: whether the base contains a CLIP.
    """

    def choose() -> tuple[Value, str]:
        if choice != AUTO:
            return choice, "as chosen"
        if own_clip:
            return BASE, "the base's own CLIP"
        found, why = best_helper("measure likeness", KNOWN, OFFERED, observer)
        return (found, why) if found else (NONE, f"no CLIP is at hand: {why}")

    because = {"embedder": choice, "base": base}
    latest = decisions.latest("embedder")
    again = observer.insists and latest is not None and latest.value == NONE and choice == AUTO
    settled = decisions.settle("embedder", because, choose, anew=again)
    if settled.is_new and settled.value == NONE and choice == AUTO:
        observer.say(
            f"likeness, fidelity to prompts and drift will not be measured: {settled.reason}. "
            f"Name a CLIP: --embedder {OFFERED[0].name}"
        )
    return str(settled.value)


def embedder_of(
    spec: str, base: Callable[[], DiffusionModel], progress: Progress = silent
) -> ClipSimilarity | None:
    """Load an embedder by the value of `settle_embedder`: the base's own, a model; None for "none".

    Raises:
        ModelLoadError: the model is no CLIP, is damaged, or cannot be fetched.
    """
    if spec == NONE:
        return None
    if spec == BASE:
        return base().clip_similarity()
    import torch

    from packshot.models.clip import ClipEncoder

    return ClipEncoder.load(model_folder(spec, progress), torch.device("cpu"))


def embedder_for(
    project: Project, base: Callable[[], DiffusionModel], observer: Observer
) -> ClipSimilarity | None:
    """A project's embedder; `base` loads its base, if the base's own CLIP is used.

    Raises:
        ModelLoadError: as `embedder_of`.
        UnaskedFetchError: see `require_consent`.
    """
    from packshot.models import has_clip
    from packshot.weights.consent import require_consent

    settings, decisions = project.settings, Decisions(project, observer.say)
    own_clip = has_clip(settings.base)
    spec = settle_embedder(settings.embedder, settings.base, own_clip, decisions, observer)
    require_consent(project, embedder=spec)
    return embedder_of(spec, base, observer.progress)
