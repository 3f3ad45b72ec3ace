"""A catalogue: what `packshot catalog` has made of a table, the worst first, and what is decided of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from starlette.responses import FileResponse, Response

from packshot.catalog.outcome import log_of, thumbnail_of
from packshot.catalog.rows import (
    GROUPS,
    RESULTS,
    Group,
    Row,
    as_csv,
    group_of,
    is_approved,
    is_due,
    rank,
)
from packshot.catalog.verdicts import (
    WHOLE,
    Verdict,
    give_verdict,
    longer_than,
    read_verdict,
    read_verdicts,
    seconds_of,
)
from packshot.errors import PackshotError
from packshot.studio.catalogues import rows_in
from packshot.studio.pages import Visit, view
from packshot.studio.texts import Texts
from packshot.studio.thumbnails import WIDTHS, thumbnail
from packshot.studio.workspace import UnknownProjectError
from packshot.utils import hashing, reading
from packshot.utils.durations import in_words

SHOWN = 60
"""Products at a time: a catalogue may have a hundred thousand."""
_LOG_BYTES = 200_000
_CHANGED = "catalogue-changed"


@dataclass(frozen=True)
class Card:
    """What the page shows of a product."""

    row: Row
    verdict: Verdict
    group: Group
    picture: str
    """What tells its picture from a later one; empty if there is none."""
    project: str
    """The id of its project; empty if there is none."""

    @property
    def is_approved(self) -> bool:
        return is_approved(self.row, self.verdict)

    @property
    def is_due(self) -> bool:
        return is_due(self.row, self.verdict)

    @property
    def checks(self) -> list[tuple[str, str]]:
        """Of the checks that did not hold: the insertion, and the check's name as a key."""
        told = (check.rpartition(": ") for check in self.row.failed_checks)
        return [(file, name.replace(" ", "_")) for file, _, name in told]


@dataclass(frozen=True)
class Overview:
    """A catalogue in the list of projects; `fault` is set if its results cannot be read."""

    id: str
    name: str
    products: int = 0
    to_look_at: int = 0
    cover: str = ""
    fault: str = ""


@view("/c/{catalogue}")
def show(visit: Visit) -> Response:
    """The page: `?show=` one of `GROUPS`."""
    return visit.page("catalogue.html", name=_folder(visit).name, show=_group(visit), at=_at(visit))


@view("/c/{catalogue}/list")
def listed(visit: Visit) -> Response:
    """The products of a group, the worst first; `?shown=` so many."""
    folder, show = _folder(visit), _group(visit)
    visit.studio.watch.look(visit.request.path_params["catalogue"], folder)
    rows, verdicts = rows_in(folder), read_verdicts(folder)
    groups = {row.id: group_of(row, _of(verdicts, row)) for row in rows}
    found = sorted(
        (row for row in rows if groups[row.id] == show),
        key=lambda row: rank(row, _of(verdicts, row)),
    )
    shown = _shown(visit.value("shown", ""))
    told = datetime.fromtimestamp((folder / RESULTS).stat().st_mtime)
    return visit.page(
        "_catalogue.html", at=_at(visit), show=show, groups=GROUPS,
        counts={group: list(groups.values()).count(group) for group in GROUPS},
        cards=[_card(visit, folder, row, _of(verdicts, row)) for row in found[:shown]],
        left=max(0, len(found) - shown), shown=shown, step=SHOWN, all=len(rows),
        made=sum(row.state == "done" for row in rows), making=sum(row.state == "making" for row in rows),
        as_of=told.strftime("%Y-%m-%d, %H:%M"),
        times=partial(_times, visit.t), in_words=partial(_in_words, visit.t),
    )  # fmt: skip


@view("/c/{catalogue}/verdict", "POST")
def decide(visit: Visit) -> Response:
    """Approve a product, have it made again with more time, set it aside, or take that back."""
    folder = _folder(visit)
    row, what = _row(visit, folder, visit.value("product")), visit.value("what")
    if visit.value("mark", "") != row.mark:
        raise PackshotError(visit.t("catalogue.changed", name=row.name or row.id))
    before = read_verdict(folder, row.id)
    if (decided := _DECISIONS.get(what)) is None:
        raise PackshotError(visit.t("catalogue.no_decision"))
    verdict = decided(row, before, visit.value("time", ""))
    if verdict is None:
        raise PackshotError(visit.t("catalogue.no_decision"))
    give_verdict(folder, row.id, verdict)
    undo = visit.studio.undo.add(
        partial(give_verdict, folder, row.id, before),
        partial(read_verdict, folder, row.id),
        _CHANGED,
    )
    return visit.notice(
        f"catalogue.decided.{what}", undo=undo, then=_CHANGED, name=row.name or row.id,
        time=_in_words(visit.t, verdict.time_budget) if what == "again" else "",
    )  # fmt: skip


