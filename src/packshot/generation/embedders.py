"""What measures images: a CLIP or SigLIP for prompts, any embedder for likeness; or the base's own CLIP.

Images are embedded on the CPU, so that nothing is taken from the base's GPU memory. Other packages add
embedders by entry points of the group `packshot.embedders`: a `Loader` each.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from packshot.decisions import Decisions, Value
from packshot.errors import ModelLoadError, PackshotError
from packshot.project import Project
from packshot.utils.progress import Observer, Progress, silent
from packshot.weights.helper_models import Helper, best_helper, model_folder, parted

if TYPE_CHECKING:
    from packshot.models.diffusion_model import DiffusionModel
    from packshot.models.embedder import ClipSimilarity, ImageEmbedder

GROUP = "packshot.embedders"
Loader = Callable[[str | None, Progress], "ImageEmbedder"]
"""From a model (a folder, a repository of the hub; or none) to an embedder."""
AUTO, BASE, NONE = "auto", "base", "none"
BUNDLED = "bundled"
"""The network of identity that comes with Packshot: it compares products alone."""
KNOWN = (
    Helper("openai/clip-vit-large-patch14", "MIT"),
    Helper("laion/CLIP-ViT-L-14-laion2B-s32B-b82K", "MIT"),
    Helper("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "MIT"),
    Helper("openai/clip-vit-base-patch32", "MIT"),
)
"""The best first; CLIP ViT-L/14 is what most papers measure with."""
OFFERED = (KNOWN[2], KNOWN[0])
KNOWN_FOR_IDENTITY = (
    Helper("facebook/dinov2-base", "Apache-2.0"),
    Helper("facebook/dinov2-small", "Apache-2.0"),
    Helper("google/siglip2-base-patch16-224", "Apache-2.0"),
    *KNOWN,
)
"""For the product's identity, the best first: DINOv2 was not learnt from captions, to which two cars are
two cars. (DINOv3's licence must be accepted on its page: name it.)"""


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
    """Load an embedder of texts and images by the value of `settle_embedder`; None for "none".

    Raises:
        ModelLoadError: the model embeds no texts, is none, is damaged, or cannot be fetched.
    """
    if spec == BASE:
        return base().clip_similarity()
    found: Any = image_embedder_of(spec, base, progress)
    if found is None or hasattr(found, "embed_texts"):
        similarity: ClipSimilarity | None = found
        return similarity
    raise ModelLoadError(
        f"{spec} compares images alone, and prompts are to be compared with them: name a CLIP or a "
        f"SigLIP, such as {OFFERED[0].name}. For likeness: packshot judge --identity {spec}"
    )


def image_embedder_of(
    spec: str, base: Callable[[], DiffusionModel], progress: Progress = silent
) -> ImageEmbedder | None:
    """Load any embedder: the base's own, the bundled one, another package's, a model; None for "none".

    Raises:
        ModelLoadError: it is none, is damaged, or cannot be fetched.
        PackshotError: another package's cannot be loaded.
    """
    if spec == NONE:
        return None
    if spec == BASE:
        return base().clip_similarity()
    if spec == BUNDLED:
        from packshot.models.identity_embedder import IdentityEmbedder

        return IdentityEmbedder()
    added = {point.name: point for point in entry_points(group=GROUP)}
    name, model = parted(spec, [*added])
    if name in added:
        return _foreign(added[name])(model, progress)
    import torch

    from packshot.models.image_embedders import load_image_embedder

    return load_image_embedder(model_folder(spec, progress), torch.device("cpu"))


def _foreign(point: EntryPoint) -> Loader:
    try:
        loader: Loader = point.load()
    except Exception as error:  # whatever another package's import raises
        raise PackshotError(
            f"The embedder {point.name!r} ({point.value}) cannot be loaded: "
            f"{type(error).__name__}: {error}. Install its package again, or choose another."
        ) from error
    return loader


def identity_embedder_for(
    project: Project,
    base: Callable[[], DiffusionModel],
    observer: Observer,
    choice: str = AUTO,
    *,
    offers: bool = True,
) -> ImageEmbedder:
    """What tells a project's product from others of its kind.

    "auto" is the bundled network if the base has a CLIP of its own (it knows such a base's world, and
    tells products apart better than that CLIP: docs/benchmarks.md), else the best that is in the hub's
    cache, else what is fetched if the user agrees.

    Args:
        offers: whether anything is offered to be fetched.

    Raises:
        ModelLoadError: there is none, or as `image_embedder_of`.
    """
    from packshot.models import has_clip

    if choice == AUTO and has_clip(project.settings.base):
        choice = BUNDLED
    if choice == AUTO:
        known = KNOWN_FOR_IDENTITY
        offered = known[:1] if offers else ()
        found, why = best_helper("tell the product from others", known, offered, observer)
        if not found:
            raise ModelLoadError(
                f"Nothing is at hand that tells the product from others of its kind: {why}. Name a "
                f"DINOv2, a SigLIP or a CLIP: --identity {known[0].name}. At hand, but less sure: "
                f"--identity {BUNDLED}"
            )
        choice = found
    embedder = image_embedder_of(choice, base, observer.progress)
    if embedder is None:
        raise ModelLoadError(
            f"{choice!r} measures nothing: name an embedder, such as --identity "
            f"{KNOWN_FOR_IDENTITY[0].name}"
        )
    return embedder


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
