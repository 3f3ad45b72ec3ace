"""Events as lines of a log."""

import json
from pathlib import Path

import pytest

from packshot.training.events import (
    CachingLatents,
    CompileFailed,
    Done,
    Resumed,
    Sample,
    StateSaved,
    Step,
    Stopped,
    WentOn,
    as_record,
    log_of,
    read_events,
    rewind_log,
)
from packshot.utils import files

RUN = Path("/project/runs/1")


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (CachingLatents(1, 2), {"kind": "caching_latents", "done": 1, "total": 2}),
        (Resumed(3, "damaged"), {"kind": "resumed", "step": 3, "note": "damaged"}),
        (CompileFailed(0, "why"), {"kind": "compile_failed", "step": 0, "reason": "why"}),
        (
            Step(1, 9, 0.5, None, 0.25, 1e-4, 2.0),
            {
                "kind": "step", "step": 1, "steps": 9, "loss": 0.5, "instance_loss": None,
                "class_loss": 0.25, "learning_rate": 1e-4, "seconds": 2.0,
            },
        ),
        (
            Sample(2, ("a", "è"), (RUN / "samples" / "a.png", Path("/elsewhere/b.png"))),
            {
                "kind": "sample", "step": 2, "prompts": ["a", "è"],
                "files": ["samples/a.png", "b.png"],
            },
        ),
        (StateSaved(4, RUN / "x"), {"kind": "state_saved", "step": 4, "folder": "x"}),
        (Stopped(4), {"kind": "stopped", "step": 4}),
        (
            Done(9, 1.5, 7, Path("/project/lora/a"), RUN / "b", ("0", "1")),
            {
                "kind": "done", "step": 9, "seconds": 1.5, "peak_bytes": 7,
                "lora_file": "a", "diffusers_lora_file": "b", "lora_sha256": ["0", "1"],
            },
        ),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_record_is_plain_and_its_paths_move_with_the_run(event, expected):
    record = as_record(event, RUN)
    assert record == expected and json.loads(json.dumps(record)) == expected


def test_a_folder_that_merely_begins_alike_is_not_inside():
    assert as_record(StateSaved(1, Path("/project/runs/10/x/y")), RUN)["folder"] == "y"


def test_rewinding_drops_what_will_be_repeated_but_not_that_the_run_was_told_to_go_on(tmp_path):
    told = [Step(step, 9, 0.5, None, None, 1e-4, 1.0) for step in (1, 2, 3)]
    files.write_json_lines(
        log_of(tmp_path), [as_record(one, tmp_path) for one in (*told, WentOn(3))]
    )
    rewind_log(tmp_path, 2)
    assert read_events(tmp_path) == [*told[:2], WentOn(3)]
