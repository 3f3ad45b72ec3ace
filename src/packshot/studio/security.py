"""Who may talk to the studio, and what its pages may do.

A page of any other site can make the user's browser send requests here. So the Host must be ours (DNS
rebinding), a request that changes something must come from our own pages (cross-site request forgery),
and nothing is answered without the session's cookie, which is given for the address that the command
prints, and behind `--listen` for the password.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from packshot.studio import pages

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' blob:",
        "connect-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'",
    )
)  # fmt: skip
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers call our own forms' origin null
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_SAFE = ("GET", "HEAD")
_OPEN = ("/static/", "/login")
"""What is answered without a session: style, scripts and the form for the password."""


@dataclass
class Gate:
    """What a request must have: the hosts that are ours, the token, the session that it gives."""

    hosts: frozenset[str]
    """Values of the Host header, with ports."""
    password_hash: str | None = None
    """Argon2's, where other machines may ask; the token alone lets nobody in then."""
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    cookie: str = "packshot_studio"
    _one_guess: asyncio.Lock = field(default_factory=asyncio.Lock)

    def has_session(self, headers: Headers) -> bool:
        """Whether a request brings the session's cookie."""
        given = cookie_parser(headers.get("cookie", "")).get(self.cookie, "")
        return hmac.compare_digest(given.encode(), self.session.encode())

    def is_token(self, given: str) -> bool:
        """Whether it is the token that the command printed; never where a password is asked."""
        return not self.password_hash and hmac.compare_digest(given.encode(), self.token.encode())

    async def is_password(self, given: str) -> bool:
        """Whether it is the password. A wrong one costs a second, one after the other."""
        from argon2 import PasswordHasher
        from argon2.exceptions import Argon2Error

        if not self.password_hash:
            return False
        async with self._one_guess:
            try:
                return await asyncio.to_thread(PasswordHasher().verify, self.password_hash, given)
            except Argon2Error:
                await asyncio.sleep(1)
                return False

    def enter(self, response: Response) -> Response:
        """Give a response the session's cookie."""
        response.set_cookie(self.cookie, self.session, httponly=True, samesite="strict", path="/")
        return response


class Guard:
    """The gate in front of the pages, and the headers of all that they answer."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self.app, self.gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                is_static = scope["path"].startswith("/static/")
                headers.setdefault("Cache-Control", "no-cache" if is_static else "no-store")
            await send(message)

        answer = self._refusal(scope) or self.app
        await answer(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers, method = Headers(scope=scope), scope["method"]
        if headers.get("host", "") not in self.gate.hosts:
            return pages.refusal(scope, "refused.host", 403)
        if not _is_from_here(method, headers):
            return pages.refusal(scope, "refused.origin", 403)
        if self.gate.has_session(headers) or scope["path"].startswith(_OPEN):
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if method == "GET" and scope["path"] == "/" and self.gate.is_token(given):
            return self.gate.enter(RedirectResponse("/", 303))
        if self.gate.password_hash and method == "GET" and "hx-request" not in headers:
            return RedirectResponse("/login", 303)
        key = "refused.password" if self.gate.password_hash else "refused.session"
        return pages.refusal(scope, key, 401)


def _is_from_here(method: str, headers: Headers) -> bool:
    """Whether a request is a person's own navigation, or of our own pages.

    Browsers say so: Sec-Fetch-Site on all, Origin on those that change something. `same-site` would be
    another program on this machine.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    ours = origin is None or origin.lower() == f"http://{headers['host']}".lower()
    if method in _SAFE:
        is_visit = headers.get("sec-fetch-mode") == "navigate"
        return ours and (site in (None, "same-origin", "none") or is_visit)
    return ours and (origin is not None or site == "same-origin")
