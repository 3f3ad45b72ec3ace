"""Serving the studio on this machine, or, with a password, to others."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from packshot.errors import StudioError
from packshot.studio.app import Studio, create_app
from packshot.studio.security import Gate
from packshot.studio.workspace import Workspace
from packshot.utils import locks

LEAST_PASSWORD = 10
HEADER_SECONDS = 20.0
"""How long a client may take to say what it wants."""


def serve(
    folder: Path,
    *,
    port: int = 8756,
    listen: str | None = None,
    opens_browser: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the studio of a folder until Ctrl-C.

    Args:
        port: 0 for one that is free.
        listen: an address of this machine, or 0.0.0.0, at which other machines may ask; the password
            is taken from PACKSHOT_STUDIO_PASSWORD, or asked for in the terminal.

    Raises:
        StudioError: the port is taken, or there is no password for other machines.
        ProjectError: another studio serves this folder.
    """
    folder = folder.absolute()
    address = _address(listen)
    password = _password(address) if listen else None
    folder.mkdir(parents=True, exist_ok=True)
    workspace = Workspace(folder)
    with locks.lock(workspace.state_folder / "lock"), _bound(address, port) as listener:
        port = listener.getsockname()[1]
        gate = Gate(hosts_at(address, port), password, cookie=f"packshot_studio_{port}")
        where = f"http://{_shown(address)}:{port}/"
        say(f"Studio of {folder}: {where if password else where + '?token=' + gate.token}")
        if password:
            say(
                "Other machines that reach this one can open it with the password. What is sent, the "
                "password too, is not encrypted: use it in a network that you trust. Over any other, "
                f"without --listen: ssh -L {port}:127.0.0.1:{port} MACHINE"
            )
        say("Ctrl-C closes it; what is being computed goes on, and is found again.")
        if opens_browser and not password:
            threading.Timer(0.5, webbrowser.open, [f"{where}?token={gate.token}"]).start()
        asyncio.run(StudioServer(Studio(workspace, gate)).serve(sockets=[listener]))


class StudioServer(uvicorn.Server):
    """Ends the open pages' streams, and previews, before it waits for connections to end."""

    def __init__(self, studio: Studio) -> None:
        super().__init__(config_of(studio))
        self.studio = studio

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.studio.live.close()
        await asyncio.to_thread(self.studio.previews.close)
        await super().shutdown(sockets)


def config_of(studio: Studio) -> uvicorn.Config:
    """How the studio is served: no log of requests, which would have the token."""
    return uvicorn.Config(
        create_app(studio),
        http=PatientProtocol,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=32 * 1024,
    )


class PatientProtocol(H11Protocol):
    """Closes a connection on which no whole request has arrived in `HEADER_SECONDS`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(HEADER_SECONDS, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


def hosts_at(address: str, port: int) -> frozenset[str]:
    """The values of the Host header that mean us."""
    names = {address, "127.0.0.1", "localhost"}
    if ipaddress.ip_address(address).is_unspecified:
        import psutil

        names |= {socket.gethostname()}
        names |= {one.address for of in psutil.net_if_addrs().values() for one in of}
    shown = {_shown(name.partition("%")[0]) for name in names}
    return frozenset(f"{name.lower()}:{port}" for name in shown) | (
        frozenset(name.lower() for name in shown) if port == 80 else frozenset()
    )


def _shown(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _address(listen: str | None) -> str:
    try:
        return str(ipaddress.ip_address(listen or "127.0.0.1"))
    except ValueError:
        raise StudioError(
            f"--listen {listen}: write an address of this machine, such as 192.168.1.20, or 0.0.0.0 "
            "for all of them."
        ) from None


def _password(address: str) -> str:
    """Argon2's hash of the password for other machines."""
    from argon2 import PasswordHasher

    given = os.environ.get("PACKSHOT_STUDIO_PASSWORD", "")
    if not given:
        import sys

        if sys.stdin.isatty():
            import getpass

            given = getpass.getpass(f"Password for whoever opens the studio at {address}: ")
    if len(given) < LEAST_PASSWORD:
        raise StudioError(
            f"--listen {address} lets other machines ask, so it needs a password of at least "
            f"{LEAST_PASSWORD} characters: type it when asked, or set PACKSHOT_STUDIO_PASSWORD."
        )
    return PasswordHasher().hash(given)


def _bound(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()  # so that whoever comes at the printed address at once waits, and is not refused
    except OSError as error:
        listener.close()
        raise StudioError(
            f"Port {port} of {address} cannot be had ({error.strerror}). Name another: --port 0 takes "
            "one that is free."
        ) from error
    return listener
