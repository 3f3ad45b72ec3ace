"""Server-sent events: pages are told that something has changed, and ask for the parts that show it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

KEEPALIVE_SECONDS = 15.0


class Broadcaster:
    """Tells all open pages the names of what has changed. For the event loop's thread alone."""

    def __init__(self) -> None:
        self._pages: set[asyncio.Queue[str]] = set()

    def tell(self, *names: str) -> None:
        """Tell each page, once for a name that it has not taken up yet."""
        for page in self._pages:
            waiting = set(page._queue)  # type: ignore[attr-defined]
            for name in names:
                if name not in waiting:
                    page.put_nowait(name)

    def close(self) -> None:
        """End all streams."""
        self.tell("")

    async def events(self) -> AsyncIterator[str]:
        """The events of one page, as it reads them, until it goes or the studio closes."""
        page: asyncio.Queue[str] = asyncio.Queue()
        self._pages.add(page)
        try:
            yield "retry: 2000\nevent: hello\ndata: .\n\n"
            while True:
                try:
                    name = await asyncio.wait_for(page.get(), KEEPALIVE_SECONDS)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                if not name:
                    return
                yield f"event: {name}\ndata: .\n\n"
        finally:
            self._pages.discard(page)


async def stream(request: Request) -> Response:
    """The stream of a page."""
    events = request.app.state.studio.live.events()
    return StreamingResponse(events, media_type="text/event-stream")
