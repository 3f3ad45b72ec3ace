"""The benchmark's results as Markdown: a table for each kind of part, made of the JSON alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Told = dict[str, Any]
_TITLES = {"sd1": "Stable Diffusion 1.5", "sdxl": "SDXL", "flux1": "FLUX.1"}


def as_markdown(told: Told) -> str:
    """All tables, and at the end what was not measured, with the reasons."""
    made, parts = told["made"], told["parts"]
    versions = ", ".join(f"{name} {value or 'none'}" for name, value in made["versions"].items())
    lines = [
        f"# {made['device']}, size {made['size']}",
        "",
        f"Random weights, {made['dtype']}, seed {made['seed']}. {versions}, CUDA {made['cuda']}.",
    ]
    done = {name: part["result"] for name, part in parts.items() if part["status"] == "done"}
    for title, columns, rows_of, endings in _TABLES:
        rows = [
            row
            for name, result in done.items()
            if name.split(" ", 1)[1] in endings
            for row in rows_of(_called(name), result)
        ]
        if rows:
            lines += ["", f"## {title}", "", *_table(columns, rows)]
    missing = [
        (_called(name), part["status"], part["note"])
        for name, part in parts.items()
        if part["status"] != "done"
    ]
    if missing:
        lines += ["", "## Not measured", "", *_table(("part", "", "why"), missing)]
    return "\n".join(lines) + "\n"


def _called(name: str) -> str:
    family, rest = name.split(" ", 1)
    return f"{_TITLES[family]}, {rest}"


def _table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> list[str]:
    heads = list(columns)
    cells = [[str(cell).replace("|", "/").replace("\n", " ") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *cells)]


def _steps(name: str, found: Told) -> list[tuple[object, ...]]:
    what = (name, found["batch"], f"{found['pixels']} px")
    if "note" in found:
        return [(*what, found["note"], "", "", "", "")]
    ratio = f"{found['plain_over_packshot']:.2f} ({found['least']:.2f} to {found['most']:.2f})"
    peaks = (_gigabytes(found["peak"][way]["reserved_bytes"]) for way in ("packshot", "plain"))
    return [(*what, _ms(found["packshot_seconds"]), _ms(found["plain_seconds"]), ratio, *peaks)]


def _shares(name: str, found: Told) -> list[tuple[object, ...]]:
    if "note" in found:
        return [(name, found["note"], *[""] * 8)]
    parts = (_percent(found["shares"][part]) for part in _PARTS)
    peak = found["share_of_peak"]
    return [
        (
            name + ", checkpointing" * found["checkpointing"], _ms(found["seconds"]), *parts,
            _percent(found["text_if_not_cached"]), _percent(found["pixels_if_not_cached"]),
            f"{found['flops_per_second'] / 1e12:.3g}", "not stated" if peak is None else _percent(peak),
        )
    ]  # fmt: skip


def _memory(name: str, found: Told) -> list[tuple[object, ...]]:
    return [
        (
            name if way == "plain" else f"{name}, {way}", _gigabytes(row["predicted_by_shapes"]),
            _gigabytes(row["predicted_by_trial"]), *_peaks(row),
        )
        for way, row in found["rows"].items()
    ]  # fmt: skip


def _pictures(name: str, found: Told) -> list[tuple[object, ...]]:
    of_four = found.get("shot_seconds_of_four")
    return [
        (
            name, f"{found['pixels']} px", _ms(found["encode_seconds"]), _ms(found["decode_seconds"]),
            found["steps"], f"{found['shot_seconds']:.2f} s", f"{of_four:.2f} s" if of_four else "–",
        )
    ]  # fmt: skip


def _ways(name: str, found: Told) -> list[tuple[object, ...]]:
    if "note" in found:
        return [(name, found["note"], _gigabytes(found["predicted_by_shapes"]), "", "", "")]
    finite = "finite" if found["losses_are_finite"] else "not finite"
    said = _gigabytes(found["predicted_by_shapes"])
    return [(name, _ms(found["seconds"]), said, *_peaks(found), finite)]


def _resume(name: str, found: Told) -> list[tuple[object, ...]]:
    return [
        (
            f"{name}, {way}", "identical" if same else "differs",
            f"{found['largest_difference'][way]:.2g}",
        )
        for way, same in found["identical"].items()
    ]  # fmt: skip


def _path(name: str, found: Told) -> list[tuple[object, ...]]:
    results = {key: value for key, value in found.items() if key != "seconds"}
    return [
        *((f"{name}: {step}", f"{seconds:.2f} s") for step, seconds in found["seconds"].items()),
        *((f"{name}: {key.replace('_', ' ')}", value) for key, value in results.items()),
    ]


def _peaks(found: Told) -> tuple[str, str]:
    if "note" in found:
        return found["note"], ""
    peak = found["peak"]
    return _gigabytes(peak["allocated_bytes"]), _gigabytes(peak["reserved_bytes"])


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.4g} ms"


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _gigabytes(size: int | None) -> str:
    return "–" if size is None else f"{size / 1e9:.2f} GB"


_PARTS = ("data", "forward", "backward", "optimizer")
_Rows = Callable[[str, Told], list[tuple[object, ...]]]
_TABLES: tuple[tuple[str, tuple[str, ...], _Rows, tuple[str, ...]], ...] = (
    (
        "A training step, beside diffusers + peft in the same run",
        ("base", "batch", "size", "Packshot", "plain", "plain / Packshot", "reserved", "reserved, plain"),
        _steps, ("steps", "steps, checkpointing"),
    ),
    (
        "What a step consists of",
        ("base", "step", *_PARTS, "text, if not cached", "pixels, if not cached", "TFLOP/s", "of the peak"),
        _shares, ("shares",),
    ),
    (
        "Memory of a step on one image",
        ("base", "predicted by shapes", "predicted by a trial", "allocated", "reserved"),
        _memory, ("memory",),
    ),
    (
        "Other ways of storing the base, one image",
        ("base", "step", "predicted by shapes", "allocated", "reserved", "loss"),
        _ways, ("int8", "nf4", "offload"),
    ),
    (
        "Pictures",
        ("base", "size", "encode", "decode", "steps", "a shot", "a shot of four"),
        _pictures, ("pictures",),
    ),
    (
        "Runs of 6 steps beside one that was not interrupted",
        ("run", "LoRA", "largest difference"), _resume, ("resume",),
    ),
    ("The whole path", ("step", "took, or gave"), _path, ("whole path",)),
)  # fmt: skip
