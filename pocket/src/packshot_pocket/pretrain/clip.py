"""CLIP: images and captions as unit vectors of one space (arXiv 2103.00020).

The text tower becomes the base's text encoder; the image tower is for scores and captions.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from packshot.weights.tokenizers import MAX_TOKENS, clip_tokenizer
from packshot_pocket.pretrain import state
from packshot_pocket.pretrain.data import (
    PIXELS,
    TOLD,
    Captioner,
    Pictures,
    Pixels,
    open_packed,
    to_tensor,
    world_caption,
)
from packshot_pocket.pretrain.loop import Budget, Loop, LoopConfig, Report, batch_indices, generator
from packshot_pocket.pretrain.optim import OptimizerConfig, Stepper, for_computing

if TYPE_CHECKING:
    from transformers import CLIPModel, CLIPTextModel

_LARGEST_SCALE = 100.0


@dataclass(frozen=True)
class ClipConfig:
    """The towers' shapes and how they are trained."""

    text_width: int = 128
    text_layers: int = 4
    text_heads: int = 4
    image_width: int = 192
    image_layers: int = 4
    image_heads: int = 6
    patch_pixels: int = 8
    joint_width: int = 128
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=3000, batch=64, warmup_steps=40)
    )
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(learning_rate=1.5e-3, muon=True)
    )
    attribute_weight: float = 0.5
    """Of the towers' telling of all attributes through shared linear heads: they are known
    exactly, and a contrast of a hundred captions is a weak teacher in a run of minutes."""
    kept_weight: float = 0.1
    """Of what a former text tower said, where one is kept (`KeptTower`)."""
    smallest_crop: float = 0.7
    """Side of the smallest crop, as a share of the picture's."""
    judged: int = 256
    captions_per_value: int = 32
    """How many captions make the prototype of an attribute's value."""


def new_clip(config: ClipConfig) -> CLIPModel:
    """Both towers in fp32 with random weights. The image tower takes images in [-1, 1]."""
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

    text = CLIPTextConfig(
        vocab_size=49_408,
        hidden_size=config.text_width,
        intermediate_size=4 * config.text_width,
        num_hidden_layers=config.text_layers,
        num_attention_heads=config.text_heads,
        max_position_embeddings=MAX_TOKENS,
        projection_dim=config.joint_width,
        bos_token_id=49_406,
        eos_token_id=49_407,
        pad_token_id=49_407,
    )
    vision = CLIPVisionConfig(
        hidden_size=config.image_width,
        intermediate_size=4 * config.image_width,
        num_hidden_layers=config.image_layers,
        num_attention_heads=config.image_heads,
        image_size=PIXELS,
        patch_size=config.patch_pixels,
        projection_dim=config.joint_width,
    )
    with torch.random.fork_rng():
        torch.manual_seed(config.loop.seed)
        return CLIPModel(
            CLIPConfig(
                text_config=text.to_dict(),
                vision_config=vision.to_dict(),
                projection_dim=config.joint_width,
            )
        )


def load_named_text_tower(folder: Path, config: ClipConfig) -> CLIPTextModel:
    """The trained text tower of this stage, in fp32."""
    tower = new_clip(config).text_model
    prefix = "text_model."
    own = {n.removeprefix(prefix): v for n, v in state.weights(folder, "clip").items()}
    tower.load_state_dict(own | state.weights(folder, "names"), strict=False)
    return tower.eval()


def load_named_clip(folder: Path, config: ClipConfig) -> CLIPModel:
    """Both towers in fp32, with the trained text tower of this stage."""
    clip = load_clip_stage(folder, config)
    clip.text_model.load_state_dict(state.weights(folder, "names"), strict=False)
    return clip


def load_clip_stage(folder: Path, config: ClipConfig) -> CLIPModel:
    """Both trained towers in fp32."""
    clip = new_clip(config)
    clip.load_state_dict(state.weights(folder, "clip"), strict=False)
    return clip.eval()


def embed_images(clip: CLIPModel, pictures: Tensor) -> Tensor:
    """Pictures [B, 3, 128, 128] in [-1, 1] to unit vectors fp32 [B, D]."""
    pooled = clip.vision_model(pixel_values=pictures.to(clip.dtype)).pooler_output
    return F.normalize(clip.visual_projection(pooled).float(), dim=-1)


