"""Judging a checkpoint by its content before anything of it is loaded.

A pickle runs code when it is opened, whatever its name, so none ever is: the first bytes decide.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from packshot import files
from packshot.errors import CheckpointRefused, PackshotError

if TYPE_CHECKING:
    from torch import Tensor

POCKET = Path(__file__).parents[1] / "pocket" / "weights"
MAX_HEADER_BYTES = 100 * 2**20
COMPONENTS = {
    "sd1": ("unet", "vae", "text_encoder"),
    "sd2": ("unet", "vae", "text_encoder"),
    "sdxl": ("unet", "vae", "text_encoder", "text_encoder_2"),
    "sd3": ("transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3"),
    "flux1": ("transformer", "vae", "text_encoder", "text_encoder_2"),
    "flux2": ("transformer", "vae", "text_encoder"),
    "qwen_image": ("transformer", "vae", "text_encoder"),
    "z_image": ("transformer", "vae", "text_encoder"),
}
"""By family, all that are known."""
# A zip archive (torch.save), and pickle's protocols 1 to 5.
_PICKLES = (b"PK", *(bytes((0x80, protocol)) for protocol in range(1, 6)))
_CONVERT = (
    "Ask its author for a .safetensors, or convert it once on a machine that you can lose: "
    "StableDiffusionPipeline.from_single_file(FILE).save_pretrained(FOLDER)."
)
# Keys that only one family has, in single files.
_SIGNATURES = {
    "sdxl": "conditioner.embedders.1.",
    "Stable Diffusion 3 as a single file": "model.diffusion_model.joint_blocks.",
    "FLUX as a single file": "double_blocks.0.img_attn",
    "sd2": "cond_stage_model.model.transformer.",
    "sd1": "cond_stage_model.transformer.",
}
# How names of diffusers' pipelines begin, the longer ones first.
_PIPELINES = {
    "StableDiffusionXL": "sdxl",
    "StableDiffusion3": "sd3",
    "FluxPipeline": "flux1",
    "Flux2Klein": "flux2",
    "Flux": "FLUX",
    "QwenImagePipeline": "qwen_image",
    "ZImagePipeline": "z_image",
    "StableDiffusion": "sd1",
}
# Whole or in shards, full precision before half, as diffusers and transformers name them.
_WEIGHTS = (
    re.compile(r"(diffusion_pytorch_)?model\.safetensors"),
    re.compile(r"(diffusion_pytorch_)?model-\d+-of-\d+\.safetensors"),
    re.compile(r"(diffusion_pytorch_)?model\.fp16\.safetensors"),
    re.compile(r"(diffusion_pytorch_)?model(\.fp16-\d+-of-\d+|-\d+-of-\d+\.fp16)\.safetensors"),
)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that may be loaded: its family, its shape on disk, its weights and their hash.

    `weights` are the judged files by component ("" in a single file); no other may be loaded.
    """

    path: Path
    family: str
    layout: Literal["folder", "single file"]
    weights: dict[str, list[Path]]
    content_hash: str
    schedule_hints: dict[str, Any] = field(default_factory=dict)
    """What a single file says of its target and betas, over its family's configuration."""

    @property
    def components(self) -> tuple[str, ...]:
        """The names of its networks."""
        return COMPONENTS[self.family]

    @property
    def name(self) -> str:
        """What to call it: the file's or folder's name; the bundled one lies in `pocket/weights`."""
        if self.path == POCKET:
            return "pocket"
        return self.path.stem if self.layout == "single file" else self.path.name


def judge(path: Path) -> Checkpoint:
    """Decide what `path` is; nothing is loaded.

    Raises:
        CheckpointRefused: not there, a pickle, damaged, or of a family that is not known.
    """
    if not path.exists():
        raise CheckpointRefused(
            f'There is no checkpoint at {path}. Name a diffusers folder, a .safetensors file, or "pocket".'
        )
    if path.is_dir():
        family = _folder_family(path)
        weights = {name: _component_weights(path / name) for name in COMPONENTS[family]}
        return Checkpoint(path, family, "folder", weights, _content_hash(path, weights))
    keys = check_safetensors(path)
    family = _single_file_family(path, keys)
    content_hash = _content_hash(path, {"": [path]})
    hints = _schedule_hints(path, family, keys)
    return Checkpoint(path, family, "single file", {"": [path]}, content_hash, hints)


def _folder_family(path: Path) -> str:
    if not (path / "model_index.json").is_file():
        raise CheckpointRefused(
            f"{path} is no checkpoint: it has no model_index.json. Name the folder that a diffusers "
            "pipeline was saved to, or a single .safetensors file."
        )
    name = str(read_config(path / "model_index.json").get("_class_name"))
    family = next((found for start, found in _PIPELINES.items() if name.startswith(start)), name)
    if family not in COMPONENTS:
        raise _unknown(path, family)
    if "unet" not in COMPONENTS[family]:
        return family
    unet = read_config(path / "unet" / "config.json")
    if family == "sd1" and unet.get("cross_attention_dim") == 1024:
        family = "sd2"
    latent_channels = read_config(path / "vae" / "config.json").get("latent_channels", 4)
    if unet.get("in_channels", 4) != latent_channels:
        raise _unknown(path, f"a {name} whose UNet takes {unet['in_channels']} channels")
    return family


