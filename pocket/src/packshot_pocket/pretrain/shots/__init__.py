"""Drawn photographs of things, with exact masks of the one that is meant: for the segmenter."""
