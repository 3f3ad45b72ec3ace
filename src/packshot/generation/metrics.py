"""Scores of generated images: likeness (CLIP-I), prompt fidelity (CLIP-T), class drift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from packshot.generation.generate import GeneratedImage, pair_images, read_generated_images
from packshot.generation.scores import Score, read_scores
from packshot.models.clip import embed_image_files
from packshot.models.embedder import ClipSimilarity
from packshot.photos.photo_set import list_photos
from packshot.project import Project
from packshot.utils import files, hashing

__all__ = [
    "Score",
    "class_drift",
    "clip_i",
    "clip_t",
    "images_with_and_without",
    "pair_images",
    "read_scores",
    "score_project",
]


def clip_i(similarity: ClipSimilarity, shots: Sequence[Path], references: Sequence[Path]) -> float:
    """CLIP-I (arXiv 2208.12242, section 4.1): mean cosine of every image with every photo."""
    return float(_cosines(similarity, shots, references).mean())


def _cosines(
    similarity: ClipSimilarity, shots: Sequence[Path], references: Sequence[Path]
) -> torch.Tensor:
    """Of every image (rows) with every photo (columns)."""
    return embed_image_files(similarity, shots) @ embed_image_files(similarity, references).T


def clip_t(
    similarity: ClipSimilarity, shots: Sequence[GeneratedImage], subject: str, noun: str
) -> float:
    """CLIP-T: mean cosine of each image with its prompt, the trigger replaced by the class."""
    texts = similarity.embed_texts([shot.prompt.replace(subject, noun) for shot in shots])
    return float(
        (embed_image_files(similarity, [shot.file for shot in shots]) * texts).sum(dim=1).mean()
    )


def class_drift(
    similarity: ClipSimilarity, pairs: Sequence[tuple[GeneratedImage, GeneratedImage]]
) -> float:
    """Class drift, in pictures: 1 - mean cosine of those of the same prompt and seed with and without LoRA.

    What `packshot judge` measures without pictures is prediction drift (`packshot.judging.drift`).
    """
    ours = embed_image_files(similarity, [learnt.file for learnt, _ in pairs])
    theirs = embed_image_files(similarity, [plain.file for _, plain in pairs])
    return float(1 - (ours * theirs).sum(dim=1).mean())


def images_with_and_without(
    project: Project, folder: Path
) -> list[tuple[GeneratedImage, GeneratedImage]]:
    """The pairs in `folder`/with and `folder`/without, of the project's current LoRA."""
    learnt, plain = (read_generated_images(folder / kind) for kind in ("with", "without"))
    if project.lora_file.is_file():
        now = hashing.sha256(project.lora_file)
        learnt = [shot for shot in learnt if now in (digest for _, _, digest in shot.loras)]
    return pair_images(learnt, plain)


def score_project(project: Project, similarity: ClipSimilarity | None) -> list[Score]:
    """Score the project's images and write `shots/scores.json`; empty without a CLIP."""
    pairs = images_with_and_without(project, project.shots_folder)
    class_pairs = images_with_and_without(project, project.shots_folder / "drift")
    scores = []
    if similarity and pairs:
        learnt, plain = zip(*pairs, strict=True)
        references = [photo.file for photo in list_photos(project)]
        subject = project.subject
        for kind, shots in (("with the LoRA", learnt), ("without it", plain)):
            cosines = _cosines(similarity, [shot.file for shot in shots], references)
            scores += [
                Score(
                    f"likeness {kind}", float(cosines.mean()), similarity.name,
                    True, "mean cosine of the shots with the photos (CLIP-I)",
                    tuple(cosines.mean(dim=1).tolist()),
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
                    False, "how far pictures of others of the class moved: 1 - cosine (0: not at all)",
                )
            )  # fmt: skip
    files.write_json(project.scores_file, [asdict(score) for score in scores])
    return scores
