"""Fuzzing: damaged and hostile inputs, drawn at random, against all that reads what others wrote.

    python -m tests.fuzz [pictures archives ...] [--minutes 30] [--first 0] [--keep FOLDER]

What counts is in `verdict`; SECURITY.md holds the figures of the last long run.
"""
