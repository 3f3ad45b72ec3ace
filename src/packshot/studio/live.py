"""Server-sent events: pages are told that something has changed, and ask for the parts that show it.

Two kinds: `jobs`, `jobs-PROJECT` and `catalogue-CATALOGUE`, without content; and `changed`, whose
content is the page that has changed something, the project, and the events that its parts listen to
(`photos-changed`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

KEEPALIVE_SECONDS = 15.0


_Event = tuple[str, str]
"""Its name and its content; without a name the stream ends."""


class Broadcaster:
    """Tells all open pages what has changed. For the event loop's thread, but for `changed`."""

    def __init__(self) -> None:
        self._pages: set[asyncio.Queue[_Event]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def tell(self, *names: str, content: str = ".") -> None:
        """Tell each page, once for an event that it has not taken up yet."""
        for page in self._pages:
            waiting = set(page._queue)  # type: ignore[attr-defined]
            for name in names:
                if (name, content) not in waiting:
                    page.put_nowait((name, content))

    def changed(self, page: str, project: str, events: str) -> None:
        """Tell the other pages what one has changed. From any thread.

        Args:
            page: the id of the page that knows already.
            project: empty where it is not known.
            events: names with commas, as of htmx's HX-Trigger.
        """
        if self._loop and events:
            content = " ".join((page or "-", project or "-", *events.replace(",", " ").split()))
            self._loop.call_soon_threadsafe(lambda: self.tell("changed", content=content))

    def close(self) -> None:
        """End all streams."""
        self.tell("")

    async def events(self) -> AsyncIterator[str]:
        """The events of one page, as it reads them, until it goes or the studio closes."""
        page: asyncio.Queue[_Event] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._pages.add(page)
        try:
            yield "retry: 2000\nevent: hello\ndata: .\n\n"
            while True:
                try:
                    name, content = await asyncio.wait_for(page.get(), KEEPALIVE_SECONDS)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                if not name:
                    return
                yield f"event: {name}\ndata: {content}\n\n"
        finally:
            self._pages.discard(page)


async def stream(request: Request) -> Response:
    """The stream of a page."""
    events = request.app.state.studio.live.events()
    return StreamingResponse(events, media_type="text/event-stream")
