"""The process of one job: `python -m packshot.studio.job_process FOLDER` runs the command in job.json."""

from __future__ import annotations

import os
import runpy
import signal
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import psutil

from packshot.studio import machine
from packshot.studio.process_marks import mark_of
from packshot.utils import files, reading, serialization

MACHINE = "machine"
"""What a job is doing while another studio's computes: it waits for the machine."""


def main(folder: Path) -> None:
    """Run the command of a job's folder once, and write how it ended."""
    job = reading.read_json(folder / "job.json")
    # A studio in the background (`packshot studio &`) ignores Ctrl-C, and so would its jobs: by it they stop.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        # Whoever makes it does the job: two studios that start it leave one process.
        with (folder / "run.json").open("x") as file:
            mark = mark_of(psutil.Process())
            file.write(serialization.as_json(mark | {"at": time.time()}))
    except FileExistsError:
        return
    progress = folder / "progress.json"
    os.environ["PACKSHOT_PROGRESS_FILE"] = str(progress)
    try:
        if (folder / "stop.json").exists():  # of before anybody could be told to stop
            raise KeyboardInterrupt
        with _machine(job, progress):
            code = _code_of([str(one) for one in job["arguments"]])
    except KeyboardInterrupt:  # before it began, or while it waited
        code = 130
    files.write_json(folder / "end.json", {"code": code, "at": time.time()})


def _machine(job: dict[str, Any], progress: Path) -> AbstractContextManager[None]:
    """The machine for a heavy job; nothing for others."""
    if not job["heavy"]:
        return nullcontext()

    def waits(other: str) -> None:
        files.write_json(progress, {"what": MACHINE, "note": other})

    return machine.held(str(job.get("name", "")), waits)


def _code_of(arguments: list[str]) -> int:
    """Run the command line, as `python -m packshot` does; its exit code."""
    sys.argv = ["packshot", *arguments]
    try:
        runpy.run_module("packshot", run_name="__main__")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    main(Path(sys.argv[1]))
