"""`ClassImage`: an entry of the project's list of class images."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class ClassImage(BaseModel):
    """An image of the class with its prompt, source and licence.

    Attributes:
        file: its path; in manifest.jsonl its name in the project's class_images folder.
        source: a URL, a file's path, or the base that generated it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    file: Path
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    prompt: str
    source: str
    author: str
    licence: str
    title: str = ""
    licence_url: str = ""
