"""What views are made of: a visit (project, language, form), and answers as pages or parts of pages."""

from __future__ import annotations

import asyncio
import re
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import jinja2
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from packshot.errors import InUseError, PackshotError
from packshot.photos.photo_set import is_doubtful
from packshot.project import Project
from packshot.studio import texts
from packshot.studio.messages import plainly, told
from packshot.studio.texts import LANGUAGES, Texts
from packshot.studio.workspace import UnknownProjectError
from packshot.utils import drives, hashing
from packshot.utils.durations import in_words

if TYPE_CHECKING:
    from packshot.studio.app import Studio

MAX_FORM_BYTES, MAX_FIELDS = 2 * 2**20, 20_000
FORM_SECONDS = 30.0
"""How long a browser may take to send a form."""
HELD_SECONDS = 2.0
"""How long a change waits for another one of the same project."""
_FOLDER = Path(__file__).parent
_WEB = re.compile(r"https?://[^\s/]")
"""Addresses that may be linked to: what sources tell could be javascript:."""
_RUN = re.compile(r"^(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)\d\d\b")
"""Runs are named after the second in which they began."""
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["duration"] = in_words
_TEMPLATES.filters["weblink"] = lambda text: text if _WEB.match(str(text)) else ""
_TEMPLATES.tests["doubtful"] = is_doubtful
_TEMPLATES.filters["version"] = lambda file: hashing.fingerprint(hashing.stamp(file))[:8]


def run_name(t: Texts, run: str, step: int | None = None) -> str:
    """A run as people call it: the day and the minute in which it began, and a step before its end."""
    said = _RUN.sub(r"\1-\2-\3, \4:\5", run)
    return said if step is None else f"{said}, {t('train.at_step', step=step)}"


_TEMPLATES.globals["run_name"] = run_name
_TEMPLATES.globals["told"] = told


class FormError(PackshotError):
    """A form that is too large, or lacks a field."""


@dataclass
class Visit:
    """One request to a view, with what most views need of it."""

    request: Request
    studio: Studio
    project: Project | None = None
    form: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def here(self) -> Project:
        """The project of the address."""
        assert self.project is not None
        return self.project

    @property
    def project_id(self) -> str:
        return str(self.request.path_params.get("project", ""))

    @property
    def t(self) -> Texts:
        """The texts in the visitor's language: as chosen, else as the browser asks."""
        chosen = self.request.cookies.get("language", "")
        accepted = self.request.headers.get("accept-language", "")
        return texts.texts_in(chosen if chosen in LANGUAGES else texts.preferred(accepted))

    @property
    def is_part(self) -> bool:
        """Whether htmx asks, for a part of a page."""
        return "hx-request" in self.request.headers

    def value(self, name: str, default: str | None = None) -> str:
        """A form's field, or one of the address.

        Raises:
            FormError: it is not there, and has no default.
        """
        values = self.form.get(name) or self.request.query_params.getlist(name)
        if not values and default is None:
            raise FormError(f"The field {name!r} is missing.")
        return values[0] if values else str(default)

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page, or a part of one, from a template."""
        theme = self.request.cookies.get("theme", "")
        told = {
            "t": self.t,
            "visit": self,
            "studio": self.studio,
            "project": self.project,
            "theme": theme if theme in ("light", "dark") else "",
            "languages": LANGUAGES,
        }
        return HTMLResponse(_TEMPLATES.get_template(template).render(told | values), status)

    def notice(self, key: str, *, undo: str = "", then: str = "", **values: Any) -> Response:
        """A short message at the page's edge.

        Args:
            undo: an address that takes it back when it is posted to.
            then: names of events that parts of the page listen to (`hx-trigger="NAME from:body"`).
        """
        response = self.page(
            "_notice.html", text=self.t(key, **values), undo=undo, kind="done", label=""
        )
        self.tell_others(then)
        return _as_notice(response, then)

    def tell_others(self, events: str) -> None:
        """Have the other pages of this project (other tabs, other machines) show what has changed.

        Args:
            events: names of events, with commas, as parts of these pages listen to them.
        """
        page = re.sub(r"[^\w-]", "", self.request.headers.get("x-page", ""))[:40]
        self.studio.live.changed(page, self.project_id, events)

    def refuse(self, key: str, *, anyway: str, then: str = "", **values: Any) -> Response:
        """Say that nothing was changed, because somebody else has in the meantime.

        Args:
            anyway: an address that does it all the same when it is posted to.
        """
        response = self.page(
            "_notice.html", 422, text=self.t(key, **values), undo=anyway, kind="fault",
            label=self.t("frame.anyway"),
        )  # fmt: skip
        return _as_notice(response, then)

    def go(self, address: str) -> Response:
        """Send the browser to another page: an address as of a link, its names percent-encoded."""
        if self.is_part:
            return Response(headers={"HX-Redirect": address})
        return RedirectResponse(address, 303)


View = Callable[[Visit], Response]


def view(path: str, *methods: str) -> Callable[[View], Route]:
    """A route to a view. It runs in a thread, so that it may read and write files.

    Args:
        path: `{project}` in it is a project's id; it is opened for the view.
        methods: GET by default. With another one, a form is read.
    """

    def routed(function: View) -> Route:
        async def endpoint(request: Request) -> Response:
            visit = Visit(request, request.app.state.studio)
            try:
                if request.method == "POST":
                    visit.form = await read_form(request)
                return await run_in_threadpool(_visited, visit, function)
            except Exception as error:
                return _faulty(visit, error)

        name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
        return Route(path, endpoint, methods=list(methods or ("GET",)), name=name)

    return routed


def receiver(path: str, function: Callable[[Request, Visit], Awaitable[Response]]) -> Route:
    """A route of PUT to a function that reads the request's body itself, as it comes in."""

    async def endpoint(request: Request) -> Response:
        visit = Visit(request, request.app.state.studio)
        try:
            visit.project = await run_in_threadpool(visit.studio.workspace.open, visit.project_id)
            return await function(request, visit)
        except Exception as error:
            return _faulty(visit, error)

    name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
    return Route(path, endpoint, methods=["PUT"], name=name)


