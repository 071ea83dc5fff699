"""Server-sent events for who comes again: each has an id and a name, as an ``EventSource`` reads them."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
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


class EventSource(StreamingResponse):
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
