"""The weights of the base that Packshot calls "pocket": a diffusers folder, found by an entry point."""

from pathlib import Path

FOLDER = Path(__file__).parent
"""What `--base pocket` stands for."""
