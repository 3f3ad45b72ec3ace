"""A state folder from an exported base, or a mask-mending network: training goes on where its state is gone.

Moments of the optimizers are not exported: they begin anew; a base's with a warm-up.
"""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load
from torch import Tensor

from packshot.errors import PackshotError
from packshot_pocket.pretrain import state
from packshot_pocket.pretrain.mask_refiner import MaskRefinerConfig
from packshot_pocket.pretrain.unet import UnetConfig

_TEXT_TOWER = "text_model."
PARTS = {
    "vae": "vae/diffusion_pytorch_model.safetensors",
    "unet": "unet/diffusion_pytorch_model.safetensors",
    "clip": "clip/model.safetensors",
    "names": "text_encoder/model.safetensors",
}
REFINER = "refiner.safetensors"
"""The network that mends masks, in the folder of a segmenter's weights."""


def begin(model: Path, folder: Path) -> None:
    """Write the weights in `model`, a folder of `export`, into `folder` as checkpoints of step 0.

    Where it is a segmenter's, its network that mends masks, as of the step from which on that sees
    products at their full size.

    Raises:
        PackshotError: `folder` has a checkpoint of one of the stages, or `model` lacks a part.
    """
    if (model / REFINER).is_file():
        _refuse_begun(folder, "mask_refiner")
        config = MaskRefinerConfig()
        weights = _weights(model / REFINER)
        save_weights(folder, "mask_refiner", weights, config.loop.steps, config.sides[-1][0])
        return
    for stage, name in PARTS.items():
        _refuse_begun(folder, stage)
        if not (model / name).is_file():
            raise PackshotError(f"{model} has no {name}; name the folder of a bundled base.")
    # The file of `clip/` has everything but the text tower, which has a file of its own.
    tower = _weights(model / PARTS["names"])
    for stage in PARTS:
        weights = _weights(model / PARTS[stage])
        if stage == "names":
            weights = {n.removeprefix(_TEXT_TOWER): w for n, w in tower.items()}
        elif stage == "clip":
            weights |= tower
        save_weights(folder, stage, weights, UnetConfig().loop.steps if stage == "unet" else 0)


def _refuse_begun(folder: Path, stage: str) -> None:
    if state.load(folder, stage) is not None:
        raise PackshotError(f"{folder} has a checkpoint of '{stage}'; name another --state.")


def _weights(path: Path) -> dict[str, Tensor]:
    """The weights of a file in fp32 (what counts stays as it is)."""
    return {
        name: value.float() if value.is_floating_point() else value
        for name, value in load(path.read_bytes()).items()
    }


def save_weights(
    folder: Path, stage: str, weights: dict[str, Tensor], steps: int = 0, step: int = 0
) -> None:
    """Write `weights` as a checkpoint of `stage` at `step` of `steps`: it or the next stage goes on there.

    The average of weights begins with them.
    """
    tensors = {f"master/{name}": value for name, value in weights.items()}
    tensors |= {f"average/{name}": value for name, value in weights.items()}
    at = {"step": step, "steps": steps, "decay_from": steps, "seconds": 0.0}
    state.save(folder, stage, tensors, {"at": at, "report": {}})