async def read_form(request: Request) -> dict[str, list[str]]:
    """The fields of a form, which the page sends as application/x-www-form-urlencoded.

    Raises:
        FormError: it is too large, takes too long, or is not one.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(FORM_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_FORM_BYTES:
                    raise FormError("This form is too large.")
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except (TimeoutError, ClientDisconnect, ValueError) as error:
        raise FormError("This form could not be read.") from error
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def _visited(visit: Visit, function: View) -> Response:
    if visit.project_id:
        visit.project = visit.studio.workspace.open(visit.project_id)
    return patiently(visit, lambda: function(visit))


def patiently(visit: Visit, change: Callable[[], Response]) -> Response:
    """Change a project as soon as another change of it by hand, which takes a moment, is done.

    A caption is sent as its field is left, at the press of another button of its card.

    Raises:
        InUseError: a job of the project runs, or it is at work for longer.
    """
    end = time.monotonic() + HELD_SECONDS
    while True:
        try:
            return change()
        except InUseError:
            if time.monotonic() > end or visit.studio.queue.running(visit.project_id):
                raise
            time.sleep(0.05)


def refusal(scope: Scope, key: str, status: int) -> Response:
    """Why a request is not answered, before anything of it is looked at.

    As a page where a person asks, and as a notice where a page does that a former studio has left open.
    """
    headers = Headers(scope=scope)
    t = texts.texts_in(texts.preferred(headers.get("accept-language", "")))
    if "hx-request" in headers:
        told = {"t": t, "text": t(key), "undo": "", "kind": "fault", "label": ""}
        notice = _TEMPLATES.get_template("_notice.html").render(told)
        return _as_notice(HTMLResponse(notice, status))
    if "text/html" not in headers.get("accept", ""):
        return PlainTextResponse(t(key), status)
    return HTMLResponse(_TEMPLATES.get_template("refused.html").render(t=t, text=t(key)), status)


async def not_found(request: Request, error: Exception) -> Response:
    """The page for an address at which there is nothing."""
    visit = Visit(request, request.app.state.studio)
    return visit.page("error.html", 404, text=visit.t("frame.not_found"))


def _faulty(visit: Visit, error: Exception) -> Response:
    """What went wrong, in words: a notice for a part of a page, else a page."""
    status, text, is_ours = 422, str(error), True
    if isinstance(error, UnknownProjectError):
        status = 404
    elif isinstance(error, InUseError) and (job := visit.studio.queue.running(visit.project_id)):
        text, is_ours = visit.t("frame.busy", kind=visit.t(f"jobs.kind.{job.kind}")), False
    elif isinstance(error, OSError) and (words := drives.in_words(error)):
        text = words
    elif not isinstance(error, PackshotError):
        traceback.print_exception(error)
        status, text, is_ours = 500, visit.t("frame.bug"), False
    if "text/plain" in visit.request.headers.get("accept", ""):
        return PlainTextResponse(plainly(visit.t, text) if is_ours else text, status)
    text = told(visit.t, text) if is_ours else text
    if visit.is_part:
        notice = visit.page("_notice.html", status, text=text, undo="", kind="fault", label="")
        return _as_notice(notice)
    visit.project = None
    return visit.page("error.html", status, text=text)


def _as_notice(response: Response, then: str = "") -> Response:
    response.headers.update({"HX-Retarget": "#notices", "HX-Reswap": "beforeend"})
    if then:
        response.headers["HX-Trigger"] = then
    return response
