"""The form for the password, where other machines may ask."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from packshot.errors import PackshotError
from packshot.studio.pages import Visit, read_form


async def show(request: Request) -> Response:
    """The form."""
    return Visit(request, request.app.state.studio).page("login.html", is_wrong=False)


async def enter(request: Request) -> Response:
    """Let in who has the password."""
    visit = Visit(request, request.app.state.studio)
    try:
        visit.form = await read_form(request)
        given = visit.value("password", "")
    except PackshotError:
        given = ""
    if await visit.studio.gate.is_password(given):
        return visit.studio.gate.enter(RedirectResponse("/", 303))
    return visit.page("login.html", 403, is_wrong=True)


ROUTES = [Route("/login", show), Route("/login", enter, methods=["POST"])]