def embed_tokens(clip: CLIPModel, tokens: Tensor) -> Tensor:
    """Token ids [B, up to 77] to unit vectors fp32 [B, D]."""
    pooled = clip.text_model(input_ids=tokens).pooler_output
    return F.normalize(clip.text_projection(pooled).float(), dim=-1)


def contrastive_loss(images: Tensor, texts: Tensor, scale: Tensor, same: Tensor) -> Tensor:
    """CLIP's symmetric cross-entropy, pairs with equal captions sharing the target.

    `images`, `texts` are unit vectors [B, D]; `same` is [B, B], 1 where captions are equal.
    """
    logits = scale * images @ texts.T
    target = same / same.sum(dim=1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def same_captions(captions: list[str]) -> Tensor:
    """fp32 [B, B]: 1 where two captions are equal."""
    numbers = {caption: number for number, caption in enumerate(captions)}
    ids = torch.tensor([numbers[caption] for caption in captions])
    return (ids[:, None] == ids[None, :]).float()


def captions_of(
    attributes: list[dict[str, str]], rng: np.random.Generator, captioner: Captioner
) -> list[str]:
    """One caption for each of `attributes`, wordings and omissions drawn from `rng`."""
    dice = random.Random(int(rng.integers(2**63)))
    return [captioner(facts, dice) for facts in attributes]


class ClipBatches:
    """Flipped, slightly cropped pictures and fresh captions: a function of the step's number."""

    def __init__(self, pictures: Pictures, config: ClipConfig, captioner: Captioner) -> None:
        self.pictures, self.config, self.captioner = pictures, config, captioner

    def __call__(self, step: int) -> tuple[Tensor, list[str], list[dict[str, str]]]:
        """Batch number `step`: pictures fp32 [B, 3, 128, 128] in [-1, 1], captions, attributes."""
        loop, training = self.config.loop, self.pictures.training
        chosen = training[batch_indices(len(training), loop.batch, step, loop.seed)]
        rng = generator(loop.seed, step, "views")
        views = torch.cat([self._view(self.pictures.pixels[i], rng) for i in chosen])
        facts = [self.pictures.attributes[i] for i in chosen]
        rng = generator(loop.seed, step, "captions")
        return views, captions_of(facts, rng, self.captioner), facts

    def _view(self, pixels: Pixels, rng: np.random.Generator) -> Tensor:
        side = int(rng.integers(round(PIXELS * self.config.smallest_crop), PIXELS + 1))
        top, left = rng.integers(0, PIXELS - side + 1, 2)
        cut = pixels[top : top + side, left : left + side]
        cut = cut[:, ::-1] if rng.random() < 0.5 else cut
        view = to_tensor(cut[None])
        return F.interpolate(view, (PIXELS, PIXELS), mode="bilinear", align_corners=False)


class AttributeHeads(nn.Module):
    """A linear classifier an attribute, shared by both towers; only training uses it."""

    def __init__(self, values: dict[str, list[str]], width: int) -> None:
        super().__init__()
        self.values = values
        self.linear = nn.Linear(width, sum(map(len, values.values())))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, vectors: Tensor, facts: list[dict[str, str]]) -> Tensor:
        """The mean cross-entropy over attributes of unit vectors [B, D]."""
        scaled = vectors * vectors.shape[-1] ** 0.5
        logits = self.linear(scaled.to(self.linear.weight.dtype)).float()
        parts = logits.split([len(options) for options in self.values.values()], dim=1)
        losses = []
        for (name, options), part in zip(self.values.items(), parts, strict=True):
            target = torch.tensor([options.index(f[name]) for f in facts], device=part.device)
            losses.append(F.cross_entropy(part, target))
        return torch.stack(losses).mean()


def attribute_values(pictures: Pictures) -> dict[str, list[str]]:
    """The values of each attribute among the training pictures, sorted."""
    facts = [pictures.attributes[i] for i in pictures.training]
    return {name: sorted({f[name] for f in facts}) for name in TOLD}


