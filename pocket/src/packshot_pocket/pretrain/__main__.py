"""`python -m packshot_pocket.pretrain STAGE`: make the bundled base, one stage after the other."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from packshot.errors import PackshotError

STAGES = (
    "gather",
    "clip",
    "names",
    "vae",
    "latents",
    "unet",
    "segmenter",
    "shots",
    "refiner",
    "cars",
    "identity",
    "light",
    "export",
)
BESIDE = ("begin", "pack", "unpack")
"""What is not part of `all`: a state from an exported base, and minutes of a GPU elsewhere."""


def _parser() -> argparse.ArgumentParser:
    cache = Path.home() / ".cache" / "packshot"
    parser = argparse.ArgumentParser(prog="python -m packshot_pocket.pretrain", description=__doc__)
    parser.add_argument("stage", choices=(*STAGES, *BESIDE, "all"))
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        default=[cache / "world" / "cars", cache / "world" / "things"],
        help="folders of rendered scenes",
    )
    parser.add_argument(
        "--backgrounds",
        type=Path,
        default=cache / "world" / "backgrounds",
        help="folder of rendered scenes without products, for 'light'",
    )
    parser.add_argument(
        "--state",
        type=Path,
        default=cache / "pretrain" / "v1",
        help="folder of checkpoints; stages go on from there",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="where 'export' and 'pack' write (default STATE/pocket, STATE/pack); what 'unpack' reads",
    )
    parser.add_argument(
        "--model",
        type=Path,
        help="for 'begin': the folder of the base, or of the segmenter's weights, to go on from",
    )
    parser.add_argument(
        "--with-weights",
        action="store_true",
        help="'pack' the denoiser's weights too, to go on from",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        help="stop after this time, with a checkpoint (each stage, with 'all')",
    )
    parser.add_argument(
        "--finish",
        action="store_true",
        help="end the stage within --seconds: lower the learning rate to zero",
    )
    parser.add_argument("--steps", type=int, help="steps in all, instead of the stage's default")
    parser.add_argument("--batch", type=int, help="images a step")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument(
        "--shots", type=int, help="for 'refiner' and 'cars': of how many drawn shots"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--former",
        type=Path,
        help="for 'clip': a state folder whose text tower to begin with and stay close to",
    )
    parser.add_argument("--threads", type=int, help="CPU threads")
    return parser


def _with_options(config: Any, options: argparse.Namespace) -> Any:
    """`config` of a training stage with the command line's options in it."""
    loop = replace(config.loop, seed=options.seed)
    if options.steps is not None:
        loop = replace(loop, steps=options.steps)
    if options.batch is not None:
        loop = replace(loop, batch=options.batch)
    optimizer = config.optimizer
    if options.learning_rate is not None:
        optimizer = replace(optimizer, learning_rate=options.learning_rate)
    return replace(config, loop=loop, optimizer=optimizer)


def run_stage(stage: str, options: argparse.Namespace) -> None:
    """Run one stage on the folders that `options` names."""
    from packshot_pocket.pretrain.loop import Budget

    if stage in BESIDE:
        return _run_beside(stage, options)
    folder = options.state
    budget = Budget(options.seconds, options.finish, options.steps)
    if stage == "gather":
        from packshot_pocket.pretrain import data

        data.gather(options.data, folder)
    elif stage == "latents":
        from packshot_pocket.pretrain import latents, vae

        latents.encode_all(folder, vae.VaeConfig())
    elif stage == "export":
        from packshot_pocket.pretrain import export

        export.export(folder, options.out or folder / "pocket")
    else:
        _train(stage, options, budget)


def _train(stage: str, options: argparse.Namespace, budget: Any) -> None:
    from packshot_pocket.pretrain import (
        clip,
        identity,
        light,
        mask_refiner,
        segmenter,
        shot_segmenter,
        trigger_words,
        unet,
        vae,
    )

    folder = options.state
    if stage == "clip":
        config = _with_options(clip.ClipConfig(), options)
        clip.train_clip(folder, config, budget, former=options.former)
    elif stage == "names":
        config = _with_options(trigger_words.NamesConfig(), options)
        trigger_words.train_names(folder, config, clip.ClipConfig(), budget)
    elif stage == "vae":
        vae.train_vae(folder, _with_options(vae.VaeConfig(), options), budget)
    elif stage == "unet":
        config = _with_options(unet.UnetConfig(), options)
        unet.train_unet(folder, config, vae.VaeConfig(), clip.ClipConfig(), budget)
    elif stage == "segmenter":
        config = _with_options(segmenter.SegmenterConfig(), options)
        segmenter.train_segmenter(folder, config, budget)
    elif stage == "shots":
        config = _with_options(shot_segmenter.ShotSegmenterConfig(), options)
        shot_segmenter.train_shot_segmenter(folder, config, budget)
    elif stage == "refiner":
        config = _with_options(mask_refiner.MaskRefinerConfig(), options)
        config = replace(config, shots=options.shots or config.shots)
        mask_refiner.train_mask_refiner(folder, config, budget)
    elif stage == "cars":
        config = _with_options(mask_refiner.of_cars(), options)
        config = replace(config, shots=options.shots or config.shots)
        mask_refiner.train_car_refiner(folder, config, budget)
    elif stage == "identity":
        config = _with_options(identity.IdentityConfig(), options)
        identity.gather_renders(folder, options.data)
        identity.train_identity(folder, config, budget)
    else:
        config = _with_options(light.LightConfig(), options)
        light.train_light(folder, options.backgrounds, config, budget)


def _run_beside(stage: str, options: argparse.Namespace) -> None:
    from packshot_pocket.pretrain import begin, clip, gpu_pack, unet, vae

    if stage == "begin":
        if options.model is None:
            raise PackshotError("'begin' needs --model, the folder of an exported base.")
        return begin.begin(options.model, options.state)
    out = options.out or options.state / "pack"
    if stage == "unpack":
        return gpu_pack.join_parts(out, options.state)
    configs = (_with_options(unet.UnetConfig(), options), clip.ClipConfig(), vae.VaeConfig())
    return gpu_pack.write_pack(options.state, out, *configs, with_weights=options.with_weights)


def main() -> int:
    """Run the stage or stages that the command line names; the exit status."""
    import torch
    from diffusers.utils import logging

    # diffusers warns, wrongly, at each cast to bf16 of a model that has nothing to keep in fp32.
    logging.set_verbosity_error()
    options = _parser().parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    try:
        for stage in STAGES if options.stage == "all" else (options.stage,):
            run_stage(stage, options)
    except PackshotError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
