"""Networks of the transformers library: validated weights in its classes, without its loaders.

`from_pretrained(FOLDER)` would follow a shard index to files that were not validated, load adapters
in the folder, and leave missing weights random. Here the weights are chosen, read as safetensors, and
passed to it; it only renames them. Code from a repository is never run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from packshot.errors import ModelLoadError
from packshot.utils import reading
from packshot.weights.loading import refusing
from packshot.weights.safetensors_file import read_config, read_safetensors
from packshot.weights.shards import weight_names

LOCAL = {"local_files_only": True, "trust_remote_code": False}
"""How tokenizers and image processors are read from a folder."""


def kind_of_network(folder: Path, networks: Mapping[str, str]) -> str:
    """The `model_type` in a folder's config.json.

    Raises:
        ModelLoadError: none of `networks`.
    """
    kind = str(read_config(folder / "config.json").get("model_type"))
    if kind not in networks:
        raise ModelLoadError(
            f"{folder} is of the kind {kind!r}, not {' or '.join(map(repr, networks))}."
        )
    return kind


def load_network(
    folder: Path, networks: Mapping[str, str], dtype: torch.dtype, **options: Any
) -> Any:
    """The network of a folder as transformers saves it, on the CPU.

    Args:
        networks: the class for each `model_type` of config.json.
        options: of the class.

    Raises:
        ModelLoadError: another model, incomplete, or a pickle.
    """
    import transformers

    kind, tensors = kind_of_network(folder, networks), _weights(folder)
    with refusing(folder), quiet():
        # Not from the folder itself, whose configuration may choose code: what is read is reduced.
        config = transformers.CONFIG_MAPPING[kind].from_dict(read_config(folder / "config.json"))
        network_class = getattr(transformers, networks[kind])
        network, loaded = network_class.from_pretrained(
            None,
            config=config,
            state_dict=tensors,
            dtype=dtype,
            output_loading_info=True,
            **options,
        )
    _refuse_random(folder, loaded)
    return network.eval()


def _weights(folder: Path) -> dict[str, Tensor]:
    names = [file.name for file in folder.iterdir() if file.is_file()]
    tensors: dict[str, Tensor] = {}
    for name in weight_names(str(folder), names):
        tensors |= read_safetensors(folder / name)[0]
    return tensors


def _refuse_random(folder: Path, loaded: Mapping[str, Any]) -> None:
    """Refuse a network with missing weights: they would be random."""
    lost = sorted(loaded["missing_keys"]) + sorted(str(one) for one in loaded["mismatched_keys"])
    if not lost:
        return
    own_code = (
        " It comes with code of its own, which Packshot never runs: look for a conversion to "
        "transformers' own classes (for Florence-2: florence-community/Florence-2-base)."
        if "auto_map" in (reading.read_json(folder / "config.json") or {})
        else " Copy it again, whole."
    )
    raise ModelLoadError(f"{folder} lacks {len(lost)} weights, such as {lost[0]}.{own_code}")


@contextmanager
def quiet() -> Iterator[None]:
    """Silences transformers' progress bars and warnings."""
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
