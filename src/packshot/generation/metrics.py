"""Judging pictures: how like the product, how true to the prompt, how far the class drifted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from packshot.generation.generate import GeneratedImage, read_generated_images
from packshot.models.clip import embed_image_files
from packshot.models.diffusion_model import ClipSimilarity
from packshot.photos.photo_set import list_photos
from packshot.project import Project
from packshot.utils import files


@dataclass(frozen=True)
class Score:
    """A measured number, what measured it, and what it says in words."""

    name: str
    value: float
    embedder: str
    higher_is_better: bool
    meaning: str


def clip_i(similarity: ClipSimilarity, shots: Sequence[Path], references: Sequence[Path]) -> float:
    """CLIP-I (arXiv 2208.12242, section 4.1): mean cosine of every shot with every photo."""
    return float(
        (embed_image_files(similarity, shots) @ embed_image_files(similarity, references).T).mean()
    )


def clip_t(
    similarity: ClipSimilarity, shots: Sequence[GeneratedImage], subject: str, noun: str
) -> float:
    """CLIP-T: mean cosine of each shot with its prompt, the product called by its class."""
    texts = similarity.embed_texts([shot.prompt.replace(subject, noun) for shot in shots])
    return float(
        (embed_image_files(similarity, [shot.file for shot in shots]) * texts).sum(dim=1).mean()
    )


def class_drift(
    similarity: ClipSimilarity, pairs: Sequence[tuple[GeneratedImage, GeneratedImage]]
) -> float:
    """How far class pictures moved: 1 - mean cosine of the same prompt and seed, LoRA on and off."""
    ours = embed_image_files(similarity, [learnt.file for learnt, _ in pairs])
    theirs = embed_image_files(similarity, [plain.file for _, plain in pairs])
    return float(1 - (ours * theirs).sum(dim=1).mean())


def pair_images(
    learnt: Sequence[GeneratedImage], plain: Sequence[GeneratedImage]
) -> list[tuple[GeneratedImage, GeneratedImage]]:
    """Shots with the LoRA beside those without it, alike in all else."""

    def alike(shot: GeneratedImage) -> tuple[object, ...]:
        kept = {name: value for name, value in vars(shot).items() if name not in ("file", "loras")}
        return tuple(kept.values())

    others = {alike(shot): shot for shot in plain}
    return [(shot, others[alike(shot)]) for shot in learnt if alike(shot) in others]


def images_with_and_without(
    project: Project, folder: Path
) -> list[tuple[GeneratedImage, GeneratedImage]]:
    """The pairs that stand in `folder`/with and `folder`/without, of the LoRA as it is now."""
    learnt, plain = (read_generated_images(folder / kind) for kind in ("with", "without"))
    if project.lora_file.is_file():
        now = files.sha256(project.lora_file)
        learnt = [shot for shot in learnt if now in (digest for _, _, digest in shot.loras)]
    return pair_images(learnt, plain)


def score_project(project: Project, similarity: ClipSimilarity | None) -> list[Score]:
    """Score the project's shots and write `shots/scores.json`; empty where nothing measures them."""
    pairs = images_with_and_without(project, project.shots_folder)
    class_pairs = images_with_and_without(project, project.shots_folder / "drift")
    scores = []
    if similarity and pairs:
        learnt, plain = zip(*pairs, strict=True)
        references = [photo.file for photo in list_photos(project)]
        subject = project.subject
        for kind, shots in (("with the LoRA", learnt), ("without it", plain)):
            paths = [shot.file for shot in shots]
            scores += [
                Score(
                    f"likeness {kind}", clip_i(similarity, paths, references), similarity.name,
                    True, "mean cosine of the shots with the photos (CLIP-I)",
                ),
                Score(
                    f"prompt fidelity {kind}",
                    clip_t(similarity, shots, subject.phrase, f"a {subject.class_noun}"),
                    similarity.name, True, "mean cosine of the shots with their prompts (CLIP-T)",
                ),
            ]  # fmt: skip
        if class_pairs:
            scores.append(
                Score(
                    "class drift", class_drift(similarity, class_pairs), similarity.name,
                    False, "how far images of other members of the class moved (0: not at all)",
                )
            )  # fmt: skip
    files.write_json(project.shots_folder / "scores.json", [asdict(score) for score in scores])
    return scores
