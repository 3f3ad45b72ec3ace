"""Generating images from prompts, and scoring their likeness and prompt fidelity."""