def _component_weights(folder: Path) -> list[Path]:
    names = sorted(file.name for file in folder.glob("*"))
    for pattern in _WEIGHTS:
        if chosen := [folder / name for name in names if pattern.fullmatch(name)]:
            for file in chosen:
                check_safetensors(file)
            return chosen
    pickles = [name for name in names if name.endswith((".bin", ".ckpt", ".pt", ".pth"))]
    why = (
        f"only {pickles[0]}, a pickle. {_CONVERT}" if pickles else "nothing. Copy it again, whole."
    )
    raise CheckpointRefused(f"{folder} has no .safetensors weights but {why}")


def _single_file_family(path: Path, keys: list[str]) -> str:
    for family, start in _SIGNATURES.items():
        if any(key.startswith(start) or f".{start}" in key for key in keys):
            if family in COMPONENTS:
                return family
            raise _unknown(path, family)
    raise _unknown(path, f"something with keys such as '{keys[0] if keys else ''}'")


def _schedule_hints(path: Path, family: str, keys: list[str]) -> dict[str, Any]:
    """What a single file's keys, its metadata or a .yaml beside it (as web UIs have it) tell."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        says = (file.metadata() or {}).get("modelspec.prediction_type", "")
    beside = path.with_suffix(".yaml")
    yaml = beside.read_text(encoding="utf-8", errors="replace") if beside.is_file() else ""
    parameterization = re.search(r"""parameterization:\s*["']?(v|eps)""", yaml)
    velocity = says == "v" or "v_pred" in keys
    if parameterization:
        velocity = parameterization[1] == "v"
    elif family == "sd2" and not says:
        velocity = True  # 2.1 at 768 px, what most are made from
    hints: dict[str, Any] = {"prediction_type": "v_prediction" if velocity else "epsilon"}
    if "ztsnr" in keys:
        hints["rescale_betas_zero_snr"] = True
    return hints


def _unknown(path: Path, found: str) -> CheckpointRefused:
    return CheckpointRefused(
        f"{path} is {found or 'of an unknown kind'}; Packshot knows Stable Diffusion 1.x, 2.x and SDXL, "
        "and as diffusers folders also Stable Diffusion 3.x, FLUX.1, FLUX.2 klein, Qwen-Image and Z-Image."
    )


def read_config(path: Path) -> dict[str, Any]:
    """A JSON object of a checkpoint's folder.

    Raises:
        CheckpointRefused: it is missing or not a JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointRefused(
            f"{path} cannot be read ({error}); copy the checkpoint again."
        ) from error
    if not isinstance(value, dict):
        raise CheckpointRefused(f"{path} is not a JSON object; copy the checkpoint again.")
    return value


def check_safetensors(path: Path, refusal: type[PackshotError] = CheckpointRefused) -> list[str]:
    """The keys of a file that really is safetensors, whatever its name; only its header is read.

    Raises:
        PackshotError: (as `refusal`) a pickle, another kind of file, or damaged.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise refusal(f"There is no file {path}.")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(16)
    # The first eight bytes are the header's length, and may look like a pickle's by chance
    # (896 begins as protocol 3 does); a pickle's, read as a length, are far beyond any file.
    length = int.from_bytes(start[:8], "little")
    if start[8:9] != b"{" or length > MAX_HEADER_BYTES:
        if start[:2] in _PICKLES:
            raise refusal(
                f"{path} is a pickle, which can run code when it is opened; refused. {_CONVERT}"
            )
        if start[8:9] != b"{":
            raise refusal(f"{path} is not a .safetensors file, whatever its name.")
    if length > min(size - 8, MAX_HEADER_BYTES):
        raise refusal(
            f"{path} is cut short or damaged: its header does not fit in it. Copy it again."
        )
    try:
        with safe_open(path, framework="pt") as tensors:
            return list(tensors.keys())
    except (SafetensorError, ValueError) as error:
        raise refusal(f"{path} is cut short or damaged ({error}). Copy it again.") from error


def read_safetensors(
    path: Path, refusal: type[PackshotError] = CheckpointRefused
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a safetensors file, and its metadata.

    Raises:
        PackshotError: (as `refusal`) as `check_safetensors`.
    """
    from safetensors import safe_open

    keys = check_safetensors(path, refusal)
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in keys}, dict(file.metadata() or {})


def _content_hash(path: Path, weights: dict[str, list[Path]]) -> str:
    """Hash of the weights' and configurations' hashes.

    Remembered by names, sizes and times, for hashing takes seconds.
    """
    chosen = [file for component in weights.values() for file in component]
    if path.is_dir():
        folders = (path / name for name in (*weights, "scheduler"))
        chosen += sorted(file for folder in folders for file in folder.glob("*config.json"))
    stamps = [
        [str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in chosen
    ]
    remembered = files.cache_folder() / "hashes" / files.fingerprint(stamps)
    if remembered.is_file():
        return remembered.read_text()
    root = path if path.is_dir() else path.parent
    value = files.fingerprint(
        [[str(file.relative_to(root)), files.sha256(file)] for file in chosen]
    )
    files.write_text(remembered, value)
    return value
