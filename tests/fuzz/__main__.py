"""Fuzz, and print the figures as a table; the exit code tells whether there were faults."""

from __future__ import annotations

import argparse
import sys

from tests.fuzz.targets import TARGETS
from tests.fuzz.verdict import Figures, fuzz


def row(kind: str, figures: Figures) -> str:
    """A row of the table in SECURITY.md."""
    return (
        f"| {kind} | {figures.cases:,} | {figures.refused:,} | {sum(figures.faults.values())} "
        f"| {figures.slowest:.1f} s | {figures.most_bytes / 1e6:.0f} MB |"
    )


def main() -> None:
    """See the package."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("kinds", nargs="*", choices=[[], *TARGETS], metavar="KIND")
    parser.add_argument("--minutes", type=float, default=30, help="of each kind")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--cases", type=int, help="no more than these")
    asked = parser.parse_args()
    faulty = False
    print(
        "| input | cases | refused whole | faults | slowest | memory |\n|---|---|---|---|---|---|"
    )
    for kind in asked.kinds or TARGETS:
        figures = fuzz(kind, asked.minutes, asked.first, asked.cases)
        print(row(kind, figures), flush=True)
        for fault, count in figures.faults.most_common():
            print(f"  {count} x {fault}, first in case {figures.first[fault]}", file=sys.stderr)
        faulty |= bool(figures.faults)
    sys.exit(faulty)


if __name__ == "__main__":
    main()
