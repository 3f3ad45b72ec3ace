"""The process of one job: `python -m packshot.studio.job_process FOLDER` runs the command in job.json."""

from __future__ import annotations

import os
import runpy
import sys
import time
from pathlib import Path

import psutil

from packshot.utils import files


def main(folder: Path) -> None:
    """Run the command of a job's folder once, and write how it ended."""
    job = files.read_json(folder / "job.json")
    try:
        # Whoever makes it does the job: two studios that start it leave one process.
        with (folder / "run.json").open("x") as file:
            me = psutil.Process()
            told = {"pid": me.pid, "started": me.create_time(), "at": time.time()}
            file.write(files.as_json(told))
    except FileExistsError:
        return
    os.environ["PACKSHOT_PROGRESS_FILE"] = str(folder / "progress.json")
    code = _code_of([str(one) for one in job["arguments"]])
    files.write_json(folder / "end.json", {"code": code, "at": time.time()})


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
