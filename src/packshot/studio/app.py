"""The studio as an ASGI application: routes, the guard before them, the queue beside them."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from packshot.studio import live, login, pages
from packshot.studio.catalogues import Watch
from packshot.studio.jobs import JobQueue
from packshot.studio.live import Broadcaster
from packshot.studio.previews import Previews
from packshot.studio.security import Gate, Guard
from packshot.studio.undo import UndoList
from packshot.studio.uploads import Limits, clear_abandoned
from packshot.studio.views import ROUTES, STEPS, Step
from packshot.studio.workspace import Workspace

TICK_SECONDS = 0.5
_STATIC = Path(__file__).with_name("static")


@dataclass
class Studio:
    """What the views of one studio share."""

    workspace: Workspace
    gate: Gate
    limits: Limits = field(default_factory=Limits)
    steps: tuple[Step, ...] = STEPS

    def __post_init__(self) -> None:
        self.queue = JobQueue(self.workspace)
        self.live = Broadcaster()
        self.undo = UndoList()
        self.previews = Previews()
        self.watch = Watch()

    def after(self, name: str) -> tuple[Step, ...]:
        """The step that follows another; none after the last."""
        names = [step.name for step in self.steps]
        at = names.index(name) + 1 if name in names else len(names)
        return self.steps[at : at + 1]


def create_app(studio: Studio) -> Starlette:
    """The application of a studio."""
    routes = [
        Mount("/static", StaticFiles(directory=_STATIC)),
        Route("/live", live.stream, name="live"),
        *login.ROUTES,
        *ROUTES,
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, gate=studio.gate), Middleware(GZipMiddleware)],
        lifespan=partial(_lifespan, studio),
        exception_handlers={404: pages.not_found},
    )
    app.state.studio = studio
    return app


@asynccontextmanager
async def _lifespan(studio: Studio, app: Starlette) -> AsyncIterator[None]:
    """While the studio runs, its queue goes on. Jobs outlive it."""
    await asyncio.to_thread(clear_abandoned, studio.workspace, studio.queue.scratch_folders())
    ticking = asyncio.create_task(_tick(studio))
    try:
        yield
    finally:
        ticking.cancel()
        await asyncio.to_thread(studio.previews.close)
        with suppress(asyncio.CancelledError):
            await ticking


async def _tick(studio: Studio) -> None:
    """Have the queue go on for as long as the studio runs, whatever a tick of it meets."""
    told = ""
    while True:
        try:
            for project in await asyncio.to_thread(studio.queue.tick):
                studio.live.tell("jobs", f"jobs-{project}")
            for catalogue in await asyncio.to_thread(studio.watch.changed):
                studio.live.tell(f"catalogue-{catalogue}")
        except Exception as error:  # a full disk, no more processes: it may pass
            if repr(error) != told:  # twice a second would be too often
                traceback.print_exception(error)
            told = repr(error)
        await asyncio.sleep(TICK_SECONDS)
