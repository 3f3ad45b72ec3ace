"""A warm process that makes previews of insertions: PyTorch is loaded in it, not in the server.

It reads requests from stdin, a JSON line each, and answers each with a JSON line; see `previews.py`.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
import tempfile
import threading
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from packshot.errors import PackshotError, reason_of
from packshot.utils import serialization

IDLE_SECONDS = 600.0
"""After so long without a request it ends, and lets go of its memory."""


def main() -> None:
    """Answer requests until stdin ends, or none has come for a while."""
    import torch

    torch.set_num_threads(1)  # small pictures: more would wait for each other
    answers, sys.stdout = sys.stdout, sys.stderr  # a library's word is no answer
    with tempfile.TemporaryDirectory(prefix="packshot-previews-") as folder:
        import packshot.insertion.preview  # noqa: F401 - warm before the first request

        while line := _next_line(folder):
            answers.write(serialization.as_json(_answer(json.loads(line), Path(folder))) + "\n")
            answers.flush()


def _next_line(folder: str) -> str:
    idle = threading.Timer(IDLE_SECONDS, _end, [folder])
    idle.daemon = True
    idle.start()
    try:
        return sys.stdin.readline()
    finally:
        idle.cancel()


def _end(folder: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def _answer(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The picture with what it was made of, or `fault`: why there is none."""
    from packshot.insertion.request import PlacementRequest
    from packshot.insertion.settings import InsertionSettings

    try:
        mask = request["mask"] and Path(request["mask"])
        place = PlacementRequest(box=request["box"] or None, mask=mask or None)
        settings = InsertionSettings.model_validate(request["settings"])
        previewer = _previewer(Path(request["project"]), folder)
        made = previewer.preview(Path(request["background"]), place, settings)
    except PackshotError as error:
        return {"fault": str(error)}
    except Exception as error:  # nothing that one picture does may end the process
        return {"fault": reason_of(error)}
    return {
        "picture": base64.b64encode(serialization.image_bytes(".jpg", made.image, quality=88)).decode(),
        "photo": made.photo, "light": asdict(made.light), "horizon": made.horizon,
        "box": asdict(made.box), "notes": made.notes,
    }  # fmt: skip


@cache
def _previewer(project: Path, folder: Path) -> Any:
    from packshot.insertion.preview import Previewer
    from packshot.project import open_project

    return Previewer(open_project(project), folder)


if __name__ == "__main__":
    main()