class KeptTower:
    """A former text tower and the classes it read of: what it said of them shall still be said.

    A denoiser that learned from it can then go on instead of beginning anew.
    """

    def __init__(self, former: Path, config: ClipConfig, device: torch.device) -> None:
        tower = load_named_text_tower(former, config)
        self.weights = {name: value.clone() for name, value in tower.state_dict().items()}
        self.tower: Any = for_computing(tower.requires_grad_(False), device)
        self.classes = {facts["class"] for facts in open_packed(former).attributes}

    def error(self, tower: Any, tokens: Tensor, facts: list[dict[str, str]]) -> Tensor:
        """How far `tower` is from it: mean squared length of the difference of a state."""
        known = [number for number, f in enumerate(facts) if f["class"] in self.classes]
        if not known:
            return torch.zeros((), device=tokens.device)
        said = tower(input_ids=tokens[known]).last_hidden_state.float()
        with torch.no_grad():
            wanted = self.tower(input_ids=tokens[known]).last_hidden_state.float()
        return (said - wanted).square().sum(dim=-1).mean()


def train_clip(
    folder: Path,
    config: ClipConfig,
    budget: Budget,
    captioner: Captioner = world_caption,
    former: Path | None = None,
) -> Report:
    """Train both towers on the packed pictures of `folder`, from their checkpoint if any.

    With `former`, another such folder, the text tower begins as that one's and stays close to it.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pictures = open_packed(folder)
    batches = ClipBatches(pictures, config, captioner)
    tokenizer: Any = clip_tokenizer()
    clip: Any = new_clip(config)
    kept = KeptTower(former, config, device) if former else None
    if kept:
        clip.text_model.load_state_dict(kept.weights)
    clip.heads = AttributeHeads(attribute_values(pictures), config.joint_width)
    clip = for_computing(clip, device)

    def loss(step: int) -> Tensor:
        views, captions, facts = batches(step)
        tokens = tokenizer(captions, padding=True, return_tensors="pt").input_ids.to(device)
        images = embed_images(clip, views.to(device))
        texts = embed_tokens(clip, tokens)
        scale = clip.logit_scale.float().exp().clamp(max=_LARGEST_SCALE)
        told = (clip.heads(images, facts) + clip.heads(texts, facts)) / 2
        contrast = contrastive_loss(images, texts, scale, same_captions(captions).to(device))
        total = contrast + config.attribute_weight * told
        if kept:
            total = total + config.kept_weight * kept.error(clip.text_model, tokens, facts)
        return total

    def evaluate() -> Report:
        return judge(clip, pictures, config, captioner)

    stepper = Stepper(clip, config.optimizer)
    return Loop("clip", folder, stepper, config.loop, loss, evaluate).run(budget)


@torch.no_grad()
def judge(clip: CLIPModel, pictures: Pictures, config: ClipConfig, captioner: Captioner) -> Report:
    """Shares of held-out pictures whose caption is found, and whose attributes are told.

    An attribute's values are prototypes: mean text vectors of captions of training pictures.
    """
    tokenizer: Any = clip_tokenizer()

    def embed_texts(captions: list[str]) -> Tensor:
        tokens = tokenizer(captions, padding=True, return_tensors="pt").input_ids
        return embed_tokens(clip, tokens.to(clip.device))

    held_out = pictures.judged(config.judged)
    views = to_tensor(pictures.pixels[held_out]).to(clip.device)
    images = torch.cat([embed_images(clip, part) for part in views.split(64)])
    facts = [pictures.attributes[i] for i in held_out]
    captions = captions_of(facts, generator(config.loop.seed, 0, "judge"), captioner)
    best = (images @ embed_texts(captions).T).argmax(dim=1).tolist()
    found = [captions[b] == own for b, own in zip(best, captions, strict=True)]
    report = {"retrieval": float(np.mean(found))}
    training = [pictures.attributes[i] for i in pictures.training]
    for attribute, values in attribute_values(pictures).items():
        prototypes = []
        for value in values:
            rng = generator(config.loop.seed, 0, f"prototype {value}")
            some = [f for f in training if f[attribute] == value]
            some = [some[i] for i in rng.permutation(len(some))[: config.captions_per_value]]
            prototypes.append(embed_texts(captions_of(some, rng, captioner)).mean(dim=0))
        told = (images @ F.normalize(torch.stack(prototypes), dim=-1).T).argmax(dim=1)
        right = [values[t] == f[attribute] for t, f in zip(told.tolist(), facts, strict=True)]
        report[attribute] = float(np.mean(right))
    return report
