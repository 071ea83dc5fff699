"""Server-sent events: how they are written, and the streams that are open."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any, Final

import orjson
from fastapi.responses import StreamingResponse
from starlette.types import Send

HEARTBEAT_S: Final = 15.0
"""Seconds of silence after which a comment shows everybody on the way that the stream lives."""

HEARTBEAT: Final = b": waiting\n\n"

RECONNECT_MS: Final = 2000
"""What a client whose stream broke is told to wait."""

HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}
"""No proxy keeps an event for later."""


def event(name: str, identifier: int, document: Mapping[str, Any]) -> bytes:
    """Write one event; its data is one line of JSON."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (identifier, name.encode(), orjson.dumps(document))


def opening() -> bytes:
    """Write what stands at the beginning of every stream."""
    return b"retry: %d\n\n" % RECONNECT_MS


class EventStream(StreamingResponse):
    """A stream as an answer. When its client is gone, what makes the events is closed at once."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes]) -> None:
        """``events``: as ``event`` writes them."""
        super().__init__(events, headers=HEADERS)
        self._events = events

    async def stream_response(self, send: Send) -> None:
        """Send the events as they come."""
        async with aclosing(self._events):
            await super().stream_response(send)


class OpenStreams:
    """The streams that are open: when the server is to stop they end.

    Who followed a job comes again by himself; who read an answer is told that its job goes on.
    """

    def __init__(self) -> None:
        """None is open yet."""
        self._bells: set[asyncio.Event] = set()
        self.is_ending = False

    def end(self) -> None:
        """Have every stream end."""
        self.is_ending = True
        for bell in self._bells:
            bell.set()

    @contextmanager
    def opened(self, bell: asyncio.Event) -> Iterator[None]:
        """Ring ``bell`` when the streams are to end, for as long as the block lasts; at once if they are already."""
        self._bells.add(bell)
        if self.is_ending:
            bell.set()
        try:
            yield
        finally:
            self._bells.discard(bell)
