"""Checkpoints of the Hugging Face hub: the files that would be loaded, and no others, are fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from packshot.bases.checkpoint import COMPONENTS, family_named, weights_among
from packshot.bases.headers import read_config
from packshot.errors import CheckpointRefused

_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?")
_SMALL = re.compile(r"(scheduler|tokenizer(_\d)?|[a-z_0-9]+)/[^/]*\.(json|txt|model|jinja)")


def is_hub_id(text: str) -> bool:
    """Whether something that is no path reads as OWNER/NAME, perhaps with @REVISION."""
    return bool(_ID.fullmatch(text)) and not text.lower().endswith(
        (".safetensors", ".ckpt", ".gguf")
    )


def fetched(text: str) -> Path:
    """The folder of a hub's checkpoint, what is missing of it downloaded into the hub's cache.

    Only model_index.json, configurations, tokenizers and the safetensors that `judge` chooses are
    asked for: no pickles, no code. Without a network what lies in the cache is used.

    Raises:
        CheckpointRefused: there is no such checkpoint, it is gated, of a family that is not known,
            without safetensors; or there is no network and it is not in the cache.
    """
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download

    found = _ID.fullmatch(text)
    if not found:
        raise CheckpointRefused(f"{text} is no hub id; write OWNER/NAME, or OWNER/NAME@REVISION.")
    repo, revision = found.groups()
    with _explained(repo):
        try:
            index = hf_hub_download(repo, "model_index.json", revision=revision)
            names = HfApi().list_repo_files(repo, revision=revision)
        except Exception as error:
            if not _unreachable(error):
                raise
            index = hf_hub_download(
                repo, "model_index.json", revision=revision, local_files_only=True
            )
            return Path(index).parent
        family = family_named(Path(index).parent, str(read_config(Path(index)).get("_class_name")))
        chosen = [name for name in names if _SMALL.fullmatch(name)]
        for component in COMPONENTS[family]:
            files = sorted(n.split("/")[1] for n in names if re.fullmatch(f"{component}/[^/]+", n))
            chosen += [
                f"{component}/{name}" for name in weights_among(f"{repo}/{component}", files)
            ]
        return Path(
            snapshot_download(repo, revision=revision, allow_patterns=["model_index.json", *chosen])
        )


def _unreachable(error: Exception) -> bool:
    """Whether a hub's error means that it could not be asked at all."""
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    names = {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, LocalEntryNotFoundError | OfflineModeIsEnabled) or bool(
        names & {"ConnectError", "ConnectTimeout", "ReadTimeout", "NetworkError", "ConnectionError"}
    )


@contextmanager
def _explained(repo: str) -> Iterator[None]:
    """The hub's errors in words that a user can act on."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except GatedRepoError as error:
        raise CheckpointRefused(
            f"{repo} is gated: accept its terms at https://huggingface.co/{repo}, then log in with "
            "'hf auth login'."
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise CheckpointRefused(
            f"There is neither a file nor a hub checkpoint {repo} (or it is private: 'hf auth login')."
        ) from error
    except LocalEntryNotFoundError as error:
        raise CheckpointRefused(
            f"{repo} is not in the hub's cache, and the hub cannot be reached. Connect, or name a "
            "folder or file that is here."
        ) from error
    except HfHubHTTPError as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointRefused(
            f"{repo} could not be fetched ({reason}). Try again: what is here already stays."
        ) from error
