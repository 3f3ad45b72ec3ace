"""Language and theme, kept in cookies; and taking back what was just done."""

from __future__ import annotations

from starlette.responses import Response

from packshot.studio.pages import Visit, view
from packshot.studio.texts import LANGUAGES

_CHOICES = {"language": (*LANGUAGES,), "theme": ("light", "dark", "auto")}
_YEAR = 365 * 24 * 3600


@view("/preferences", "POST")
def choose(visit: Visit) -> Response:
    """Keep what was chosen, and show the page anew."""
    response = Response(status_code=204, headers={"HX-Refresh": "true"})
    for name, choices in _CHOICES.items():
        if (chosen := visit.value(name, "")) in choices:
            response.set_cookie(name, chosen, max_age=_YEAR, httponly=True, samesite="strict")
    return response


@view("/undo/{token}", "POST")
def undo(visit: Visit) -> Response:
    """Take back what was just done."""
    then = visit.studio.undo.take_back(visit.request.path_params["token"])
    return visit.notice("frame.undone", then=then)


ROUTES = [choose, undo]
