"""Minutes of a borrowed GPU: all that training the denoiser needs in one small folder, and back.

`write_pack` makes the folder (8-bit latents, tokens, the text tower with the words that occur),
`python -m packshot_pocket.pretrain.gpu_pack PACK --out OUT --seconds N` trains from it wherever there
are PyTorch, diffusers and transformers, and `join_parts` puts what it left into a state folder.
Nothing of the renderer, the tokenizer or the pictures is needed there. The best weights so far lie in
OUT every minute, so that little is lost where the machine is taken away.

Unlike `unet.train_unet` it draws noise and timesteps on the device: a GPU would wait for the CPU's.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from packshot.errors import PackshotError
from packshot.utils import files, hashing, pathnames, reading
from packshot_pocket.pretrain import state
from packshot_pocket.pretrain.begin import save_weights
from packshot_pocket.pretrain.data import Captioner, open_packed, world_caption
from packshot_pocket.pretrain.loop import Budget, Loop, LoopConfig, Report, generator
from packshot_pocket.pretrain.optim import Stepper, for_computing
from packshot_pocket.pretrain.unet import (
    Batch,
    UnetConfig,
    channel_weights,
    mean_loss,
    new_scheduler,
    new_unet,
    training_captions,
    velocity_loss,
)

_SPREAD = 4.0
"""Latents have unit variance; what lies beyond four deviations is cut off."""
_TOKENS = 77
PART_BYTES = 15 * 10**6
CAPTIONS = 6
"""Captions of each picture; the pack's stand-in for fresh ones in every step."""


def write_pack(
    folder: Path,
    out: Path,
    config: UnetConfig,
    clip_config: Any,
    vae_config: Any,
    *,
    most_bytes: int = 48 * 10**6,
    with_weights: bool = False,
    captioner: Captioner = world_caption,
) -> None:
    """Write the pack of the state `folder` to `out`; its files are at most `most_bytes` together.

    Mirror images come in as far as they fit. `with_weights` packs the denoiser's weights too, to go
    on from (fp16: 30 MB of the bundled shape); without them it learns from the start.

    Raises:
        PackshotError: a stage is missing, or the pictures alone are larger than `most_bytes`.
    """
    from packshot_pocket.pretrain.clip import load_named_clip
    from packshot_pocket.pretrain.latents import folded_vae, open_latents

    pictures, latents = open_packed(folder), open_latents(folder)
    tokens = _tokens(pictures.attributes, config, captioner)
    words, tokens = np.unique(tokens, return_inverse=True)
    weights = channel_weights(
        folded_vae(folder, vae_config), torch.from_numpy(latents[:32].astype(np.float32))
    )
    tower = _tower(load_named_clip(folder, clip_config).text_model, words)
    tensors = {f"tower/{name}": value for name, value in tower.items()}
    if with_weights:
        start = state.weights(folder, "unet")
        tensors |= {f"unet/{name}": value.half() for name, value in start.items()}
    tokens = tokens.reshape(len(pictures.attributes), CAPTIONS, -1).astype(np.uint16)
    taken = tokens.nbytes + sum(value.nbytes for value in tensors.values())
    count, each = len(pictures.pixels), int(np.prod(latents.shape[1:]))
    room = (most_bytes - taken - 100_000) // each
    if room < count:
        raise PackshotError(
            f"{count} pictures take {(taken + count * each) / 1e6:.0f} MB; allow more."
        )
    kept = _kept(count, pictures.held_out, room, config.loop.seed)
    out.mkdir(parents=True, exist_ok=True)
    state.save_array(out / "latents.npy", _in_bytes(latents, kept))
    state.save_array(out / "tokens.npy", tokens)
    facts = {
        "pictures": count,
        "rows": kept.tolist(),
        "held_out": pictures.held_out.tolist(),
        "channel_weights": weights.flatten().tolist(),
        "padding": int(np.searchsorted(words, _end_of_text())),
        "tower": _tower_config(clip_config, len(words)),
        "unet": {"widths": config.widths, "heads": config.heads},
    }
    files.write_safetensors(out / "weights.safetensors", tensors, {"facts": json.dumps(facts)})


def _end_of_text() -> int:
    from packshot.weights.tokenizers import clip_tokenizer

    return int(clip_tokenizer().eos_token_id)


def _tokens(
    facts: list[dict[str, str]], config: UnetConfig, captioner: Captioner
) -> np.ndarray[Any, Any]:
    """Token ids [N * CAPTIONS, longest]; what a batch pads with goes to 77 on the device."""
    from packshot.weights.tokenizers import clip_tokenizer

    rng = generator(config.loop.seed, 0, "pack")
    each = [
        training_captions([fact] * CAPTIONS, rng, captioner, 0.0, config.named_captions)
        for fact in facts
    ]
    captions = [caption for some in each for caption in some]
    return np.asarray(
        clip_tokenizer()(captions, padding="longest", truncation=True, max_length=_TOKENS).input_ids
    )