@view("/c/{catalogue}/pictures/{product}")
def picture(visit: Visit) -> Response:
    """The small picture of a product."""
    folder = _folder(visit)
    file = thumbnail_of(folder, _row(visit, folder, visit.request.path_params["product"]).id)
    if not file.is_file():
        return Response(status_code=404)
    small = thumbnail(file, WIDTHS[2])
    return FileResponse(
        small, media_type="image/webp", headers={"Cache-Control": "private, no-cache"}
    )


@view("/c/{catalogue}/logs/{product}")
def log(visit: Visit) -> Response:
    """What was said while a product was made."""
    folder = _folder(visit)
    row = _row(visit, folder, visit.request.path_params["product"])
    said = reading.read_end(log_of(folder, row.id), _LOG_BYTES)
    return visit.page("log.html", title=row.name or row.id, log=said)


@view("/c/{catalogue}/results.csv")
def table(visit: Visit) -> Response:
    """All products with what was decided of them by now, for spreadsheets."""
    folder = _folder(visit)
    told = as_csv(rows_in(folder), read_verdicts(folder))
    headers = {"Content-Disposition": 'attachment; filename="results.csv"'}
    return Response(told, media_type="text/csv; charset=utf-8", headers=headers)


def overviews(visit: Visit) -> list[Overview]:
    """The catalogues of the folder."""
    found = visit.studio.workspace.catalogues().items()
    return [_overview(id, folder) for id, folder in found]


def _overview(id: str, folder: Path) -> Overview:
    try:
        rows, verdicts = rows_in(folder), read_verdicts(folder)
        to_look_at = sum(group_of(row, _of(verdicts, row)) == "look" for row in rows)
        pictured = (row.id for row in rows if row.mark and thumbnail_of(folder, row.id).is_file())
        return Overview(id, folder.name, len(rows), to_look_at, next(pictured, ""))
    except (PackshotError, OSError) as error:
        return Overview(id, folder.name, fault=str(error))


def _approved(row: Row, before: Verdict, time: str) -> Verdict | None:
    if row.state != "done":
        return None
    return _undecided(row, before).model_copy(update={"state": "approved", "mark": row.mark})


def _again(row: Row, before: Verdict, time: str) -> Verdict | None:
    time = time.strip()
    if seconds_of(time) <= seconds_of(row.time_budget):
        return None
    return Verdict(time_budget=time, before=_undecided(row, before).time_budget)


def _aside(row: Row, before: Verdict, time: str) -> Verdict | None:
    # With all that was decided before: it is that again once this is taken back.
    return before.model_copy(update={"state": "aside"})


def _back(row: Row, before: Verdict, time: str) -> Verdict:
    if before.state == "aside":
        return before.model_copy(update={"state": "approved" if before.mark else "none"})
    return _undecided(row, before)


def _undecided(row: Row, before: Verdict) -> Verdict:
    """Nothing decided; the time that it was made with stays, or the next start would make it with less."""
    budget = before.before if is_due(row, before) else before.time_budget
    return Verdict(time_budget=budget, before=before.before)


_DECISIONS: Mapping[str, Callable[[Row, Verdict, str], Verdict | None]] = {
    "approve": _approved, "again": _again, "aside": _aside, "back": _back,
}  # fmt: skip


def _folder(visit: Visit) -> Path:
    return visit.studio.workspace.catalogue(visit.request.path_params["catalogue"])


def _at(visit: Visit) -> str:
    return f"/c/{visit.request.path_params['catalogue']}"


def _group(visit: Visit) -> Group:
    asked = visit.value("show", "")
    return next((group for group in GROUPS if group == asked), GROUPS[0])


def _shown(text: str) -> int:
    asked = int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else SHOWN
    return max(SHOWN, asked)


def _row(visit: Visit, folder: Path, id: str) -> Row:
    """A product that the catalogue lists.

    Raises:
        UnknownProjectError: it does not.
    """
    for row in rows_in(folder):
        if row.id == id:
            return row
    raise UnknownProjectError(visit.t("catalogue.gone"))


def _of(verdicts: Mapping[str, Verdict], row: Row) -> Verdict:
    return verdicts.get(row.id, Verdict())


def _card(visit: Visit, folder: Path, row: Row, verdict: Verdict) -> Card:
    small = thumbnail_of(folder, row.id)
    version = hashing.fingerprint(hashing.stamp(small))[:8] if small.is_file() else ""
    workspace, catalogue = visit.studio.workspace, visit.request.path_params["catalogue"]
    project = workspace.product_id(catalogue, row.id)
    has_one = workspace.has_product(folder, row.id)
    return Card(row, verdict, group_of(row, verdict), version, project if has_one else "")


def _times(t: Texts, row: Row) -> Sequence[tuple[str, str]]:
    """The longer times that a product can be given: their value, and in words."""
    return [(time, _in_words(t, time)) for time in longer_than(row.time_budget)]


def _in_words(t: Texts, time: str | None) -> str:
    return str(t("plan.whole")) if time in (None, WHOLE) else in_words(seconds_of(time))


ROUTES = [show, listed, decide, picture, log, table]
