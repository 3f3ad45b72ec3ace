"""Trigger words: training the text tower to respond to words that its captions did not contain.

A small tower trained on some thousand captions ignores any other word, such as a product's trigger;
OpenAI's CLIP does not. So it is trained by self-distillation: for captions its states stay the same,
and after a random name every state is shifted by a vector of that name. A LoRA needs that difference.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from packshot.weights.tokenizers import clip_tokenizer
from packshot_pocket.pretrain.clip import ClipConfig, captions_of, load_clip_stage
from packshot_pocket.pretrain.data import Captioner, open_packed, world_caption
from packshot_pocket.pretrain.loop import Budget, Loop, LoopConfig, Report, generator
from packshot_pocket.pretrain.optim import OptimizerConfig, Stepper, for_computing

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class NamesConfig:
    """The size of the shift and the training settings."""

    push: float = 8.0
    """Length of a name's vector; states are about 11 long, another colour moves them by about 8."""
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=1100, batch=48, warmup_steps=20)
    )
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(learning_rate=2e-3, muon=True)
    )
    judged: int = 64


def a_name(rng: np.random.Generator) -> str:
    """Three to six letters at random, one to four tokens."""
    return "".join(rng.choice(list(string.ascii_lowercase), rng.integers(3, 7)))


def with_name(caption: str, name: str, rng: np.random.Generator) -> tuple[str, int]:
    """The caption with the name among its first words, and the number of words before it."""
    words = caption.split()
    place = int(rng.integers(0, min(5, len(words) + 1)))
    return " ".join([*words[:place], name, *words[place:]]), place


def moved(plain: Tensor, first: int, count: int, vector: Tensor) -> Tensor:
    """The target states [77, D] of a caption with `count` name tokens from `first` on.

    `plain` [77, D] are the states without the name; the name's tokens get the state before them.
    """
    before = plain[:first]
    at = plain[first - 1].expand(count, -1)
    after = plain[first : len(plain) - count]
    return torch.cat([before, at + vector, after + vector])


class NamedCaptions:
    """Captions without and with names, and the target states of each."""

    def __init__(self, facts: list[dict[str, str]], tower: Any, captioner: Captioner, push: float):
        self.facts, self.captioner, self.push = facts, captioner, push
        self.tower, self.tokenizer = tower, clip_tokenizer()
        self.embedding = tower.get_input_embeddings().weight.detach().float()

    def tokens(self, texts: list[str]) -> Tensor:
        """Token ids [B, 77]."""
        tokenizer: Any = self.tokenizer
        return tokenizer(
            texts, padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids.to(self.tower.device)

    def vector(self, name: str) -> Tensor:
        """The vector [D] by which a name moves the states: its tokens' embeddings, to length."""
        ids = self.tokenizer(name).input_ids[1:-1]
        return self.push * F.normalize(self.embedding[ids].sum(dim=0), dim=0)

    @torch.no_grad()
    def __call__(self, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Token ids [2B, 77] and the states wanted [2B, 77, D]: B captions, then the same named."""
        chosen = [self.facts[i] for i in rng.integers(0, len(self.facts), count)]
        captions = captions_of(chosen, rng, self.captioner)
        plain = self.tower(input_ids=self.tokens(captions)).last_hidden_state.float()
        texts, wanted = [], []
        for caption, states in zip(captions, plain, strict=True):
            name = a_name(rng)
            text, place = with_name(caption, name, rng)
            first = len(self.tokenizer(" ".join(caption.split()[:place])).input_ids) - 1
            long = len(self.tokenizer(name).input_ids) - 2
            texts.append(text)
            wanted.append(moved(states, first, long, self.vector(name)))
        return self.tokens(captions + texts), torch.cat([plain, torch.stack(wanted)])


def train_names(
    folder: Path,
    config: NamesConfig,
    clip_config: ClipConfig,
    budget: Budget,
    captioner: Captioner = world_caption,
) -> Report:
    """Train the text tower of the stage 'clip' on names, from this stage's saved state if any."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pictures = open_packed(folder)
    teacher = for_computing(load_clip_stage(folder, clip_config).text_model, device)
    student: Any = for_computing(load_clip_stage(folder, clip_config).text_model, device)
    # Embeddings of words that were never trained stay random: what tells names apart.
    student.get_input_embeddings().weight.requires_grad_(False)
    facts = [pictures.attributes[i] for i in pictures.training]
    batches = NamedCaptions(facts, teacher.requires_grad_(False), captioner, config.push)

    def error(tokens: Tensor, wanted: Tensor) -> Tensor:
        said = student(input_ids=tokens).last_hidden_state.float()
        return (said - wanted).square().sum(dim=-1).mean(dim=-1)

    def loss(step: int) -> Tensor:
        rng = generator(config.loop.seed, step, "names")
        return error(*batches(config.loop.batch, rng)).mean()

    @torch.no_grad()
    def evaluate() -> Report:
        rng = generator(config.loop.seed, 0, "judge names")
        plain, named = error(*batches(config.judged, rng)).split(config.judged)
        return {
            "error without a name": float(plain.mean().sqrt()),
            "error with one": float(named.mean().sqrt()),
        }

    stepper = Stepper(student, config.optimizer)
    return Loop("names", folder, stepper, config.loop, loss, evaluate).run(budget)