def _tower(tower: Any, words: np.ndarray[Any, Any]) -> dict[str, Tensor]:
    """The text tower's weights in fp16, of its vectors only those of `words`."""
    weights = {name: value.half() for name, value in tower.state_dict().items()}
    name = "embeddings.token_embedding.weight"
    return weights | {name: weights[name][torch.from_numpy(words)].clone()}


def _tower_config(config: Any, words: int) -> dict[str, int]:
    return {
        "vocab_size": words,
        "hidden_size": config.text_width,
        "intermediate_size": 4 * config.text_width,
        "num_hidden_layers": config.text_layers,
        "num_attention_heads": config.text_heads,
        "max_position_embeddings": _TOKENS,
    }


def _kept(count: int, held_out: Any, room: int, seed: int) -> np.ndarray[Any, Any]:
    """Rows of the latents to pack: all pictures, then mirror images of the others while they fit."""
    mirrored = np.setdiff1d(np.arange(count), held_out) + count
    mirrored = generator(seed, 0, "mirrored").permutation(mirrored)
    return np.concatenate([np.arange(count), mirrored[: max(0, room - count)]])


def _in_bytes(latents: np.ndarray[Any, Any], rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    parts = []
    for some in np.array_split(rows, max(1, len(rows) // 1024)):
        values = latents[some].astype(np.float32) * (127 / _SPREAD)
        parts.append(values.round().clip(-127, 127).astype(np.int8))
    return np.concatenate(parts)


class PackBatches:
    """Batches on the device from a pack: a function of the step's number and the device's kind."""

    def __init__(self, pack: Path, config: UnetConfig, device: torch.device) -> None:
        self.facts, self.weights = _open(pack)
        self.config, self.device = config, device
        self.latents = torch.from_numpy(np.load(pack / "latents.npy")).to(device)
        tokens = torch.from_numpy(np.load(pack / "tokens.npy").astype(np.int64))
        padding = self.facts["padding"]
        self.tokens = torch.nn.functional.pad(
            tokens, (0, _TOKENS - tokens.shape[-1]), value=padding
        ).to(device)
        # A caption left out: its first token, then nothing.
        self.nothing = torch.full((_TOKENS,), padding, device=device)
        self.nothing[0] = self.tokens[0, 0, 0]
        rows = np.array(self.facts["rows"])
        held_out = np.isin(rows, self.facts["held_out"])
        self.picture = torch.from_numpy(rows % self.facts["pictures"]).to(device)
        self.training = torch.from_numpy(np.flatnonzero(~held_out)).to(device)
        self.held_out_rows = torch.from_numpy(np.flatnonzero(held_out)).to(device)

    def __call__(self, step: int) -> Batch:
        """Batch number `step` of the training pictures, drawn with replacement."""
        dice = torch.Generator(self.device)
        dice.manual_seed(self.config.loop.seed * 2**32 + step)
        size = self.config.loop.batch
        chosen = torch.randint(len(self.training), (size,), generator=dice, device=self.device)
        return self._batch(self.training[chosen], dice, self.config.dropped_captions)

    def held_out(self) -> Batch:
        """Held-out pictures, always with the same captions, noise and timesteps."""
        dice = torch.Generator(self.device)
        dice.manual_seed(self.config.loop.seed)
        return self._batch(self.held_out_rows[: self.config.judged], dice, 0.0)

    def _batch(self, rows: Tensor, dice: torch.Generator, dropped: float) -> Batch:
        size = len(rows)

        def drawn() -> Tensor:
            return torch.rand(size, generator=dice, device=self.device)

        variant = (drawn() * CAPTIONS).long()
        tokens = self.tokens[self.picture[rows], variant]
        tokens = torch.where((drawn() < dropped)[:, None], self.nothing, tokens)
        latents = self.latents[rows].float() * (_SPREAD / 127)
        noise = torch.randn(latents.shape, generator=dice, device=self.device)
        order = torch.randperm(size, generator=dice, device=self.device)
        timesteps = ((order + drawn()) / size * 1000).long().clamp(max=999)
        return Batch(latents, noise, timesteps, tokens)


def _open(pack: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from safetensors import safe_open

    path = pack / "weights.safetensors"
    if not path.is_file():
        raise PackshotError(
            f"{pack} is no pack: it has no {path.name}. Make it with the stage 'pack'."
        )
    with safe_open(path, "pt") as file:
        names = file.keys()
        return json.loads(file.metadata()["facts"]), {n: file.get_tensor(n) for n in names}


def _part(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value.float() if value.is_floating_point() else value
        for name, value in weights.items()
        if name.startswith(prefix)
    }


def _text_tower(batches: PackBatches) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    tower: Any = CLIPTextModel(CLIPTextConfig(**batches.facts["tower"]))
    inner = getattr(tower, "text_model", tower)
    inner.load_state_dict(_part(batches.weights, "tower/"))
    return for_computing(tower.requires_grad_(False).eval(), batches.device)


def train_pack(
    pack: Path, out: Path, budget: Budget, config: UnetConfig, *, compiled: bool, scratch: Path
) -> Report:
    """Train the denoiser of a pack, from the checkpoint in `scratch` if any; parts go to `out`.

    Raises:
        PackshotError: `pack` is none.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batches = PackBatches(pack, config, device)
    channels, width = batches.latents.shape[1], batches.facts["tower"]["hidden_size"]
    unet: Any = for_computing(new_unet(config, channels, width), device)
    stepper = Stepper(unet, config.optimizer)
    if started := _part(batches.weights, "unet/"):
        stepper.load(
            {f"{kind}/{n}": v for kind in ("master", "average") for n, v in started.items()}
        )
    run: Any = torch.compile(unet, dynamic=False) if compiled else unet
    tower = _text_tower(batches)
    signal = new_scheduler().alphas_cumprod.to(device)
    weights = torch.tensor(batches.facts["channel_weights"], device=device)[None, :, None, None]

    def loss(step: int) -> Tensor:
        return loss_of(batches(step), run)

    def loss_of(batch: Batch, network: Any = unet) -> Tensor:
        with torch.no_grad():
            states = tower(batch.told).last_hidden_state
        return velocity_loss(network, batch, states, signal, weights)

    def evaluate() -> Report:
        report = {"held-out loss": mean_loss(batches.held_out(), loss_of)}
        # From the fp32 average: the network's own weights are bf16, coarser than fp16.
        average = _part(stepper.tensors(), "average/")
        write_parts(out, average, {**report, "step": loop.at.step})
        return report

    loop = Loop("unet", scratch, stepper, config.loop, loss, evaluate)
    return loop.run(budget)


def write_parts(out: Path, weights: dict[str, Tensor], figures: dict[str, Any]) -> None:
    """Write weights in fp16 as files of at most `PART_BYTES`, and `parts.json`, which names them, last.

    Earlier parts are deleted once that stands: whenever the machine is taken away, a whole set is there.
    """
    parts: list[dict[str, Tensor]] = [{}]
    for name, value in sorted(weights.items()):
        half = value.detach().half().cpu().contiguous()
        if sum(v.nbytes for v in parts[-1].values()) + half.nbytes > PART_BYTES - 10**5:
            parts.append({})
        parts[-1][name] = half
    hashes = {}
    for number, tensors in enumerate(parts):
        path = out / f"unet-{figures['step']}-{number}.safetensors"
        files.write_safetensors(path, tensors)
        hashes[path.name] = hashing.sha256(path)
    files.write_json(out / "parts.json", {"parts": hashes, **figures})
    for path in out.glob("unet-*.safetensors"):
        if path.name not in hashes:
            path.unlink()


def join_parts(out: Path, folder: Path) -> None:
    """Put the weights that `train_pack` left in `out` into the state `folder`, as its denoiser.

    Raises:
        PackshotError: a part is missing or is not that which `parts.json` names.
    """
    from safetensors.torch import load

    told = reading.read_json(out / "parts.json")
    weights: dict[str, Tensor] = {}
    for name, sha256 in told["parts"].items():
        data = pathnames.safe_join(out, name).read_bytes()
        if hashing.sha256_of(data) != sha256:
            raise PackshotError(
                f"{out / name} is not the file that parts.json names; fetch it again."
            )
        weights |= {key: value.float() for key, value in load(data).items()}
    save_weights(folder, "unet", weights)


def main() -> int:
    """Train from a pack; the exit status."""
    parser = argparse.ArgumentParser(prog="gpu_pack", description=__doc__)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="where the parts go")
    parser.add_argument("--scratch", type=Path, default=Path("gpu-pack-state"))
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--widths", type=int, nargs="+", help="instead of the pack's")
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = True
    facts, _ = _open(options.pack)
    loop = LoopConfig(10**9, options.batch, warmup_steps=200, checkpoint_seconds=60.0)
    config = UnetConfig(
        widths=tuple(options.widths or facts["unet"]["widths"]),
        heads=facts["unet"]["heads"],
        loop=loop,
        optimizer=replace(UnetConfig().optimizer, learning_rate=options.learning_rate),
    )
    budget = Budget(options.seconds, finish=True)
    compiled = torch.cuda.is_available()
    report = train_pack(
        options.pack, options.out, budget, config, compiled=compiled, scratch=options.scratch
    )
    print(json.dumps({**report, "config": asdict(config)}, default=str), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
